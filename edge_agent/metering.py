"""All channels of all logs: readings in, what must be sealed out. Pure: no I/O, no clock, no randomness.

The caller takes a Tick from its clock for every call and commits what `due` hands over in one
transaction with `snapshot()`. The rules behind it: meter (what a reading means), open_log (which lines
follow), window (which interval), timekeeping (which clock).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from edge_agent.meter import meter
from edge_agent.meter_state import Metered, MeterState
from edge_agent.open_channel import OpenChannel
from edge_agent.open_log import OpenLog
from edge_agent.reading import ChannelName, ChannelSpec, Reading
from edge_agent.sealable import ForgottenContent, Sealable
from edge_agent.swap import ASIDE_SECONDS_MAX, Aside, Swap, exchange, judge, restate
from edge_agent.timekeeping import HISTORIC, Moment, Tick, TimeState, sample
from edge_agent.window import Grid
from shared.errors import InvalidRecord, MetersealError, Refused
from shared.report import GapCause

SNAPSHOT_VERSION: Final = 1
FOLLOW_LAG_MS: Final = 5_000
"""A replay that has caught up delivers a reading soon after its time has come; its windows wait so long."""


class SpecChanged(MetersealError):
    """A channel's unit, exponent, kind or log may not change within an epoch: give it another meter name."""


