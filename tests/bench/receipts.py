"""From a report's publication to its receipt, while the collector is kept half busy; back-pressure included."""

import asyncio
import itertools
import random
import subprocess
import time
from statistics import median
from typing import Final

from shared.effects.link import Session
from shared.effects.mqtt import MqttLink
from shared.line import Line, parse
from shared.payload import pack
from shared.receipt import Receipt, read_receipt
from shared.topic import Leaf, topic_of
from tests.bench import fresh
from tests.bench.feed import STEP
from tests.bench.figure import Figure, Say
from tests.bench.intake import collector
from tests.bench.payloads import CHANNELS, INTERVALS, Gateway, fleet, live
from tests.bench.site import broker, drain, settings, workspace

GOAL_SECONDS: Final = 0.25
PATIENCE_SECONDS: Final = 30.0


def receipts(say: Say, *, gateways: int, lines: int, seconds: int) -> list[Figure]:
    """Half of what intake takes is published for some seconds, and the receipts of single reports are timed."""
    say("how fast intake is now")
    held = fleet(gateways, seed=1)
    payloads = list(live(held, lines // gateways))
    rate = drain(collector({each.name: each.key.public for each in held}), payloads, len(payloads)).rate / 2
    many = max(int(rate * seconds) // gateways, 1) * gateways
    start = int(time.time()) // 900 * 900 - many // gateways * INTERVALS * STEP - 3_600
    with workspace() as folder, broker(folder) as port, fresh._collector(folder, port, gateways, start):
        say(f"sealing {many} lines")
        with fresh._feeder(port, gateways, many, rate, start) as feeder:
            say(f"{rate:,.0f} lines/s, and receipts that are timed")
            waits, reached = asyncio.run(_timed(port, start, feeder))
    waits.sort()
    note = f"{len(waits)} reports of {CHANNELS} channels, {reached:,.0f} of {rate * 2:,.0f} lines/s beside them"
    return [
        Figure(
            room="receipts",
            name="published → receipt, p99",
            value=waits[int(len(waits) * 0.99)] * 1_000,
            unit="ms",
            most=GOAL_SECONDS * 1_000,
            note=note,
        ),
        Figure(room="receipts", name="published → receipt, median", value=median(waits) * 1_000, unit="ms"),
    ]


async def _timed(port: int, start: int, feeder: subprocess.Popen[str]) -> tuple[list[float], float]:
    gateways, draw, waits = fresh._probes(start), random.Random(5), []
    async with MqttLink(settings(port), "bench-probe").session() as session:
        for gateway in gateways:
            await session.subscribe(topic_of(gateway.name, Leaf.RECEIPT))
            await _receipted(session, gateway, pack([gateway.birth()]))
        fresh._pipe(feeder.stdin).write("go\n")
        fresh._pipe(feeder.stdin).flush()
        for gateway in itertools.cycle(gateways):
            waits.append(await _receipted(session, gateway, pack([gateway.usage()])))
            if feeder.poll() is not None:
                return waits, float(fresh._pipe(feeder.stdout).readline())
            await asyncio.sleep(draw.uniform(0, 0.05))
    raise AssertionError("the cycle has no end")


async def _receipted(session: Session, gateway: Gateway, payload: bytes) -> float:
    """Publish one report, wait for the receipt that reaches it; how long that took, in seconds."""
    began = time.monotonic()
    await session.publish(topic_of(gateway.name, Leaf.REPORT), payload)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            message = await session.receive()
            session.acknowledge(message)
            line = parse(message.payload)
            found = read_receipt(line) if isinstance(line, Line) else None
            if isinstance(found, Receipt) and (found.gateway, found.through) == (gateway.name, gateway.seq):
                return time.monotonic() - began
