"""Intake into a large store beside an empty one: the same payloads, after millions of interval readings are held.

A modest fleet's lines are taken by intake itself; SQL then copies every row of them as other gateways', as often as
fits into the time that it is given. The figure says how many readings that came to.
"""

import asyncio
import os
import random
import shutil
import sqlite3
import time
from pathlib import Path
from statistics import median
from typing import Final

from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.intake.intake import Intake
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.key import SigningKey
from tests.bench.figure import Figure, Say
from tests.bench.intake import collector_config
from tests.bench.payloads import CHANNELS, INTERVALS, Gateway, fleet, live
from tests.bench.site import (
    DRAIN_SECONDS_MAX,
    MEASURED_CORE,
    POLL_SECONDS,
    Payloads,
    broker,
    committed,
    cpu_seconds,
    queue,
    workspace,
)
from tests.processes import Process, command

SEED_GATEWAYS: Final = 50
SEED_LINES: Final = 40
BATCH: Final = 256
SHARE_LEAST: Final = 0.95
ROOM_SHARE: Final = 0.5
"""Of the disk's free room, at most so much is filled."""
COPY: Final = """
insert into gateway (name, added_at) select name || '-' || :n, added_at from gateway
where name like 'held-%' and name not like 'held-%-%';
insert into chain (id, gateway, log, epoch, through, head, top, asides, gone, born, standing, rank)
select id + :n * :chains, gateway || '-' || :n, log, epoch, through, head, top, asides, gone, born, standing, rank
from chain where id <= :chains;
insert into channel (id, gateway, device, meter, unit, exponent, longest)
select id + :n * :channels, gateway || '-' || :n, device, meter, unit, exponent, longest
from channel where id <= :channels;
insert into line (id, chain, seq, hash, prev, key, kind, boot, clock, sealed, received_at, aside, raw)
select id + :n * :lines, chain + :n * :chains, seq, hash || :n, prev, key, kind, boot, clock, sealed, received_at,
    aside, raw from line where id <= :lines;
insert into span (channel, chain, seq, kind, line, start, step, count, until, register, register_end, deltas,
    estimated, raw, serial, cloned, reason, withheld, ragged, top, reach)
select channel + :n * :channels, chain + :n * :chains, seq, kind, line + :n * :lines, start, step, count, until,
    register, register_end, deltas, estimated, raw, serial, cloned, reason, withheld, ragged, top, reach
from span where chain <= :chains
"""
"""Every row of the first gateways once more, as another's."""


def large(say: Say, *, lines: int, rounds: int, gateways: int, seconds: float) -> list[Figure]:
    """In turns into an empty store and into a large one, which takes so many seconds to fill."""
    say("sealing payloads")
    held = fleet(gateways, seed=8)
    payloads = list(live(held, lines // gateways))
    with workspace() as folder:
        say(f"filling a store for {seconds:.0f} s")
        empty, full = folder / "empty.db", folder / "full.db"
        Store(SqliteDatabase(empty)).close()
        readings = _fill(full, seconds)
        rates: dict[Path, list[float]] = {empty: [], full: []}
        for turn in range(rounds):
            for source, found in rates.items():
                say(f"round {turn + 1} of {rounds}: {source.stem}")
                found.append(_rate(source, held, payloads))
        size = full.stat().st_size / 2**30
    held_now = f"{readings / 1e6:,.1f} M interval readings in {size:.2f} GiB"
    note = f"{held_now}; copied by SQL from {SEED_GATEWAYS} gateways' lines"
    into, beside = median(rates[full]), median(rates[empty])
    return [
        Figure(room="large", name="large ÷ empty, by CPU", value=into / beside, unit="", least=SHARE_LEAST, note=note),
        Figure(room="large", name="lines a second of a core, large", value=into, unit="/s"),
        Figure(room="large", name="readings held", value=readings / 1e6, unit="M"),
    ]


def _fill(path: Path, seconds: float) -> int:
    """The store holds as many readings as the time allows; returns how many."""
    store = Store(SqliteDatabase(path))
    known = fleet(SEED_GATEWAYS, seed=9)
    for at, gateway in enumerate(known):
        gateway.name = f"held-{at}"
        add_gateway(store, gateway.name, gateway.key.public, now_ms=0)
    intake = Intake(store, CollectorSettings(), SigningKey(random.Random("receipt").randbytes(32)))
    payloads = list(live(known, SEED_LINES))
    keys = intake.keys_for([topic for topic, _ in payloads])
    for at in range(0, len(payloads), BATCH):
        intake.commit(intake.open(payloads[at : at + BATCH], keys), 1_900_000_000_000 + at)
    store.close()
    database = sqlite3.connect(path, isolation_level=None)
    bounds = {
        name: database.execute(f"select max(id) from {name}").fetchone()[0] for name in ("chain", "channel", "line")
    }
    named = {f"{name}s": bound for name, bound in bounds.items()}
    database.execute("pragma synchronous = off")
    copies, until = 0, time.monotonic() + seconds
    room = shutil.disk_usage(path.parent).free * ROOM_SHARE
    while time.monotonic() < until and path.stat().st_size < room / 2:
        copies += 1
        database.execute("begin")
        for sql in COPY.split(";"):
            database.execute(sql, {**named, "n": copies})
        database.execute("commit")
    database.execute("pragma wal_checkpoint(truncate)")
    database.execute("analyze")
    database.close()
    return (copies + 1) * SEED_GATEWAYS * SEED_LINES * CHANNELS * INTERVALS


def _rate(source: Path, gateways: list[Gateway], payloads: Payloads) -> float:
    with workspace() as folder, broker(folder) as port:
        shutil.copyfile(source, folder / "store.db")
        config = collector_config(folder, port, {each.name: each.key.public for each in gateways})
        before = committed(folder / "store.db")
        asyncio.run(queue("_collector", port, payloads))
        process = Process("collector", [*command("cloud-collector"), "--config", str(config), "run"], folder / "log")
        process.start()
        os.sched_setaffinity(process.pid, {MEASURED_CORE})
        try:
            return _watched(process, folder / "store.db", before, len(payloads))
        finally:
            process.kill()


def _watched(process: Process, path: Path, before: int, lines: int) -> float:
    """Committed lines a second of processor time, from the first commit that is seen to the last."""
    until, first = time.monotonic() + DRAIN_SECONDS_MAX, None
    while time.monotonic() < until:
        done = committed(path) - before
        if first is None and done:
            first = (0, 0.0) if done == lines else (done, cpu_seconds(process.pid))
        if first is not None and done == lines:
            return (lines - first[0]) / max(cpu_seconds(process.pid) - first[1], 1e-3)
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"{committed(path) - before} of {lines} lines in {DRAIN_SECONDS_MAX:.0f} s")