class Metering:
    """Open windows, meter states and time of every log of a gateway in one epoch."""

    def __init__(
        self,
        specs: Sequence[ChannelSpec],
        *,
        step: int = 60,
        count: int = 15,
        tick: Tick,
        snapshot: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin an epoch: nothing is metered yet and each log's birth is due; or see `restore`."""
        self._time = sample(None, tick)
        self._logs: dict[str, OpenLog] = {}
        self._log_of: dict[ChannelName, OpenLog] = {}
        self._aside: dict[ChannelName, Aside] = {}
        if snapshot is not None:
            self.resume(snapshot)
            self._time = sample(self._time, tick)
        for log in self._logs.values():
            # What a history has gained while nothing ran belongs to its own time, not to a window closed before it.
            log.following = False
            log.restart(self._at(log), self._time)
        self._configure(specs, Grid(step, count))

    @classmethod
    def restore(
        cls, snapshot: Mapping[str, Any], specs: Sequence[ChannelSpec], *, step: int = 60, count: int = 15, tick: Tick
    ) -> "Metering":
        """Go on after a restart: the last boot's open windows and then births are due; raises SpecChanged."""
        return cls(specs, step=step, count=count, tick=tick, snapshot=snapshot)

    def resume(self, snapshot: Mapping[str, Any]) -> None:
        """Be exactly what the snapshot was taken of, as if nothing had happened in between."""
        if snapshot["version"] != SNAPSHOT_VERSION:
            raise InvalidRecord(f"the metering snapshot has version {snapshot['version']}, not {SNAPSHOT_VERSION}")
        self._time = TimeState.from_json(snapshot["time"])
        self._logs = {name: OpenLog.from_json(name, data) for name, data in snapshot["logs"].items()}
        self._log_of = {name: log for log in self._logs.values() for name in log.channels}
        self._aside = {}

    def reconfigure(self, specs: Sequence[ChannelSpec], *, step: int, count: int, tick: Tick) -> None:
        """Meter exactly these channels from now on; raises SpecChanged, InvalidRecord, and then nothing has changed.

        Registers, and what stands in the running interval, go on; births with cause config are due.
        """
        self._time = sample(self._time, tick)
        grid = Grid(step, count)
        self.check(specs)
        for log in self._logs.values():
            at = self._at(log)
            if at is not None:
                log.follow(at, self._time)
        self._configure(specs, grid)

    def observe(self, readings: Iterable[Reading], tick: Tick) -> tuple[Reading, ...]:
        """Take readings in; returns those refused: of no configured channel, or older than one taken already."""
        time = self._time = sample(self._time, tick)
        refused = []
        for reading in readings:
            name = ChannelName(reading.device, reading.meter)
            log = self._log_of.get(name)
            if log is None or log.historic != (reading.utc is not None):
                refused.append(reading)
                continue
            if self._aside and self._wait(name, reading):
                continue
            at = _moment(reading, time)
            window = log.window
            if window is None or at.ms > window.end_ms or at.boot != window.boot:
                log.follow(at, time)
            if not log.take(log.channels[name], reading, at, time):
                refused.append(reading)
        return tuple(refused)

    def source_failed(self, channels: Iterable[ChannelSpec], tick: Tick) -> None:
        """Note that these channels could not be read."""
        self._time = sample(self._time, tick)
        for spec in channels:
            log = self._log_of.get(spec.name)
            if log is not None:
                channel = log.channels[spec.name]
                channel.looked = True
                channel.silence = channel.silence or GapCause.SOURCE_DOWN

    def due(self, tick: Tick) -> tuple[Sealable, ...]:
        """Hand over what is to be sealed, in that order; commit it in one transaction with `snapshot()`."""
        self._time = sample(self._time, tick)
        lines: list[Sealable] = []
        for log in self._logs.values():
            at = self._at(log)
            if at is not None:
                log.due(at, self._time)
            lines += log.queue
            log.queue = []
        return tuple(lines)

    def snapshot(self) -> dict[str, Any]:
        """Everything `restore` needs, as plain JSON data; what `due` handed over is no longer in it.

        Lines that readings made due stand in `due` only, so call that first.
        """
        assert not any(log.queue for log in self._logs.values()), "due() must be called, and its lines sealed, first"
        return {
            "version": SNAPSHOT_VERSION,
            "time": self._time.to_json(),
            "logs": {name: log.to_json() for name, log in self._logs.items()},
        }

    def new_epoch(self) -> None:
        """Begin a new epoch: registers restart at the raw values, births with cause epoch are due."""
        for log in self._logs.values():
            if log.window is None and not log.historic:
                log.follow(self._time.now, self._time)
            log.begin_epoch(self._time)

    def set_aside(self, name: ChannelName, tick: Tick) -> Refused | None:
        """A counter's readings are no longer metered, until its exchange is said or `take_back` is called."""
        self._time = sample(self._time, tick)
        log = self._log_of.get(name)
        if log is None or log.historic or not log.channels[name].spec.kind.cumulative:
            return Refused(f"{'.'.join(name)} is no channel of a meter with a display of its own")
        self._aside[name] = Aside(self._time.now_ms)
        return None

    def take_back(self, name: ChannelName) -> None:
        """The channel is metered again, as if nobody had touched it."""
        self._aside.pop(name, None)

    def exchange(self, name: ChannelName, swap: Swap, tick: Tick) -> Refused | None:
        """Another meter is in this one's place: that is due to be sealed; or why it cannot be so (P4)."""
        time = self._time = sample(self._time, tick)
        log = self._log_of.get(name)
        if log is None or log.historic:
            return Refused(f"{'.'.join(name)} is no channel that is metered now: `edge-agent status` lists them")
        channel, aside = log.channels[name], self._aside.get(name)
        elapsed = time.between(channel.state.at or time.now, time.now)
        found = judge(channel, swap, elapsed, None if aside is None else aside.last)
        if isinstance(found, Refused):
            return found
        exchange(log, channel, swap, found, time)
        self.take_back(name)
        return None

    def restate(self, name: ChannelName, tick: Tick) -> tuple[str, int, int] | Refused:
        """A birth is due that states where the channel stands; returns its serial, register and raw value."""
        time = self._time = sample(self._time, tick)
        log = self._log_of.get(name)
        if log is None or log.historic:
            return Refused(f"{'.'.join(name)} is no channel that is metered now: `edge-agent status` lists them")
        state = log.channels[name].state
        if state.raw is None or state.register is None:
            return Refused(f"{'.'.join(name)} has not been read yet: look at its source first, `edge-agent status`")
        restate(log, time)
        return state.serial, state.register, state.raw

    def log_of(self, name: ChannelName) -> str:
        """The log that a channel is sealed in."""
        return self._log_of[name].name

    def _wait(self, name: ChannelName, reading: Reading) -> bool:
        """Whether the channel is set aside; its last reading is remembered for who says the exchange."""
        aside = self._aside.get(name)
        if aside is None:
            return False
        if self._time.now_ms - aside.since_ms > ASIDE_SECONDS_MAX * 1_000:
            self.take_back(name)
            return False
        self._aside[name] = aside._replace(last=reading)
        return True

    def declare(self, lines: Iterable[Sealable]) -> None:
        """Have these gap lines sealed after their logs' birth, such as those of a lost spool."""
        for line in lines:
            self._logs[line.log].declare(line)

    def say(self, log: str, content: ForgottenContent) -> None:
        """Have this sealed with what is due next in the log; while no window is open there is no time to say it at."""
        known = self._logs.get(log)
        if known is not None and known.window is not None:
            known.emit(content, known.now_ms, self._time)

    def caught_up(self, log: str) -> None:
        """A historic log's source has delivered its history: until a restart the wall clock closes its windows."""
        self._logs[log].following = True

    def resume_at(self, log: str) -> int | None:
        """The Unix second up to which every channel of a historic log has been read, if all have."""
        seen = [channel.state.seen for channel in self._logs[log].channels.values()]
        return min((at.ms // 1_000 for at in seen if at is not None), default=None) if None not in seen else None

    def next_due_ms(self) -> int:
        """Boot milliseconds after which the next live window is due (an agent may sleep until then)."""
        ends = [log.window.end_ms for log in self._logs.values() if log.window is not None and not log.historic]
        return min(ends, default=self._time.now_ms) - self._time.bias_ms + 1

    def registers(self) -> Mapping[ChannelName, tuple[int | None, int | None]]:
        """Each channel's lifetime register and last good raw value, for status and read."""
        return {
            name: (channel.state.register, channel.state.raw)
            for log in self._logs.values()
            for name, channel in log.channels.items()
        }

    def generations(self) -> Mapping[ChannelName, str]:
        """In which generation each channel was last read, for sources that compare."""
        return {name: channel.state.generation for log in self._logs.values() for name, channel in log.channels.items()}

    def preview(self, reading: Reading, tick: Tick) -> tuple[MeterState, Metered] | None:
        """What a live reading would turn out to be, and the meter after it; nothing is changed. None: no channel."""
        time = sample(self._time, tick)
        name = ChannelName(reading.device, reading.meter)
        log = self._log_of.get(name)
        if log is None:
            return None
        channel = log.channels[name]
        return meter(channel.state, reading, channel.spec, _moment(reading, time), time.between)

    def _at(self, log: OpenLog) -> Moment | None:
        """The moment up to which a log's windows may be closed, if it has one of its own."""
        if not log.historic:
            return self._time.now
        if log.window is None:
            return None
        if log.following and self._time.offset_ms is not None:
            return Moment(HISTORIC, max(log.now_ms, self._time.now_ms + self._time.offset_ms - FOLLOW_LAG_MS))
        return Moment(HISTORIC, log.now_ms)

    def _configure(self, specs: Sequence[ChannelSpec], grid: Grid) -> None:
        """The logs meter exactly these channels; what is no longer configured keeps its register."""
        self.check(specs)
        by_log: dict[str, list[ChannelSpec]] = {}
        for spec in specs:
            by_log.setdefault(spec.log, []).append(spec)
        for name, members in by_log.items():
            self._logs.setdefault(name, OpenLog(name, grid, historic=members[0].historic))
        for name, log in self._logs.items():
            log.configure(by_log.get(name, ()), grid, self._time)
        self._log_of = {name: log for log in self._logs.values() for name in log.channels}

    def check(self, specs: Sequence[ChannelSpec]) -> None:
        """These channels can be metered beside all that was; raises SpecChanged, InvalidRecord."""
        if len({spec.name for spec in specs}) != len(specs):
            raise InvalidRecord("a channel is configured twice")
        for name, log in self._logs.items():
            for channel in (*log.channels.values(), *log.dormant.values()):
                _refuse_changes(channel, specs, name)
        historic = {spec.log: spec.historic for spec in specs}
        for spec in specs:
            name = spec.log
            if spec.historic is not historic[name]:
                raise InvalidRecord(f"the log {name} mixes replayed channels with live ones: give each its own log")
            log_now = self._logs.get(name)
            if log_now is not None and log_now.historic is not spec.historic:
                raise SpecChanged(f"the log {name} was metered with historic={log_now.historic}: give it another name")


def _moment(reading: Reading, time: TimeState) -> Moment:
    if reading.utc is not None:
        return Moment(HISTORIC, reading.utc * 1_000)
    return Moment(time.boot, max(0, min(reading.at_ms + time.bias_ms, time.now_ms)))


def _refuse_changes(channel: OpenChannel, specs: Sequence[ChannelSpec], log: str) -> None:
    """A unit, exponent, kind or log is fixed per channel for an epoch (P4: a changed unit is refused)."""
    old = channel.spec
    for spec in specs:
        if spec.name == old.name and (spec.unit, spec.exponent, spec.kind, spec.log) != (
            old.unit,
            old.exponent,
            old.kind,
            log,
        ):
            raise SpecChanged(
                f"{old.device}.{old.meter} was metered as {old.kind} in 10^{old.exponent} {old.unit} of the log {log} "
                f"and is configured as {spec.kind} in 10^{spec.exponent} {spec.unit} of the log {spec.log}: "
                "within an epoch that is fixed, give it another meter name"
            )
