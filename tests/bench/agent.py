"""The agent's own weight: memory, processor and flash of real `edge-agent run` processes with a hundred channels.

The channels are those of 34 `proc` sources, each reading three figures of the collector's process from
/proc every second: the cheapest source whose every reading is a real one. Flash is measured on two further
agents whose hour lasts a minute: intervals, windows and commits are sixty times as short, so that a
commit and a sealed line write what they would write, sixty times as often.
"""

import asyncio
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.key import SigningKey
from tests.bench.figure import Figure, Say
from tests.bench.intake import collector_config
from tests.bench.site import OTHER_CORE, broker, counters, cpu_seconds, queue, workspace
from tests.processes import Process, command, wait_until

SOURCES: Final = 34
CHANNELS: Final = SOURCES * 3
SETTLE_SECONDS: Final = 5.0
"""After the first commit: the birth is sealed, sent and receipted."""
MIB: Final = 1024 * 1024
DAY: Final = 86_400
FASTER: Final = 60
"""How many times as short the hour of the agents is whose writing is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An agent as it is configured: seconds of an interval and between commits."""

    name: str
    step_seconds: int
    commit_seconds: int


REAL: Final = Kept(name="bench-agent", step_seconds=60, commit_seconds=60)
MINUTE: Final = Kept(name="bench-commit-60", step_seconds=60 // FASTER, commit_seconds=60 // FASTER)
SPARING: Final = Kept(name="bench-commit-300", step_seconds=60 // FASTER, commit_seconds=300 // FASTER)


def agent(say: Say, *, seconds: int) -> list[Figure]:
    """Run the three agents beside each other for so long."""
    keys = {kept.name: SigningKey(random.Random(kept.name).randbytes(32)) for kept in (REAL, MINUTE, SPARING)}
    with workspace() as folder, broker(folder) as port:
        config = collector_config(folder, port, {name: key.public for name, key in keys.items()})
        asyncio.run(queue("_collector", port, []))
        collector = Process("collector", [*command("cloud-collector"), "--config", str(config), "run"], folder / "log")
        collector.start()
        (folder / "pid").write_text(str(collector.pid), encoding="ascii")
        agents = {
            name: _agent(folder, port, kept, keys[name]) for kept in (REAL, MINUTE, SPARING) if (name := kept.name)
        }
        try:
            for each in agents.values():
                each.start()
                os.sched_setaffinity(each.pid, {OTHER_CORE})
            for name in agents:
                spool = folder / name / "spool.db"
                wait_until(spool.exists, 30, f"{name} has opened its spool")
            say(f"{CHANNELS} channels read every second")
            time.sleep(SETTLE_SECONDS)
            cpu = cpu_seconds(agents[REAL.name].pid)
            written = {name: _written(each.pid) for name, each in agents.items()}
            began = time.monotonic()
            time.sleep(seconds)
            elapsed = time.monotonic() - began
            for each in agents.values():
                assert each.alive(), each.log.read_text(encoding="utf-8")[-2000:]
            share = (cpu_seconds(agents[REAL.name].pid) - cpu) / elapsed
            memory = counters(Path(f"/proc/{agents[REAL.name].pid}/smaps_rollup"))
            a_day = {
                name: (_written(each.pid) - written[name]) / elapsed * DAY / FASTER / MIB
                for name, each in agents.items()
            }
        finally:
            for each in (*agents.values(), collector):
                each.kill()
    return _figures(seconds, memory["Rss"] / 1024, memory["Pss"] / 1024, share, a_day)


def _figures(seconds: int, rss: float, pss: float, share: float, a_day: dict[str, float]) -> list[Figure]:
    how = f"{CHANNELS} channels of {SOURCES} proc sources, read every second for {seconds} s"
    flash = f"write_bytes of /proc/PID/io in {seconds} s at {FASTER} times the pace, sealed lines and receipts among it"

    def figure(name: str, value: float, unit: str, most: float | None, note: str) -> Figure:
        return Figure(room="agent", name=name, value=value, unit=unit, most=most, note=note)

    return [
        figure("resident memory", rss, "MiB", 40, how),
        figure("proportional share of it", pss, "MiB", None, "PSS: what is shared with other processes, in parts"),
        figure("processor", share * 100, "% of a core", 1, how),
        figure("written a day, commit_seconds = 60", a_day[MINUTE.name], "MiB", 25, flash),
        figure("written a day, commit_seconds = 300", a_day[SPARING.name], "MiB", 10, flash),
    ]


def _written(pid: int) -> int:
    return counters(Path(f"/proc/{pid}/io"))["write_bytes"]


def _agent(site: Path, port: int, kept: Kept, key: SigningKey) -> Process:
    folder = site / kept.name
    folder.mkdir()
    private = folder / "gateway.key"
    private.touch(mode=0o600)
    private.write_text(key.pem, encoding="ascii")
    receipt = SigningKey.from_pem((site / "receipt.key").read_text(encoding="ascii")).public
    (folder / "receipt.pub").write_text(receipt.pem, encoding="ascii")
    sources = "".join(
        f'[[sources]]\ntype = "proc"\nname = "proc-{at}"\ndevice = "process-{at}"\npid_file = "{site}/pid"\n'
        for at in range(SOURCES)
    )
    config = folder / "agent.toml"
    config.write_text(
        f'gateway = "{kept.name}"\nkey_file = "{private}"\nreceipt_key_files = ["{folder}/receipt.pub"]\n'
        f'spool_path = "{folder}/spool.db"\nstep_seconds = {kept.step_seconds}\n'
        f"commit_seconds = {kept.commit_seconds}\n"
        f'[broker]\nhost = "127.0.0.1"\nport = {port}\ntls = false\n{sources}',
        encoding="ascii",
    )
    return Process(kept.name, [*command("edge-agent"), "run", "--config", str(config)], folder / "log")
