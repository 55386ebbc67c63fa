"""The agent's own weight: memory, processor and flash of real `edge-agent run` processes with a hundred channels.

One has its channels on Modbus TCP: five meters of twenty channels each, all read every second from a
pymodbus server in a process of its own. Another has those of 34 `proc` sources, each reading three figures
of the collector's process from /proc: the cheapest source whose every reading is a real one. Flash is
measured on two further agents whose hour lasts a minute: intervals, windows and commits are sixty times as
short, so that a commit and a sealed line write what they would write, sixty times as often.
"""

import asyncio
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.sources.modbus_templates import load_template
from shared.key import SigningKey
from tests.bench.figure import Figure, Say
from tests.bench.intake import collector_config
from tests.bench.site import OTHER_CORE, broker, counters, cpu_seconds, queue, workspace
from tests.processes import Process, command, free_port, wait_for_port, wait_until

SOURCES: Final = 34
CHANNELS: Final = SOURCES * 3
METERS: Final = 5
METER_CHANNELS: Final = 20
TEMPLATE: Final = "eastron-sdm630"
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
MODBUS: Final = Kept(name="bench-modbus", step_seconds=60, commit_seconds=60)
KEPT: Final = (REAL, MINUTE, SPARING, MODBUS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What a process weighs, in MiB, and the part of a core that it takes."""

    rss: float
    pss: float
    share: float


def agent(say: Say, *, seconds: int) -> list[Figure]:
    """Run the four agents beside each other for so long."""
    keys = {kept.name: SigningKey(random.Random(kept.name).randbytes(32)) for kept in KEPT}
    with workspace() as folder, broker(folder) as port:
        config = collector_config(folder, port, {name: key.public for name, key in keys.items()})
        asyncio.run(queue("_collector", port, []))
        collector = Process("collector", [*command("cloud-collector"), "--config", str(config), "run"], folder / "log")
        collector.start()
        (folder / "pid").write_text(str(collector.pid), encoding="ascii")
        meters, meters_port = _meters(folder)
        sources = {kept.name: _processes(folder) for kept in KEPT} | {MODBUS.name: _modbus(meters_port)}
        agents = {name: _agent(folder, port, kept, keys[name], sources[name]) for kept in KEPT if (name := kept.name)}
        try:
            wait_for_port(meters_port)
            first = _first_reading(agents[MODBUS.name], meters)
            for name, each in agents.items():
                if name != MODBUS.name:
                    each.start()
                os.sched_setaffinity(each.pid, {OTHER_CORE})
            for name in agents:
                spool = folder / name / "spool.db"
                wait_until(spool.exists, 30, f"{name} has opened its spool")
            say(f"{CHANNELS} channels read every second")
            time.sleep(SETTLE_SECONDS)
            cpu = {name: cpu_seconds(each.pid) for name, each in agents.items()}
            written = {name: _written(each.pid) for name, each in agents.items()}
            began = time.monotonic()
            time.sleep(seconds)
            elapsed = time.monotonic() - began
            for each in agents.values():
                assert each.alive(), each.log.read_text(encoding="utf-8")[-2000:]
            weights = {name: _weight(each.pid, cpu[name], elapsed) for name, each in agents.items()}
            a_day = {
                name: (_written(each.pid) - written[name]) / elapsed * DAY / FASTER / MIB
                for name, each in agents.items()
            }
            assert "source_down" not in agents[MODBUS.name].events
        finally:
            for each in (*agents.values(), collector, meters):
                if each.starts:
                    each.kill()
    return _figures(seconds, weights, a_day, first)


def _figures(seconds: int, weights: dict[str, Weight], a_day: dict[str, float], first: float) -> list[Figure]:
    over = f"{METERS * METER_CHANNELS} channels of {METERS} meters over Modbus TCP, read every second for {seconds} s"
    how = f"{CHANNELS} channels of {SOURCES} proc sources, read every second for {seconds} s"
    flash = f"write_bytes of /proc/PID/io in {seconds} s at {FASTER} times the pace, sealed lines and receipts among it"
    modbus, proc = weights[MODBUS.name], weights[REAL.name]

    def figure(name: str, value: float, unit: str, most: float | None, note: str) -> Figure:
        return Figure(room="agent", name=name, value=value, unit=unit, most=most, note=note)

    return [
        figure("resident memory, Modbus", modbus.rss, "MiB", 40, over),
        figure("processor, Modbus", modbus.share * 100, "% of a core", 1, over),
        figure(
            "start to first reading", first, "s", 1, "from the start of `edge-agent run` to the first answered request"
        ),
        figure("resident memory", proc.rss, "MiB", 40, how),
        figure("proportional share of it", proc.pss, "MiB", None, "PSS: what is shared with other processes, in parts"),
        figure("processor", proc.share * 100, "% of a core", 1, how),
        figure("written a day, commit_seconds = 60", a_day[MINUTE.name], "MiB", 25, flash),
        figure("written a day, commit_seconds = 300", a_day[SPARING.name], "MiB", 10, flash),
    ]


def _weight(pid: int, cpu: float, elapsed: float) -> Weight:
    memory = counters(Path(f"/proc/{pid}/smaps_rollup"))
    return Weight(rss=memory["Rss"] / 1024, pss=memory["Pss"] / 1024, share=(cpu_seconds(pid) - cpu) / elapsed)


def _meters(folder: Path) -> tuple[Process, int]:
    """The meters' process, started, and the port where they answer."""
    port = free_port()
    devices = [part for at in range(1, METERS + 1) for part in ("--device", f"meter-{at}={at}:{TEMPLATE}")]
    meters = Process(
        "meters", [sys.executable, "-m", "tests.modbus_peer", "--port", str(port), *devices], folder / "meters.log"
    )
    meters.start()
    return meters, port


def _first_reading(process: Process, meters: Process) -> float:
    """Start the agent; how long it took until a meter answered it."""
    seen: dict[str, float] = {}
    meters.on_event = lambda event: seen.update({event: time.monotonic()})
    began = time.monotonic()
    process.start()
    wait_until(lambda: "first_request" in seen, 30, "a meter was asked")
    return seen["first_request"] - began


def _processes(site: Path) -> str:
    return "".join(
        f'[[sources]]\ntype = "proc"\nname = "proc-{at}"\ndevice = "process-{at}"\npid_file = "{site}/pid"\n'
        for at in range(SOURCES)
    )


def _modbus(port: int) -> str:
    chosen = list(load_template(TEMPLATE).channels)[:METER_CHANNELS]
    return f'[[sources]]\ntype = "modbus"\nhost = "127.0.0.1"\nport = {port}\npoll_seconds = 1.0\n' + "".join(
        f'[[sources.devices]]\ntemplate = "{TEMPLATE}"\nunit_id = {at}\ndevice = "meter-{at}"\nmeters = {chosen}\n'
        for at in range(1, METERS + 1)
    )


def _written(pid: int) -> int:
    return counters(Path(f"/proc/{pid}/io"))["write_bytes"]


def _agent(site: Path, port: int, kept: Kept, key: SigningKey, sources: str) -> Process:
    folder = site / kept.name
    folder.mkdir()
    private = folder / "gateway.key"
    private.touch(mode=0o600)
    private.write_text(key.pem, encoding="ascii")
    receipt = SigningKey.from_pem((site / "receipt.key").read_text(encoding="ascii")).public
    (folder / "receipt.pub").write_text(receipt.pem, encoding="ascii")
    config = folder / "agent.toml"
    config.write_text(
        f'gateway = "{kept.name}"\nkey_file = "{private}"\nreceipt_key_files = ["{folder}/receipt.pub"]\n'
        f'spool_path = "{folder}/spool.db"\nstep_seconds = {kept.step_seconds}\n'
        f"commit_seconds = {kept.commit_seconds}\n"
        f'[broker]\nhost = "127.0.0.1"\nport = {port}\ntls = false\n{sources}',
        encoding="ascii",
    )
    return Process(kept.name, [*command("edge-agent"), "run", "--config", str(config)], folder / "log")
