"""A number that a command prints."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSettings:
    """Which command is run, and what its number means."""

    kind: Literal["exec"] = "exec"
    name: str = "exec"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channel is sealed in."""
    poll_seconds: float = 60.0
    """How often the command is run."""
    device: str
    meter: str
    unit: str
    exponent: int = 0
    """The register counts steps of 10^exponent units; the printed number is in units."""
    command: tuple[str, ...]
    """Program and arguments; no shell unless one is named: ["sh", "-c", "…"]."""
    timeout_seconds: float = 10.0
    """How long the command may take."""
    counter: Literal["counter", "gauge"] = "counter"
    """A counter's printed number is its total; a gauge's is a rate, integrated over time."""
    rate_max: int
    """The most integer steps a second that can be true."""
    serial: str = ""
    """The serial number of the meter behind the command, where it is known."""
