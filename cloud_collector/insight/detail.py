"""What lies under a figure: a period's days, a day's intervals, and the signed line that says each of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from cloud_collector.contracts.money import plain
from cloud_collector.contracts.period import iso, local_date, local_days
from cloud_collector.usage.quantity import UnlikeUnits, worth
from cloud_collector.usage.span import ChannelName, Measured, NamedGap, Span, SpanKind, UsageView


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One channel's local day; of a day of which nothing is known the quantity is None, which is not zero."""

    day: date
    start: int
    end: int
    quantity: Decimal | None
    estimated: bool
    gap_seconds: int
    """Of its time so far, not known."""
    deleted: bool = False
    """Its detail was deleted as agreed: only what a longer time came to is known."""

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "day": self.day.isoformat(),
            "start": iso(self.start),
            "end": iso(self.end),
            "quantity": None if self.quantity is None else format(self.quantity, "f"),
            "estimated": self.estimated,
            "gap_seconds": self.gap_seconds,
            "deleted": self.deleted,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A stretch of a channel's day: what a line says, what registers bridge, or that nothing is known."""

    start: int
    end: int
    quantity: Decimal | None
    estimated: bool
    why: str
    """Empty where a usage line says it; else `gap`, `bridge`, `deleted` as agreed, or why nothing is known."""
    log: str = ""
    epoch: str = ""
    seq: int = 0
    """The line that says it; 0 where none does."""

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "start": iso(self.start),
            "end": iso(self.end),
            "quantity": None if self.quantity is None else format(self.quantity, "f"),
            "estimated": self.estimated,
            "why": self.why or None,
            "line": None if not self.seq else {"log": self.log, "epoch": self.epoch, "seq": self.seq},
        }


def days(view: UsageView, channel: ChannelName, unit: str, time: tuple[int, int], now: int, zone: str) -> list[Day]:
    """The local days of a stretch that have begun, in order."""
    start, end = time
    found = []
    for begins, ends in local_days(zone, start, min(end, now)):
        stretch = max(begins, start), min(ends, end)
        spans = view.spans(channel, *stretch)
        measured = view.measure(channel, *stretch)
        reach = min(stretch[1], now)
        known = sum(max(0, min(span.end, reach) - max(span.start, stretch[0])) for span in spans)
        found.append(
            Day(
                day=local_date(zone, begins),
                start=stretch[0],
                end=stretch[1],
                quantity=None
                if not spans or measured is None or measured.deleted
                else in_unit(measured.units, spans[0], unit),
                estimated=measured is not None and measured.estimated and not measured.deleted,
                gap_seconds=max(0, reach - stretch[0] - known),
                deleted=measured is not None and measured.deleted,
            )
        )
    return found


def intervals(view: UsageView, channel: ChannelName, unit: str, time: tuple[int, int], now: int) -> list[Interval]:
    """Everything known of a stretch, interval by interval, and what is not known between."""
    spans = view.spans(channel, *time)
    measured = view.measure(channel, *time)
    gaps = () if measured is None else measured.gaps
    found = sorted((each for span in spans for each in _of_span(span, unit, time)), key=lambda each: each.start)
    return list(_with_gaps(found, gaps, (time[0], min(time[1], now))))


def in_unit(units: int, span: Span | Measured, unit: str) -> Decimal:
    """Integers of a channel in a catalog's unit; in the channel's own where they do not convert."""
    try:
        factor = worth(span.unit, span.exponent, unit)
    except UnlikeUnits:
        factor = Fraction(10) ** span.exponent
    return Decimal(plain(units * factor))


def _of_span(span: Span, unit: str, time: tuple[int, int]) -> Iterator[Interval]:
    for index in range(len(span.deltas)):
        begins = span.start + index * span.step
        start, end = max(begins, time[0]), min(begins + span.step, time[1])
        if start >= end:
            continue
        yield Interval(
            start=start,
            end=end,
            quantity=None
            if span.hides(start, end)
            else in_unit(span.units_before(end) - span.units_before(start), span, unit),
            estimated=index in span.estimated,
            why="" if span.kind is SpanKind.USAGE else span.kind.value,
            log=span.log,
            epoch=span.epoch,
            seq=span.seq,
        )


def _with_gaps(known: Iterable[Interval], named: Sequence[NamedGap], time: tuple[int, int]) -> Iterator[Interval]:
    at, until = time
    for each in known:
        if each.start > at:
            yield _unknown(at, each.start, named)
        yield each
        at = max(at, each.end)
    if at < until:
        yield _unknown(at, until, named)


def _unknown(start: int, end: int, named: Sequence[NamedGap]) -> Interval:
    causes = [gap.cause for gap in named if gap.start < end and gap.end > start]
    return Interval(start=start, end=end, quantity=None, estimated=False, why=causes[0] if causes else "not received")
