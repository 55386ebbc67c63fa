"""Weeks without a collector: what the spool takes, and how fast it is empty and accounted to the unit afterwards."""

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Final

from cloud_collector.store.account import account
from cloud_collector.store.store import Store
from edge_agent.disk import FileDisk
from edge_agent.sealable import BirthContent, Sealable, UsageContent
from edge_agent.sealed import Author
from edge_agent.spool import Spool
from edge_agent.uplink import Uplink
from shared.effects.clock import SystemClock
from shared.effects.mqtt import MqttLink
from shared.effects.sqlite import SqliteDatabase
from shared.key import SigningKey
from shared.line import hash_of
from shared.report import Cause, Channel, Clock, UsageRow
from tests.bench.figure import Figure, Say
from tests.bench.intake import collector_config
from tests.bench.site import MEASURED_CORE, broker, queue, settings, workspace
from tests.processes import Process, command

CHANNELS: Final = 100
STEP: Final = 60
COUNT: Final = 15
BYTES_MAX: Final = 64 * 1024 * 1024
GATEWAY: Final = "bench-roof-1"
DRAIN_SECONDS_MAX: Final = 300.0


def offline(say: Say, *, days: int) -> list[Figure]:
    """Seal so many days on a virtual clock into a real spool, then let a real collector have them."""
    key = SigningKey(random.Random("offline").randbytes(32))
    with workspace() as folder:
        spool = Spool.open(
            FileDisk(folder / "spool.db"),
            gateway=GATEWAY,
            key=key,
            author=Author(agent="bench", config=hash_of(b"bench")),
            random=random.Random(1),
            bytes_max=BYTES_MAX,
        )
        used, lines = _seal(say, spool, days)
        taken = spool.bytes_used / 2**20
        seconds, counted = _drain(say, spool, folder, key)
        spool.close()
    shape = f"{days} days of {CHANNELS} channels × {COUNT} intervals, {lines} lines, on a virtual clock; nothing folded"
    through = "from the first publication to the last receipt, over Mosquitto, into a collector's empty store"

    def figure(name: str, value: float, unit: str, most: float, note: str) -> Figure:
        return Figure(room="offline", name=name, value=value, unit=unit, most=most, note=note)

    return [
        figure("spool", taken, "MiB", 64, shape),
        figure("units that the account is off", abs(used - counted), "", 0, f"{used:,} were used"),
        figure("drained in", seconds, "s", 10, through),
    ]


def _seal(say: Say, spool: Spool, days: int) -> tuple[int, int]:
    """What was used, and in how many lines it stands."""
    draw = random.Random("offline")
    names = [(f"meter-{number:03}", "energy") for number in range(CHANNELS)]
    registers = dict.fromkeys(names, 0)
    windows = days * 86_400 // (STEP * COUNT)
    began = int(time.time()) // 900 * 900 - days * 86_400
    births = tuple(Channel(*name, "W.h", 0, "bench", "s-1", 0, 0) for name in names)
    spool.seal([_line(began, BirthContent(cause=Cause.START, channels=births))], {})
    for number in range(windows):
        if number % 96 == 0:
            say(f"day {number // 96 + 1} of {days} without a collector")
        start = began + number * STEP * COUNT
        deltas = {name: tuple(draw.choices((3, 4, 5, 17, 40), k=COUNT)) for name in names}
        rows = tuple(UsageRow(*name, "W.h", 0, registers[name], deltas[name], {}) for name in names)
        spool.seal([_line(start + STEP * COUNT, UsageContent(start=start, step=STEP, count=COUNT, rows=rows))], {})
        for name in names:
            registers[name] += sum(deltas[name])
    return sum(registers.values()), windows + 1


def _line(sealed_at: int, content: BirthContent | UsageContent) -> Sealable:
    return Sealable(log="main", boot="b0000001", clock=Clock.SYNCHRONISED, sealed_at=sealed_at, content=content)


def _drain(say: Say, spool: Spool, folder: Path, key: SigningKey) -> tuple[float, int]:
    """Seconds until nothing waits any more, and what the collector has counted then."""
    with broker(folder) as port:
        config = collector_config(folder, port, {GATEWAY: key.public})
        receipt_key = SigningKey.from_pem((folder / "receipt.key").read_text(encoding="ascii")).public
        asyncio.run(queue("_collector", port, []))
        collector = Process("collector", [*command("cloud-collector"), "--config", str(config), "run"], folder / "log")
        collector.start()
        os.sched_setaffinity(collector.pid, {MEASURED_CORE})
        try:
            say("the link is back")
            uplink = Uplink(
                spool=spool,
                receipt_keys=[receipt_key],
                clock=SystemClock(trusted=True),
                link=MqttLink(settings(port), GATEWAY),
                random=random.Random(2),
                on_contradicted=lambda: None,
                drain_delay_seconds=0.0,
            )
            seconds = asyncio.run(_until_empty(uplink, spool))
        finally:
            collector.kill()
    store = Store(SqliteDatabase(folder / "store.db"), migrated=True)
    counted = sum(each.counted for each in account(store))
    store.close()
    return seconds, counted


async def _until_empty(uplink: Uplink, spool: Spool) -> float:
    began = time.monotonic()
    sending = asyncio.ensure_future(uplink.run())
    async with asyncio.timeout(DRAIN_SECONDS_MAX):
        while spool.waiting_count and not sending.done():  # noqa: ASYNC110 - the spool tells nobody.
            await asyncio.sleep(0.01)
    seconds = time.monotonic() - began
    uplink.close()
    await sending
    return seconds
