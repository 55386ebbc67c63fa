"""Levels, counts and rates: what intervals say that a register does not."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from cloud_collector.contracts.catalog import Aggregate, Meter
from cloud_collector.contracts.period import local_days
from cloud_collector.contracts.week import Times
from cloud_collector.usage.let_go import all_told
from cloud_collector.usage.quantity import worth
from cloud_collector.usage.span import ChannelName, Span, SpanKind, UsageView

_HOUR_SECONDS = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What of an interval lies in the time that is asked for: its level holds there and nowhere else."""

    start: int
    end: int
    level: Fraction
    """What was reported of the whole interval, in the catalog's unit."""
    begins: int
    """Where the interval begins."""
    is_cut: bool
    estimated: bool


def pieces_of(usage: UsageView, channel: ChannelName, meter: Meter, times: Times) -> Iterator[Piece]:
    """The reported intervals in these times; what only registers bridge was not reported. Raises UnlikeUnits."""
    converts = meter.aggregate in {Aggregate.MAX, Aggregate.AVERAGE}
    for start, end in times:
        for span in all_told(usage.spans(channel, start, end)):
            if span.kind is SpanKind.USAGE:
                one = worth(span.unit, span.exponent, meter.unit) if converts else Fraction(1)
                yield from _within(span, start, end, one)


def peak(pieces: Iterable[Piece]) -> Fraction:
    """The highest sum of levels that hold at the same time."""
    changes: dict[int, Fraction] = {}
    for piece in pieces:
        changes[piece.start] = changes.get(piece.start, Fraction(0)) + piece.level
        changes[piece.end] = changes.get(piece.end, Fraction(0)) - piece.level
    level = highest = Fraction(0)
    for _, change in sorted(changes.items()):
        level += change
        highest = max(highest, level)
    return highest


def mean(pieces: Iterable[Piece], seconds: int) -> Fraction:
    """Level × seconds over the seconds of a whole period: what is not measured counts zero."""
    return sum((piece.level * (piece.end - piece.start) for piece in pieces), Fraction(0)) / seconds


def active_seconds(pieces: Iterable[Piece]) -> int:
    """The time of intervals with a quantity above zero."""
    return sum(piece.end - piece.start for piece in pieces if piece.level)


def begun(pieces: Iterable[Piece]) -> int:
    """How many intervals with a quantity above zero begin in the time."""
    return sum(1 for piece in pieces if piece.level and piece.begins == piece.start)


def rate_peak(
    channels: Sequence[tuple[ChannelName, Times]], usage: UsageView, meter: Meter, timezone: str
) -> tuple[Fraction, bool]:
    """The highest average rate an hour of all channels together over windows of `demand`, and whether it is estimated.

    Windows count in exact time from local midnight; one that is billed in part divides by its full length.
    """
    assert meter.demand is not None, "the catalog requires it"
    starts = [start for _, times in channels for start, _ in times]
    ends = [end for _, times in channels for _, end in times]
    edges = _edges(timezone, min(starts), max(ends), meter.demand.seconds)
    used: dict[int, Fraction] = {}
    estimated = False
    for channel, times in channels:
        for start, end in times:
            for span in all_told(usage.spans(channel, start, end)):
                one = worth(span.unit, span.exponent, meter.unit)
                at, until = max(span.start, start), min(span.end, end)
                index = bisect_right(edges, at) - 1
                while at < until:
                    cut = min(edges[index + 1], until)
                    units = span.units_before(cut) - span.units_before(at)
                    used[index] = used.get(index, Fraction(0)) + units * one
                    estimated = estimated or _is_estimated(span, at, cut)
                    at, index = cut, index + 1
    rates = (quantity * _HOUR_SECONDS / (edges[index + 1] - edges[index]) for index, quantity in used.items())
    return max(rates, default=Fraction(0)), estimated


def _edges(timezone: str, start: int, end: int, length: int) -> list[int]:
    days = local_days(timezone, start, end)
    return [edge for day in days for edge in range(day[0], day[1], length)] + [days[-1][1]]


def _is_estimated(span: Span, start: int, end: int) -> bool:
    if span.cuts_interval(start) or span.cuts_interval(end):
        return True
    return any(span.start + at * span.step < end and span.start + (at + 1) * span.step > start for at in span.estimated)


def _within(span: Span, start: int, end: int, one: Fraction) -> Iterator[Piece]:
    first = max((start - span.start) // span.step, 0)
    for index in range(first, len(span.deltas)):
        begins = span.start + index * span.step
        if begins >= end:
            return
        ends = begins + span.step
        yield Piece(
            start=max(begins, start),
            end=min(ends, end),
            level=span.deltas[index] * one,
            begins=begins,
            is_cut=begins < start or ends > end,
            estimated=index in span.estimated,
        )
