"""Time, handed in: a monotonic clock that survives suspension, and the wall clock with its trust (P13)."""

import asyncio
import ctypes
import time
from pathlib import Path
from typing import Final, Protocol

_ADJTIMEX_ERROR: Final = 5
"""`TIME_ERROR`: the kernel says that its clock is not synchronised (adjtimex(2))."""


class Clock(Protocol):
    """What a party knows of time. Integers in milliseconds; no floats reach a record."""

    def boot_ms(self) -> int:
        """Milliseconds since this boot, suspended time included; never goes back."""

    def utc_ms(self) -> int:
        """Milliseconds since 1970 by the wall clock; may step, drift, or be 1970."""

    def synchronised(self) -> bool:
        """Whether the wall clock is disciplined by a time source at this moment."""

    def boot_id(self) -> str:
        """8 hex digits that change with every boot."""

    async def sleep(self, seconds: float) -> None:
        """Return after this much monotonic time."""


class SystemClock:
    """The machine's own clocks.

    `trusted` believes the wall clock whatever the kernel says: in a container or a virtual machine the
    host keeps the time, and the kernel seen from inside calls it unsynchronised.
    """

    def __init__(self, *, trusted: bool = False) -> None:
        self._trusted = trusted

    def boot_ms(self) -> int:
        """CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def utc_ms(self) -> int:
        """CLOCK_REALTIME."""
        return time.time_ns() // 1_000_000

    def synchronised(self) -> bool:
        """By adjtimex(2); where the kernel cannot be asked (containers), a wall clock past 2026 is believed."""
        if self._trusted:
            return True
        state = _adjtimex_state()
        return self.utc_ms() > 1_767_225_600_000 if state is None else state != _ADJTIMEX_ERROR

    def boot_id(self) -> str:
        """The kernel's random boot id, its first 8 hex digits."""
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running loop."""
        await asyncio.sleep(seconds)


def _adjtimex_state() -> int | None:
    # struct timex is 208 bytes on 64-bit Linux and less on 32-bit; a zeroed larger buffer only asks.
    buffer = ctypes.create_string_buffer(512)
    try:
        state = int(ctypes.CDLL(None, use_errno=True).adjtimex(buffer))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state
