"""Usage of a channel over time: as it was metered, or cut at local hours, days and months.

Read to read, like a bill: what the stretches of a month say sums to what the month says, to the last integer (P17).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from cloud_collector.contracts.period import boundary, local_date
from cloud_collector.usage.span import ChannelName, Measured, Span, SpanKind, UsageView

HOUR: Final = 3_600
CHUNK_SECONDS: Final = 86_400
"""Intervals are read a day at once, however long the series is."""


class Step(StrEnum):
    """How long the stretches are."""

    INTERVAL = "interval"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What is known of a channel in [start, end)."""

    start: int
    end: int
    units: int | None
    """None: nothing is known of it, which is not zero."""
    unit: str
    exponent: int
    estimated: bool
    gap: str | None
    """Why something in it could not be metered; `deleted`: its detail was, as agreed."""

    @property
    def quantity(self) -> Decimal | None:
        """In the channel's unit."""
        return None if self.units is None else Decimal(self.units).scaleb(self.exponent)


def series(view: UsageView, channel: ChannelName, start: int, end: int, step: Step, zone: str) -> Iterator[Stretch]:
    """The stretches of [start, end) in order of time; one that is cut by an end is shorter."""
    if step is Step.INTERVAL:
        yield from _intervals(view, channel, start, end)
        return
    last: Measured | None = None
    for begins, ends in cuts(start, end, step, zone):
        measured = view.measure(channel, begins, ends)
        last = measured or last
        yield Stretch(
            start=begins,
            end=ends,
            units=None
            if measured is None or measured.deleted or not (measured.reads or not measured.gaps)
            else measured.units,
            unit="" if last is None else last.unit,
            exponent=0 if last is None else last.exponent,
            estimated=measured is not None and measured.estimated and not measured.deleted,
            gap=None if measured is None else _why(measured),
        )


def _why(measured: Measured) -> str | None:
    if measured.deleted:
        return SpanKind.LET_GO.value
    return measured.gaps[0].cause if measured.gaps else None


def cuts(start: int, end: int, step: Step, zone: str) -> Iterator[tuple[int, int]]:
    """[start, end) cut at the local boundaries in between."""
    at = start
    while at < end:
        following = min(_next(at, step, zone), end)
        yield at, following
        at = following


def _next(at: int, step: Step, zone: str) -> int:
    """The first boundary after an instant."""
    if step is Step.HOUR:
        local = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone))
        return at + HOUR - local.minute * 60 - local.second
    today = local_date(zone, at)
    while True:
        # A date that a zone has skipped is no day of its own.
        today = today + timedelta(days=1) if step is Step.DAY else _following_month(today)
        if (found := boundary(zone, today)) > at:
            return found


def _following_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _intervals(view: UsageView, channel: ChannelName, start: int, end: int) -> Iterator[Stretch]:
    at = start
    while at < end:
        until = min(at + CHUNK_SECONDS, end)
        spans = view.spans(channel, at, until)
        found = [each for span in spans for each in _pieces(span, start, end) if at <= each.start < until]
        found += _gaps(view, channel, at, until, spans)
        yield from sorted(found, key=lambda each: (each.start, each.end))
        at = until


def _pieces(span: Span, start: int, end: int) -> Iterator[Stretch]:
    """The intervals of a span, cut to [start, end)."""
    first = max(0, (start - span.start) // span.step)
    for index in range(first, len(span.deltas)):
        begins = span.start + index * span.step
        if begins >= end:
            return
        low, high = max(begins, start), min(begins + span.step, end)
        hidden = span.hides(low, high)
        if low < high:
            yield Stretch(
                start=low,
                end=high,
                units=None if hidden else span.units_before(high) - span.units_before(low),
                unit=span.unit,
                exponent=span.exponent,
                estimated=not hidden and (index in span.estimated or high - low < span.step),
                gap=SpanKind.LET_GO.value if hidden else None,
            )


def _gaps(view: UsageView, channel: ChannelName, start: int, end: int, spans: list[Span]) -> Iterator[Stretch]:
    """The gaps of which no amount is known, that begin here or reach in from before the series."""
    measured = view.measure(channel, start, end)
    if measured is None:
        return
    like = spans[0] if spans else measured
    for gap in measured.gaps:
        low, high = max(gap.start, start), min(gap.end, end)
        if low < high:
            yield Stretch(
                start=low, end=high, units=None, unit=like.unit, exponent=like.exponent, estimated=False, gap=gap.cause
            )
