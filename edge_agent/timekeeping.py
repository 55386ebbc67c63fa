"""How far the clock is trusted (P13): the letter of a line, and where boot time lies in UTC."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One sample of the Clock, taken by the agent: all its figures belong to one moment."""

    boot_ms: int
    utc_ms: int
    synchronised: bool
    boot_id: str
