"""What an account costs so far: each of its contracts by the invoice's own code, and their sums by currency."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.money import as_written
from cloud_collector.insight.cost import Cost
from cloud_collector.insight.kept import Kept
from cloud_collector.insight.look import look
from cloud_collector.store.store import Store
from cloud_collector.usage.span import UsageView
from shared.errors import DatabaseError, MetersealError


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A contract that costs nothing now, and why."""

    contract: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCost:
    """An account at a moment."""

    account: str
    as_of_ms: int
    contracts: tuple[Cost, ...]
    absent: tuple[Absent, ...]

    def totals(self) -> dict[str, Decimal]:
        """With tax, by currency."""
        found: dict[str, Decimal] = {}
        for each in self.contracts:
            found[each.draft.currency] = found.get(each.draft.currency, Decimal(0)) + each.draft.total
        return found

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "account": self.account,
            "totals": [{"currency": code, "total": as_written(total)} for code, total in self.totals().items()],
            "contracts": [each.to_json() for each in self.contracts],
            "absent": [{"contract": each.contract, "why": each.why} for each in self.absent],
        }


def account_cost(
    store: Store,
    account: str,
    now_ms: int,
    view: Callable[[Store], UsageView],
    *,
    foretold: bool = True,
    memory: Kept | None = None,
    wait: bool = True,
) -> AccountCost:
    """Every contract of the account that runs, rated now; raises DatabaseError and NoCatalog.

    Without `wait` forecasts that rest on many reports are left for later.
    """
    known = revisions(store)
    held = known[-1].catalog.contracts
    names: Sequence[str] = sorted(name for name in held if held[name].account == account)
    found: list[Cost] = []
    absent: list[Absent] = []
    for name in names:
        try:
            seen = look(store, known, name, now_ms, view, memory=memory)
            found.append(seen.cost(foretold=foretold, memory=memory, wait=wait))
        except DatabaseError:
            raise
        except MetersealError as error:
            # P19: never guess; the account's others are shown.
            absent.append(Absent(contract=name, why=str(error)))
    return AccountCost(account=account, as_of_ms=now_ms, contracts=tuple(found), absent=tuple(absent))
