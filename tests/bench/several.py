"""Two collectors on one PostgreSQL beside one alone: what a line costs them, all threads and the database counted.

They are there before anything is published, take turns on `$share`, and count from the first commit to the last.
"""

import asyncio
import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.store.store import Store
from shared.effects.mqtt import MqttLink
from shared.effects.postgres import PostgresDatabase
from shared.key import SigningKey
from tests.bench.figure import Figure, Say
from tests.bench.payloads import Gateway, fleet, live
from tests.bench.site import PUBLISH_AT_ONCE, Payloads, broker, cpu_seconds, settings, workspace
from tests.postgres import Server
from tests.processes import Process, command, wait_until

PATIENCE_SECONDS: Final = 180.0
LOOK_SECONDS: Final = 0.05
SHARE_MOST: Final = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What so many collectors came to."""

    lines: int
    seconds: float
    collectors_cpu: float
    database_cpu: float


def several(say: Say, *, lines: int, rounds: int, gateways: int) -> list[Figure]:
    """One and two collectors in turns on the same payloads, each on a fresh PostgreSQL."""
    say("sealing payloads")
    held = fleet(gateways, seed=6)
    payloads = list(live(held, lines // gateways))
    runs: dict[int, list[Taken]] = {1: [], 2: []}
    for turn in range(rounds):
        for count, found in runs.items():
            say(f"round {turn + 1} of {rounds}: {count} on PostgreSQL")
            found.append(_taken(count, held, payloads))
    cost = {count: median(run.collectors_cpu / run.lines for run in found) for count, found in runs.items()}
    rate = {count: median(run.lines / run.seconds for run in found) for count, found in runs.items()}
    stored = {count: median(run.database_cpu / run.lines for run in found) for count, found in runs.items()}
    spent = f"{cost[1] * 1e6:.0f} and {cost[2] * 1e6:.0f} µs of CPU a line"
    note = f"{spent}, the database's {stored[1] * 1e6:.0f} and {stored[2] * 1e6:.0f}"
    cores = f"{len(os.sched_getaffinity(0))} cores for the bench, {os.cpu_count()} in the machine"
    return [
        Figure(
            room="several", name="two ÷ one, CPU a line", value=cost[2] / cost[1], unit="", most=SHARE_MOST, note=note
        ),
        Figure(room="several", name="one: lines", value=rate[1], unit="/s"),
        Figure(room="several", name="two ÷ one, lines a second", value=rate[2] / rate[1], unit="", note=cores),
    ]


def _taken(count: int, gateways: list[Gateway], payloads: Payloads) -> Taken:
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    with workspace() as folder, broker(folder) as port, _database(gateways) as (server, database):
        collectors = [_collector(folder, port, server, at) for at in range(count)]
        for each in collectors:
            each.start()
        try:
            wait_until(lambda: all("link_up" in each.events for each in collectors), 60, "the collectors are there")
            before = _cpu(collectors), _backends(server)
            began = time.monotonic()
            asyncio.run(_published(port, payloads))
            while (held := _committed(database)) < len(payloads):
                assert time.monotonic() - began < PATIENCE_SECONDS, f"{held} of {len(payloads)} lines"
                time.sleep(LOOK_SECONDS)
            seconds = time.monotonic() - began
            after = _cpu(collectors), _backends(server)
        finally:
            for each in collectors:
                each.kill()
    return Taken(
        lines=len(payloads), seconds=seconds, collectors_cpu=after[0] - before[0], database_cpu=after[1] - before[1]
    )


@contextmanager
def _database(gateways: list[Gateway]) -> Iterator[tuple[Server, PostgresDatabase]]:
    server = Server()
    try:
        database = PostgresDatabase(server.url("postgres"))
        store = Store(database)
        for gateway in gateways:
            add_gateway(store, gateway.name, gateway.key.public, now_ms=0)
        yield server, database
        database.close()
    finally:
        server.remove()


def _collector(folder: Path, port: int, server: Server, at: int) -> Process:
    key = folder / "receipt.key"
    key.touch(mode=0o600)
    key.write_text(SigningKey(random.Random("receipt").randbytes(32)).pem, encoding="ascii")
    config = folder / f"collector-{at}.toml"
    config.write_text(
        f'client_id = "_collector-{at}"\nshared_subscription = true\nstore = "{server.url("postgres")}"\n'
        f'key_file = "{key}"\n[broker]\nhost = "127.0.0.1"\nport = {port}\ntls = false\n',
        encoding="utf-8",
    )
    return Process(
        f"collector-{at}", [*command("cloud-collector"), "--config", str(config), "run"], folder / f"{at}.log"
    )


async def _published(port: int, payloads: Payloads) -> None:
    async with MqttLink(settings(port), "bench-publisher").session() as session:
        for at in range(0, len(payloads), PUBLISH_AT_ONCE):
            part = payloads[at : at + PUBLISH_AT_ONCE]
            await asyncio.gather(*(session.publish(topic, payload) for topic, payload in part))


def _committed(database: PostgresDatabase) -> int:
    return int(database.execute("select count(*) from line")[0][0])


def _cpu(collectors: list[Process]) -> float:
    return sum(cpu_seconds(each.pid) for each in collectors)


def _backends(server: Server) -> float:
    """Processor time of the server and all that it has started and not yet collected."""
    parents: Mapping[int, int] = {
        int(each.name): int((each / "stat").read_text().rpartition(")")[2].split()[1])
        for each in Path("/proc").iterdir()
        if each.name.isdecimal() and (each / "stat").exists()
    }
    return sum(cpu_seconds(pid) for pid, parent in parents.items() if server.pid in (pid, parent))
