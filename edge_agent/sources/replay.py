"""Readings from a CSV file, sealed under their own times."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayChannel:
    """One channel of a replayed file: what its values mean."""

    device: str
    meter: str
    unit: str
    exponent: int = 0
    """A value of the file counts 10^exponent units."""
    rate_max: int
    """The most integer units a second that can be true."""
    kind: Literal["counter", "gauge", "pulse", "event", "state"] = "counter"
    width_bits: int | None = None
    """Where the meter rolls over: after 2^width_bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """Which file is replayed, and which channels it holds."""

    kind: Literal["replay"] = "replay"
    name: str = "replay"
    """The source's name in messages; unique in a configuration."""
    log: str = "replay"
    """The log that its channels are sealed in; no other source may share it."""
    poll_seconds: float = 1.0
    """How often a following replay looks whether the next reading's time has come."""
    path: Path
    """CSV with the header at,device,meter,value[,serial][,generation]; times in RFC 3339, ascending."""
    follow: bool = False
    """Whether readings later than now wait for their time to come."""
    channels: tuple[ReplayChannel, ...]
    """The channels in the file; a row of any other is an error."""
