"""A collector's store with two customers in it: October billed, November running, somebody warned, something wrong."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.run import bill_due
from cloud_collector.billing.runs import begin, end
from cloud_collector.insight.watch import Watch
from cloud_collector.notify.deliveries import plan
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.upkeep.checkpoints import make
from cloud_collector.web.office import Office
from cloud_collector.web.site import Site
from cloud_collector.web.subscriptions import subscriptions
from shared.effects.clock import Clock
from shared.effects.memory import SimpleClock
from shared.effects.sqlite import SqliteDatabase
from tests.unit.billing_samples import (
    CATALOG,
    NOVEMBER,
    OCTOBER,
    RECEIPT_KEY,
    Gateway,
    new_store,
    october,
    receive,
    store_biller,
)

DAY: Final = 86_400
NOW: Final = NOVEMBER + 5 * DAY
DAYS: Final = 35
"""That are reported, from the first of October on: the last one is still to come."""
TWO_CUSTOMERS: Final = (
    CATALOG
    + """
budget = 10.00
warn = { over = [50, 80] }

[accounts.beta]
name = "Beta <script>alert(1)</script> Oy"
address = ["Rantakatu 1", "20100 Turku"]
country = "FI"

[contracts.beta-chargers]
account = "beta"
plan = "charger"
start = 2026-10-01
devices = ["roof-2/sdm630-1", "roof-2/sdm630-2"]
budget = 5.00
warn = { over = [50] }
"""
)


class Running:
    """A collector that is connected and has taken three lines."""

    def __init__(self) -> None:
        self.connected = True
        self.verdicts = Counter({"Accepted": 3})


def filled(path: Path) -> MemoryArchive:
    """The store at this path; the folder of its invoices."""
    archive = MemoryArchive()
    store = new_store(path, TWO_CUSTOMERS)
    for name in ("roof-1", "roof-2"):
        receive(store, october(Gateway(name=name), days=DAYS).lines, at=NOW, gateway=name)
    run = begin(store, by="Anna", at=NOW, as_of=NOW, contracts=None)
    end(store, run, bill_due(store, NOW * 1_000, store_biller(archive)), at=NOW + 1)
    store.run("webhook_add", "acme-bot", "https://bot.example/hooks", "acme", NOW * 1_000)
    store.run("webhook_add", "everyone", "https://desk.example/hooks", "", NOW * 1_000)
    watch = Watch(
        StoreView, lambda held, id_, _, look: plan(held, id_, look.known.terms.account, None, now_ms=NOW * 1_000)
    )
    assert watch.round(store, NOW * 1_000), "somebody is warned"
    store.run("incident_begin", "silent", "roof-2", "", "roof-2 says nothing", NOW * 1_000)
    store.run("unmatched_put", "meterseal/v1/roof-3/report", "roof-3", "unknown gateway", "roof-2", NOW, NOW, b"?")
    for at in (NOW, NOW + DAY):
        assert make(store, RECEIPT_KEY, archive, at) is not None
        receive(store, [], at=at)
        store.run("incident_begin", "hole", f"roof-{at}", "", "lines are missing", at * 1_000)
        more = Gateway(name=f"late-{at % 97}")
        more.birth(at - 60)
        receive(store, more.lines, at=at, gateway=more.name)
    store.close()
    return archive


def site_of(path: Path, archive: MemoryArchive, *, now: int = NOW, clock: Clock | None = None) -> Site:
    """What the web is made from, over that store."""

    @contextmanager
    def open_store(*, read_only: bool = True) -> Iterator[Store]:
        held = Store(SqliteDatabase(path, read_only=read_only), migrated=True)
        try:
            yield held
        finally:
            held.close()

    return Site(
        open_store=open_store,
        open_writer=lambda: open_store(read_only=False),
        clock=clock or SimpleClock(utc_ms=now * 1_000),
        zone=lambda _: "Europe/Helsinki",
        subscriptions=lambda held, at: subscriptions(held, StoreView(held), at),
        key_words=RECEIPT_KEY.public.words,
        readiness=lambda: {"store": True, "broker": True},
        metrics=CollectorRegistry(),
        keep_secret=lambda *_: None,
        key=RECEIPT_KEY.public,
        office=Office(archive=archive, key=RECEIPT_KEY.public, biller=store_biller(archive)),
    )


__all__ = ["DAY", "DAYS", "NOVEMBER", "NOW", "OCTOBER", "filled", "site_of"]
