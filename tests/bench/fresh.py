"""From a report's publication to the cost that includes it, while the collector is kept half busy.

Cost so far is asked for as pages and event streams ask for it: `insight.look`, on a reader's own connection.
"""

import asyncio
import itertools
import os
import random
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import IO, Final

from cloud_collector.billing.revisions import apply, revisions
from cloud_collector.contracts.read import load_catalog
from cloud_collector.insight.look import look
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.effects.clock import SystemClock
from shared.effects.link import Session
from shared.effects.mqtt import MqttLink
from shared.effects.sqlite import SqliteDatabase
from shared.key import PublicKey
from shared.payload import pack
from shared.topic import Leaf, topic_of
from tests.bench.feed import STEP, feeders
from tests.bench.figure import Figure, Say
from tests.bench.intake import collector, collector_config
from tests.bench.payloads import CHANNELS, INTERVALS, Gateway, fleet, live
from tests.bench.site import MEASURED_CORE, OTHER_CORE, broker, drain, python, queue, settings, workspace
from tests.processes import Process, command

PROBES: Final = 8
"""Gateways that are watched beside the fleet."""
LOOK_SECONDS: Final = 0.005
PATIENCE_SECONDS: Final = 30.0
GOAL_SECONDS: Final = 1.0
HEAD: Final = """
[operator]
name = "Bench"
currency = "EUR"
timezone = "UTC"
[meters.energy]
unit = "Wh"
aggregate = "sum"
[plans.p]
cycle = "year"
anchor = "activation"
[[plans.p.charges]]
name = "Energy"
type = "usage"
meter = "energy"
model = "per_unit"
price = 0.0003
[accounts.a]
name = "A"
"""


def fresh(say: Say, *, gateways: int, lines: int, seconds: int) -> list[Figure]:
    """Half of what intake takes is published for some seconds, and single reports are timed through it."""
    say("how fast intake is now")
    held = fleet(gateways, seed=1)
    payloads = list(live(held, lines // gateways))
    rate = drain(collector({each.name: each.key.public for each in held}), payloads, len(payloads)).rate / 2
    many = max(int(rate * seconds) // gateways, 1) * gateways
    start = int(time.time()) // 900 * 900 - many // gateways * INTERVALS * STEP - 3_600
    with workspace() as folder, broker(folder) as port, _collector(folder, port, gateways, start):
        say(f"sealing {many} lines")
        with _feeder(port, gateways, many, rate, start) as feeder:
            say(f"{rate:,.0f} lines/s, and reports that are timed")
            waits, reached = asyncio.run(_timed(folder, port, start, feeder))
    waits.sort()
    note = f"{len(waits)} reports of {CHANNELS} channels, {reached:,.0f} of {rate * 2:,.0f} lines/s beside them"
    return [
        _figure("published → cost visible, p99", waits[int(len(waits) * 0.99)], note, most=GOAL_SECONDS),
        _figure("published → cost visible, median", median(waits), f"the longest {waits[-1]:.2f} s"),
    ]


def _figure(name: str, value: float, note: str, *, most: float | None = None) -> Figure:
    return Figure(room="fresh", name=name, value=value, unit="s", most=most, note=note)


def _probes(start: int) -> list[Gateway]:
    found = fleet(PROBES, seed=4)
    for at, gateway in enumerate(found):
        gateway.name, gateway.step, gateway.start = f"probe-{at}", STEP, start
    return found


@contextmanager
def _collector(folder: Path, port: int, gateways: int, start: int) -> Iterator[None]:
    """The real one, on a core of its own; every gateway has a contract that is watched for warnings."""
    everyone = [*feeders(gateways, start), *_probes(start)]
    keys: Mapping[str, PublicKey] = {each.name: each.key.public for each in everyone}
    config = collector_config(folder, port, keys)
    store = Store(SqliteDatabase(folder / "store.db"))
    apply(store, load_catalog(HEAD + "".join(_contract(each, start) for each in everyone)), now_ms=start * 1_000)
    store.close()
    # The broker keeps for it what is published before it is there.
    asyncio.run(queue("_collector", port, []))
    process = Process("collector", [*command("cloud-collector"), "--config", str(config), "run"], folder / "log")
    process.start()
    os.sched_setaffinity(process.pid, {MEASURED_CORE})
    try:
        yield
    finally:
        process.kill()


def _contract(gateway: Gateway, start: int) -> str:
    first = (datetime.fromtimestamp(start, UTC) - timedelta(days=1)).date()
    devices = ", ".join(f'"{gateway.name}/{device}"' for device, _, _ in gateway.channels)
    return (
        f'[contracts.{gateway.name}]\naccount = "a"\nplan = "p"\nstart = {first}\ndevices = [{devices}]\n'
        "budget = 1\nwarn = { over = [100] }\n"
    )


@contextmanager
def _feeder(port: int, gateways: int, lines: int, rate: float, start: int) -> Iterator[subprocess.Popen[str]]:
    words = python("tests.bench.feed", port, gateways, lines, rate, start)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as feeder:
        os.sched_setaffinity(feeder.pid, {OTHER_CORE})
        try:
            assert _pipe(feeder.stdout).readline() == "ready\n"
            yield feeder
        finally:
            feeder.kill()


async def _timed(folder: Path, port: int, start: int, feeder: subprocess.Popen[str]) -> tuple[list[float], float]:
    """How long each report took; the rate that the fleet reached meanwhile."""
    gateways, draw, waits = _probes(start), random.Random(5), []
    firsts = {gateway.name: sum(gateway.registers) for gateway in gateways}
    async with MqttLink(settings(port), "bench-probe").session() as session:
        for gateway in gateways:
            await session.publish(topic_of(gateway.name, Leaf.REPORT), pack([gateway.birth()]))
        for gateway in gateways:
            await _seen(session, folder, gateway, firsts)
        _pipe(feeder.stdin).write("go\n")
        _pipe(feeder.stdin).flush()
        for gateway in itertools.cycle(gateways):
            waits.append(await _seen(session, folder, gateway, firsts))
            if feeder.poll() is not None:
                return waits, float(_pipe(feeder.stdout).readline())
            await asyncio.sleep(draw.uniform(0, 0.05))
    raise AssertionError("the cycle has no end")


async def _seen(session: Session, folder: Path, gateway: Gateway, firsts: Mapping[str, int]) -> float:
    """Publish one report, look until its contract's cost includes it; how long that took, in seconds."""
    payload = pack([gateway.usage()])
    used = sum(gateway.registers) - firsts[gateway.name]
    began = time.monotonic()
    await session.publish(topic_of(gateway.name, Leaf.REPORT), payload)
    while not await asyncio.to_thread(_includes, folder / "store.db", gateway.name, used):
        assert time.monotonic() - began < PATIENCE_SECONDS, f"{gateway.name}: not in its cost so far"
        await asyncio.sleep(LOOK_SECONDS)
    return time.monotonic() - began


def _includes(path: Path, contract: str, units: int) -> bool:
    store = Store(SqliteDatabase(path, read_only=True), migrated=True)
    try:
        found = look(store, revisions(store), contract, SystemClock().utc_ms(), StoreView).cost(foretold=False)
    finally:
        store.close()
    return any(line.quantity == units for line in found.draft.lines)


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "it was opened"
    return stream
