"""Commitments: the least that the whole contract pays, what counts towards it, and what is missing at its end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from cloud_collector.contracts.catalog import Charge, ChargeType, Commitment, Committed, Model, Pool, TrueUp
from cloud_collector.contracts.money import Currency, as_written, plain
from cloud_collector.contracts.period import Period, boundary, local_date, local_days
from cloud_collector.contracts.read_charge import COMMITMENT
from cloud_collector.contracts.revision import billing_periods
from cloud_collector.contracts.terms import Stretch
from cloud_collector.rating.draft import DraftLine, LineKind, Step
from cloud_collector.rating.facts import Facts
from cloud_collector.rating.measure import is_used
from cloud_collector.rating.segment import Segment
from cloud_collector.rating.tier import Overage
from cloud_collector.rating.usage_charge import units_charged

COUNTED = frozenset({LineKind.SUBSCRIPTION, LineKind.USAGE, LineKind.DISCOUNT, LineKind.CAP, LineKind.MINIMUM})
"""What counts towards an amount; a one-time charge's discount does not."""

Rated = Callable[[Period], Sequence[DraftLine]]
"""Every line of a period's own service, whenever it is billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A period with a figure of its own: a commitment of a term has many, others have one."""

    period: Period
    figure: Fraction
    share: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligation:
    """What one stretch of terms commits to in one commitment period: [start, end)."""

    facts: Facts
    stretch: Stretch
    commitment: Commitment
    start: int
    end: int
    steps: tuple[_Step, ...]

    @property
    def committed(self) -> Fraction:
        """The figure, shortened with the time, steps added up."""
        return sum((step.figure * step.share for step in self.steps), Fraction(0))

    def closes_in(self, period: Period) -> bool:
        """Whether this billing period is its last."""
        return period.start < self.end <= period.end

    def segments(self, until: int) -> list[Segment]:
        """The segments of its time that begin before an instant, each rated as closed."""
        periods = self.facts.periods(local_date(self.facts.terms.timezone, min(until, self.end) - 1))
        return [
            segment
            for period in periods
            for segment in self.facts.segments(period, closed=True)
            if segment.stretch is self.stretch and self.start <= segment.start < min(until, self.end)
        ]


def obligations(facts: Facts, period: Period) -> list[Obligation]:
    """What is committed to in the time of a billing period."""
    found = []
    terms = facts.terms
    cuts = [boundary(terms.timezone, stretch.start) for stretch in terms.stretches]
    for stretch, begin, end in zip(terms.stretches, cuts, [*cuts[1:], None], strict=True):
        if stretch.commitment is None:
            continue
        for whole in _periods(facts, stretch.commitment, period):
            start = max(whole[0], begin)
            until = whole[1] if end is None else min(whole[1], end)
            begun = any(stretch.commitment.has_begun(each.number) for each in whole[2])
            if begun and start < until and start < period.end and until > period.start:
                found.append(_obligation(facts, stretch, stretch.commitment, start, until, whole[2]))
    return found


def overage_of(segment: Segment, charge: Charge, found: Sequence[Obligation]) -> Overage | None:
    """What a committed quantity makes of a charge in a segment: None where it is not the one, or the period is open."""
    for obligation in found:
        commitment = obligation.commitment
        mine = obligation.stretch is segment.stretch and obligation.start <= segment.start < obligation.end
        if mine and segment.closed and commitment.of is Committed.QUANTITY and charge.meter == commitment.meter:
            before = sum(
                (units_charged(each, pooled(charge)) for each in obligation.segments(segment.start)), Fraction(0)
            )
            return Overage(committed=obligation.committed, before=before, factor=commitment.overage_factor)
    return None


def pooled(charge: Charge) -> Charge:
    """A committed quantity is the whole contract's."""
    return replace(charge, pool=Pool.CONTRACT)


def is_pooled(segment: Segment, charge: Charge) -> bool:
    """Whether a charge is the one of which a quantity is committed."""
    commitment = segment.stretch.commitment
    return (
        commitment is not None
        and commitment.of is Committed.QUANTITY
        and charge.type is ChargeType.USAGE
        and charge.meter == commitment.meter
        and charge.model is Model.PER_UNIT
    )


def true_ups(found: Sequence[Obligation], period: Period, rated: Rated) -> list[DraftLine]:
    """A line for each commitment that ends with this period and is not met."""
    lines = [
        true_up(obligation, rated)
        for obligation in found
        if obligation.closes_in(period) and obligation.commitment.true_up is not TrueUp.NONE
    ]
    return [line for line in lines if line is not None]


def true_up(obligation: Obligation, rated: Rated) -> DraftLine | None:
    """What is missing from a commitment at its end; None where it is met."""
    match obligation.commitment.of:
        case Committed.AMOUNT:
            return _of_amount(obligation, rated)
        case Committed.DEVICES:
            return _of_devices(obligation)
        case Committed.QUANTITY:
            return _of_quantity(obligation)


def money_counted(obligation: Obligation, rated: Rated) -> Fraction:
    """What counts towards an amount: the rounded net lines of its time."""
    facts = obligation.facts
    once = {charge.name for charge in obligation.stretch.charges if charge.type is ChargeType.ONE_TIME}
    return sum(
        (
            Fraction(line.amount)
            for period in facts.periods(local_date(facts.terms.timezone, obligation.end - 1))
            if period.end > obligation.start
            for line in rated(period)
            if line.kind in COUNTED
            and line.charge not in once
            and obligation.start <= line.service_start < obligation.end
        ),
        Fraction(0),
    )


