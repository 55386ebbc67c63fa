"""Which life a counter is in that begins anew with its device: the generation of a reading (P4).

A device that prints how long it has been up says when it started; its start, in UTC, names the life. The
figure wanders with both clocks, so a start that is hardly later than the known one is the same life: a
false new life would bill the counter's whole value again. Which life a channel was last read in is told
to the source by the agent, as it must not change because the agent was restarted.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from edge_agent.reading import ChannelName
from shared.effects.clock import Clock

WANDER_SECONDS: Final = 60
"""How much later a start may seem than it was, whatever the clocks' drift."""
WANDER_PPM: Final = 300
"""How far the clocks of device and gateway drift apart at most."""
TICKS_WRAP_SECONDS: Final = 42_949_672
"""SNMP's TimeTicks begin at zero again after 2^32 hundredths of a second."""


class Life(NamedTuple):
    """A life of a counter."""

    started: int
    """Unix second at which its device started, as it seemed when the life was first seen."""
    marks: tuple[int, ...] = ()
    """Other figures that tell lives apart, where they are not 0; a 0 is no statement."""

    def __str__(self) -> str:
        """As a generation on the wire."""
        return ".".join(map(str, (f"up{self.started}", *self.marks)))


def life_of(text: str) -> Life | None:
    """The life that a generation names; None where it names none of this kind."""
    started, *marks = text.removeprefix("up").split(".")
    if not text.startswith("up") or not all(word.isdecimal() for word in (started, *marks)):
        return None
    return Life(int(started), tuple(map(int, marks)))


def life_now(known: Life | None, seen: Life, now: int, *, wraps: bool = False) -> Life:
    """The known life where it goes on, else the one that is seen; `wraps`: by a TimeTicks figure."""
    if known is None or len(known.marks) != len(seen.marks):
        return seen
    if any(mark not in (0, before) for mark, before in zip(seen.marks, known.marks, strict=True)):
        return seen
    wander = max(WANDER_SECONDS, (now - known.started) * WANDER_PPM // 1_000_000)
    later = seen.started - known.started
    if wraps:
        later = min(later % TICKS_WRAP_SECONDS, -later % TICKS_WRAP_SECONDS)
    return seen if later > wander else known


class Lives:
    """The lives in which a source's channels are, as they were last metered and are seen now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[ChannelName, Life] = {}

    def remember(self, generations: Mapping[ChannelName, str]) -> None:
        """Go on from the lives that are known."""
        lives = {name: life_of(text) for name, text in generations.items()}
        self._known |= {name: life for name, life in lives.items() if life is not None}

    def since(self, name: ChannelName, started: int, *, marks: tuple[int, ...] = ()) -> str:
        """The generation of a channel whose device says in which Unix second it started; empty without a clock."""
        return self._seen(name, Life(started, marks), wraps=False)

    def up(self, name: ChannelName, seconds: int, *, marks: tuple[int, ...] = (), wraps: bool = False) -> str:
        """The generation of a channel whose device says for how many seconds it is up; empty without a clock."""
        return self._seen(name, Life(self._clock.utc_ms() // 1_000 - seconds, marks), wraps=wraps)

    def _seen(self, name: ChannelName, seen: Life, *, wraps: bool) -> str:
        if not self._clock.synchronised():
            return ""
        life = life_now(self._known.get(name), seen, self._clock.utc_ms() // 1_000, wraps=wraps)
        self._known[name] = life
        return str(life)
