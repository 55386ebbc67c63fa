"""Usage held in memory: the plain sum over spans, which every faster view must equal."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from cloud_collector.usage.span import ChannelName, Measured, NamedGap, Read, Span


@dataclass(frozen=True, slots=True)
class _Piece:
    """What of one span lies in the time that was asked for."""

    span: Span
    register_start: int
    register_end: int
    estimated: bool

    @property
    def units(self) -> int:
        return self.register_end - self.register_start

    def joins(self, read: Read) -> bool:
        """Whether the register goes on where the read ends, in the same epoch of the same log."""
        return (read.log, read.epoch, read.register_end) == (self.span.log, self.span.epoch, self.register_start)


class Ledger:
    """A UsageView over spans, and over the gaps of which no amount is known."""

    def __init__(self, spans: Iterable[Span], gaps: Iterable[NamedGap] = ()) -> None:
        self._spans: dict[ChannelName, list[Span]] = {}
        self._gaps: dict[ChannelName, list[NamedGap]] = {}
        for span in sorted(spans, key=lambda each: (each.start, each.epoch, each.seq, each.kind)):
            self._spans.setdefault(span.channel, []).append(span)
        self._starts = {channel: [span.start for span in held] for channel, held in self._spans.items()}
        self._longest = {channel: max(span.end - span.start for span in held) for channel, held in self._spans.items()}
        for gap in sorted(gaps, key=lambda each: (each.start, each.end)):
            self._gaps.setdefault(gap.channel, []).append(gap)

        self._channels: dict[tuple[str, str], list[ChannelName]] = {}
        for channel in sorted({*self._spans, *self._gaps}, key=lambda each: each.meter):
            self._channels.setdefault((channel.gateway, channel.device), []).append(channel)

    def measure(self, channel: ChannelName, start: int, end: int) -> Measured | None:
        """Usage in [start, end): what lies before `end` minus what lies before `start`, span by span."""
        spans = self.spans(channel, start, end)
        gaps = tuple(gap for gap in self._gaps.get(channel, ()) if gap.start < end and gap.end > start)
        known = self._spans.get(channel)
        if not known or (not spans and not gaps):
            return None
        pieces = [_piece(span, start, end) for span in spans]
        return Measured(
            units=sum(piece.units for piece in pieces),
            unit=known[0].unit,
            exponent=known[0].exponent,
            estimated=any(piece.estimated for piece in pieces),
            reads=_reads(pieces),
            gaps=gaps,
            deleted=any(span.hides(start, end) for span in spans),
        )

    def spans(self, channel: ChannelName, start: int, end: int) -> list[Span]:
        """Spans that overlap [start, end), by start, then epoch and seq."""
        held = self._spans.get(channel)
        if held is None:
            return []
        starts = self._starts[channel]
        first, last = bisect_right(starts, start - self._longest[channel]), bisect_left(starts, end)
        return [span for span in held[first:last] if span.end > start]

    def channels(self, gateway: str, device: str) -> list[ChannelName]:
        """The channels of a device that have ever reported."""
        return list(self._channels.get((gateway, device), ()))


def _piece(span: Span, start: int, end: int) -> _Piece:
    return _Piece(
        span=span,
        register_start=span.register + span.units_before(start),
        register_end=span.register + span.units_before(end),
        estimated=_is_estimated(span, start, end),
    )


def _is_estimated(span: Span, start: int, end: int) -> bool:
    """Whether an interval is cut, or one that lies in the time was estimated to begin with."""
    if span.cuts_interval(start) or span.cuts_interval(end):
        return True
    return any(span.start + at * span.step < end and span.start + (at + 1) * span.step > start for at in span.estimated)


def _reads(pieces: list[_Piece]) -> tuple[Read, ...]:
    """The pieces as register differences, joined while a register goes on; their sum is the usage exactly (P1)."""
    first: dict[tuple[str, str], int] = {}
    for piece in pieces:
        first.setdefault((piece.span.log, piece.span.epoch), piece.span.start)
    reads: list[Read] = []
    # In the order in which registers moved: a gap line stands before the usage line whose window it lies in.
    for piece in sorted(pieces, key=lambda each: _chain_order(each, first)):
        span = piece.span
        joined = reads.pop() if reads and piece.joins(reads[-1]) else None
        reads.append(
            Read(
                channel=span.channel,
                log=span.log,
                epoch=span.epoch,
                seq_start=span.seq if joined is None else joined.seq_start,
                register_start=piece.register_start if joined is None else joined.register_start,
                seq_end=span.seq,
                register_end=piece.register_end,
                estimated=piece.estimated or (joined is not None and joined.estimated),
            )
        )
    return tuple(reads)


def _chain_order(piece: _Piece, first: dict[tuple[str, str], int]) -> tuple[int, str, str, int, int]:
    span = piece.span
    return first[span.log, span.epoch], span.log, span.epoch, span.seq, span.register
