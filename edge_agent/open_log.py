"""One log while it is metered: its channels, its open window, and the lines that follow from them.

At every line a collector can compute a counter's raw value as the last birth's raw plus what the
register moved since. Where a reading breaks that (reset, rollover, rollback, exchange, first reading),
the window is cut before its interval and a birth restates both. Its `raw` is the one that the register
stands for at the end of the line before: the value read, less what was used since that line.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from edge_agent.line_rows import birth_rows, gap_rows, usage_rows
from edge_agent.meter import meter
from edge_agent.open_channel import OpenChannel, statement
from edge_agent.reading import ChannelName, ChannelSpec, Reading
from edge_agent.sealable import (
    BirthContent,
    ClockContent,
    Content,
    GapContent,
    Sealable,
    UsageContent,
    declared_from_json,
    declared_to_json,
    in_lines,
)
from edge_agent.timekeeping import HISTORIC, Moment, TimeState
from edge_agent.window import Grid, OpenRow, Window, missing_before
from shared.report import Cause, Clock, GapCause

BIRTH_WAIT_MS: Final = 10_000
"""A start's birth waits so long for the first readings, so that it can state them."""
PAUSE_WINDOWS: Final = 2
"""Who was away longer than this many windows (suspended, or not running) seals no windows for that time."""
STEP_MS: Final = 1_000
"""A placement that moves by less is drift: it is followed at the next window."""
_TRUST: Final = (Clock.SYNCHRONISED, Clock.INFORMED, Clock.RELATIVE, Clock.UNSURE)


