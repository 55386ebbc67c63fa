"""The bench's site: Mosquitto and the bench itself on one core, what is measured alone on another.

Payloads are queued in the broker for a durable session while its consumer is away, so that a consumer
is never slowed by whoever sends. Only what is committed counts: a read-only connection looks at it.
"""

import asyncio
import contextlib
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.effects.broker import BrokerSettings
from shared.effects.mqtt import MqttLink
from shared.topic import Leaf, filter_of
from tests.processes import ROOT, Process, free_port, wait_for_port
from tests.requirements import require

CORES: Final = sorted(os.sched_getaffinity(0))
MEASURED_CORE: Final = CORES[0]
OTHER_CORE: Final = CORES[-1]
PUBLISH_AT_ONCE: Final = 500
POLL_SECONDS: Final = 0.005
DRAIN_SECONDS_MAX: Final = 120.0
TICKS: Final = os.sysconf("SC_CLK_TCK")

Payloads = Sequence[tuple[str, bytes]]
"""Topics and payloads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A program that takes payloads out of the broker and commits lines."""

    name: str
    client_id: str
    prepare: Callable[[Path, int], list[str]]
    """From a fresh folder and the broker's port to the command that starts it; it commits to `store.db` there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What a consumer has done, from the first commit that was seen to the last."""

    lines: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Committed lines a second."""
        return self.lines / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of processor time a line, all threads together."""
        return self.cpu_seconds / self.lines * 1e6


def drain(consumer: Consumer, payloads: Payloads, lines: int) -> Drained:
    """Queue the payloads while the consumer is away, then let it commit all of their lines."""
    with workspace() as folder, broker(folder) as port:
        asyncio.run(queue(consumer.client_id, port, payloads))
        process = Process(consumer.name, consumer.prepare(folder, port), folder / "consumer.log")
        process.start()
        os.sched_setaffinity(process.pid, {MEASURED_CORE})
        try:
            return _watch(process, folder / "store.db", lines)
        finally:
            process.kill()


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """A folder for one measurement, on a file system that counts as a disk."""
    with tempfile.TemporaryDirectory(prefix="meterseal-bench-", dir=ROOT / ".make") as folder:
        yield Path(folder)


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[int]:
    """Mosquitto on a free port of 127.0.0.1; it queues without bound, in memory alone."""
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n"
        "max_inflight_messages 1000\nlog_type error\n",
        encoding="ascii",
    )
    process = Process("mosquitto", [require("mosquitto"), "-c", str(config)], folder / "mosquitto.log")
    process.start()
    os.sched_setaffinity(process.pid, {OTHER_CORE})
    try:
        wait_for_port(port)
        yield port
    finally:
        process.kill()


def settings(port: int, keepalive_seconds: int = 60) -> BrokerSettings:
    """How to reach the bench's broker."""
    return BrokerSettings(host="127.0.0.1", port=port, tls=False, keepalive_seconds=keepalive_seconds)


def python(module: str, *arguments: object) -> list[str]:
    """A command of this Python."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, all its threads. Source: proc_pid_stat(5), fields 14 and 15."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def counters(path: Path) -> Mapping[str, int]:
    """A file of /proc whose lines are a name, a colon and a number."""
    pairs = (line.split(":") for line in path.read_text(encoding="ascii", errors="replace").splitlines() if ":" in line)
    return {name: int(value.split()[0]) for name, value, *_ in pairs if value.split() and value.split()[0].isdigit()}


async def queue(client_id: str, port: int, payloads: Payloads) -> None:
    """The broker keeps the payloads for this client."""
    async with MqttLink(settings(port), client_id).session() as session:
        await session.subscribe(filter_of(Leaf.REPORT))
    async with MqttLink(settings(port), "bench-publisher").session() as session:
        for at in range(0, len(payloads), PUBLISH_AT_ONCE):
            part = payloads[at : at + PUBLISH_AT_ONCE]
            await asyncio.gather(*(session.publish(topic, payload) for topic, payload in part))


def _watch(process: Process, path: Path, lines: int) -> Drained:
    began = time.monotonic()
    until = began + DRAIN_SECONDS_MAX
    first: tuple[int, float, float] | None = None
    while time.monotonic() < until:
        assert process.alive(), f"{process.name} ended: {process.log.read_text(encoding='utf-8')[-2000:]}"
        done = committed(path)
        if first is None and done:
            # One transaction may have taken everything: then it counts from the start of the process.
            first = (0, began, 0.0) if done == lines else (done, time.monotonic(), cpu_seconds(process.pid))
        if first is not None and done == lines:
            seconds, cpu = time.monotonic() - first[1], cpu_seconds(process.pid) - first[2]
            assert committed(path, exactly=True) == lines
            return Drained(lines=lines - first[0], seconds=seconds, cpu_seconds=cpu)
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"{process.name} committed {committed(path)} of {lines} lines in {DRAIN_SECONDS_MAX:.0f} s")


def committed(path: Path, *, exactly: bool = False) -> int:
    """How many lines are committed: by the last one's number, or exactly, one by one."""
    if not path.exists():
        return 0
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)
    try:
        counted = "count(*)" if exactly else "coalesce(max(rowid), 0)"
        return int(database.execute(f"select {counted} from line").fetchone()[0])
    except sqlite3.OperationalError:  # It is being made.
        return 0
    finally:
        database.close()
