"""What is remembered of a channel's meter between readings, and what a reading turned out to be."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from edge_agent.reading import ChannelSpec
from edge_agent.timekeeping import Elapsed, Moment
from shared.limits import INTEGER_MAX
from shared.report import Verdict

READING_SLACK_MS: Final = 1_000
"""A reading's moment is uncertain by this much when its rate is judged."""

Between = Callable[[Moment, Moment], Elapsed]


class Held(NamedTuple):
    """A reading that was not believed; a next one that goes on from it confirms it."""

    value: int
    at: Moment
    generation: str


class MeterState(NamedTuple):
    """A channel's meter as it was last believed."""

    register: int | None = None
    """Lifetime register in this epoch; None as long as the first good reading may still set it."""
    raw: int | None = None
    """The last good value: a counter's display, a gauge's level, a state."""
    at: Moment | None = None
    """When that was read."""
    serial: str = ""
    generation: str = ""
    held: Held | None = None
    confirmed: bool = False
    """Whether a second reading bore out the baseline."""
    remainder: int = 0
    """What integration has not yet made a whole unit of."""
    seen: Moment | None = None
    """The last reading, good or not: none older than this is taken."""

    def to_json(self) -> list[Any]:
        """Plain data."""
        return [
            self.register,
            self.raw,
            self.at,
            self.serial,
            self.generation,
            None if self.held is None else list(self.held),
            self.confirmed,
            self.remainder,
            None if self.seen == self.at else self.seen,
        ]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "MeterState":
        """The state that `to_json` wrote."""
        register, raw, at_data, serial, generation, held, confirmed, remainder, seen = data
        at = None if at_data is None else Moment(*at_data)
        return cls(
            register,
            raw,
            at,
            serial,
            generation,
            None if held is None else Held(held[0], Moment(*held[1]), held[2]),
            confirmed,
            remainder,
            at if seen is None else Moment(*seen),
        )


class Step(NamedTuple):
    """A good reading: what was used since the one before."""

    at: Moment
    since: Moment | None
    """The good reading before; None at a baseline."""
    amount: int | None
    """None: an unknown amount, to be declared as a gap."""
    verdict: Verdict | None


class Metered(NamedTuple):
    """What a reading turned out to be; no steps: it is not believed, or not yet."""

    steps: tuple[Step, ...]
    verdict: Verdict | None = None
    """What to note where no step tells it."""


def allowed(spec: ChannelSpec, elapsed_ms: int) -> int:
    """The most that the meter can have counted in that time."""
    return spec.rate_max * (elapsed_ms + READING_SLACK_MS) // 1_000


def bounded(register: int | None, amount: int | None) -> int | None:
    """The amount, or None (unknown, to be declared) where the register would leave the wire's bound."""
    return None if amount is None or (register or 0) + amount > INTEGER_MAX else amount