class OpenLog:
    """A chain's channels and open window; `queue` is what is to be sealed next, in that order."""

    def __init__(self, name: str, grid: Grid, *, historic: bool) -> None:
        self.name = name
        self.grid = grid
        self.historic = historic
        self.following = False
        """A historic log that has caught up, and whose time is the wall clock's from now on."""
        self.channels: dict[ChannelName, OpenChannel] = {}
        self.dormant: dict[ChannelName, OpenChannel] = {}
        """Channels that are no longer configured; they keep their registers for when they come back."""
        self.window: Window | None = None
        self.now_ms = 0
        """How far the window's timeline has been followed."""
        self.birth: Cause | None = Cause.START
        self.born = False
        """Whether the birth of this start is queued or sealed."""
        self.birth_since_ms: int | None = None
        self.birth_ordinal = 0
        """The interval in which the last birth was queued: one more waits for the next."""
        self.unplaced = False
        """Lines of this boot wait for a clock line."""
        self.clock_sealed = False
        """This boot has its clock line."""
        self.last_end: int | None = None
        """Label at which the last placed window ended."""
        self.queue: list[Sealable] = []
        self.declared: list[Sealable] = []
        """Lines that wait for the birth."""

    def to_json(self) -> dict[str, Any]:
        """Plain data; the queue is not in it, as it is committed with the lines that it becomes."""
        return {
            "grid": [self.grid.step, self.grid.count],
            "historic": self.historic,
            "window": None if self.window is None else self.window.to_json(),
            "now": self.now_ms,
            "birth": None if self.birth is None else str(self.birth),
            "birth_at": [self.born, self.birth_since_ms, self.birth_ordinal],
            "flags": [self.following, self.unplaced, self.clock_sealed],
            "last_end": self.last_end,
            "declared": [declared_to_json(line) for line in self.declared],
            "channels": [channel.to_json() for channel in self.channels.values()],
            "dormant": [channel.to_json() for channel in self.dormant.values()],
        }

    @classmethod
    def from_json(cls, name: str, data: Mapping[str, Any]) -> "OpenLog":
        """The log that `to_json` wrote."""
        log = cls(name, Grid(*data["grid"]), historic=data["historic"])
        log.window = None if data["window"] is None else Window.from_json(data["window"])
        log.now_ms = data["now"]
        log.birth = None if data["birth"] is None else Cause(data["birth"])
        log.born, log.birth_since_ms, log.birth_ordinal = data["birth_at"]
        log.following, log.unplaced, log.clock_sealed = data["flags"]
        log.last_end = data["last_end"]
        log.declared = [declared_from_json(name, line) for line in data["declared"]]
        for place, rows in ((log.channels, data["channels"]), (log.dormant, data["dormant"])):
            for row in rows:
                channel = OpenChannel.from_json(row, name, historic=log.historic)
                place[channel.spec.name] = channel
        return log

    # -- time ----------------------------------------------------------------------------------

    def follow(self, at: Moment, time: TimeState) -> None:
        """Close what has ended by a moment, and follow the clock's placement."""
        if not self.channels:
            return
        window = self.window
        if window is None:
            self._open(at, time, base=1)
        elif window.boot != at.boot:
            self._leave_boot(window, at, time)
        else:
            if at.ms - self.now_ms > PAUSE_WINDOWS * self.grid.window_ms:
                self._pause(window, at, time)
            self._roll(at, time)
            self._place(at, time)
            self._roll(at, time)
        self.now_ms = max(self.now_ms, at.ms)

    def due(self, at: Moment, time: TimeState) -> None:
        """Follow time and queue a birth that has waited long enough."""
        self.follow(at, time)
        window = self.window
        if window is None or self.birth is None:
            return
        if self.birth_since_ms is None:
            self.birth_since_ms = at.ms
        if self.born:
            ready = window.base + window.index(self.now_ms) > self.birth_ordinal
        else:
            ready = at.ms - self.birth_since_ms >= BIRTH_WAIT_MS or all(
                channel.known for channel in self.channels.values()
            )
        if ready:
            self.bear(window, time)

    def _open(self, at: Moment, time: TimeState, *, base: int) -> None:
        """A new window without a predecessor whose rows would go on."""
        self.window = self._opened(at, self._placement(time), base=base)
        self.now_ms = at.ms
        for channel in self.channels.values():
            channel.row = OpenRow.empty(self.window.count)

    def _leave_boot(self, window: Window, at: Moment, time: TimeState) -> None:
        """The last boot's window is sealed under its own boot and clock; a new one begins in this boot."""
        index = min(window.index(self.now_ms), window.count - 1)
        self._close(window, index + 1, self.now_ms, time)
        ended_ms = window.boundary_ms(index + 1) + window.offset_ms
        offset_ms, clock = self._placement(time)
        near = clock.placed and window.clock.placed and at.ms + offset_ms - ended_ms <= window.step * 1_000
        self.unplaced = self.clock_sealed = False
        self.birth_since_ms = None
        self._silence(GapCause.AGENT_DOWN)
        self._open(at, time, base=window.base + index + (1 if near else 2))

    def _pause(self, window: Window, at: Moment, time: TimeState) -> None:
        """Nobody looked for long: no windows are sealed for that time, a gap will tell."""
        index = min(window.index(self.now_ms), window.count - 1)
        self._close(window, index + 1, at.ms, time)
        if not self.historic:
            self._silence(GapCause.AGENT_DOWN)
        self._open(at, time, base=window.base + index + 2)

    def _roll(self, at: Moment, time: TimeState) -> None:
        """Each window that is full is sealed, and the next one goes on where it ended."""
        while (window := self._window()).end_ms < at.ms:
            old = window.offset_ms, window.clock
            placement = old if self._misplaced(window, time) else self._placement(time)
            end = Moment(window.boot, window.end_ms)
            self._reopen(window, window.count, end, placement, at.ms, time=time)

    def _place(self, at: Moment, time: TimeState) -> None:
        """Where boot time now lies elsewhere in UTC, whole intervals are sealed as they were placed.

        P13: intervals are cut on boot time, so that none is created, lost or doubled; the usage of the
        running one goes into the first of the next window.
        """
        window = self.window
        if window is None or self.historic:
            return
        if not self._misplaced(window, time):
            window.clock = max(window.clock, time.clock, key=_TRUST.index)
            return
        index = min(window.index(at.ms), window.count - 1)
        offset_ms, clock = self._placement(time)
        start = Moment(window.boot, window.boundary_ms(index))
        self._reopen(window, index, start, (offset_ms, clock), at.ms, time=time)
        if clock.placed and self.unplaced and not self.clock_sealed:
            self.unplaced, self.clock_sealed = False, True
            self.emit(ClockContent(offset=(offset_ms + 500) // 1_000), at.ms, time)

    def _reopen(
        self, window: Window, upto: int, at: Moment, placement: tuple[int, Clock], now_ms: int, *, time: TimeState
    ) -> None:
        """Seal the window's first intervals; what stands in the running one goes on in a new window."""
        self._close(window, upto, now_ms, time)
        self.window = self._opened(at, placement, base=window.base + upto)
        for channel in self.channels.values():
            channel.row = channel.row.going_on(upto, self.window.count)

    def _opened(self, at: Moment, placement: tuple[int, Clock], *, base: int) -> Window:
        offset_ms, clock = placement
        last_end = self.last_end if clock.placed else None
        return self.grid.open(at, offset_ms, clock, base=base, last_end=last_end)

    def _misplaced(self, window: Window, time: TimeState) -> bool:
        if self.historic:
            return False
        offset_ms, clock = self._placement(time)
        return clock.placed != window.clock.placed or abs(offset_ms - window.offset_ms) >= STEP_MS

    def _placement(self, time: TimeState) -> tuple[int, Clock]:
        if self.historic:
            return 0, Clock.SYNCHRONISED
        return (time.offset_ms or 0, time.clock)

    def _silence(self, cause: GapCause) -> None:
        for channel in self.channels.values():
            channel.silence = channel.silence or cause

    def restart(self, at: Moment | None, time: TimeState) -> None:
        """The process started anew: what the last boot left open is sealed first, then a birth is due."""
        if at is not None and self.window is not None:
            self.follow(at, time)
        self._silence(GapCause.SOURCE_DOWN if self.historic else GapCause.AGENT_DOWN)
        self.birth, self.born, self.birth_since_ms = Cause.START, False, None
        for channel in self.channels.values():
            channel.looked = False

    def configure(self, specs: Sequence[ChannelSpec], grid: Grid, time: TimeState) -> None:
        """Meter these channels from now on; where that is a change, what is open is sealed before it."""
        known = {name: channel.spec for name, channel in self.channels.items()}
        wanted = {spec.name: spec for spec in specs}
        if known == wanted and grid == self.grid:
            return
        gone = {name: channel for name, channel in self.channels.items() if name not in wanted}
        window = self.window
        index = 0
        if window is not None:
            index = min(window.index(self.now_ms), window.count - 1)
            self._close(window, index, self.now_ms, time)
            self._close_running(window, index, gone.values(), time)
        if known:
            self.birth, self.born, self.birth_since_ms = Cause.CONFIG, False, None
        for channel in gone.values():
            channel.row = OpenRow.empty(grid.count)
        self.dormant |= gone
        before, self.channels = self.channels, {}
        for name, spec in wanted.items():
            channel = before.get(name) or self.dormant.pop(name, None) or OpenChannel.new(spec, grid.count)
            channel.respecify(spec)
            channel.row = channel.row.going_on(index, grid.count) if name in before else OpenRow.empty(grid.count)
            self.channels[name] = channel
        self.grid, self.window = grid, None
        if window is not None and self.channels:
            # P1: the running interval is sealed once, when it ends, with what each channel used before and after.
            start = Moment(window.boot, window.boundary_ms(index))
            self.window = self._opened(start, self._placement(time), base=window.base + index)

    def _close_running(self, window: Window, index: int, gone: Iterable[OpenChannel], time: TimeState) -> None:
        """Seal what channels that are no longer metered used in the running interval: nobody else will."""
        used = [channel for channel in gone if channel.row.gaps or any(channel.row.deltas[index:])]
        if not used:
            return
        if self.birth is not None:
            self.bear(window, time)
        for rows in gap_rows(used, window, window.count, time):
            self.emit(GapContent(rows=rows), self.now_ms, time)
        start = window.start + window.step * index
        for channel in used:
            channel.row = channel.row.going_on(index, window.count - index)
        for part in in_lines(usage_rows(used, 1)):
            self.emit(UsageContent(start=start, step=window.step, count=1, rows=part), self.now_ms, time)

    def begin_epoch(self, time: TimeState) -> None:
        """Start the chain anew: what is queued for the old epoch is taken back, births are due at once."""
        queued, self.queue = self.queue, []
        lost: dict[ChannelName, int] = {}
        for line in queued:
            if isinstance(line.content, UsageContent):
                for row in line.content.rows:
                    name = ChannelName(row.device, row.meter)
                    lost[name] = lost.get(name, 0) + sum(row.deltas)
            elif isinstance(line.content, GapContent):
                for gap in line.content.rows:
                    name = ChannelName(gap.device, gap.meter)
                    lost[name] = lost.get(name, 0) + (gap.after or 0) - (gap.before or 0)
        for name, channel in (*self.channels.items(), *self.dormant.items()):
            channel.begin_epoch(lost.get(name, 0))
        self.birth, self.born, self.unplaced, self.clock_sealed = Cause.EPOCH, False, False, False
        if self.window is not None:
            self.bear(self.window, time)
            self._place_boot(self.window, time)
        for line in queued:
            if isinstance(line.content, GapContent):
                self._declare_again(line, line.content)

    def _place_boot(self, window: Window, time: TimeState) -> None:
        """P13: a restored image does not know which lines of this boot it has sealed without UTC; place them."""
        if window.clock.placed and not self.historic:
            self.clock_sealed = True
            self.emit(ClockContent(offset=(window.offset_ms + 500) // 1_000), self.now_ms, time)

    def declare(self, line: Sealable) -> None:
        """Have a line sealed as soon as there is a birth before it."""
        if self.born:
            self._enqueue(line)
        else:
            self.declared.append(line)

    def _declare_again(self, line: Sealable, content: GapContent) -> None:
        """A gap without quantity that was queued for the old epoch is declared in the new one (P3)."""
        rows = tuple(row for row in content.rows if row.before is None)
        if rows:
            self._enqueue(replace(line, content=GapContent(rows=rows)))

    # -- readings ------------------------------------------------------------------------------

    def take(self, channel: OpenChannel, reading: Reading, at: Moment, time: TimeState) -> bool:
        """Meter one reading at a moment that has been followed; False: it is older than one taken already."""
        before = channel.state
        channel.looked = True
        self.now_ms = max(self.now_ms, at.ms)
        if before.seen is not None and before.seen.boot == at.boot and at.ms <= before.seen.ms:
            if self.historic or (at.ms < before.seen.ms and channel.spec.kind.cumulative):
                return False
            at = before.seen
        after, metered = meter(before, reading, channel.spec, at, time.between)
        if not metered.steps:
            window = self._window()
            channel.row.note(min(window.index(at.ms), window.count - 1), metered.verdict)
            channel.state = after
            return True
        if self.born and statement(channel.spec, after) != channel.statement:
            self.cut(metered.steps[0].at, time)
        if before.register is None:
            channel.cut = after.register or 0
        window = self._window()
        for step in metered.steps:
            index = min(window.index(step.at.ms), window.count - 1) if step.at.boot == window.boot else 0
            ordinal = window.base + index
            silent = missing_before(channel.ordinal, ordinal)
            channel.row.add(index, step, (channel.silence or GapCause.SOURCE_DOWN) if silent else None, ordinal)
            channel.ordinal = ordinal
        channel.silence = None
        channel.believe(after, metered)
        return True

    def cut(self, at: Moment, time: TimeState, cause: Cause | None = Cause.RESET) -> None:
        """What stands before a moment's interval is sealed, and with a cause a birth is due before what follows."""
        window = self._window()
        index = min(window.index(at.ms), window.count - 1) if at.boot == window.boot else 0
        if index > 0:
            start = Moment(window.boot, window.boundary_ms(index))
            self._reopen(window, index, start, (window.offset_ms, window.clock), max(self.now_ms, at.ms), time=time)
        self.birth = self.birth or cause

    def _window(self) -> Window:
        assert self.window is not None, "time is followed before a reading is taken"
        return self.window

    # -- lines ---------------------------------------------------------------------------------

    def _close(self, window: Window, upto: int, now_ms: int, time: TimeState) -> None:
        """Queue the first intervals: a birth that is due, the gaps that ended in them, their usage."""
        if upto == 0:
            return
        if self.birth is not None:
            self.bear(window, time)
        for rows in gap_rows(self.channels.values(), window, upto, time):
            self.emit(GapContent(rows=rows), now_ms, time)
        for part in in_lines(usage_rows(self.channels.values(), upto)):
            self.emit(UsageContent(start=window.start, step=window.step, count=upto, rows=part), now_ms, time)
        self.last_end = window.start + window.step * upto if window.clock.placed else None

    def bear(self, window: Window, time: TimeState) -> None:
        """Queue the birth that is due: where every channel stands at the end of the line before."""
        cause = self.birth or Cause.START
        self.birth, self.born = None, True
        self.birth_ordinal = window.base + window.index(self.now_ms)
        for part in in_lines(birth_rows(self.channels.values())):
            self.emit(BirthContent(cause=cause, channels=part), self.now_ms, time)
        for line in self.declared:
            self._enqueue(line)
        self.declared = []

    def emit(self, content: Content, now_ms: int, time: TimeState) -> None:
        """The content is queued as a line of the open window's boot and clock."""
        window = self._window()
        boot, sealed_at = time.boot if window.boot == HISTORIC else window.boot, window.label(now_ms)
        self._enqueue(Sealable(log=self.name, boot=boot, clock=window.clock, sealed_at=sealed_at, content=content))

    def _enqueue(self, line: Sealable) -> None:
        self.unplaced |= not line.clock.placed
        self.queue.append(line)
