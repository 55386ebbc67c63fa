"""Whether the collector's memory stays where it was: an even stream of reports, its memory looked at every second."""

import asyncio
import os
import random
import time
from pathlib import Path
from statistics import median
from typing import Final

from shared.effects.mqtt import MqttLink
from shared.payload import pack
from shared.topic import Leaf, topic_of
from tests.bench.figure import Figure, Say
from tests.bench.intake import collector_config
from tests.bench.payloads import ENERGY, Gateway
from tests.bench.site import MEASURED_CORE, broker, counters, queue, settings, workspace
from tests.processes import Process, command, wait_until

GROWTH_MOST: Final = 8.0
"""MiB between the second quarter of the time and the last."""
BEAT_SECONDS: Final = 0.1


def steady(say: Say, *, gateways: int, rate: int, seconds: float) -> list[Figure]:
    """So many lines a second for so long."""
    fleet = [Gateway(f"steady-{at}", random.Random(f"steady {at}"), ENERGY[:4]) for at in range(gateways)]
    with workspace() as folder, broker(folder) as port:
        config = collector_config(folder, port, {each.name: each.key.public for each in fleet})
        asyncio.run(queue("_collector", port, []))
        process = Process("collector", [*command("cloud-collector"), "--config", str(config), "run"], folder / "log")
        process.start()
        os.sched_setaffinity(process.pid, {MEASURED_CORE})
        try:
            wait_until(lambda: "link_up" in process.events, 60, "the collector is there")
            say(f"{rate} lines/s for {seconds:.0f} s")
            sent, looks = asyncio.run(_stream(port, fleet, rate, seconds, process))
        finally:
            process.kill()
    quarter = max(1, len(looks) // 4)
    early, late = median(looks[quarter : 2 * quarter] or looks), median(looks[-quarter:])
    note = f"{early:.1f} MiB in the second quarter of {seconds:,.0f} s, {late:.1f} in the last; {sent:,} lines"
    return [
        Figure(room="steady", name="memory grown", value=late - early, unit="MiB", most=GROWTH_MOST, note=note),
        Figure(room="steady", name="memory at the most", value=max(looks), unit="MiB"),
    ]


async def _stream(
    port: int, fleet: list[Gateway], rate: int, seconds: float, collector: Process
) -> tuple[int, list[float]]:
    looks: list[float] = []
    sent, began = 0, time.monotonic()
    async with MqttLink(settings(port), "bench-stream").session() as session:
        for gateway in fleet:
            await session.publish(topic_of(gateway.name, Leaf.REPORT), pack([gateway.birth()]))
        while (gone := time.monotonic() - began) < seconds:
            while sent < gone * rate:
                gateway = fleet[sent % len(fleet)]
                await session.publish(topic_of(gateway.name, Leaf.REPORT), pack([gateway.usage()]))
                sent += 1
            if len(looks) < gone:
                looks.append(counters(Path(f"/proc/{collector.pid}/status"))["VmRSS"] / 1024)
            await asyncio.sleep(BEAT_SECONDS)
    return sent, looks
