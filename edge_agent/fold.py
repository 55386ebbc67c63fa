"""Lines become one summary: registers stay exact, detail is given up, oldest first (P1, P3).

Pure. Intervals are added up by whole hours, or days where summaries are folded again: of UTC, or of the
boot's own clock where that is all there is. Source: docs/reference/wire.md, section 3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from shared.limits import LINE_BYTES_MAX, LINE_INTERVALS_MAX, LINE_ROWS_MAX, SUMMARY_COVERS_MAX
from shared.report import Clock, Cover, Gap, Header, Summary, Usage, UsageRow, Verdict

HOUR: Final = 3_600
DAY: Final = 86_400
_ROOM_BYTES: Final = LINE_BYTES_MAX - 16_384
"""What a line has for rows beside its header, its signature and at most 64 covered ranges."""
_NOTE_BYTES: Final = 20
_ROW_BYTES: Final = 40
"""A row's punctuation, exponent and register."""
_TRUST: Final = (Clock.SYNCHRONISED, Clock.INFORMED, Clock.RELATIVE, Clock.UNSURE)


class Foldable(NamedTuple):
    """A line that may be folded, and its hash."""

    report: Usage | Gap | Summary
    hash: str

    @property
    def covers(self) -> tuple[Cover, ...]:
        """Every position whose content a summary of it takes over: its own, and of a summary what that covers."""
        header = self.report.header
        own = Cover(header.seq, header.seq, header.prev, self.hash)
        return (*self.report.covers, own) if isinstance(self.report, Summary) else (own,)

    @property
    def at(self) -> int:
        """The position at which its rows stand."""
        return self.report.covers[0].first if isinstance(self.report, Summary) else self.report.header.seq


class Piece(NamedTuple):
    """What a line says of one channel in one stretch of time."""

    start: int
    seconds: int
    units: int
    note: Verdict | None


class Said(NamedTuple):
    """What a line says of one channel; without a register only that something is missing."""

    name: tuple[str, str]
    unit: tuple[str, int] | None
    register: int | None
    pieces: Sequence[Piece]


@dataclass(slots=True)
class _Channel:
    """One channel while it is added up."""

    unit: tuple[str, int] | None = None
    register: int | None = None
    top: int | None = None
    units: dict[int, int] = field(default_factory=dict)
    notes: dict[int, Verdict] = field(default_factory=dict)


