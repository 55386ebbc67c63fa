"""The open window of a log: intervals cut on boot time, each channel's deltas, notes and gaps in them.

An interval holds what was read in (start, end]. Intervals have ordinals that never repeat in a log, so
that a silence is seen whatever the wall clock did: a good reading whose predecessor is two or more
intervals back ends a gap. Labels are UTC while boot time is placed, else seconds of boot time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from edge_agent.meter_state import Step
from edge_agent.timekeeping import Moment
from shared.errors import InvalidRecord
from shared.limits import LINE_INTERVALS_MAX, STEP_SECONDS_MAX
from shared.report import Clock, GapCause, Verdict

_RANK = {
    Verdict.MISSING: 0,
    Verdict.ESTIMATED: 1,
    Verdict.GLITCH: 2,
    Verdict.ROLLOVER: 3,
    Verdict.ROLLBACK: 4,
    Verdict.RESET: 5,
    Verdict.EXCHANGE: 6,
}
"""An interval has one note: the gravest."""


class PendingGap(NamedTuple):
    """A silence that ended in the open window; labels are found when it is sealed."""

    since: Moment
    until: Moment
    cause: GapCause
    amount: int | None
    ordinal: int
    """The interval that it ended in."""


@dataclass(slots=True)
class OpenRow:
    """One channel in the open window."""

    deltas: list[int]
    notes: dict[int, Verdict]
    seen: int
    """A bit for each interval with a good reading."""
    gaps: list[PendingGap]

    @classmethod
    def empty(cls, count: int) -> "OpenRow":
        """A row in which nothing has been read."""
        return cls([0] * count, {}, 0, [])

    @property
    def pending(self) -> int:
        """Everything that the row will move the register by."""
        return sum(self.deltas) + sum(gap.amount or 0 for gap in self.gaps)

    def note(self, index: int, verdict: Verdict | None) -> None:
        """The interval carries the verdict, unless it has a graver one."""
        if verdict is not None and _RANK[verdict] >= _RANK[self.notes.get(index, Verdict.MISSING)]:
            self.notes[index] = verdict

    def add(self, index: int, step: Step, silence: GapCause | None, ordinal: int) -> None:
        """Take in a good reading; `silence` is the cause where intervals without one lie before it."""
        self.seen |= 1 << index
        if step.verdict is not None:
            self.note(index, step.verdict)
        if step.since is None:
            self.deltas[index] += step.amount or 0
        elif step.amount is None or silence is not None:
            self.gaps.append(
                PendingGap(step.since, step.at, silence or GapCause.SOURCE_DOWN, step.amount, ordinal),
            )
        else:
            self.deltas[index] += step.amount

    def notes_until(self, count: int) -> dict[int, Verdict]:
        """The first intervals' notes; one without a good reading is missing."""
        if not self.notes and self.seen & (1 << count) - 1 == (1 << count) - 1:
            return {}
        notes = {index: verdict for index, verdict in self.notes.items() if index < count}
        notes |= {index: Verdict.MISSING for index in range(count) if not self.seen >> index & 1}
        return dict(sorted(notes.items()))

    def after(self, index: int, count: int) -> "OpenRow":
        """The next window's row: what stands from an interval on keeps its order from the first one on."""
        row = OpenRow.empty(count)
        for at, delta in enumerate(self.deltas[index:]):
            place = min(at, count - 1)
            row.deltas[place] += delta
            row.seen |= (self.seen >> index + at & 1) << place
            row.note(place, self.notes.get(index + at))
        return row

    def going_on(self, index: int, count: int) -> "OpenRow":
        """The next window's row, with the gaps that are not sealed yet."""
        row = self.after(index, count)
        row.gaps = self.gaps
        return row

    def to_json(self) -> list[Any]:
        """Plain data."""
        return [self.deltas, {str(at): str(note) for at, note in self.notes.items()}, self.seen, self.gaps]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "OpenRow":
        """The row that `to_json` wrote."""
        deltas, notes, seen, gaps = data
        return cls(
            list(deltas),
            {int(at): Verdict(note) for at, note in notes.items()},
            seen,
            [PendingGap(Moment(*a), Moment(*b), GapCause(cause), amount, n) for a, b, cause, amount, n in gaps],
        )


@dataclass(slots=True)
class Window:
    """Which intervals are open, and where they lie."""

    boot: str
    """The timeline of its moments."""
    start: int
    """Label of the first interval, in seconds; a multiple of step."""
    step: int
    count: int
    """Intervals until the window is full: then the label is a multiple of step · full count."""
    offset_ms: int
    """Label minus moment."""
    clock: Clock
    """The worst of what it was metered under."""
    base: int
    """Ordinal of the first interval."""
    opens_ms: int
    """The moment at which it was opened, at or after which its first interval holds everything."""

    @property
    def end_ms(self) -> int:
        """The moment at which it is full."""
        return (self.start + self.step * self.count) * 1_000 - self.offset_ms

    @property
    def end(self) -> int:
        """Label of its end."""
        return self.start + self.step * self.count

    def index(self, ms: int) -> int:
        """Which interval a moment belongs to: the one that it ends or lies in; never before the first."""
        return max(0, (ms + self.offset_ms - self.start * 1_000 - 1) // (self.step * 1_000))

    def boundary_ms(self, index: int) -> int:
        """The moment at which an interval begins."""
        return max(self.opens_ms, (self.start + self.step * index) * 1_000 - self.offset_ms)

    def label(self, ms: int) -> int:
        """A moment in whole seconds of the window's clock."""
        return max(0, (ms + self.offset_ms) // 1_000)

    def to_json(self) -> list[Any]:
        """Plain data."""
        return [
            *(self.boot, self.start, self.step, self.count, self.offset_ms),
            *(str(self.clock), self.base, self.opens_ms),
        ]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "Window":
        """The window that `to_json` wrote."""
        boot, start, step, count, offset_ms, clock, base, opens_ms = data
        return cls(boot, start, step, count, offset_ms, Clock(clock), base, opens_ms)


@dataclass(frozen=True, slots=True)
class Grid:
    """How a log's time is divided: intervals of `step` seconds, `count` to a window."""

    step: int
    count: int

    def __post_init__(self) -> None:
        if not (1 <= self.step <= STEP_SECONDS_MAX and 1 <= self.count <= LINE_INTERVALS_MAX):
            raise InvalidRecord(
                f"windows of {self.count} intervals of {self.step} s: "
                f"at most {LINE_INTERVALS_MAX} of {STEP_SECONDS_MAX} s"
            )

    @property
    def window_ms(self) -> int:
        """How long a whole window is."""
        return self.step * self.count * 1_000

    def open(self, at: Moment, offset_ms: int, clock: Clock, *, base: int, last_end: int | None) -> Window:
        """The window that begins at a moment, cut so that the next begins at a multiple of step · count.

        `last_end` is where the last window ended by the same clock: an interval that has been sealed
        already is not opened again where the clock is set back by less than one.
        """
        step_ms = self.step * 1_000
        start = (at.ms + offset_ms) // step_ms * self.step
        if last_end is not None and start < last_end <= start + self.step and last_end % self.step == 0:
            start = last_end
        count = self.count - start // self.step % self.count
        return Window(at.boot, start, self.step, count, offset_ms, clock, base, at.ms)


def missing_before(row_ordinal: int | None, ordinal: int) -> bool:
    """Whether intervals without a good reading lie between two that have one."""
    return row_ordinal is not None and ordinal - row_ordinal > 1
