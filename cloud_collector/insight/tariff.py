"""What history would have cost under another catalog: both sides rated by the code that rates invoices.

Nothing is booked, and look-back is not applied: a year of history is asked about, not billed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from cloud_collector.activity.activation import StateChange
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.money import as_written
from cloud_collector.contracts.period import iso
from cloud_collector.contracts.revision import Revision
from cloud_collector.contracts.terms import Terms
from cloud_collector.insight.agreement import Agreement
from cloud_collector.rating.draft import Draft
from cloud_collector.rating.known import Known
from cloud_collector.usage.span import UsageView
from shared.errors import MetersealError


class OtherCurrency(MetersealError):
    """The two sides are in different money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which periods are rated: those that begin on these local dates; `first` None is from the beginning on."""

    first: date | None = None
    last: date | None = None
    """Exclusive."""

    def holds(self, day: date) -> bool:
        """Whether a period that begins on this date is rated."""
        return (self.first is None or self.first <= day) and (self.last is None or day < self.last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """One side: what the periods came to."""

    charges: Mapping[str, Decimal]
    """Net, by charge, with its discount, cap and minimum; a true-up is `Commitment`."""
    net: Decimal
    total: Decimal
    periods: int
    starts: Mapping[str, int]
    """By device."""

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {"net": as_written(self.net), "tax": as_written(self.total - self.net), "total": as_written(self.total)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One contract, as it is agreed and as it is tried out."""

    account: str
    contract: str
    currency: str
    before: Bill
    after: Bill

    @property
    def amount(self) -> Decimal:
        """How much more it would be, with tax."""
        return self.after.total - self.before.total

    @property
    def charges(self) -> list[tuple[str, Decimal, Decimal]]:
        """Each charge before and after, net; what differs most first."""
        zero = Decimal(0)
        names = {**self.before.charges, **self.after.charges}
        rows = [(name, self.before.charges.get(name, zero), self.after.charges.get(name, zero)) for name in names]
        return sorted(rows, key=lambda row: (-abs(row[2] - row[1]), row[0]))

    @property
    def moved(self) -> list[tuple[str, int | None, int | None]]:
        """Devices that would be billed from another instant on."""
        starts = self.before.starts, self.after.starts
        devices = sorted({*starts[0], *starts[1]})
        found = [(device, starts[0].get(device), starts[1].get(device)) for device in devices]
        return [each for each in found if each[1] != each[2]]

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "account": self.account,
            "contract": self.contract,
            "currency": self.currency,
            "periods": self.after.periods,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "difference": as_written(self.amount),
            "percent": percent(self.before.total, self.amount),
            "charges": [
                {
                    "charge": name,
                    "before": as_written(before),
                    "after": as_written(after),
                    "difference": as_written(after - before),
                    "percent": percent(before, after - before),
                }
                for name, before, after in self.charges
            ],
            "starts": [
                {"device": device, "before": _instant(before), "after": _instant(after)}
                for device, before, after in self.moved
            ],
        }


def difference(
    agreement: Agreement,
    candidate: Catalog,
    usage: UsageView,
    span: Span,
    states: Sequence[StateChange] = (),
) -> Difference:
    """The contract's periods under both; raises OtherCurrency, or UnlikeUnits where a side cannot be rated."""
    tried = Revision(number=1, effective_at=0, read=lambda: candidate)
    other = Agreement(contract=agreement.contract, known=(tried,), closed={}, now=agreement.now)
    terms, currency = agreement.terms(agreement.now), other.terms(agreement.now).currency.code
    if currency != terms.currency.code:
        raise OtherCurrency(
            f"it would be billed in {currency} and not in {terms.currency.code}: no difference says that"
        )
    return Difference(
        account=terms.account,
        contract=agreement.contract,
        currency=currency,
        before=_bill(agreement, usage, span, states),
        after=_bill(other, usage, span, states),
    )


def outliers_first(found: Iterable[Difference]) -> list[tuple[str, str, list[Difference]]]:
    """Account, currency and contracts; whose bill changes most comes first, in each account too."""
    groups: dict[tuple[str, str], list[Difference]] = {}
    for each in found:
        groups.setdefault((each.account, each.currency), []).append(each)
    sums = {key: abs(sum((each.amount for each in held), Decimal(0))) for key, held in groups.items()}
    return [
        (*key, sorted(groups[key], key=lambda each: (-abs(each.amount), each.contract)))
        for key in sorted(groups, key=lambda key: (-sums[key], key))
    ]


def percent(before: Decimal, amount: Decimal) -> str | None:
    """A difference in per cent of what was before, with one decimal; None where that was nothing."""
    if not before:
        return None if amount else "0.0"
    share = Fraction(amount) / Fraction(abs(before)) * 100
    return format(Decimal(round(share * 10)) / 10, "+.1f") if share else "0.0"


def _bill(agreement: Agreement, usage: UsageView, span: Span, states: Sequence[StateChange]) -> Bill:
    drafts, starts = _rated(agreement, usage, span, states)
    charges: dict[str, Decimal] = {}
    net = total = Decimal(0)
    for draft in drafts:
        net, total = net + draft.net, total + draft.total
        for line in draft.lines:
            charges[line.charge] = charges.get(line.charge, Decimal(0)) + line.amount
    return Bill(charges=charges, net=net, total=total, periods=len(drafts), starts=starts)


def _rated(
    agreement: Agreement, usage: UsageView, span: Span, states: Sequence[StateChange]
) -> tuple[list[Draft], dict[str, int]]:
    now, looks = agreement.now, dict[int, Known]()

    def known(start: int) -> Known:
        number = agreement.plans(start).number
        if number not in looks:
            looks[number] = Known.of(agreement.terms(start), usage, states, until=now)
        return looks[number]

    newest = known(now)
    drafts = [
        known(period.start).draft(
            period,
            closed=period.end <= now,
            anchored=agreement.anchored(newest.activated),
            after=_after(agreement, period.start, period.end),
        )
        for period in agreement.periods(newest.activated, now)
        if span.holds(period.first)
    ]
    return drafts, {device: start.at for device, start in newest.starts.items() if start.at <= now}


def _after(agreement: Agreement, start: int, end: int) -> Terms | None:
    """The terms of the next period, where another revision prices it."""
    alike = agreement.plans(start).number == agreement.plans(end).number
    return None if alike else agreement.terms(end)


def _instant(at: int | None) -> str | None:
    return None if at is None else iso(at)
