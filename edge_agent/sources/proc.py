"""CPU time and bytes read and written of a process or a cgroup."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcSettings:
    """Which process or cgroup is metered; exactly one of `pid_file`, `process` and `cgroup`."""

    kind: Literal["proc"] = "proc"
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
