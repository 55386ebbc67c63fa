"""CPU time and bytes read and written of a process or a cgroup.

Meters: `cpu` in milliseconds (unit s, exponent -3), `disk_read` and `disk_write` in bytes. A process
counts from its start: boot id, pid and start time are the generation; a cgroup from its making, known
by its inode (P4). What the kernel does not tell (another user's I/O) is not read.
Source: proc_pid_stat(5), proc_pid_io(5); cgroup v2, cpu.stat and io.stat.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from edge_agent.invalid import InvalidSetting, require_fits, require_source, require_within
from edge_agent.reading import ChannelSpec, Kind, Reading, SourceDown
from shared.effects.clock import Clock
from shared.limits import INTEGER_MAX

CPUS_MAX: Final = 4_096
_STAT_USER: Final = 11
_STAT_SYSTEM: Final = 12
_STAT_START: Final = 19
"""Places in /proc/<pid>/stat after the name's closing bracket (fields 14, 15 and 22 of the manual)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcSettings:
    """Which process or cgroup is metered; exactly one of `pid_file`, `process` and `cgroup`."""

    type: Literal["proc"] = "proc"
    name: str = "proc"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 1.0
    """How often it is read."""
    device: str
    """What is metered, as the catalog calls it."""
    pid_file: Path | None = None
    """A file that holds the process id."""
    process: str | None = None
    """The process's name, as `ps -o comm` shows it; exactly one process may bear it."""
    cgroup: Path | None = None
    """A cgroup v2 directory, such as /sys/fs/cgroup/system.slice/nginx.service."""
    cpus_max: int = 256
    """The most CPUs that it can use at once."""
    bytes_rate_max: int = 12_500_000_000
    """The most bytes a second that it can read or write."""

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        require_fits("device", self.device)
        require_within("cpus_max", self.cpus_max, 1, CPUS_MAX)
        require_within("bytes_rate_max", self.bytes_rate_max, 1, INTEGER_MAX)
        given = [key for key in ("pid_file", "process", "cgroup") if getattr(self, key) is not None]
        if len(given) != 1:
            raise InvalidSetting(
                given[1] if given else "device", "needs exactly one of pid_file, process and cgroup in its source"
            )


@dataclass(frozen=True, slots=True)
class _Figures:
    generation: str
    cpu_ms: int
    read_bytes: int | None
    written_bytes: int | None


class ProcSource:
    """Reads the kernel's accounts of one process or cgroup."""

    def __init__(self, settings: ProcSettings, clock: Clock, *, proc: Path = Path("/proc")) -> None:
        self.name = settings.name
        self.poll_seconds = settings.poll_seconds
        self._settings = settings
        self._clock = clock
        self._proc = proc
        self._ticks = os.sysconf("SC_CLK_TCK")
        meters = (
            ("cpu", "s", -3, 1_000 * settings.cpus_max),
            ("disk_read", "By", 0, settings.bytes_rate_max),
            ("disk_write", "By", 0, settings.bytes_rate_max),
        )
        self.channels = tuple(
            ChannelSpec(
                device=settings.device,
                meter=meter,
                unit=unit,
                exponent=exponent,
                kind=Kind.COUNTER,
                source=settings.name,
                log=settings.log,
                rate_max=rate_max,
            )
            for meter, unit, exponent, rate_max in meters
        )

    async def read(self) -> Sequence[Reading]:
        """What the kernel tells of it now; raises SourceDown."""
        try:
            cgroup = self._settings.cgroup
            figures = self._process(self._pid()) if cgroup is None else self._cgroup(cgroup)
        except (OSError, ValueError, IndexError, KeyError) as error:
            raise SourceDown(f"{self._what} cannot be read: {error}") from error
        at_ms = self._clock.boot_ms()
        values = (("cpu", figures.cpu_ms), ("disk_read", figures.read_bytes), ("disk_write", figures.written_bytes))
        return [
            Reading(device=self._settings.device, meter=meter, value=value, at_ms=at_ms, generation=figures.generation)
            for meter, value in values
            if value is not None
        ]

    async def close(self) -> None:
        """Nothing is held."""

    @property
    def _what(self) -> str:
        settings = self._settings
        if settings.cgroup is not None:
            return f"the cgroup {settings.cgroup}"
        if settings.process is not None:
            return f"the process {settings.process}"
        return f"the process of {settings.pid_file}"

    def _pid(self) -> int:
        settings = self._settings
        if settings.pid_file is not None:
            return int(settings.pid_file.read_text(encoding="ascii"))
        named = [
            int(path.parent.name)
            for path in self._proc.glob("[0-9]*/comm")
            if _text(path).rstrip("\n") == settings.process
        ]
        if len(named) != 1:
            count = "no process" if not named else f"{len(named)} processes"
            raise SourceDown(f"{count} with the name {settings.process} where exactly one was expected")
        return named[0]

    def _process(self, pid: int) -> _Figures:
        folder = self._proc / str(pid)
        stat = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        ticks = int(stat[_STAT_USER]) + int(stat[_STAT_SYSTEM])
        read_bytes: int | None = None
        written_bytes: int | None = None
        try:
            rows = (row.split(": ") for row in (folder / "io").read_text(encoding="ascii").splitlines())
            io = {name: int(value) for name, value in rows}
            read_bytes, written_bytes = io["read_bytes"], io["write_bytes"]
        except PermissionError:
            pass  # Another user's process: its CPU time is public, its input and output are not.
        return _Figures(
            generation=f"{self._clock.boot_id()}.{pid}.{stat[_STAT_START]}",
            cpu_ms=ticks * 1_000 // self._ticks,
            read_bytes=read_bytes,
            written_bytes=written_bytes,
        )

    def _cgroup(self, folder: Path) -> _Figures:
        rows = (row.split() for row in (folder / "cpu.stat").read_text(encoding="ascii").splitlines())
        usage_us = {name: int(value) for name, value in rows}["usage_usec"]
        read_bytes: int | None = None
        written_bytes: int | None = None
        if (folder / "io.stat").exists():
            words = [word.partition("=") for word in (folder / "io.stat").read_text(encoding="ascii").split()]
            read_bytes = sum(int(value) for name, _, value in words if name == "rbytes")
            written_bytes = sum(int(value) for name, _, value in words if name == "wbytes")
        return _Figures(
            generation=f"{self._clock.boot_id()}.{folder.stat().st_ino}",
            cpu_ms=usage_us // 1_000,
            read_bytes=read_bytes,
            written_bytes=written_bytes,
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # It ended between the listing and the look.
