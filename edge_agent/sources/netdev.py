"""Bytes in and out of network interfaces, from /proc/net/dev.

A device is an interface; its meters are `data_up` (sent) and `data_down` (received), in bytes. The
kernel counts from the interface's making: boot id and interface index are the generation (P4).
Source: proc_pid_net(5), /proc/net/dev; /sys/class/net/<interface>/ifindex.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Literal

from edge_agent.invalid import InvalidSetting, require_source, require_within
from edge_agent.reading import ChannelSpec, Kind, Reading, SourceDown
from shared.effects.clock import Clock
from shared.grammar import NAME_PATTERN
from shared.limits import INTEGER_MAX, NAME_CHARS_MAX

INTERFACES_MAX: Final = 256
_SENT_COLUMN: Final = 8
_UNNAMEABLE: Final = re.compile(r"[^a-z0-9_.-]", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetdevSettings:
    """Which interfaces are metered, and how often."""

    type: Literal["netdev"] = "netdev"
    name: str = "netdev"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 1.0
    """How often it is read."""
    interfaces: tuple[str, ...] = ("*",)
    """Names or patterns (`eth*`) of the interfaces that exist at the start; loopback only where it is named."""
    rate_max: int = 12_500_000_000
    """The most bytes a second that can be true of one direction of one interface."""

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        require_within("rate_max", self.rate_max, 1, INTEGER_MAX)
        if not self.interfaces:
            raise InvalidSetting("interfaces", 'must name at least one interface, or "*" for all')


class NetdevSource:
    """Reads the kernel's counters of the interfaces that were there at the start, or are named."""

    def __init__(
        self, settings: NetdevSettings, clock: Clock, *, proc: Path = Path("/proc"), sys: Path = Path("/sys")
    ) -> None:
        self.name = settings.name
        self.poll_seconds = settings.poll_seconds
        self._clock = clock
        self._table = proc / "net/dev"
        self._classes = sys / "class/net"
        self._devices = {name: device_of(name) for name in self._chosen(settings.interfaces)}
        self.channels = tuple(
            ChannelSpec(
                device=device,
                meter=meter,
                unit="By",
                exponent=0,
                kind=Kind.COUNTER,
                source=settings.name,
                log=settings.log,
                rate_max=settings.rate_max,
            )
            for device in self._devices.values()
            for meter in ("data_up", "data_down")
        )

    async def read(self) -> Sequence[Reading]:
        """Two readings for each interface that is there now; raises SourceDown."""
        counters = self._counters()
        at_ms = self._clock.boot_ms()
        boot = self._clock.boot_id()
        readings = []
        for name, device in self._devices.items():
            index = self._index(name)
            if name not in counters or index is None:
                continue
            received, sent = counters[name]
            for meter, value in (("data_up", sent), ("data_down", received)):
                readings.append(
                    Reading(device=device, meter=meter, value=value, at_ms=at_ms, generation=f"{boot}.{index}")
                )
        if not readings:
            raise SourceDown(f"none of the network interfaces {', '.join(self._devices) or '(none found)'} is there")
        return readings

    async def close(self) -> None:
        """Nothing is held."""

    def _chosen(self, patterns: Sequence[str]) -> list[str]:
        try:
            there = list(self._counters())
        except SourceDown:
            there = []
        named = [pattern for pattern in patterns if not set(pattern) & set("*?[")]
        found = [
            name
            for name in there
            if name not in named and name != "lo" and any(fnmatchcase(name, pattern) for pattern in patterns)
        ]
        return sorted({*named, *found})[:INTERFACES_MAX]

    def _counters(self) -> dict[str, tuple[int, int]]:
        try:
            rows = self._table.read_text(encoding="utf-8").splitlines()[2:]
            split = [row.rpartition(":") for row in rows]
            columns = {name.strip(): rest.split() for name, _, rest in split}
            return {name: (int(values[0]), int(values[_SENT_COLUMN])) for name, values in columns.items()}
        except (OSError, ValueError, IndexError) as error:
            raise SourceDown(f"{self._table} cannot be read: {error}") from error

    def _index(self, name: str) -> int | None:
        try:
            return int((self._classes / name / "ifindex").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None


def device_of(interface: str) -> str:
    """The device name of an interface: its own where the wire allows it (`eth0.100`), else the nearest that it does."""
    name = _UNNAMEABLE.sub("_", interface.lower())[:NAME_CHARS_MAX]
    return name if NAME_PATTERN.fullmatch(name) else "_"
