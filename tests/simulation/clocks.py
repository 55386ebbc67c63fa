"""Every party's own idea of time: boots, drift, steps of the wall clock, a boot in 1970 (P13)."""

import asyncio
from typing import Final

from tests.simulation.simloop import Power, SimLoop

EPOCH_SECONDS: Final = 1_780_000_000
"""The world's true UTC when the simulation begins: 2026-05-28."""


def true_utc_ms(loop: SimLoop) -> int:
    """The world's true time."""
    return EPOCH_SECONDS * 1000 + int(loop.now * 1000)


class Machine:
    """A party's hardware clock; survives its processes, not its power cuts."""

    def __init__(self, loop: SimLoop, *, drift_ppm: int = 0, has_rtc: bool = True) -> None:
        self.loop = loop
        self.has_rtc = has_rtc
        self._drift_ppm = drift_ppm
        self._booted = 0.0
        self._wall_offset_ms = 0
        self.is_synchronised = True
        self.boot = ""

    def power_on(self, boot: str, *, synchronised: bool, uptime_seconds: float = 20.0) -> None:
        """A new boot; without a real-time clock and a time source it begins in 1970."""
        self.boot = boot
        self._booted = self.loop.now - uptime_seconds
        self.is_synchronised = synchronised
        true_ms = true_utc_ms(self.loop)
        self._wall_offset_ms = 0 if synchronised or self.has_rtc else self.boot_ms() - true_ms

    def synchronise(self) -> None:
        """A time source is found: the wall clock steps to the truth."""
        self.is_synchronised = True
        self._wall_offset_ms = 0

    def step(self, milliseconds: int, *, synchronised: bool) -> None:
        """Somebody sets the wall clock."""
        self._wall_offset_ms += milliseconds
        self.is_synchronised = synchronised

    def boot_ms(self) -> int:
        """Milliseconds since boot, as this machine's crystal counts them."""
        elapsed = (self.loop.now - self._booted) * 1000
        return int(elapsed) + int(elapsed) * self._drift_ppm // 1_000_000

    def utc_ms(self) -> int:
        """The wall clock; disciplined, it follows the truth and not the crystal."""
        true_ms = true_utc_ms(self.loop)
        if self.is_synchronised:
            return true_ms + self._wall_offset_ms
        return true_ms + self._wall_offset_ms + int(self.loop.now * 1000) * self._drift_ppm // 1_000_000


class SimClock:
    """What one process sees of its machine's clock, for as long as it has power."""

    def __init__(self, machine: Machine, power: Power) -> None:
        self._machine = machine
        self._power = power

    def boot_ms(self) -> int:
        self._power.use()
        return self._machine.boot_ms()

    def utc_ms(self) -> int:
        self._power.use()
        return self._machine.utc_ms()

    def synchronised(self) -> bool:
        self._power.use()
        return self._machine.is_synchronised

    def boot_id(self) -> str:
        self._power.use()
        return self._machine.boot

    async def sleep(self, seconds: float) -> None:
        self._power.use()
        await asyncio.sleep(seconds)
