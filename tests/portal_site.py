"""Two customers of one operator, billed for October: a site whose portal runs on a real port."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import uvicorn
from fastapi import FastAPI

from cloud_collector.access.tokens import make_token
from cloud_collector.access.viewer import ALLOWED, Role
from cloud_collector.billing.run import bill_due
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.web.app import create_app
from cloud_collector.web.metrics import registry
from cloud_collector.web.site import Site
from cloud_collector.web.subscriptions import subscriptions
from shared.effects.memory import SimpleClock
from shared.effects.sqlite import SqliteDatabase
from tests.unit.billing_samples import (
    CATALOG,
    COUNT,
    NOVEMBER,
    OCTOBER,
    RECEIPT_KEY,
    STEP,
    Gateway,
    new_store,
    october,
    receive,
    store_biller,
)

DAY: Final = STEP * COUNT
NOW: Final = NOVEMBER + 12 * DAY + 41_400
"""11:30 on a Friday in Helsinki, the 13th of November."""
MARKUP: Final = "<img src=x onerror=alert(1)>"
FORMULA: Final = "=HYPERLINK(1)"
OTHERS: Final = f"""
[accounts.bolt]
name = "{FORMULA} {MARKUP}"
country = "FI"

[contracts.bolt-site]
account = "bolt"
plan = "charger"
start = 2026-10-01
devices = ["dock-1/plug-1"]
"""


class StandingClock(SimpleClock):
    """It is always the same moment, but who sleeps wakes: what looks again and again does so."""

    async def sleep(self, seconds: float) -> None:
        """Return after this many real seconds."""
        await asyncio.sleep(seconds)


class Quiet:
    """A collector that is connected."""

    connected = True
    verdicts: ClassVar[dict[str, int]] = {}


@dataclass
class Portal:
    """A running portal and its store."""

    path: Path
    site: Site
    app: FastAPI
    port: int
    clock: SimpleClock
    tokens: dict[str, str]

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """The address of a page."""
        return f"http://{host}:{self.port}{path}"

    def headers(self, account: str) -> dict[str, str]:
        """What a program of this account's customer sends."""
        return {"Authorization": f"Bearer {self.tokens[account]}"}


def fill(path: Path, catalog: str = CATALOG + OTHERS) -> dict[str, str]:
    """October of two customers is billed, November runs; the answer is a token for each customer."""
    store = new_store(path, catalog=catalog)
    roof = october(Gateway(), days=38)
    # A day of which nothing is known: the gap line between the two says so, and no figure is made up.
    for device in ("sdm630-1", "sdm630-2"):
        roof.gap(OCTOBER + 38 * DAY, OCTOBER + 39 * DAY, device, None)
    for day in range(39, 43):
        roof.day(OCTOBER + day * DAY, {"sdm630-1": 330, "sdm630-2": 140})
    receive(store, roof.lines, at=NOW)
    dock = Gateway(name="dock-1", epoch="0a0b0c0d", registers={"plug-1": 100})
    dock.birth(OCTOBER - 3_600)
    for day in range(40):
        dock.day(OCTOBER + day * DAY, {"plug-1": 77})
    receive(store, dock.lines, at=NOW, gateway="dock-1")
    bill_due(store, NOW * 1_000, store_biller())
    tokens = {
        account: make_token(
            store,
            f"of-{account}",
            scopes=ALLOWED[Role.CUSTOMER],
            accounts={account},
            days=30,
            by="a test",
            chance=bytes([at]) * 32,
            now_ms=NOW * 1_000,
        )
        for at, account in enumerate(("acme", "bolt"), start=1)
    }
    store.close()
    return tokens


def site_of(path: Path, clock: SimpleClock) -> Site:
    """The site over a store's file."""

    @contextmanager
    def reading() -> Iterator[Store]:
        held = Store(SqliteDatabase(path, read_only=True), migrated=True)
        try:
            yield held
        finally:
            held.close()

    @contextmanager
    def writing() -> Iterator[Store]:
        held = Store(SqliteDatabase(path), migrated=True)
        try:
            yield held
        finally:
            held.close()

    return Site(
        open_store=reading,
        open_writer=writing,
        clock=clock,
        zone=lambda _: "Europe/Helsinki",
        subscriptions=lambda held, now: subscriptions(held, StoreView(held), now),
        key_words=RECEIPT_KEY.public.words,
        key=RECEIPT_KEY.public,
        readiness=lambda: {"store": True, "broker": True},
        metrics=registry(Quiet(), reading),
    )


@contextmanager
def running(folder: Path, catalog: str = CATALOG + OTHERS) -> Iterator[Portal]:
    """Within, the portal answers on a port of this machine."""
    path = folder / "collector.db"
    tokens = fill(path, catalog)
    clock = StandingClock(utc_ms=NOW * 1_000)
    site = site_of(path, clock)
    app = create_app(site)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
        assert thread.is_alive(), "the portal did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Portal(path=path, site=site, app=app, port=port, clock=clock, tokens=tokens)
    server.should_exit = True
    thread.join(10)


def spoil(portal: Portal, seq: int, old: bytes, new: bytes, gateway: str = "roof-1") -> bytes:
    """One byte of a stored line is another one, past every rule of the store: what an intruder on the disk could do."""
    assert len(old) == len(new)
    assert sum(one != other for one, other in zip(old, new, strict=True)) == 1
    database = sqlite3.connect(portal.path)
    triggers = database.execute("select name, sql from sqlite_master where type = 'trigger' and tbl_name = 'line'")
    kept = triggers.fetchall()
    for name, _ in kept:
        database.execute(f"drop trigger {name}")
    ((id_, raw),) = database.execute(
        "select l.id, l.raw from line l join chain c on c.id = l.chain where c.gateway = ? and l.seq = ?",
        (gateway, seq),
    ).fetchall()
    assert old in raw
    database.execute("update line set raw = ? where id = ?", (raw.replace(old, new, 1), id_))
    for _, sql in kept:
        database.execute(sql)
    database.commit()
    database.close()
    return bytes(raw)
