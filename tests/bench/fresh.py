"""From a report's publication to the cost that includes it, while the collector is kept half busy.

Cost so far is asked for as pages and event streams ask for it: `insight.look`, on a reader's own connection. And a
customer's event stream is heard, for when the running collector says so by itself.
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
from tests.bench.stream import Stream
from tests.processes import Process, command, free_port, wait_for_port

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
[accounts.fleet]
name = "The fleet"
[accounts.probes]
name = "Whoever looks"
"""


def fresh(say: Say, *, gateways: int, lines: int, seconds: int) -> list[Figure]:
    """Half of what intake takes is published for some seconds, and single reports are timed through it."""
    say("how fast intake is now")
    held = fleet(gateways, seed=1)
    payloads = list(live(held, lines // gateways))
    rate = drain(collector({each.name: each.key.public for each in held}), payloads, len(payloads)).rate / 2
    many = max(int(rate * seconds) // gateways, 1) * gateways
    start = int(time.time()) // 900 * 900 - many // gateways * INTERVALS * STEP - 3_600
    with workspace() as folder, broker(folder) as port, _collector(folder, port, gateways, start) as web:
        say(f"sealing {many} lines")
        with _feeder(port, gateways, many, rate, start) as feeder, Stream(web, "probes") as stream:
            say(f"{rate:,.0f} lines/s, and reports that are timed")
            times, reached = asyncio.run(_timed(folder, port, start, feeder, stream))
    note = f"{len(times)} reports of {CHANNELS} channels, {reached:,.0f} of {rate * 2:,.0f} lines/s beside them"
    looked, told = (sorted(each) for each in zip(*times, strict=True))
    return [
        *_figures("published → cost visible", looked, note),
        *_figures("published → cost on the event stream", told, "as the collector tells a customer who listens"),
    ]


def _figures(name: str, waits: list[float], note: str) -> list[Figure]:
    return [
        Figure(
            room="fresh",
            name=f"{name}, p99",
            value=waits[int(len(waits) * 0.99)],
            unit="s",
            most=GOAL_SECONDS,
            note=note,
        ),
        Figure(
            room="fresh", name=f"{name}, median", value=median(waits), unit="s", note=f"the longest {waits[-1]:.2f} s"
        ),
    ]


def _probes(start: int) -> list[Gateway]:
    found = fleet(PROBES, seed=4)
    for at, gateway in enumerate(found):
        gateway.name, gateway.step, gateway.start = f"probe-{at}", STEP, start
    return found


@contextmanager
def _collector(folder: Path, port: int, gateways: int, start: int) -> Iterator[int]:
    """The real one on a core of its own, and its pages' port; every gateway has a contract that is watched."""
    everyone = [*feeders(gateways, start), *_probes(start)]
    keys: Mapping[str, PublicKey] = {each.name: each.key.public for each in everyone}
    config, web = collector_config(folder, port, keys), free_port()
    with config.open("a", encoding="utf-8") as file:
        file.write(f'[web]\nhost = "127.0.0.1"\nport = {web}\n')
    store = Store(SqliteDatabase(folder / "store.db"))
    apply(store, load_catalog(HEAD + "".join(_contract(each, start) for each in everyone)), now_ms=start * 1_000)
    store.close()
    # The broker keeps for it what is published before it is there.
    asyncio.run(queue("_collector", port, []))
    process = Process("collector", [*command("cloud-collector"), "--config", str(config), "run"], folder / "log")
    process.start()
    os.sched_setaffinity(process.pid, {MEASURED_CORE})
    try:
        wait_for_port(web, PATIENCE_SECONDS)
        yield web
    finally:
        process.kill()


def _contract(gateway: Gateway, start: int) -> str:
    first = (datetime.fromtimestamp(start, UTC) - timedelta(days=1)).date()
    devices = ", ".join(f'"{gateway.name}/{device}"' for device, _, _ in gateway.channels)
    account = "probes" if gateway.name.startswith("probe") else "fleet"
    return (
        f'[contracts.{gateway.name}]\naccount = "{account}"\nplan = "p"\nstart = {first}\ndevices = [{devices}]\n'
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


async def _timed(
    folder: Path, port: int, start: int, feeder: subprocess.Popen[str], stream: Stream
) -> tuple[list[tuple[float, float]], float]:
    """How long each report took to be seen and to be told; the rate that the fleet reached meanwhile."""
    gateways, draw, times = _probes(start), random.Random(5), []
    firsts = {gateway.name: sum(gateway.registers) for gateway in gateways}
    async with MqttLink(settings(port), "bench-probe").session() as session:
        for gateway in gateways:
            await session.publish(topic_of(gateway.name, Leaf.REPORT), pack([gateway.birth()]))
        for gateway in gateways:
            await _seen(session, folder, gateway, firsts, stream)
        _pipe(feeder.stdin).write("go\n")
        _pipe(feeder.stdin).flush()
        for gateway in itertools.cycle(gateways):
            times.append(await _seen(session, folder, gateway, firsts, stream))
            if feeder.poll() is not None:
                return times, float(_pipe(feeder.stdout).readline())
            await asyncio.sleep(draw.uniform(0, 0.05))
    raise AssertionError("the cycle has no end")


async def _seen(
    session: Session, folder: Path, gateway: Gateway, firsts: Mapping[str, int], stream: Stream
) -> tuple[float, float]:
    """Publish one report; after how many seconds its contract's cost includes it, and the stream has said so."""
    payload = pack([gateway.usage()])
    used = sum(gateway.registers) - firsts[gateway.name]
    began = time.monotonic()
    await session.publish(topic_of(gateway.name, Leaf.REPORT), payload)
    while not await asyncio.to_thread(_includes, folder / "store.db", gateway.name, used):
        assert time.monotonic() - began < PATIENCE_SECONDS, f"{gateway.name}: not in its cost so far"
        await asyncio.sleep(LOOK_SECONDS)
    looked = time.monotonic() - began
    told = await asyncio.to_thread(stream.wait, gateway.name, used)
    return looked, told - began


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