class Fold:
    """Adds up lines of one log, epoch and boot, in order of their positions, for as long as one line holds them."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._taken: list[Foldable] = []
        self._channels: dict[tuple[str, str], _Channel] = {}

    @property
    def taken(self) -> Sequence[Foldable]:
        """The lines so far."""
        return self._taken

    def take(self, line: Foldable) -> bool:
        """Add a line, or say that it belongs to another summary."""
        said = list(said_by(line.report, self._step))
        if not (self._is_like(line) and all(self._goes_on(each) for each in said)):
            return False
        before = {each.name: _copied(self._channels.get(each.name)) for each in said}
        for each in said:
            self._add(each)
        self._taken.append(line)
        if self._fits():
            return True
        self._taken.pop()
        for name, channel in before.items():
            if channel is None:
                del self._channels[name]
            else:
                self._channels[name] = channel
        return False

    def whole(self) -> "Fold":
        """The same lines, but for the last ones that speak of a channel whose unit only a later line says."""
        unsaid = {name for name, each in self._channels.items() if each.unit is None and each.register is not None}
        if not unsaid:
            return self
        less = Fold(self._step)
        for line in self._taken:
            if any(each.name in unsaid for each in said_by(line.report, self._step)):
                break
            less.take(line)
        return less.whole()

    def summary(self, *, key: str, seq: int, prev: str) -> Summary:
        """The record to be sealed at the next position of the chain."""
        first = self._taken[0].report.header
        clocks = [line.report.header.clock for line in self._taken]
        low, high = self._extent()
        channels = ((name, each) for name, each in self._channels.items() if each.register is not None)
        return Summary(
            header=Header(
                gateway=first.gateway,
                log=first.log,
                key=key,
                epoch=first.epoch,
                seq=seq,
                prev=prev,
                boot=first.boot,
                clock=max(clocks, key=_TRUST.index),
                # By the clock of what it covers, which may be that of a boot long gone.
                sealed_at=max(line.report.header.sealed_at for line in self._taken),
            ),
            covers=merged(cover for line in self._taken for cover in line.covers),
            start=low * self._step,
            step=self._step,
            count=high - low,
            rows=tuple(_row(name, each, low, high) for name, each in channels),
        )

    def _is_like(self, line: Foldable) -> bool:
        if not self._taken:
            return True
        one, other = self._taken[0].report.header, line.report.header
        # Never across boots: each has a clock, and a place in time, of its own.
        mine, its = ((head.log, head.epoch, head.boot, head.clock.placed) for head in (one, other))
        return mine == its

    def _goes_on(self, each: Said) -> bool:
        """Whether the register starts where it stands: what else moved it is not for a summary to tell."""
        channel = self._channels.get(each.name)
        if channel is None or each.register is None:
            return True
        units = each.unit is None or channel.unit is None or each.unit == channel.unit
        return units and channel.top in (None, each.register)

    def _add(self, each: Said) -> None:
        channel = self._channels.setdefault(each.name, _Channel())
        channel.unit = channel.unit or each.unit
        if each.register is not None:
            channel.register = each.register if channel.register is None else channel.register
            channel.top = each.register + sum(piece.units for piece in each.pieces)
        for piece in each.pieces:
            for bucket, units, cut in _buckets(piece, self._step):
                channel.units[bucket] = channel.units.get(bucket, 0) + units
                note = Verdict.ESTIMATED if cut and piece.units and piece.note is None else piece.note
                if note is not None and channel.notes.get(bucket) is not Verdict.MISSING:
                    channel.notes[bucket] = note

    def _extent(self) -> tuple[int, int]:
        buckets = [bucket for each in self._channels.values() for bucket in each.units]
        return min(buckets), max(buckets) + 1

    def _fits(self) -> bool:
        if not any(each.units for each in self._channels.values()):
            return True
        low, high = self._extent()
        if high - low > LINE_INTERVALS_MAX or len(self._channels) > LINE_ROWS_MAX:
            return False
        size = 0
        for (device, meter), each in self._channels.items():
            size += _ROW_BYTES + len(device) + len(meter) + len(each.unit[0] if each.unit else "")
            size += 2 * (high - low) + sum(len(str(units)) for units in each.units.values())
            size += _NOTE_BYTES * len(each.notes)
        return size <= _ROOM_BYTES and len(merged(c for line in self._taken for c in line.covers)) <= SUMMARY_COVERS_MAX


def merged(covers: Iterator[Cover]) -> tuple[Cover, ...]:
    """The same positions as few ranges, in order."""
    found: list[Cover] = []
    for cover in sorted(covers):
        if found and found[-1].last + 1 == cover.first:
            found[-1] = Cover(found[-1].first, cover.last, found[-1].before, cover.end)
        else:
            found.append(cover)
    return tuple(found)


def said_by(report: Usage | Gap | Summary, step: int) -> Iterator[Said]:
    """What a line says, channel by channel; a row within one bucket of that step at once."""
    if isinstance(report, Gap):
        for gap in report.rows:
            if gap.before is None or gap.after is None:
                missing = Piece(gap.start, gap.end - gap.start, 0, Verdict.MISSING)
                yield Said((gap.device, gap.meter), None, None, [missing])
            else:
                units = Piece(gap.start, gap.end - gap.start, gap.after - gap.before, Verdict.ESTIMATED)
                yield Said((gap.device, gap.meter), None, gap.before, [units])
        return
    seconds = report.step * report.count
    at_once = report.start // step == (report.start + seconds - 1) // step
    for row in report.rows:
        if at_once and not row.notes:
            pieces = [Piece(report.start, seconds, sum(row.deltas), None)]
            yield Said((row.device, row.meter), (row.unit, row.exponent), row.register, pieces)
            continue
        pieces = [
            Piece(report.start + at * report.step, report.step, units, _kept(row.notes.get(at), report))
            for at, units in enumerate(row.deltas)
        ]
        yield Said((row.device, row.meter), (row.unit, row.exponent), row.register, pieces)


def _kept(note: Verdict | None, report: Usage | Summary) -> Verdict | None:
    """Of an hour it is told whether something in it is estimated; `missing` is kept for gaps without registers."""
    if isinstance(report, Summary):
        return note
    return Verdict.ESTIMATED if note in (Verdict.ESTIMATED, Verdict.MISSING) else None


def _buckets(piece: Piece, step: int) -> Iterator[tuple[int, int, bool]]:
    """A stretch shared out to whole hours or days in proportion to time; floored from its start, so that it adds up."""
    first, last = piece.start // step, (piece.start + piece.seconds - 1) // step
    told = 0
    for bucket in range(first, last + 1):
        until = min((bucket + 1) * step, piece.start + piece.seconds) - piece.start
        upto = piece.units * until // piece.seconds
        yield bucket, upto - told, first != last
        told = upto


def _copied(channel: _Channel | None) -> _Channel | None:
    if channel is None:
        return None
    return _Channel(channel.unit, channel.register, channel.top, dict(channel.units), dict(channel.notes))


def _row(name: tuple[str, str], each: _Channel, low: int, high: int) -> UsageRow:
    assert each.register is not None
    unit, exponent = each.unit or ("1", 0)
    notes = {bucket - low: note for bucket, note in sorted(each.notes.items())}
    return UsageRow(
        *name, unit, exponent, each.register, tuple(each.units.get(at, 0) for at in range(low, high)), notes
    )
