"""Pages: how long the server takes for the operator's lists, with a large fleet in the store.

The rows are written straight into the store, one line a gateway as intake leaves it, and a catalog has every
device; the pages are asked for as a browser asks, without a network. What counts is the slowest list, in the median.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import httpx
from prometheus_client import CollectorRegistry

from cloud_collector.billing.revisions import apply
from cloud_collector.contracts.read import load_catalog
from cloud_collector.store.store import Store
from cloud_collector.web.app import create_app
from cloud_collector.web.site import Site
from shared.effects.memory import SimpleClock
from shared.effects.sqlite import SqliteDatabase
from tests.bench.figure import Figure, Say
from tests.unit.billing_samples import CATALOG, OCTOBER

GOAL_MS: Final = 100
DEVICES: Final = 10
"""Of each gateway."""
GATEWAYS_A_CONTRACT: Final = 10
TURNS: Final = 15
NOW_MS: Final = (OCTOBER + 10 * 86_400) * 1_000
LISTS: Final = {
    "fleet, first page": "/gateways",
    "fleet, a page in the middle": "/gateways?after=gw-05000",
    "fleet, silent ones": "/gateways?state=silent",
    "fleet, searched": "/gateways?q=99",
    "one gateway": "/gateways/gw-00077",
    "devices, first page": "/devices",
    "devices, searched": "/devices?q=99/m5",
    "one device": "/devices/gw-00077/m5",
    "accounts": "/accounts",
    "contracts": "/contracts",
    "overview": "/",
}


def pages(say: Say, *, gateways: int) -> list[Figure]:
    """Milliseconds of server time for each list, and for the slowest of them."""
    say(f"opening pages over {gateways:,} gateways and {gateways * DEVICES:,} devices")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "collector.db"
        _fill(path, gateways)
        took = asyncio.run(_measure(path))
    note = f"{gateways:,} gateways, {gateways * DEVICES:,} devices; median of {TURNS}"
    worst = max(took, key=lambda name: took[name])
    found = [Figure(room="pages", name="slowest list", value=took[worst], unit="ms", most=GOAL_MS, note=worst)]
    return found + [Figure(room="pages", name=name, value=each, unit="ms", note=note) for name, each in took.items()]


async def _measure(path: Path) -> dict[str, float]:
    app = create_app(_site(path))
    transport = httpx.ASGITransport(app=app)
    found = {}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as browser:
        for name, address in LISTS.items():
            # The first one reads the catalog, which a running collector has long since done.
            (await browser.get(address)).raise_for_status()
            times = []
            for _ in range(TURNS):
                began = time.perf_counter()
                (await browser.get(address)).raise_for_status()
                times.append((time.perf_counter() - began) * 1_000)
            found[name] = median(times)
    return found


def _site(path: Path) -> Site:
    @contextmanager
    def opened(*, read_only: bool = True) -> Iterator[Store]:
        held = Store(SqliteDatabase(path, read_only=read_only), migrated=True)
        try:
            yield held
        finally:
            held.close()

    return Site(
        open_store=opened,
        open_writer=lambda: opened(read_only=False),
        clock=SimpleClock(utc_ms=NOW_MS),
        zone=lambda _: "Europe/Helsinki",
        subscriptions=lambda *_: [],
        key_words="",
        readiness=dict,
        metrics=CollectorRegistry(),
    )


def _fill(path: Path, gateways: int) -> None:
    names = [f"gw-{at:05}" for at in range(gateways)]
    store = Store(SqliteDatabase(path))
    apply(store, load_catalog(_catalog(names)), now_ms=(OCTOBER - 86_400) * 1_000)
    store.close()
    database = SqliteDatabase(path)
    heard = NOW_MS - 60_000
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
            [(at, at, f"h{at}", heard // 1_000, heard, bytes(900)) for at in range(1, gateways + 1)],
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


def _catalog(names: list[str]) -> str:
    head = CATALOG.partition("[accounts.acme]")[0]
    parts = []
    for at in range(0, len(names), GATEWAYS_A_CONTRACT):
        held = ", ".join(
            f'"{name}/m{each}"' for name in names[at : at + GATEWAYS_A_CONTRACT] for each in range(DEVICES)
        )
        parts.append(
            f'[accounts.a{at}]\nname = "Customer {at}"\ncountry = "FI"\n'
            f'[contracts.c{at}]\naccount = "a{at}"\nplan = "charger"\nstart = 2026-10-01\ndevices = [{held}]\n'
        )
    return head + "\n".join(parts)
