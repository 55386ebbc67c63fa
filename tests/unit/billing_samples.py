"""A small world for billing: one gateway's genuine lines, a catalog, and a store that holds both."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cloud_collector.billing.archive import Archive, MemoryArchive
from cloud_collector.billing.revisions import apply
from cloud_collector.billing.run import Biller
from cloud_collector.contracts.read import load_catalog
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.intake.intake import Intake
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from cloud_collector.usage.derive import OWN_TIME, spans_of
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import Span, UsageView
from cloud_collector.usage.view import StoreView
from shared.effects.sqlite import SqliteDatabase
from shared.key import SigningKey
from shared.line import hash_of
from shared.report import Birth, Cause, Channel, Clock, Header, Report, Usage, UsageRow, seal_report
from shared.topic import Leaf, topic_of

GATEWAY_KEY = SigningKey(bytes(range(32)))
RECEIPT_KEY = SigningKey(bytes(range(32, 64)))
OCTOBER = 1_790_802_000  # 2026-10-01 00:00 in Helsinki
NOVEMBER = 1_793_484_000
STEP = 900
COUNT = 96

CATALOG = """
[operator]
name = "Northwind Metering Oy"
currency = "EUR"
timezone = "Europe/Helsinki"
country = "FI"
address = ["Esimerkkikatu 1", "00100 Helsinki"]
vat_id = "FI12345678"
iban = "FI2112345600000785"

[meters.energy]
unit = "kWh"
aggregate = "sum"

[plans.charger]
title = "Charger"
cycle = "month"
settle = "48h"

[plans.charger.activation]
rule = "first_use"
any = [{ meter = "energy", at_least = 0.5 }]
grace = "20d"

[[plans.charger.charges]]
name = "Connection"
type = "subscription"
price = 9.90

[[plans.charger.charges]]
name = "Energy"
type = "usage"
meter = "energy"
model = "graduated"
tiers = [{ up_to = 100, price = 0.30 }, { price = 0.25 }]
included = 50

[[plans.charger.taxes]]
name = "VAT"
percent = 25.5
category = "S"

[accounts.acme]
name = "Åke & Söner | Acme Oy"
address = ["Satamakatu 4", "20100 Turku"]
country = "FI"
locale = "fi_FI"

[contracts.acme-chargers]
account = "acme"
plan = "charger"
start = 2026-10-01
devices = ["roof-1/sdm630-1", "roof-1/sdm630-2"]
"""


@dataclass
class Gateway:
    """Seals a log of `roof-1`: two meters, a day a line, in quarters of an hour."""

    name: str = "roof-1"
    log: str = "main"
    epoch: str = "5f2c91aa"
    lines: list[bytes] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    registers: dict[str, int] = field(default_factory=lambda: {"sdm630-1": 12_345_631, "sdm630-2": 771_200})

    def _header(self, sealed_at: int) -> Header:
        return Header(
            gateway=self.name,
            log=self.log,
            key=GATEWAY_KEY.public.id,
            epoch=self.epoch,
            seq=len(self.lines) + 1,
            prev=hash_of(self.lines[-1]) if self.lines else "",
            boot="b7e1c09d",
            clock=Clock.SYNCHRONISED,
            sealed_at=sealed_at,
        )

    def _seal(self, report: Report) -> None:
        self.reports.append(report)
        self.lines.append(seal_report(report, GATEWAY_KEY))

    def birth(self, at: int) -> None:
        self._seal(
            Birth(
                header=self._header(at),
                agent="meterseal 0.1.0",
                config="t5YG-zr-pb0WCe1AtiIULxyYElq8_omnamYbDo40ORA",
                cause=Cause.START,
                previous=None,
                channels=tuple(
                    Channel(device, "energy", "Wh", 0, "modbus", f"SN-{device}", register, register)
                    for device, register in self.registers.items()
                ),
            )
        )

    def day(self, start: int, watts: dict[str, int]) -> None:
        rows = []
        for device, register in self.registers.items():
            deltas = tuple([watts.get(device, 0)] * COUNT)
            rows.append(UsageRow(device, "energy", "Wh", 0, register, deltas, {}))
            self.registers[device] = register + sum(deltas)
        header = self._header(start + STEP * COUNT)
        self._seal(Usage(header=header, start=start, step=STEP, count=COUNT, rows=tuple(rows)))


def october(gateway: Gateway, *, days: int = 33) -> Gateway:
    """sdm630-1 is used from the first day; sdm630-2 from the 14th."""
    gateway.birth(OCTOBER - 3_600)
    for day in range(days):
        second = 140 if day >= 13 else 0
        gateway.day(OCTOBER + day * STEP * COUNT, {"sdm630-1": 330, "sdm630-2": second})
    return gateway


def new_store(path: Path | str = ":memory:", catalog: str = CATALOG) -> Store:
    store = Store(SqliteDatabase(path))
    apply(store, load_catalog(catalog), now_ms=(OCTOBER - 86_400) * 1000)
    return store


def ledger(reports: Iterable[Report], *, until: int | None = None) -> Ledger:
    spans: list[Span] = []
    for report in reports:
        if until is None or report.header.seq <= until:
            spans += spans_of(report, OWN_TIME, report.header.sealed_at * 1000)
    return Ledger(spans)


def biller(view: UsageView, *, complete: int | None = None, archive: Archive | None = None) -> Biller:
    return Biller(
        key=RECEIPT_KEY,
        archive=archive or MemoryArchive(),
        view=lambda _: view,
        complete=lambda _store, _gateway: complete,
    )


def only(rows: Sequence[object]) -> object:
    assert len(rows) == 1, rows
    return rows[0]


def receive(store: Store, lines: Sequence[bytes], *, at: int, gateway: str = "roof-1") -> None:
    """The lines go through intake itself, as if they had just arrived."""
    add_gateway(store, gateway, GATEWAY_KEY.public, at * 1000)
    intake = Intake(store, CollectorSettings(), RECEIPT_KEY)
    topic = topic_of(gateway, Leaf.REPORT)
    for line in lines:
        keys = intake.keys_for([topic])
        intake.commit(intake.open([(topic, line)], keys), at * 1000)


def store_biller(archive: Archive | None = None) -> Biller:
    return Biller(key=RECEIPT_KEY, archive=archive or MemoryArchive(), view=StoreView)
