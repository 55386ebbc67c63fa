"""What a billing run did, contract by contract, as values."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cloud_collector.contracts.period import iso
from cloud_collector.rating.draft import Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a contract's period: issued, nothing (no lines), waiting or parked."""

    contract: str
    state: str
    start: int | None = None
    end: int | None = None
    number: str | None = None
    kind: str | None = None
    currency: str | None = None
    total: Decimal | None = None
    reason: str | None = None
    draft: Draft | None = None
    """Of a preview."""

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "contract": self.contract,
            "state": self.state,
            "period": None
            if self.start is None or self.end is None
            else {"start": iso(self.start), "end": iso(self.end)},
            "number": self.number,
            "kind": self.kind,
            "currency": self.currency,
            "total": None if self.total is None else format(self.total, "f"),
            "reason": self.reason,
        } | ({} if self.draft is None else {"draft": self.draft.to_json()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a run did."""

    outcomes: tuple[Outcome, ...] = ()
    archived: tuple[str, ...] = ()
    """Numbers whose file an earlier run had left missing."""

    def of(self, state: str) -> tuple[Outcome, ...]:
        """The outcomes in a state."""
        return tuple(outcome for outcome in self.outcomes if outcome.state == state)
