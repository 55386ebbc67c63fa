"""A run beside the last period: of each contract the difference, in money and as a share, the outliers first.

An outlier differs by at least `share_percent` of the last period's total and by at least `amount`: both, so that
neither a cent on nothing nor a small share of much is looked at. Contracts without a last period are new.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, TypeAlias

from cloud_collector.billing.outcome import Outcome
from cloud_collector.rating.draft import Draft
from cloud_collector.store.store import Store

CAUSES_MAX: Final = 3
"""Charges that are named as the cause of a difference."""
_Row: TypeAlias = tuple[str, str | None, Decimal]
"""Charge, device, amount."""
_TENTH: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From which difference on a person should look."""

    share_percent: int = 20
    amount: int = 10
    """In whole units of the contract's currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """An outcome of a preview beside the contract's last period."""

    outcome: Outcome
    last: Decimal | None
    """What all documents of the last period came to; None: there was none, or it was in another currency."""
    outlier: bool
    why: tuple[str, ...] = ()
    """Of an outlier: which charges differ most."""

    @property
    def change(self) -> Decimal | None:
        """What it costs more than the last period."""
        if self.last is None:
            return None
        return (self.outcome.total or Decimal(0)) - self.last

    @property
    def share(self) -> Decimal | None:
        """The change in per cent of the last period, to a tenth."""
        change, last = self.change, self.last
        if change is None or not last:
            return None
        return (change * 100 / abs(last)).quantize(_TENTH, ROUND_HALF_UP)

    def to_json(self) -> dict[str, Any]:
        """The outcome's public form, with the comparison in it."""
        change, share = self.change, self.share
        return self.outcome.to_json() | {
            "comparison": {
                "last": None if self.last is None else format(self.last, "f"),
                "change": None if change is None else format(change, "f"),
                "share_percent": None if share is None else format(share, "f"),
                "outlier": self.outlier,
                "why": list(self.why),
            }
        }


def compared(store: Store, outcomes: Sequence[Outcome], thresholds: Thresholds) -> tuple[Compared, ...]:
    """Each outcome with what the contract cost before: outliers, then new ones, then the others; largest first."""
    last = _last(store)
    found = []
    for outcome in outcomes:
        before = last.get(outcome.contract)
        closes = outcome.state in ("due", "nothing")
        each = Compared(
            outcome=outcome, last=before.total(outcome.currency) if before and closes else None, outlier=False
        )
        if before is not None and _differs(each, thresholds):
            causes = _causes(_lines(store, outcome.contract, before), outcome.draft)
            each = replace(each, outlier=True, why=causes)
        found.append(each)
        if closes:
            # What is due after it is beside this one.
            money = {} if outcome.currency is None else {outcome.currency: outcome.total or Decimal(0)}
            last[outcome.contract] = _Last(ahead=outcome.draft, money=money)
    return tuple(sorted(found, key=_rank))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Last:
    """A contract's last period: closed, or due earlier in the same preview."""

    start: int | None = None
    ahead: Draft | None = None
    money: dict[str, Decimal]

    def total(self, currency: str | None) -> Decimal | None:
        """What it came to; None where it was in another currency."""
        if not self.money:
            return Decimal(0)
        return next(iter(self.money.values())) if currency is None else self.money.get(currency)


def _last(store: Store) -> dict[str, _Last]:
    found: dict[str, _Last] = {}
    for contract, start, _, currency, total in store.rows("last_billed"):
        money = found.setdefault(contract, _Last(start=start, money={})).money
        if currency is not None:
            money[currency] = money.get(currency, Decimal(0)) + Decimal(total)
    return found


def _lines(store: Store, contract: str, last: _Last) -> list[_Row]:
    if last.start is None:
        return [] if last.ahead is None else _of_draft(last.ahead)
    rows = (json.loads(line) for (line,) in store.rows("last_lines", contract, last.start))
    return [(row["charge"], row["device"], Decimal(row["amount"])) for row in rows]


def _of_draft(draft: Draft) -> list[_Row]:
    return [(line.charge, line.device, line.amount) for line in draft.lines]


def _differs(each: Compared, thresholds: Thresholds) -> bool:
    change = each.change
    if change is None or abs(change) < thresholds.amount or not change:
        return False
    return not each.last or abs(change) * 100 >= abs(each.last) * thresholds.share_percent


def _causes(before: Iterable[_Row], draft: Draft | None) -> tuple[str, ...]:
    changes: dict[str, Decimal] = defaultdict(Decimal)
    devices: tuple[set[str], set[str]] = (set(), set())
    for at, lines in enumerate((before, [] if draft is None else _of_draft(draft))):
        for charge, device, amount in lines:
            changes[charge] += amount if at else -amount
            devices[at].update([device] if device else [])
    most = sorted(((charge, change) for charge, change in changes.items() if change), key=lambda each: -abs(each[1]))
    found = [f"{charge} {change:+f}" for charge, change in most[:CAUSES_MAX]]
    more = len(devices[1]) - len(devices[0])
    if more:
        found.append(f"{abs(more)} device{'s' * (abs(more) > 1)} {'more' if more > 0 else 'less'}")
    return tuple(found)


def _rank(each: Compared) -> tuple[int, Decimal, str, int]:
    outcome = each.outcome
    group = 0 if each.outlier else 3 if outcome.state in ("waiting", "parked") else 1 if each.last is None else 2
    return group, -abs(each.change or Decimal(0)), outcome.contract, outcome.start or 0
