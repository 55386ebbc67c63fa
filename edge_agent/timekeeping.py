"""How far the clock is trusted (P13): the letter of a line, and where boot time lies in UTC.

Everything is metered in moments of boot time. UTC is boot time plus an offset that is learned while
the wall clock is synchronised and kept while it is not; a wall clock that nobody disciplines is
never asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from shared.limits import TIME_SECONDS_MAX
from shared.report import Clock

UTC_PLAUSIBLE_MS: Final = 1_735_689_600_000
"""2025: a wall clock before this is not synchronised, whatever it says."""
UTC_END_MS: Final = (TIME_SECONDS_MAX - 366 * 86_400) * 1_000
"""A wall clock beyond this would soon leave the wire's bound."""
BOOT_MS_MAX: Final = TIME_SECONDS_MAX * 500
"""Boot time beyond this is implausible."""
SAMPLE_JITTER_MS: Final = 1_000
"""Two samples may arrive in the wrong order by this much; more means that boot time itself went back."""
PAST_BOOTS_MAX: Final = 8
"""Earlier boots whose place in UTC is remembered."""
HISTORIC: Final = ""
"""The timeline of a replayed log: its moments are UTC already, and no reboot interrupts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One sample of the Clock, taken by the agent: all its figures belong to one moment."""

    boot_ms: int
    utc_ms: int
    synchronised: bool
    boot_id: str


class Moment(NamedTuple):
    """A point of a boot's time; `boot` is HISTORIC where `ms` is UTC."""

    boot: str
    ms: int


class Elapsed(NamedTuple):
    """The time between two moments lies within these bounds; `most_ms` None: nobody knows."""

    least_ms: int
    most_ms: int | None


class TimeState(NamedTuple):
    """What is known of time at one sample."""

    boot: str
    now_ms: int
    """Boot time that never goes back: the sample's plus `bias_ms`."""
    bias_ms: int
    offset_ms: int | None
    """UTC minus `now_ms`, once known in this boot."""
    clock: Clock
    unsure: bool
    """Boot time went back, and no synchronised sample has come since."""
    past: tuple[tuple[str, int], ...]
    """Earlier boots that were placed, with their offsets, the latest first."""

    @property
    def now(self) -> Moment:
        """The sample's moment."""
        return Moment(self.boot, self.now_ms)

    def offset_of(self, boot: str) -> int | None:
        """UTC minus boot time in a boot, where it is known."""
        if boot == self.boot:
            return self.offset_ms
        if boot == HISTORIC:
            return 0
        return next((offset for name, offset in self.past if name == boot), None)

    def between(self, earlier: Moment, later: Moment) -> Elapsed:
        """How long it is from one moment to another.

        Within a boot it is known. Across boots it is at least the later boot's age, and exactly what
        UTC says where both boots are placed and that is not absurd; otherwise it has no upper bound.
        """
        if earlier.boot == later.boot:
            elapsed = max(0, later.ms - earlier.ms)
            return Elapsed(elapsed, elapsed)
        before, after = self.offset_of(earlier.boot), self.offset_of(later.boot)
        if before is None or after is None:
            return Elapsed(later.ms, None)
        elapsed = later.ms + after - earlier.ms - before
        return Elapsed(elapsed, elapsed) if elapsed >= later.ms else Elapsed(later.ms, None)

    def to_json(self) -> list[Any]:
        """Plain data."""
        return [*self[:4], str(self.clock), self.unsure, [list(pair) for pair in self.past]]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "TimeState":
        """The state that `to_json` wrote."""
        boot, now_ms, bias_ms, offset_ms, clock, unsure, past = data
        return cls(boot, now_ms, bias_ms, offset_ms, Clock(clock), unsure, tuple((name, at) for name, at in past))


def sample(state: TimeState | None, tick: Tick) -> TimeState:
    """What is known of time after one more sample."""
    if state is None or state.boot != tick.boot_id:
        now_ms, bias_ms, offset_ms, unsure, past = max(0, tick.boot_ms), 0, None, False, _past(state)
    else:
        _, last_ms, bias_ms, offset_ms, _, unsure, past = state
        now_ms = tick.boot_ms + bias_ms
        if now_ms < last_ms - SAMPLE_JITTER_MS:
            # P13: how long it was is unknown, so a placement learned before no longer holds.
            bias_ms, now_ms, offset_ms, unsure = last_ms - tick.boot_ms, last_ms, None, True
        now_ms = max(now_ms, last_ms)
    if tick.synchronised and UTC_PLAUSIBLE_MS <= tick.utc_ms <= UTC_END_MS:
        return TimeState(tick.boot_id, now_ms, bias_ms, tick.utc_ms - now_ms, Clock.SYNCHRONISED, False, past)
    if offset_ms is not None:
        clock = Clock.INFORMED
    else:
        clock = Clock.UNSURE if unsure or not 0 <= tick.boot_ms <= BOOT_MS_MAX else Clock.RELATIVE
    return TimeState(tick.boot_id, now_ms, bias_ms, offset_ms, clock, unsure, past)


def _past(state: TimeState | None) -> tuple[tuple[str, int], ...]:
    if state is None:
        return ()
    if state.offset_ms is None:
        return state.past
    return ((state.boot, state.offset_ms), *state.past)[:PAST_BOOTS_MAX]