def devices_used(obligation: Obligation, period: Period) -> int:
    """How many devices count as used in one period of it."""
    rule = next((charge.used_when for charge in obligation.stretch.charges if charge.when_used), None)
    segment = _any_segment(obligation, period)
    lives = obligation.facts.lives
    return sum(1 for life in lives if is_used(segment, rule, [life], (period.start, period.end)))


def units_counted(obligation: Obligation, until: int) -> Fraction:
    """The units that count towards a quantity, of the segments that begin before an instant."""
    segments = obligation.segments(until)
    if not segments:
        return Fraction(0)
    charge = next(each for each in obligation.stretch.charges if is_pooled(segments[0], each))
    return sum((units_charged(each, pooled(charge)) for each in segments), Fraction(0))


def _of_amount(obligation: Obligation, rated: Rated) -> DraftLine | None:
    counted = money_counted(obligation, rated)
    currency = _currency(obligation)
    least = Fraction(currency.amount(obligation.committed))
    steps = ({"committed": plain(least), "counted": plain(counted), "amount": plain(least - counted)},)
    why = f"{plain(least)} {currency.code} is committed and {plain(counted)} counts towards it"
    return _line(obligation, least - counted, Fraction(1), "1", None, why, steps)


def _of_devices(obligation: Obligation) -> DraftLine | None:
    price = obligation.commitment.price_per_device
    short = Fraction(0)
    steps: list[Step] = []
    for step in obligation.steps:
        used = devices_used(obligation, step.period)
        short += (step.figure - used) * step.share
        steps.append({"committed": plain(step.figure), "used": str(used), "share": plain(step.share)})
    short = max(short, Fraction(0))
    amount = short * Fraction(price)
    steps.append({"quantity": plain(short), "price": as_written(price), "amount": plain(amount)})
    why = f"{plain(obligation.committed)} devices are committed, and {plain(short)} of them were not used"
    return _line(obligation, amount, short, "1", price, why, tuple(steps))


def _of_quantity(obligation: Obligation) -> DraftLine | None:
    meter = obligation.facts.terms.meters[obligation.commitment.meter or ""]
    segments = obligation.segments(obligation.end)
    charge = next(each for each in obligation.stretch.charges if is_pooled(segments[0], each))
    assert charge.price is not None, "the catalog requires it"
    used = units_counted(obligation, obligation.end)
    short = max(obligation.committed - used, Fraction(0))
    amount = short * Fraction(charge.price)
    steps = (
        {"committed": plain(obligation.committed), "used": plain(used)},
        {"quantity": plain(short), "price": as_written(charge.price), "amount": plain(amount)},
    )
    why = f"{plain(obligation.committed)} {meter.unit} of {meter.name} are committed, and {plain(used)} were used"
    return _line(obligation, amount, short, meter.unit, charge.price, why, steps)


def _line(
    obligation: Obligation,
    exact: Fraction,
    quantity: Fraction,
    unit: str,
    unit_price: Decimal | None,
    why: str,
    steps: tuple[Step, ...],
) -> DraftLine | None:
    currency = _currency(obligation)
    if currency.amount(exact) <= 0:
        return None
    return DraftLine(
        contract=obligation.facts.terms.contract,
        charge=COMMITMENT,
        kind=LineKind.TRUE_UP,
        quantity=Fraction(plain(quantity)),
        unit=unit,
        unit_price=unit_price,
        exact=currency.exact(exact),
        amount=currency.amount(exact),
        service_start=obligation.start,
        service_end=obligation.end,
        why=f"Commitment: {why}",
        steps=steps,
    )


def _currency(obligation: Obligation) -> Currency:
    currency = obligation.facts.terms.currency
    return replace(currency, rounding=obligation.stretch.rounding)


def _any_segment(obligation: Obligation, period: Period) -> Segment:
    """For asking what was used: the terms and facts are the same in all."""
    return obligation.facts.segments(period, closed=True)[0]


def _periods(facts: Facts, commitment: Commitment, period: Period) -> list[tuple[int, int, list[Period]]]:
    """The commitment periods that a billing period has a part in: start, end, and those with a figure of their own."""
    terms = facts.terms
    own = terms if commitment.cycle is None else replace(terms, cycle=commitment.cycle)
    if commitment.true_up is TrueUp.TERM:
        assert terms.end is not None, "the catalog requires it"
        every = billing_periods(own, until=terms.end, anchored=facts.anchored)
        return [(every[0].start, every[-1].end, every)]
    if commitment.cycle is None:
        return [(period.start, period.end, [period])]
    every = billing_periods(own, until=period.last, anchored=facts.anchored)
    return [(each.start, each.end, [each]) for each in every if each.end > period.start]


def _obligation(
    facts: Facts, stretch: Stretch, commitment: Commitment, start: int, end: int, periods: Sequence[Period]
) -> Obligation:
    activated = min((life.activation.at for life in facts.lives if life.activation is not None), default=None)
    since = start if not facts.lives else activated
    steps = []
    for period in periods:
        begin, until = max(period.start, start), min(period.end, end)
        days = 0 if since is None else _days(facts.terms.timezone, max(begin, since), until)
        if begin < until:
            share = Fraction(days, period.full_days)
            steps.append(_Step(period=period, figure=Fraction(commitment.step(period.number)), share=share))
    return Obligation(facts=facts, stretch=stretch, commitment=commitment, start=start, end=end, steps=tuple(steps))


def _days(timezone: str, start: int, end: int) -> int:
    """Days that end inside a time: the first counts."""
    return sum(1 for _, ends in local_days(timezone, start, end) if start < ends <= end)
