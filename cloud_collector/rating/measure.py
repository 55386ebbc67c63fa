"""What devices used of a meter, in the catalog's unit, by the meter's aggregate, with what it rests on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from cloud_collector.activity.lifecycle import Life
from cloud_collector.contracts.catalog import Aggregate, Meter, UsedWhen
from cloud_collector.contracts.week import Times
from cloud_collector.rating.level import active_seconds, begun, mean, peak, pieces_of, rate_peak
from cloud_collector.rating.segment import Segment
from cloud_collector.usage.let_go import told
from cloud_collector.usage.quantity import worth
from cloud_collector.usage.span import ChannelName, NamedGap, Read
from shared.unit import ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """So much in the catalog's unit."""

    value: Fraction
    estimated: bool = False
    reads: tuple[Read, ...] = ()
    gaps: tuple[NamedGap, ...] = ()
    unmeasured: int = 0
    """Seconds of an average of which nothing was reported."""

    def __add__(self, other: "Quantity") -> "Quantity":
        return Quantity(
            value=self.value + other.value,
            estimated=self.estimated or other.estimated,
            reads=self.reads + other.reads,
            gaps=self.gaps + other.gaps,
            unmeasured=self.unmeasured + other.unmeasured,
        )


NOTHING = Quantity(value=Fraction(0))


class Part(NamedTuple):
    """A device in the times that are asked for."""

    segment: Segment
    life: Life
    times: Times


def part_of(segment: Segment, life: Life, times: Times) -> Part:
    """What of these times a device's usage is billed in."""
    billed = segment.billed_time(life)
    clipped: Times = ()
    if billed is not None and len(times) == 1:
        start, end = max(times[0][0], billed[0]), min(times[0][1], billed[1])
        clipped = ((start, end),) if start < end else ()
    elif billed is not None:
        both = ((max(start, billed[0]), min(end, billed[1])) for start, end in times)
        clipped = tuple((start, end) for start, end in both if start < end)
    return Part(segment=segment, life=life, times=clipped)


def total(parts: Sequence[Part], name: str) -> Quantity:
    """What the devices used together; of a maximum the peak of their simultaneous sum. Raises UnlikeUnits."""
    parts = [part for part in parts if part.times]
    if not parts:
        return NOTHING
    meter = parts[0].segment.terms.meters[name]
    if len(parts) == 1 and meter.aggregate is Aggregate.SUM:
        return _summed(parts[0], meter)
    match meter.aggregate:
        case Aggregate.SUM:
            first, *others = [_summed(part, meter) for part in parts]
            return sum(others, first) if others else first
        case Aggregate.MAX if meter.demand is not None:
            value, estimated = rate_peak(
                [(channel_of(part.life.device, name), part.times) for part in parts],
                parts[0].segment.usage,
                meter,
                parts[0].segment.terms.timezone,
            )
            return Quantity(value=value, estimated=estimated)
        case _:
            return _of_intervals(parts, meter)


def _of_intervals(parts: Sequence[Part], meter: Meter) -> Quantity:
    segment = parts[0].segment
    pieces = [
        piece
        for part in parts
        for piece in pieces_of(part.segment.usage, channel_of(part.life.device, meter.name), meter, part.times)
    ]
    estimated = any(piece.estimated or piece.is_cut for piece in pieces)
    gaps = tuple(gap for part in parts for gap in _gaps(part, meter))
    match meter.aggregate:
        case Aggregate.MAX:
            return Quantity(value=peak(pieces), estimated=estimated, gaps=gaps)
        case Aggregate.COUNT:
            estimated = any(piece.estimated for piece in pieces)
            return Quantity(value=Fraction(begun(pieces)), estimated=estimated, gaps=gaps)
        case Aggregate.ACTIVE_TIME:
            second = ratio("s", meter.unit)
            assert second is not None, "the catalog requires a unit of time"
            return Quantity(value=active_seconds(pieces) * second, estimated=estimated, gaps=gaps)
        case _:
            asked = sum(end - start for part in parts for start, end in part.times)
            known = sum(piece.end - piece.start for piece in pieces)
            value = mean(pieces, segment.period.end - segment.period.start)
            return Quantity(value=value, estimated=estimated, gaps=gaps, unmeasured=max(asked - known, 0))


def _gaps(part: Part, meter: Meter) -> tuple[NamedGap, ...]:
    """What is not known between the first and the last of the times."""
    channel = channel_of(part.life.device, meter.name)
    measured = part.segment.usage.measure(channel, part.times[0][0], part.times[-1][1])
    return () if measured is None else measured.gaps


def _summed(part: Part, meter: Meter) -> Quantity:
    """Register at end minus register at start of every stretch: their sum is the whole to the last integer (P17)."""
    channel, usage = channel_of(part.life.device, meter.name), part.segment.usage
    if len(part.times) == 1:
        only = told(usage.measure(channel, *part.times[0]))
        if only is None:
            return NOTHING
        one = worth(only.unit, only.exponent, meter.unit)
        return Quantity(value=only.units * one, estimated=only.estimated, reads=only.reads, gaps=only.gaps)
    found = [each for start, end in part.times if (each := told(usage.measure(channel, start, end))) is not None]
    if not found:
        return NOTHING
    one = worth(found[0].unit, found[0].exponent, meter.unit)
    return Quantity(
        value=sum(each.units for each in found) * one,
        estimated=any(each.estimated for each in found),
        # In many stretches registers tell nobody anything; the whole period's stand on the invoice.
        reads=(),
        gaps=tuple(gap for each in found for gap in each.gaps),
    )


def is_used(segment: Segment, rule: UsedWhen | None, lives: Iterable[Life], time: tuple[int, int]) -> bool:
    """Whether the devices together were used in a whole time, from their activation on."""
    parts = []
    for life in lives:
        start = time[1] if life.activation is None else max(life.activation.at, time[0])
        end = min(life.end, time[1])
        if start < end:
            parts.append(Part(segment=segment, life=life, times=((start, end),)))
    if rule is not None and rule.meter is not None and rule.at_least is not None:
        return total(parts, rule.meter).value >= rule.at_least
    named = None if rule is None else rule.meter
    return any(
        measured is not None and measured.units > 0
        for part in parts
        for channel in _channels(segment, part.life, named)
        for start, end in part.times
        if (measured := told(segment.usage.measure(channel, start, end))) is not None
    )


@lru_cache(maxsize=65_536)
def channel_of(device: str, meter: str) -> ChannelName:
    """The channel of a catalog's device, which is `gateway/device`."""
    gateway, _, name = device.rpartition("/")
    return ChannelName(gateway=gateway, device=name, meter=meter)


def _channels(segment: Segment, life: Life, meter: str | None) -> list[ChannelName]:
    """The device's channel of a meter, or all of them, also of meters that the catalog does not know."""
    if meter is not None:
        return [channel_of(life.device, meter)]
    gateway, _, name = life.device.rpartition("/")
    return segment.usage.channels(gateway, name)
