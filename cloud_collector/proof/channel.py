"""One channel of a bundle: its rows settled epoch by epoch, and what the meter counted between epochs.

Pure. The rules are `usage.settle` and `usage.between`, the very ones that the collector keeps its store by.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cloud_collector.usage.between import (
    Carried,
    EpochEnd,
    EpochStart,
    Uncarried,
    between_epochs,
    raw_at_end,
    surely_before,
)
from cloud_collector.usage.derive import Row, RowKind, estimated_indices
from cloud_collector.usage.settle import BridgeUnits, Node, Tail, settle
from cloud_collector.usage.span import ChannelName, NamedGap, Span, SpanKind
from shared.report import GapCause

Range = tuple[int, int]
"""First to last position, both included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRow:
    """A row and its position."""

    seq: int
    row: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRows:
    """A channel's rows in one epoch, in order."""

    epoch: str
    rows: tuple[PlacedRow, ...]
    counted: tuple[Range, ...]
    """Stretches that the bundle holds whole; rows beside them only tell the meter's own register."""
    ends: bool
    """Whether the epoch's last word is held."""
    holes: tuple[Range, ...]
    """Positions that had not been received."""


@dataclass(slots=True, kw_only=True)
class Channel:
    """Collects the spans and gaps of one channel of one log."""

    name: ChannelName
    log: str
    unit: str
    exponent: int
    rates_max: Mapping[str, int]
    spans: list[Span] = field(default_factory=list)
    gaps: list[NamedGap] = field(default_factory=list)

    def take(self, epochs: Iterable[EpochRows]) -> None:
        """Settle every epoch, in the log's order, and carry over from each to the next."""
        end: EpochEnd | None = None
        unsure: Uncarried | None = None
        for epoch in epochs:
            walk = self._walk(epoch)
            if walk is None:
                continue
            marks = [each for each in epoch.rows if each.row.kind <= RowKind.EXCHANGE and each.row.raw is not None]
            if end is not None:
                what = self._between(end, marks[0] if marks else walk.first)
                if isinstance(what, Uncarried) and not marks and walk.tail.top == walk.first.row.register:
                    # It may yet be carried over this epoch, which has read nothing.
                    unsure = unsure or what
                    continue
                unsure = None
                self._keep(epoch.epoch, what)
            end = _end(walk, marks) if epoch.ends else None
        self._keep("", unsure)

    def _walk(self, epoch: EpochRows) -> "_Walk | None":
        first: PlacedRow | None = None
        used: PlacedRow | None = None
        end: Tail | None = None
        for low, high in epoch.counted:
            # What lies between two stretches is not held: each is settled alone.
            tail: Tail | None = None
            for placed in epoch.rows:
                if low <= placed.seq <= high:
                    tail = self._settle(epoch, tail, placed)
                    first = first or placed
                    used = placed if placed.row.kind > RowKind.EXCHANGE else used
            end = tail or end
        return None if end is None or first is None else _Walk(first=first, used=used, tail=end)

    def _settle(self, epoch: EpochRows, before: Tail | None, placed: PlacedRow) -> Tail:
        hole = before is not None and _has_hole(epoch.holes, before.seq, placed.seq)
        settled = settle(before, _node(placed), hole=hole, unreadable=False)
        if settled.bridge is not None and settled.bridge.start is not None:
            self._bridge(epoch.epoch, placed.seq, settled.bridge)
        if settled.reason is None:
            self._count(epoch.epoch, placed)
        return settled.tail

    def _between(self, end: EpochEnd, start: PlacedRow) -> Carried | Uncarried | None:
        row = start.row
        known = row.kind <= RowKind.EXCHANGE
        begun = EpochStart(
            seq=start.seq,
            register=row.register,
            raw=row.raw if known else None,
            serial=row.serial if known else None,
            at=row.start,
        )
        return between_epochs(end, begun, unit=self.unit, exponent=self.exponent, rates_max=self.rates_max)

    def _keep(self, epoch: str, what: Carried | Uncarried | None) -> None:
        match what:
            case Carried(seq=seq, start=start, seconds=seconds, register=register, units=units):
                self._bridge(epoch, seq, BridgeUnits(start, seconds, register, units))
            case Uncarried(start=int(start), until=int(until)):
                gap = NamedGap(channel=self.name, start=start, end=until, cause=GapCause.SPOOL_LOST.value)
                self.gaps.append(gap)
            case _:
                pass

    def _count(self, epoch: str, placed: PlacedRow) -> None:
        row = placed.row
        if row.start is None or row.kind not in (RowKind.USAGE, RowKind.GAP):
            return
        self.spans.append(
            Span(
                channel=self.name,
                log=self.log,
                unit=self.unit,
                exponent=self.exponent,
                kind=SpanKind.USAGE if row.kind is RowKind.USAGE else SpanKind.GAP,
                epoch=epoch,
                seq=placed.seq,
                start=row.start,
                step=row.step,
                deltas=row.deltas,
                register=row.register,
                estimated=estimated_indices(row.estimated, len(row.deltas)),
                received_at=0,
            )
        )

    def _bridge(self, epoch: str, seq: int, bridge: BridgeUnits) -> None:
        if bridge.start is None:
            return
        self.spans.append(
            Span(
                channel=self.name,
                log=self.log,
                unit=self.unit,
                exponent=self.exponent,
                kind=SpanKind.BRIDGE,
                epoch=epoch,
                seq=seq,
                start=bridge.start,
                step=bridge.seconds,
                deltas=(bridge.units,),
                register=bridge.register,
                estimated=frozenset({0}),
                received_at=0,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """The first and the last that an epoch says of the channel."""

    first: PlacedRow
    used: PlacedRow | None
    """The last row that may have moved the register."""
    tail: Tail


def _node(placed: PlacedRow) -> Node:
    row = placed.row
    return Node(
        seq=placed.seq,
        kind=row.kind,
        start=row.start,
        until=row.until,
        register=row.register,
        register_end=row.register_end,
        cloned=0,
    )


def _end(walk: _Walk, marks: Sequence[PlacedRow]) -> EpochEnd:
    tail = walk.tail
    if not marks:
        return EpochEnd(raw=None, serial=None, at=tail.until)
    mark = marks[-1].row
    raw = raw_at_end(mark_raw=mark.raw, mark_register=mark.register, top=tail.top)
    sure = [each.row.start for each in marks if each.row.estimated is None]
    use = None if walk.used is None else walk.used.row
    surely = tail.until if use is None else surely_before(use.until, use.kind, use.step)
    at = surely if mark.estimated is None else sure[-1] if sure else None
    return EpochEnd(raw=raw, serial=mark.serial, at=tail.until, sure=at)


def _has_hole(holes: Sequence[Range], after: int, before: int) -> bool:
    """Whether a position strictly between the two had not been received."""
    return any(first < before and last > after for first, last in holes)
