"""Subscriptions: a price for time, by the states in which a device spent it."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from cloud_collector.activity.lifecycle import Life, Stage
from cloud_collector.contracts.catalog import ZERO, Charge, Per, Prorate, State
from cloud_collector.contracts.money import as_written, fraction_of, plain
from cloud_collector.rating.draft import DraftLine, LineKind, Step
from cloud_collector.rating.measure import is_used
from cloud_collector.rating.reduction import bounded
from cloud_collector.rating.segment import Segment

ONE = "1"
"""UCUM's unity: what a subscription counts."""
_ONE = Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Time:
    """Time spent in a state: so many of so many days or seconds; None of None is the whole price once."""

    state: State
    count: int
    of: int
    unit: str

    @property
    def share(self) -> Fraction:
        return Fraction(self.count, self.of) if self.of else Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Priced:
    """What a device's time costs, and how that is said."""

    exact: Fraction
    printed: Decimal
    amount: Decimal
    unit_price: Decimal | None
    steps: tuple[Step, ...]
    told: str


def subscription(segment: Segment, charge: Charge) -> list[DraftLine]:
    """A line a device, or one for the contract; none where nothing is due."""
    if charge.per is Per.CONTRACT:
        if segment.contract_from is None:
            return []
        end = segment.period.end
        stage = Stage(state=State.ACTIVE, start=segment.contract_from, end=end)
        return _line(segment, charge, None, (stage,), segment.lives, {})
    priced: dict[object, _Priced] = {}
    return [
        line for life in segment.lives for line in _line(segment, charge, life.device, life.stages, (life,), priced)
    ]


def _line(
    segment: Segment,
    charge: Charge,
    device: str | None,
    stages: tuple[Stage, ...],
    lives: tuple[Life, ...],
    priced: dict[object, _Priced],
) -> list[DraftLine]:
    times = _times(segment, charge, stages)
    if not times:
        return []
    used = not charge.when_used or is_used(segment, charge.used_when, lives, (segment.period.start, segment.period.end))
    # The same time costs each device the same.
    key = (used, *times)
    found = priced.get(key)
    if found is None:
        found = priced[key] = _priced(segment, charge, times, used=used)
    if not found.exact:
        return []
    line = DraftLine(
        contract=segment.terms.contract,
        charge=charge.name,
        kind=LineKind.SUBSCRIPTION,
        device=device,
        quantity=_ONE,
        unit=ONE,
        unit_price=found.unit_price,
        exact=found.printed,
        amount=found.amount,
        service_start=segment.start,
        service_end=segment.end,
        why=f"{charge.name} for {device or 'the contract'}: {found.told}",
        steps=found.steps,
    )
    return bounded([line], found.exact, charge.discount_percent, segment.currency)


def _priced(segment: Segment, charge: Charge, times: list[_Time], *, used: bool) -> _Priced:
    prices = {time.state: _price(charge, time.state, used=used) for time in times}
    exact = sum((time.share * fraction_of(prices[time.state]) for time in times), Fraction(0))
    # A state that costs nothing does not make a second price.
    said = sorted({prices[time.state] for time in times if prices[time.state]})
    spent = ", ".join(f"{time.count} of {time.of} {time.unit} {time.state.value}" for time in times)
    return _Priced(
        exact=exact,
        printed=segment.currency.exact(exact),
        amount=segment.currency.amount(exact),
        unit_price=said[0] if len(said) == 1 else None,
        steps=tuple(_step(time, prices[time.state]) for time in times),
        told=spent if used or not charge.when_used else f"{spent}; not used, so the active price is not due",
    )


def _price(charge: Charge, state: State, *, used: bool) -> Decimal:
    """The price in a state; use gates the active price only."""
    assert charge.price is not None, "the catalog requires it"
    active = charge.price if used else ZERO
    match state:
        case State.ACTIVE:
            return active
        case State.PROVISIONED:
            return charge.state_prices.get(state, ZERO)
        case State.SUSPENDED:
            return charge.state_prices.get(state, active)
        case State.ENDED:
            return ZERO


def _times(segment: Segment, charge: Charge, stages: tuple[Stage, ...]) -> list[_Time]:
    match charge.prorate:
        case Prorate.DAY:
            return _by_day(segment, stages)
        case Prorate.SECOND:
            return _by_second(segment, stages)
        case Prorate.NONE:
            return _whole(segment, stages)


def _by_day(segment: Segment, stages: tuple[Stage, ...]) -> list[_Time]:
    """Each local day counts in the state in which it ends."""
    counts: dict[State, int] = {}
    for stage in stages:
        days = segment.days_in((stage.start, stage.end))
        if days:
            counts[stage.state] = counts.get(stage.state, 0) + days
    return [_Time(state=state, count=count, of=segment.full_days, unit="days") for state, count in counts.items()]


def _by_second(segment: Segment, stages: tuple[Stage, ...]) -> list[_Time]:
    counts: dict[State, int] = {}
    for stage in stages:
        seconds = min(stage.end, segment.end) - max(stage.start, segment.start)
        if seconds > 0:
            counts[stage.state] = counts.get(stage.state, 0) + seconds
    full = segment.period.full_end - segment.period.full_start
    return [_Time(state=state, count=count, of=full, unit="seconds") for state, count in counts.items()]


def _whole(segment: Segment, stages: tuple[Stage, ...]) -> list[_Time]:
    """One whole price in the state in which the period, or the time in it, ends; an amendment shares it by days."""
    period = segment.period
    inside = [stage for stage in stages if stage.start < period.end and stage.end > period.start]
    if not inside:
        return []
    start, end = stages[0].start, stages[-1].end
    days = [day for day in segment.days if day[0] < end and day[1] > start]
    whole = [day for day in segment.period_days if day[0] < end and day[1] > start]
    return [_Time(state=inside[-1].state, count=len(days), of=len(whole), unit="days")]


def _step(time: _Time, price: Decimal) -> Step:
    return {
        "state": time.state.value,
        time.unit: str(time.count),
        "of": str(time.of),
        "price": as_written(price),
        "amount": plain(time.share * fraction_of(price)),
    }
