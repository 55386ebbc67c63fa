"""A shop without a gateway: its programs send orders over HTTP, and a collector seals them."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
from fastapi import Request

from cloud_collector.access.viewer import Deed, Means, Role, Viewer, everything
from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.ingest.log import Meter, open_log
from cloud_collector.ingest.sealing import OwnLogs
from cloud_collector.intake.intake import Intake, Outcome
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from cloud_collector.web.api import application
from cloud_collector.web.gate import viewer
from shared.effects.memory import SimpleClock
from shared.key import SigningKey
from shared.topic import PREFIX
from tests.api_world import site_of
from tests.unit.billing_samples import NOVEMBER, RECEIPT_KEY, new_store

LOG_KEY: Final = SigningKey(bytes(range(64, 96)))
OPENED: Final = NOVEMBER - 3_600
STRUCTURED: Final = {"Content-Type": "application/cloudevents+json"}
BATCH: Final = {"Content-Type": "application/cloudevents-batch+json"}
CATALOG: Final = """
[operator]
name = "Northwind Metering Oy"
currency = "EUR"
timezone = "Europe/Helsinki"
country = "FI"
address = ["Esimerkkikatu 1", "00100 Helsinki"]
vat_id = "FI12345678"
iban = "FI2112345600000785"

[meters.orders]
unit = "1"
aggregate = "sum"

[meters.energy]
unit = "kWh"
aggregate = "sum"

[plans.shop]
title = "Shop"
cycle = "month"
settle = "48h"

[plans.shop.activation]
rule = "immediate"

[[plans.shop.charges]]
name = "Orders"
type = "usage"
meter = "orders"
model = "per_unit"
price = 0.05

[[plans.shop.charges]]
name = "Energy"
type = "usage"
meter = "energy"
model = "per_unit"
price = 0.20

[[plans.shop.taxes]]
name = "VAT"
percent = 25.5
category = "S"

[accounts.acme]
name = "Acme Oy"
address = ["Satamakatu 4", "20100 Turku"]
country = "FI"

[accounts.beta]
name = "Beta Oy"
address = ["Rantakatu 1", "20100 Turku"]
country = "FI"

[contracts.acme-shop]
account = "acme"
plan = "shop"
start = 2026-10-01
devices = ["shop-1/till-1", "shop-1/till-2"]

[contracts.beta-shop]
account = "beta"
plan = "shop"
start = 2026-10-01
devices = ["shop-2/till-1"]
"""
ACME: Final = Viewer(
    name="checkout",
    role=Role.OPERATOR,
    accounts=frozenset({"acme"}),
    scopes=frozenset({Deed.INGEST, Deed.READ}),
    means=Means.TOKEN,
)
EVERYONE: Final = everything(Role.OPERATOR, "desk", means=Means.TOKEN)


def order(id_: str = "o-1", *, at: str = "2026-10-31T21:01:00Z", **more: Any) -> dict[str, Any]:
    """An event: one order at a till; `value`, `unit` and attributes as given."""
    told: dict[str, Any] = {
        "specversion": "1.0",
        "id": id_,
        "source": "https://shop.example/checkout",
        "type": "orders",
        "subject": "shop-1/till-1",
        "time": at,
        "data": {"value": more.pop("value", "1"), "unit": more.pop("unit", "1")},
    }
    return told | more


class Shop:
    """The store, the interface before it, and the collector's hand."""

    @staticmethod
    def begin(path: Path) -> None:
        """A store in which nothing was opened yet."""
        new_store(path, CATALOG).close()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = SimpleClock(utc_ms=OPENED * 1_000)
        self.archive = MemoryArchive()
        self.site = site_of(path, self.archive, clock=self.clock)
        self.app = application(self.site)
        self.who = ACME

        def known(request: Request) -> Viewer:
            request.state.viewer = self.who
            return self.who

        self.app.dependency_overrides[viewer] = known
        self.drawn = 0
        self.keys: dict[str, SigningKey] = {}
        for name, account in (("shop-1", "acme"), ("shop-2", "beta")):
            self.open(name, account)

    def open(self, name: str, account: str) -> None:
        self.keys[name] = LOG_KEY if name == "shop-1" else SigningKey(name.encode().ljust(32, b"."))
        meters = (Meter(name="orders", unit="1", exponent=0), Meter(name="energy", unit="kWh", exponent=-3))
        with self.site.writing() as store:
            open_log(
                store,
                name,
                self.keys[name].public,
                account=account,
                meters=meters,
                by="anna",
                chance=self.chance,
                now_ms=self.clock.utc_ms(),
            )

    def chance(self, count: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(count, "big")

    @property
    def own(self) -> OwnLogs:
        return OwnLogs(self.keys.get, self.chance, PREFIX)

    def send(
        self, body: Any, headers: Mapping[str, str] = STRUCTURED, *, who: Viewer = ACME, status: int = 202
    ) -> dict[str, Any]:
        """What a program is answered; `body` as bytes, or as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.ask("POST", "/events", who, content=raw, headers=headers)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ask(self, method: str, path: str, who: Viewer = ACME, **options: Any) -> httpx.Response:
        self.who = who
        app = self.app

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **options)

        return asyncio.run(asked())

    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds * 1_000)

    def seal(self, store: Store) -> Sequence[tuple[str, bytes]]:
        """What leaves for intake; in a running collector its tick does this."""
        return self.own.due(store, self.clock.utc_ms())

    def tick(self) -> Outcome | None:
        """As the collector's tick does, in one process."""
        with self.site.writing() as store:
            raw = self.seal(store)
            return self.take_in(store, raw) if raw else None

    def take_in(self, store: Store, raw: Sequence[tuple[str, bytes]]) -> Outcome:
        intake = Intake(store, CollectorSettings(), RECEIPT_KEY)
        admitted = intake.open(raw, intake.keys_for([topic for topic, _ in raw]))
        outcome = intake.commit(admitted, self.clock.utc_ms())
        self.own.settle(store, outcome.receipts)
        return outcome

    def registers(self) -> dict[str, int]:
        """What intake has counted, by channel."""
        with self.site.open_store() as store:
            rows = store.rows("account", "", "")
        return {f"{row[0]}/{row[1]} {row[2]}": row[5] for row in rows}

    def count(self, query: str, *values: object) -> int:
        with self.site.open_store() as store:
            return len(store.rows(query, *values))
