"""All channels of all logs: readings in, what must be sealed out. Pure: no I/O, no clock, no randomness.

This file states the interface first; the rooms behind it are meter, window and timekeeping.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edge_agent.reading import ChannelName, ChannelSpec, Reading
from edge_agent.sealable import Sealable
from edge_agent.timekeeping import Tick


class Metering:
    """Open windows, meter states and time of every log of a gateway in one epoch."""

    def __init__(self, specs: Sequence[ChannelSpec], *, step: int = 60, count: int = 15, tick: Tick) -> None:
        """Begin an epoch: nothing is metered yet and each log's birth is due."""

    @classmethod
    def restore(
        cls, snapshot: Mapping[str, Any], specs: Sequence[ChannelSpec], *, step: int = 60, count: int = 15, tick: Tick
    ) -> "Metering":
        """Go on after a restart: the last boot's open windows and then births are due; raises SpecChanged."""
        raise NotImplementedError

    def observe(self, readings: Iterable[Reading], tick: Tick) -> tuple[Reading, ...]:
        """Take readings in; returns those refused: of no configured channel, or older than one taken already."""
        raise NotImplementedError

    def source_failed(self, channels: Iterable[ChannelSpec], tick: Tick) -> None:
        """Note that these channels could not be read."""
        raise NotImplementedError

    def due(self, tick: Tick) -> tuple[Sealable, ...]:
        """Hand over what is to be sealed, in that order; commit it in one transaction with `snapshot()`."""
        raise NotImplementedError

    def snapshot(self) -> dict[str, Any]:
        """Everything `restore` needs, as plain JSON data; what `due` handed over is no longer in it."""
        raise NotImplementedError

    def new_epoch(self) -> None:
        """Begin a new epoch: registers restart at the raw values, births with cause epoch are due."""
        raise NotImplementedError

    def caught_up(self, log: str) -> None:
        """A historic log's source has delivered its history: its time runs on with the wall clock (seals the rest)."""
        raise NotImplementedError

    def resume_at(self, log: str) -> int | None:
        """The Unix second up to which every channel of a historic log has been read, if all have."""
        raise NotImplementedError

    def next_due_ms(self) -> int:
        """Boot milliseconds after which the next live window is due (an agent may sleep until then)."""
        raise NotImplementedError

    def registers(self) -> Mapping[ChannelName, tuple[int | None, int | None]]:
        """Each channel's lifetime register and last good raw value, for status and read."""
        raise NotImplementedError
