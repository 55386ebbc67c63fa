"""Channels by local day, each meter by its own aggregate: a sum, a peak, a mean, a count, a time in use."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from cloud_collector.contracts.catalog import Aggregate, Meter
from cloud_collector.contracts.money import plain
from cloud_collector.contracts.period import local_date, local_days
from cloud_collector.contracts.week import Times
from cloud_collector.insight.detail import Day, in_unit
from cloud_collector.insight.grounds import clip
from cloud_collector.rating.level import active_seconds, begun, mean, peak, pieces_of, rate_peak
from cloud_collector.usage.let_go import DetailDeleted
from cloud_collector.usage.quantity import UnlikeUnits
from cloud_collector.usage.span import ChannelName, Measured, UsageView
from shared.unit import ratio

Held = Sequence[tuple[ChannelName, Times]]
"""Channels, each with the times in which it counts."""
WORDS = {
    Aggregate.SUM: "Together",
    Aggregate.MAX: "The highest",
    Aggregate.AVERAGE: "On average",
    Aggregate.ACTIVE_TIME: "In use, together",
    Aggregate.COUNT: "Intervals in use, together",
}
"""What one figure is of many."""


def by_day(usage: UsageView, held: Held, meter: Meter, zone: str, now: int) -> list[Day]:
    """The local days of these times that have begun, over all of the channels."""
    ends = [time for _, times in held for stretch in times for time in stretch]
    if not ends:
        return []
    cut = local_days(zone, min(ends), min(max(ends), now))
    return [_day(usage, held, meter, zone, now, stretch) for stretch in cut]


def unit_of(meter: Meter) -> str:
    """In which unit its figure stands: a demand is a rate."""
    return meter.unit if meter.demand is None else f"{meter.unit}/h"


def figure(usage: UsageView, held: Held, meter: Meter, zone: str, seconds: int) -> Fraction | None:
    """The channels in these times as one figure; None where it cannot be said. `seconds` is what a mean is over."""
    try:
        return _figure(usage, held, meter, zone, seconds)
    except (DetailDeleted, UnlikeUnits):
        return None


def _figure(usage: UsageView, held: Held, meter: Meter, zone: str, seconds: int) -> Fraction:
    if meter.aggregate is Aggregate.SUM:
        return sum((Fraction(_summed(usage, channel, times, meter.unit)[0]) for channel, times in held), Fraction(0))
    if meter.demand is not None:
        return rate_peak(held, usage, meter, zone)[0]
    pieces = [piece for channel, times in held for piece in pieces_of(usage, channel, meter, times)]
    match meter.aggregate:
        case Aggregate.MAX:
            return peak(pieces)
        case Aggregate.COUNT:
            return Fraction(begun(pieces))
        case Aggregate.ACTIVE_TIME:
            return active_seconds(pieces) * (ratio("s", meter.unit) or Fraction(1))
        case _:
            return mean(pieces, seconds)


def _day(usage: UsageView, held: Held, meter: Meter, zone: str, now: int, day: tuple[int, int]) -> Day:
    inside = [(channel, clipped) for channel, times in held if (clipped := clip(times, *day))]
    found = [_known(usage, channel, times, now) for channel, times in inside]
    measured = [each for _, each in found if each is not None]
    deleted = any(each.deleted for each in measured)
    value = figure(usage, inside, meter, zone, day[1] - day[0]) if measured and not deleted else None
    starts = [start for _, times in inside for start, _ in times]
    ends = [end for _, times in inside for _, end in times]
    return Day(
        day=local_date(zone, day[0]),
        start=min(starts, default=day[0]),
        end=max(ends, default=day[1]),
        quantity=None if value is None else Decimal(plain(value)),
        estimated=any(each.estimated for each in measured) and not deleted,
        gap_seconds=max((gap for gap, _ in found), default=0),
        deleted=deleted,
    )


def _known(usage: UsageView, channel: ChannelName, times: Times, now: int) -> tuple[int, Measured | None]:
    """Seconds of the times so far of which nothing is known, and what is measured from their start to their end."""
    spans = usage.spans(channel, times[0][0], times[-1][1])
    asked = sum(max(0, min(end, now) - start) for start, end in times)
    known = sum(max(0, min(span.end, end, now) - max(span.start, start)) for start, end in times for span in spans)
    return max(0, asked - known), usage.measure(channel, times[0][0], times[-1][1]) if spans else None


def _summed(usage: UsageView, channel: ChannelName, times: Times, unit: str) -> tuple[Decimal, bool]:
    found = [each for start, end in times if (each := usage.measure(channel, start, end)) is not None]
    if any(each.deleted for each in found):
        raise DetailDeleted
    value = sum((in_unit(each.units, each, unit) for each in found), Decimal(0))
    return value, any(each.estimated for each in found)
