"""Whether a program's loops still turn: what the watchdog's beat is tied to, instead of to a timer.

Each loop counts its rounds. A loop whose count has not moved for longer than it may rest is stuck; then
no beat is sent and the service manager starts the program anew. Pure: time is handed in, and it is the
time during which the machine ran, so that a suspended machine is not taken for a stuck program.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Pulse(NamedTuple):
    """A loop's count of rounds, and how long it may rest between two."""

    rounds: int
    seconds_max: float


class Liveness:
    """Which loops are stuck, by what was seen of them before."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float]] = {}

    def stuck(self, pulses: Mapping[str, Pulse], now_seconds: float) -> list[str]:
        """The loops that have not turned for longer than they may; a loop seen for the first time has."""
        seen = {}
        for name, pulse in pulses.items():
            count, since = self._seen.get(name, (pulse.rounds, now_seconds))
            seen[name] = (count, since) if count == pulse.rounds else (pulse.rounds, now_seconds)
        self._seen = seen
        return sorted(name for name, pulse in pulses.items() if now_seconds - seen[name][1] > pulse.seconds_max)
