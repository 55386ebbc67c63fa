"""The one function that makes an amount: invoices, previews, quotes and `verify-invoice` all call it."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from cloud_collector.activity.activation import Activation, StateChange
from cloud_collector.activity.lifecycle import life_of
from cloud_collector.contracts.catalog import Charge, ChargeType, Occasion
from cloud_collector.contracts.period import Period
from cloud_collector.contracts.terms import Terms
from cloud_collector.rating.booking import Booking, unbooked
from cloud_collector.rating.draft import BookingKey, Draft, DraftLine, LineKind
from cloud_collector.rating.one_time import one_time
from cloud_collector.rating.segment import Segment, segments_of
from cloud_collector.rating.subscription import subscription
from cloud_collector.rating.tax import taxes_on
from cloud_collector.rating.usage_charge import usage_charge
from cloud_collector.usage.span import UsageView


def draft(
    terms: Terms,
    period: Period,
    usage: UsageView,
    *,
    starts: Mapping[str, Activation],
    states: Sequence[StateChange] = (),
    booked: Iterable[Booking] = (),
    closed: bool = True,
) -> Draft:
    """What a period costs beyond what is booked for it.

    Pure: the same facts give the same draft (P15). `starts` comes from `first_activity`; `closed` is false before
    the period's end, when there is no minimum yet. Raises UnlikeUnits where a channel cannot be billed in the
    catalog's unit: park the account (P19).
    """
    lives = tuple(life_of(terms, device, starts.get(device.id), states) for device in terms.devices)
    lines = [
        line
        for segment in segments_of(terms, period, usage, lives, closed=closed)
        for charge in segment.stretch.charges
        for line in _charged(segment, charge)
    ]
    fresh = unbooked(
        lines,
        booked,
        contract=terms.contract,
        currency=terms.currency,
        covers=lambda key: _is_of(key, terms, period),
    )
    return compose(terms, period, fresh)


def compose(terms: Terms, period: Period, lines: Iterable[DraftLine]) -> Draft:
    """Lines, of this period and late ones of others, with their net sum, taxes and total (P17)."""
    lines = tuple(lines)
    taxes = taxes_on(terms, lines)
    net = sum((Fraction(line.amount) for line in lines), Fraction(0))
    total = net + sum((Fraction(tax.amount) for tax in taxes), Fraction(0))
    return Draft(
        contract=terms.contract,
        currency=terms.currency.code,
        period=period,
        lines=lines,
        net=terms.currency.amount(net),
        taxes=taxes,
        total=terms.currency.amount(total),
    )


def _charged(segment: Segment, charge: Charge) -> list[DraftLine]:
    match charge.type:
        case ChargeType.SUBSCRIPTION:
            return subscription(segment, charge)
        case ChargeType.USAGE:
            return usage_charge(segment, charge)
        case ChargeType.ONE_TIME:
            return one_time(segment, charge)


def _is_of(key: BookingKey, terms: Terms, period: Period) -> bool:
    """Whether a booking is of this period: an end at its last boundary is, one at its first is not."""
    at = key.segment_start
    ends = {charge.name for stretch in terms.stretches for charge in stretch.charges if charge.on is Occasion.ENDED}
    # A one-time charge's discount stands at the charge's instant as well.
    if key.charge in ends and key.kind in {LineKind.ONE_TIME, LineKind.DISCOUNT}:
        return period.start < at <= period.end
    return period.start <= at < period.end
