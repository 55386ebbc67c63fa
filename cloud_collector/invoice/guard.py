"""What billing cannot do yet, or must never do: refused in a sentence, so that no figure is silently wrong (P19).

Pure. Whoever composes an invoice asks here; the contract is parked and everyone else is billed.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from cloud_collector.contracts.period import Period
from cloud_collector.contracts.terms import Terms
from cloud_collector.invoice.basis import Booked
from shared.errors import MetersealError


class NotYet(MetersealError):
    """Billing cannot do this yet."""


class Rated(Protocol):
    """A period that was rated."""

    @property
    def terms(self) -> Terms:
        """By which."""

    @property
    def period(self) -> Period:
        """Which."""

    @property
    def booked(self) -> Sequence[Booked]:
        """What is booked of it, by whatever invoice."""

    @property
    def committed(self) -> Sequence[tuple[int, int]]:
        """The commitments of several periods that it has a part in, from when until when."""


def require_ratable(terms: Terms) -> None:
    """Raises NotYet for a pool that could not be shared out."""
    for other in terms.pooled:
        for name in ("cycle", "anchor", "timezone"):
            if getattr(other, name) != getattr(terms, name):
                raise NotYet(f"it shares a pool with {other.contract}, which keeps another {name}")
        if other.currency.code != terms.currency.code:
            raise NotYet(f"it shares a pool with {other.contract}, which has another currency")


def require_one_place(booked: Iterable[Booked], rated: Iterable[Rated]) -> None:
    """Everything that was booked is subtracted once; raises NotYet where it is not (P14)."""
    found = Counter(id(each) for period in rated for each in period.booked)
    for each in booked:
        if found[id(each)] != 1:
            line = each.line
            raise NotYet(
                f"{each.number} billed {line['amount']} for {line['charge']} from {line['service_start']}, which "
                f"belongs to {'no period' if not found[id(each)] else 'two periods'} of the contract as it is now"
            )


def require_same(every: Sequence[Rated], billed: Iterable[Rated]) -> None:
    """Raises NotYet where periods that are billed together cannot be added up."""
    codes = sorted({each.terms.currency.code for each in billed})
    if len(codes) > 1:
        raise NotYet(f"it has to bill {' and '.join(codes)} on one invoice: billing cannot do this yet")
    for each in every[1:]:
        if each.terms.activation != every[0].terms.activation:
            raise NotYet("its plan's activation has changed since it was first billed: billing cannot do this yet")
    for each in every:
        for start, end in each.committed:
            inside = [other for other in every if other.period.start < end and other.period.end > start]
            if any(_priced(other.terms) != _priced(each.terms) for other in inside):
                raise NotYet(
                    "its commitment runs over periods that revisions of the catalog price differently: billing cannot "
                    "do this yet"
                )


def _priced(terms: Terms) -> object:
    """Everything that an amount towards a commitment depends on."""
    names = {charge.meter for stretch in terms.stretches for charge in stretch.charges}
    stretches = [(each.start, each.charges, each.rounding, each.holidays, each.commitment) for each in terms.stretches]
    return stretches, {name: terms.meters.get(name) for name in names if name is not None}
