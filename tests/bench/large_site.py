"""A site of ten thousand gateways in a store: some of them metered by real lines, all of them billed.

Most gateways are rows written straight into the store, one line each as intake leaves it. Those of two customers have
sealed lines of forty days through intake itself, a quarter of an hour a line: what their pages rest on is all there.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cloud_collector.access import trail
from cloud_collector.access.viewer import LOCAL_OPERATOR, Deed
from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.disputes import Complaint, open_dispute
from cloud_collector.billing.revisions import apply
from cloud_collector.billing.run import bill_due
from cloud_collector.billing.runs import begin, end
from cloud_collector.contracts.read import load_catalog
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.insight.watch import Watch
from cloud_collector.intake.intake import Intake
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.effects.sqlite import SqliteDatabase
from shared.topic import Leaf, topic_of
from tests.bench.payloads import INTERVALS, STEP, Gateway
from tests.unit.billing_samples import CATALOG, NOVEMBER, OCTOBER, RECEIPT_KEY, store_biller

DEVICES: Final = 10
"""Of each gateway."""
GATEWAYS_A_CONTRACT: Final = 10
SHOP_GATEWAYS: Final = 5
"""Of the customer whose contract is small enough for charts on the month's page."""
NOW: Final = NOVEMBER + 10 * 86_400
TRAIL_ENTRIES: Final = 20_000
INCIDENTS: Final = 500
STRANGERS: Final = 300
_WISHES: Final = "budget = 900\nwarn = { over = [50, 80, 100] }\n"


def fill(path: Path, gateways: int, days: int) -> MemoryArchive:
    """The store at this path; `days` of the metered customers' lines end now."""
    names = [f"gw-{at:05}" for at in range(gateways)]
    shop = [f"shop-{at}" for at in range(SHOP_GATEWAYS)]
    metered = names[:GATEWAYS_A_CONTRACT] + shop
    store = Store(SqliteDatabase(path))
    apply(store, load_catalog(_catalog(names, shop)), now_ms=(OCTOBER - 86_400) * 1_000)
    store.close()
    _write(path, names[GATEWAYS_A_CONTRACT:])
    store = Store(SqliteDatabase(path))
    _take(store, metered, days)
    archive = MemoryArchive()
    run = begin(store, by="Anna", at=NOW, as_of=NOW, contracts=None)
    end(store, run, bill_due(store, NOW * 1_000, store_biller(archive)), at=NOW + 1)
    Watch(StoreView, lambda *_: None).round(store, NOW * 1_000)
    with store.atomic():
        said = Complaint(
            account="a0", number="INV-1", place=1, amount="1 EUR", why="Why?", evidence=b"", holds=True, who="a0"
        )
        open_dispute(store, said, now_ms=NOW * 1_000)
        for at in range(TRAIL_ENTRIES):
            trail.enter(store, LOCAL_OPERATOR, Deed.READ, f"page {at}", account=f"a{at % 500 * 10}", now_ms=NOW + at)
        for at in range(INCIDENTS):
            store.run("incident_begin", "silent", names[-1 - at % gateways], str(at), "says nothing", NOW * 1_000)
        for at in range(STRANGERS):
            topic = f"meterseal/v1/new-{at}/report"
            store.run("unmatched_put", topic, f"new-{at}", "unknown gateway", names[-1], NOW, NOW, b"?")
    store.close()
    return archive


def _take(store: Store, names: list[str], days: int) -> None:
    """Genuine lines of each minute of these days, through intake."""
    channels = tuple((f"m{at}", "energy", "Wh") for at in range(DEVICES))
    start = NOW - days * 86_400
    fleet = [Gateway(name, random.Random(name), channels, start=start) for name in names]
    for gateway in fleet:
        add_gateway(store, gateway.name, gateway.key.public, start * 1_000)
    intake = Intake(store, CollectorSettings(), RECEIPT_KEY)
    topics = [topic_of(gateway.name, Leaf.REPORT) for gateway in fleet]
    keys = intake.keys_for(topics)
    lines = days * 86_400 // (STEP * INTERVALS)
    payloads = (
        (topic_of(gateway.name, Leaf.REPORT), gateway.birth() if at < 0 else gateway.usage())
        for at in range(-1, lines)
        for gateway in fleet
    )
    for batch in _batches(payloads):
        intake.commit(intake.open(batch, keys), (NOW - 60) * 1_000)


def _batches(payloads: Iterator[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    batch: list[tuple[str, bytes]] = []
    for each in payloads:
        batch.append(each)
        if len(batch) == 256:
            yield batch
            batch = []
    yield batch


def _write(path: Path, names: list[str]) -> None:
    """A gateway, its chain, one line and its channels each, as intake leaves them."""
    database = SqliteDatabase(path)
    heard = (NOW - 60) * 1_000
    with database.atomic():
        database.executemany("insert into gateway values (?, 0)", [(name,) for name in names])
        database.executemany(
            "insert into chain (id, gateway, log, epoch, through, top, rank) "
            "values (?, ?, 'main', '5f2c91aa', 1, 1, 1)",
            [(at, name) for at, name in enumerate(names, 1)],
        )
        database.executemany(
            "insert into line (id, chain, seq, hash, prev, key, kind, boot, clock, sealed, received_at, raw) "
            "values (?, ?, 1, ?, '', '', 'usage', 'b7e1c09d', 'S', ?, ?, ?)",
            [(at, at, f"h{at}", heard // 1_000, heard, bytes(900)) for at in range(1, len(names) + 1)],
        )
        database.executemany(
            "insert into channel (id, gateway, device, meter, unit, exponent) values (?, ?, ?, 'energy', 'Wh', 0)",
            [
                (at * DEVICES + device + 1, name, f"m{device}")
                for at, name in enumerate(names)
                for device in range(DEVICES)
            ],
        )
        database.executemany(
            "insert into gateway_standing values (?, ?, 900, 0)",
            [(name, "silent" if at % 100 == 77 else "online") for at, name in enumerate(names)],
        )
    database.close()


def _catalog(names: list[str], shop: list[str]) -> str:
    head = CATALOG.partition("[accounts.acme]")[0]
    parts = [
        _contract(str(at), names[at : at + GATEWAYS_A_CONTRACT], "" if at else _WISHES)
        for at in range(0, len(names), GATEWAYS_A_CONTRACT)
    ]
    return head + "\n".join([_contract("shop", shop, _WISHES), *parts])


def _contract(name: str, gateways: list[str], wishes: str) -> str:
    held = ", ".join(f'"{gateway}/m{each}"' for gateway in gateways for each in range(DEVICES))
    return (
        f'[accounts.a{name}]\nname = "Customer {name}"\ncountry = "FI"\n'
        f'[contracts.c{name}]\naccount = "a{name}"\nplan = "charger"\nstart = 2026-10-01\ndevices = [{held}]\n{wishes}'
    )
