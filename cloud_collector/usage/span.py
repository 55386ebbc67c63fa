"""Usage in a stretch of time: what one line says of one channel, or what its registers bridge.

Integers of unit·10^exponent; times are whole UTC seconds; stretches are half-open.
"""

from bisect import bisect_right
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple, Protocol


class SpanKind(StrEnum):
    """Where the quantity comes from."""

    USAGE = "usage"
    GAP = "gap"
    """A gap line with both registers: estimated."""
    BRIDGE = "bridge"
    """Between accepted lines, or between two epochs: the registers' difference, estimated."""
    LET_GO = "deleted"
    """What lines came to together whose detail was deleted as agreed: nothing is known of a part of it."""


class ChannelName(NamedTuple):
    """Which channel: `device` in the catalog is `gateway/device`."""

    gateway: str
    device: str
    meter: str


class Span(NamedTuple):
    """Usage in [start, start + step·len(deltas)), evenly within each interval."""

    channel: ChannelName
    log: str
    unit: str
    exponent: int
    kind: SpanKind
    epoch: str
    seq: int
    """The line that carries it; for a bridge the line after it."""
    start: int
    step: int
    deltas: tuple[int, ...]
    register: int
    """The channel's lifetime register at the start, in integers."""
    estimated: frozenset[int]
    """Indices of intervals that are estimated or missing; for a gap or a bridge {0}."""
    received_at: int
    """Milliseconds, by the collector's clock."""

    @property
    def end(self) -> int:
        """The first second after the span."""
        return self.start + self.step * len(self.deltas)

    @property
    def units(self) -> int:
        """Everything in the span."""
        return sum(self.deltas)

    def units_before(self, instant: int) -> int:
        """What lies before an instant; inside an interval in proportion to time, floored.

        Floored from the interval's start, so that the two sides of any cut sum exactly (P17).
        """
        if instant <= self.start:
            return 0
        if instant >= self.end:
            return self.units
        whole, inside = divmod(instant - self.start, self.step)
        return sum(self.deltas[:whole]) + self.deltas[whole] * inside // self.step

    def cuts_interval(self, instant: int) -> bool:
        """Whether the instant falls strictly inside an interval, so that its share is estimated."""
        return self.start < instant < self.end and (instant - self.start) % self.step != 0

    def hides(self, start: int, end: int) -> bool:
        """Whether it is what is left of deleted detail, and [start, end) cuts it."""
        return self.kind is SpanKind.LET_GO and (self.start < start < self.end or self.start < end < self.end)

    def reaches(self, units: int) -> int:
        """The index of the interval in which the span's cumulated usage first reaches `units` ≥ 1."""
        return bisect_right(list(accumulate(self.deltas)), units - 1)


class Read(NamedTuple):
    """Two registers of a channel in one epoch, and the lines that carry them: an invoice's evidence."""

    channel: ChannelName
    log: str
    epoch: str
    seq_start: int
    register_start: int
    seq_end: int
    register_end: int
    estimated: bool


class NamedGap(NamedTuple):
    """A stretch of which nothing is known, or not how much: it is named on the invoice."""

    channel: ChannelName
    start: int
    end: int
    cause: str


class Measured(NamedTuple):
    """A channel's usage in [start, end): exact integers, what is estimated in it, what it rests on."""

    units: int
    unit: str
    exponent: int
    estimated: bool
    reads: tuple[Read, ...]
    gaps: tuple[NamedGap, ...]
    deleted: bool = False
    """Detail was deleted of which only a part lies in the time: how much of it does, nobody knows any more."""


class UsageView(Protocol):
    """Facts about usage; on the store it looks registers up, in memory it adds spans. Both agree."""

    def measure(self, channel: ChannelName, start: int, end: int) -> Measured | None:
        """Usage in [start, end), summed over spans by `units_before`; None where nothing is known."""

    def spans(self, channel: ChannelName, start: int, end: int) -> list[Span]:
        """Spans that overlap [start, end), by start, then epoch and seq."""

    def channels(self, gateway: str, device: str) -> list[ChannelName]:
        """The channels of a device that have ever reported."""
