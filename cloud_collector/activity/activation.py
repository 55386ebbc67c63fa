"""The fact that a device has started to be billed, with what it rests on (P18)."""

from dataclasses import dataclass
from enum import StrEnum

from cloud_collector.contracts.catalog import State


class ActivationCause(StrEnum):
    """Why a device started."""

    IMMEDIATE = "immediate"
    DATE = "date"
    FIRST_USE = "first_use"
    GRACE = "grace"
    STATE = "state"
    """Someone set it active."""
    JOINED = "joined"
    """Its contract had started already."""
    MOVED = "moved"
    """It was active under another contract of the account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The interval that met the rule: which line carries it, and how far usage had come."""

    gateway: str
    device: str
    meter: str
    log: str
    epoch: str
    seq: int
    interval: int
    """Its index in the line."""
    start: int
    end: int
    estimated: bool
    rule: str
    """The threshold as the catalog says it."""
    figure: str
    """What had been reached with this interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """From this instant the device is billed."""

    device: str
    at: int
    cause: ActivationCause
    why: str
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """Someone, or something, put a device into a state."""

    device: str
    state: State
    at: int
