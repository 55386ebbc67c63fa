"""The agent beside thingsboard-gateway on the same machine, broker and Modbus server, in one run.

Weight: idle, then with a hundred counters read every second. Loss: the broker goes away, everything is
killed with SIGKILL in the middle of that, starts again, and the broker comes back. A day's volume: 1,440
readings of each counter while the broker is away. thingsboard-gateway runs twice, with its default
queue in memory and with the one in SQLite; all its other limits are taken away. A reading is lost if the Modbus
server has answered it and the server of the other side never gets it; a unit is lost if the meter has
counted it and no line says so.
"""

import asyncio
import csv
import json
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cloud_collector.store.account import account
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.key import SigningKey
from tests.bench.counters import WORDS
from tests.bench.figure import Figure, Say
from tests.bench.intake import collector_config
from tests.bench.site import OTHER_CORE, counters, cpu_seconds, python, queue, workspace
from tests.bench.thingsboard import Server, ThingsBoard, installed
from tests.processes import Process, command, free_port, mosquitto, wait_for_port, wait_until
from tests.requirements import require

CHANNELS: Final = 100
MIB: Final = 1024 * 1024
IDLE_SECONDS: Final = 10.0
STILL_SECONDS: Final = 30.0
"""What has not come after so long a silence does not come."""
OURS: Final = "edge-agent"
DAY_READINGS: Final = 1_440


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What a process takes."""

    rss: float
    cpu: float


@dataclass(slots=True, kw_only=True)
class _Site:
    """Everybody on the machine, each with a unit id of the Modbus server."""

    folder: Path
    broker: Process
    broker_port: int
    modbus_port: int
    counters: Process
    server: Server
    ours: Process
    others: list[ThingsBoard]

    @property
    def processes(self) -> dict[str, Process]:
        return {OURS: self.ours, **{each.name: each.process for each in self.others}}

    def told(self, unit: int) -> Mapping[str, int]:
        """What the Modbus server has told the client of a unit."""
        found: dict[str, int] = json.loads((self.folder / f"{unit}.json").read_text(encoding="ascii"))
        return found


def beside(say: Say, *, seconds: int, readings: int = DAY_READINGS) -> list[Figure]:
    """Measure both, or say that the other one cannot be had."""
    say("installing thingsboard-gateway")
    if not installed():
        sys.stderr.write("thingsboard-gateway cannot be fetched from PyPI: nothing is measured beside it\n")
        return []
    (idle, loaded), lost = _weigh_and_kill(say, seconds)
    return [*_weights(idle, loaded, seconds), *lost, *_a_day(say, readings)]


def _weigh_and_kill(say: Say, seconds: int) -> tuple[tuple[dict[str, Weight], dict[str, Weight]], list[Figure]]:
    with workspace() as folder:
        site = _open(folder)
        collector = _collector(site)
        try:
            say("both idle")
            idle = _weigh(site, IDLE_SECONDS, settle=IDLE_SECONDS)
            for each in site.processes.values():
                each.stop()
            _agent(site, _modbus_source(site.modbus_port))
            for unit, other in enumerate(site.others, start=2):
                other.reads(site.modbus_port, unit, CHANNELS, poll_ms=1_000)
            say(f"both read {CHANNELS} counters every second")
            loaded = _weigh(site, seconds, settle=IDLE_SECONDS)
            say("the broker is away, everybody is killed and started again")
            site.broker.stop()
            time.sleep(seconds)
            for each in site.processes.values():
                each.kill()
            for each in site.processes.values():
                each.start()
            time.sleep(seconds / 3)
            site.broker.start()
            wait_for_port(site.broker_port)
            time.sleep(seconds / 3)
            (folder / "silent").touch()
            _wait_still(lambda: (_counted(folder), sum(site.server.readings.values())))
            return (idle, loaded), _losses(site, "after an outage of the broker with a SIGKILL in its midst")
        finally:
            site.server.close()
            _end(*site.processes.values(), collector, site.broker, site.counters)


def _a_day(say: Say, readings: int) -> list[Figure]:
    with workspace() as folder:
        site = _open(folder)
        collector = _collector(site)
        try:
            say(f"{readings} readings of each counter while the broker is away")
            for unit, each in enumerate(site.others, start=2):
                each.reads(site.modbus_port, unit, CHANNELS, poll_ms=100)
                each.process.start()
            wait_until(lambda: all(site.server.readings[each.name] for each in site.others), 60, "both send")
            site.broker.stop()
            units = _write_day(folder / "day.csv", readings)
            _agent(site, f'[[sources]]\ntype = "replay"\npath = "{folder}/day.csv"\n' + _replayed())
            site.ours.start()
            before = {unit: site.told(unit)["readings"] for unit in (2, 3)}
            while any(site.told(unit)["readings"] - at < readings * CHANNELS for unit, at in before.items()):
                time.sleep(1)
            (folder / "silent").touch()
            time.sleep(1)
            site.broker.start()
            wait_for_port(site.broker_port)
            _wait_still(lambda: (_counted(folder), sum(site.server.readings.values())))
            what = f"after {readings} readings of each counter without the broker"
            lost = units - _counted(folder)
            return [_loss(f"units lost {what}", lost, f"{OURS}: a CSV of {units} units was replayed meanwhile")] + [
                _lost_readings(site, each, unit, what) for unit, each in enumerate(site.others, start=2)
            ]
        finally:
            site.server.close()
            _end(*site.processes.values(), collector, site.broker, site.counters)


def _end(*processes: Process) -> None:
    for each in processes:
        if each.alive():
            each.kill()


def _open(folder: Path) -> _Site:
    broker_port, modbus_port = free_port(), free_port()
    require("mosquitto")
    broker = mosquitto(folder, broker_port)
    broker.start()
    wait_for_port(broker_port)
    peer = Process("counters", python("tests.bench.counters", modbus_port, folder, CHANNELS), folder / "counters.log")
    peer.start()
    os.sched_setaffinity(peer.pid, {OTHER_CORE})
    wait_for_port(modbus_port)
    wait_until((folder / "3.json").exists, 10, "the counters count")
    site = _Site(
        folder=folder,
        broker=broker,
        broker_port=broker_port,
        modbus_port=modbus_port,
        counters=peer,
        server=Server(broker_port),
        ours=Process(OURS, [*command("edge-agent"), "run", "--config", f"{folder}/agent.toml"], folder / "agent.log"),
        others=[
            ThingsBoard("thingsboard-memory", "memory", folder, broker_port),
            ThingsBoard("thingsboard-sqlite", "sqlite", folder, broker_port),
        ],
    )
    _agent(site, "")
    return site


def _collector(site: _Site) -> Process:
    folder = site.folder
    key = SigningKey(random.Random(OURS).randbytes(32))
    config = collector_config(folder, site.broker_port, {OURS: key.public})
    private = folder / "gateway.key"
    private.touch(mode=0o600)
    private.write_text(key.pem, encoding="ascii")
    receipt = SigningKey.from_pem((folder / "receipt.key").read_text(encoding="ascii")).public
    (folder / "receipt.pub").write_text(receipt.pem, encoding="ascii")
    asyncio.run(queue("_collector", site.broker_port, []))
    collector = Process("collector", [*command("cloud-collector"), "--config", str(config), "run"], folder / "log")
    collector.start()
    os.sched_setaffinity(collector.pid, {OTHER_CORE})
    return collector


def _agent(site: _Site, sources: str) -> None:
    """Intervals of a second, so that a line is sealed within the run; everything else as it is by default."""
    folder = site.folder
    (folder / "agent.toml").write_text(
        f'gateway = "{OURS}"\nkey_file = "{folder}/gateway.key"\nreceipt_key_files = ["{folder}/receipt.pub"]\n'
        f'spool_path = "{folder}/spool.db"\nstep_seconds = 1\ninterval_count = 5\ncommit_seconds = 1\n'
        f"drain_delay_seconds = 1\nreconnect_seconds_max = 2\n"
        f'wall_clock = "trusted"\n[broker]\nhost = "127.0.0.1"\nport = {site.broker_port}\ntls = false\n{sources}',
        encoding="ascii",
    )


def _modbus_source(port: int) -> str:
    rows = "".join(
        f'[[sources.devices.channels]]\nmeter = "c{at}"\nunit = "W.h"\naddress = {WORDS * at}\ntype = "u32"\n'
        "rate_max = 1000\nfunction = 4\n"
        for at in range(CHANNELS)
    )
    head = f'[[sources]]\ntype = "modbus"\npoll_seconds = 1.0\nhost = "127.0.0.1"\nport = {port}\n'
    return f'{head}[[sources.devices]]\nunit_id = 1\ndevice = "meter"\n{rows}'


def _replayed() -> str:
    return "".join(
        f'[[sources.channels]]\ndevice = "meter"\nmeter = "c{at}"\nunit = "W.h"\nexponent = 0\nrate_max = 1000\n'
        for at in range(CHANNELS)
    )


def _write_day(path: Path, readings: int) -> int:
    """A reading a minute up to now; returns the units that all counters count."""
    draw = random.Random(7)
    values = [draw.randrange(10**6) for _ in range(CHANNELS)]
    first = sum(values)
    now = int(time.time())
    with path.open("w", encoding="ascii", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["at", "device", "meter", "value"])
        for back in range(readings, 0, -1):
            at = datetime.fromtimestamp(now - 60 * back, UTC).isoformat()
            rows.writerows([at, "meter", f"c{place}", value] for place, value in enumerate(values))
            if back > 1:
                values = [value + draw.randrange(50) for value in values]
    return sum(values) - first


def _weigh(site: _Site, seconds: float, *, settle: float) -> dict[str, Weight]:
    for each in site.processes.values():
        each.start()
    time.sleep(settle)
    before = {name: cpu_seconds(each.pid) for name, each in site.processes.items()}
    began = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - began
    for name, each in site.processes.items():
        assert each.alive(), f"{name} ended: {each.log.read_text(encoding='utf-8')[-2000:]}"
    return {
        name: Weight(
            rss=counters(Path(f"/proc/{each.pid}/smaps_rollup"))["Rss"] / 1024,
            cpu=(cpu_seconds(each.pid) - before[name]) / elapsed,
        )
        for name, each in site.processes.items()
    }


def _counted(folder: Path) -> int:
    store = Store(SqliteDatabase(folder / "store.db"))
    try:
        return sum(row.counted for row in account(store, OURS))
    finally:
        store.close()


def _wait_still(look: Callable[[], object]) -> None:
    """Return when what is looked at has not changed for a while."""
    until = time.monotonic() + 180
    since, last = time.monotonic(), look()
    while time.monotonic() - since < STILL_SECONDS and time.monotonic() < until:
        time.sleep(0.5)
        now = look()
        if now != last:
            since, last = time.monotonic(), now


def _losses(site: _Site, what: str) -> list[Figure]:
    told = site.told(1)
    units = (told["last"] - told["first"]) * CHANNELS
    ours = _loss(f"units lost {what}", units - _counted(site.folder), f"{OURS}: the meters have counted {units}")
    return [ours, *(_lost_readings(site, each, unit, what) for unit, each in enumerate(site.others, start=2))]


def _lost_readings(site: _Site, each: ThingsBoard, unit: int, what: str) -> Figure:
    answered = site.told(unit)["readings"]
    lost = answered - site.server.readings[each.name]
    return Figure(
        room="beside",
        name=f"readings lost {what}",
        value=lost,
        unit="",
        note=f"{each.name}: of {answered} that the Modbus server answered, {lost / max(1, answered):.1%}",
    )


def _loss(name: str, value: int, note: str) -> Figure:
    return Figure(room="beside", name=name, value=value, unit="", most=0, note=note)


def _weights(idle: Mapping[str, Weight], loaded: Mapping[str, Weight], seconds: int) -> list[Figure]:
    found = []
    for state, weights in (("idle", idle), (f"{CHANNELS} counters a second over Modbus TCP", loaded)):
        for name, weight in weights.items():
            found += [
                Figure(room="beside", name=f"resident memory, {state}", value=weight.rss, unit="MiB", note=name),
                Figure(
                    room="beside",
                    name=f"processor, {state}",
                    value=weight.cpu * 100,
                    unit="% of a core",
                    note=f"{name}, {seconds} s",
                ),
            ]
    return found
