"""Usage that has not happened yet: a channel's habit laid over the rest of a period, as spans that rating takes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import accumulate, chain, repeat
from operator import sub
from typing import Final

from cloud_collector.contracts.catalog import Aggregate, Meter
from cloud_collector.insight.habit import FINE, HOUR, Habit, Rate
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import ChannelName, Measured, Span, SpanKind, UsageView

STEP: Final = 900
"""Of the intervals ahead; where intervals themselves are counted, the channel's own."""
EPOCH: Final = "ffffffff"
"""Of lines that nobody has sealed."""


class Case(StrEnum):
    """Which of three courses usage takes."""

    LOW = "low"
    LIKELY = "likely"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel and how it goes on."""

    name: ChannelName
    meter: Meter | None
    last: Span
    """What it reported last."""
    begins: int
    """Up to which instant it is known."""
    habit: Habit

    @property
    def is_level(self) -> bool:
        """Whether its intervals hold levels and not amounts."""
        return is_level(self.meter)

    @property
    def is_peak(self) -> bool:
        """Whether only the highest counts."""
        return self.meter is not None and self.meter.aggregate is Aggregate.MAX


def is_level(meter: Meter | None) -> bool:
    """Whether a meter's intervals hold levels: of a demand they hold amounts."""
    return meter is not None and meter.demand is None and meter.aggregate in {Aggregate.MAX, Aggregate.AVERAGE}


def ahead(channel: Channel, end: int, case: Case, factor: Fraction) -> Span | None:
    """The channel's usage from what is known of it to an end; `factor` makes more or less of it."""
    step = _step(channel)
    count = -(-(end - channel.begins) // step)
    if count <= 0:
        return None
    deltas = _peaks(channel, step, count, case) if channel.is_peak else _amounts(channel, step, count, factor)
    return Span(
        channel=channel.name,
        log=channel.last.log,
        unit=channel.last.unit,
        exponent=channel.last.exponent,
        kind=SpanKind.USAGE,
        epoch=EPOCH,
        seq=1,
        start=channel.begins,
        step=step,
        deltas=deltas,
        register=0,
        estimated=frozenset(),
        received_at=channel.last.received_at,
    )


def expected(channel: Channel, end: int) -> int:
    """Millionths of the channel's integers up to an end, by habit alone."""
    found, at = 0, channel.begins
    while at < end:
        until = min(at - at % HOUR + HOUR, end)
        found += channel.habit.at(at).units * (until - at) // HOUR
        at = until
    return found


class Continued:
    """A UsageView that goes on into the future where each channel ends."""

    def __init__(self, usage: UsageView, spans: Iterable[Span]) -> None:
        held = list(spans)
        self._usage = usage
        self._ahead = Ledger(held)
        self._begins: Mapping[ChannelName, int] = {span.channel: span.start for span in held}

    def measure(self, channel: ChannelName, start: int, end: int) -> Measured | None:
        """Usage in [start, end): what is known up to where the channel ends, what is expected from there on."""
        begins = self._begins.get(channel, end)
        known = self._usage.measure(channel, start, min(end, begins)) if start < begins else None
        beyond = self._ahead.measure(channel, max(start, begins), end) if begins < end else None
        if known is None or beyond is None:
            return known or beyond
        return Measured(
            units=known.units + beyond.units,
            unit=known.unit,
            exponent=known.exponent,
            estimated=True,
            reads=known.reads + beyond.reads,
            gaps=known.gaps,
        )

    def spans(self, channel: ChannelName, start: int, end: int) -> list[Span]:
        """Spans that overlap [start, end)."""
        return [*self._usage.spans(channel, start, end), *self._ahead.spans(channel, start, end)]

    def channels(self, gateway: str, device: str) -> list[ChannelName]:
        """The channels of a device that have ever reported."""
        return self._usage.channels(gateway, device)


def _step(channel: Channel) -> int:
    counts = channel.meter is not None and channel.meter.aggregate in {Aggregate.COUNT, Aggregate.ACTIVE_TIME}
    return channel.last.step if counts else STEP


def _amounts(channel: Channel, step: int, count: int, factor: Fraction) -> tuple[int, ...]:
    """What lies in each interval; what no integer holds is carried into the next, so that the sum is right."""
    if step != STEP:
        return _sparse(channel, step, count, factor)
    per = FINE if channel.is_level else FINE * HOUR // step
    above, below = factor.numerator, factor.denominator * per
    rates = (repeat(rate.units * above, times) for rate, times in _runs(channel, step, count))
    wholes = [units // below for units in accumulate(chain.from_iterable(rates))]
    return tuple(map(sub, wholes, chain((0,), wholes)))


def _runs(channel: Channel, step: int, count: int) -> Iterator[tuple[Rate, int]]:
    """The rate of each hour ahead, and how many intervals begin in it."""
    at, end = channel.begins, channel.begins + count * step
    while at < end:
        times = -(-(min(at - at % HOUR + HOUR, end) - at) // step)
        yield channel.habit.at(at), times
        at += times * step


def _sparse(channel: Channel, step: int, count: int, factor: Fraction) -> tuple[int, ...]:
    """Where intervals themselves are counted: as many of them hold something as is usual."""
    below = factor.denominator * (FINE if channel.is_level else FINE * HOUR // step)
    deltas = []
    left = active = 0
    for rate, times in _runs(channel, step, count):
        for _ in range(times):
            left += rate.units * factor.numerator
            active += rate.active
            if active < FINE:
                deltas.append(0)
                continue
            active -= FINE
            whole, left = divmod(left, below)
            deltas.append(max(whole, 1))
    return tuple(deltas)


def _peaks(channel: Channel, step: int, count: int, case: Case) -> tuple[int, ...]:
    """Of a maximum: nothing more than has been reached, the usual highest of each hour, or the highest of all."""
    if case is Case.LOW:
        return (0,) * count
    rates = [channel.habit.at(channel.begins + index * step) for index in range(count)]
    tops = [rate.highest if case is Case.HIGH else rate.top for rate in rates]
    return tuple(tops) if channel.is_level else tuple(top * step // channel.last.step for top in tops)
