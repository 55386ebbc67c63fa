"""How a program tells the service manager that it lives: READY, STATUS, WATCHDOG, RELOADING, STOPPING.

A datagram to the socket that `NOTIFY_SOCKET` names; without one nothing is said. Source: sd_notify(3).
"""

import os
import socket
import time
from collections.abc import Mapping
from typing import Final

STATUS_CHARS_MAX: Final = 512
"""A status is one line that people read; what is longer is cut."""


class Notifier:
    """The way to the service manager, if there is one."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._status = ""
        self.watchdog_seconds = _watchdog_seconds(environment)
        """Within which time a beat is expected; None where nobody expects one."""

    @property
    def listened_to(self) -> bool:
        """Whether a service manager listens."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """The start, or a reload, is complete."""
        self._status = _one_line(status)
        self._send("READY=1", f"STATUS={self._status}")

    def status(self, status: str) -> None:
        """How it stands, for `systemctl status`; said only when it has changed."""
        status = _one_line(status)
        if status != self._status:
            self._status = status
            self._send(f"STATUS={status}")

    def beat(self) -> None:
        """It has made progress."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self, status: str = "stopping") -> None:
        """The end has begun."""
        self._status = _one_line(status)
        self._send("STOPPING=1", f"STATUS={self._status}")

    def _send(self, *fields: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
                door.setblocking(False)
                door.connect(self._address)
                door.send("\n".join(fields).encode())
        except OSError:
            # Whoever asked to be told does not listen; metering goes on without being seen.
            return


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """Source: sd_watchdog_enabled(3)."""
    microseconds, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(microseconds) / 1_000_000


def _one_line(text: str) -> str:
    return " ".join(text.split())[:STATUS_CHARS_MAX]
