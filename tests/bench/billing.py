"""The billing run: issued invoices a second, and whether more readings make it slower.

In process and without a broker: lines go through intake into a store on disk, a catalog with three
charges is applied, and the month is closed. An invoice is issued when it is committed, sealed, and
synced into the folder of issued invoices.
"""

import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cloud_collector.billing.archive import FolderArchive
from cloud_collector.billing.revisions import apply
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.contracts.read import load_catalog
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.intake.intake import Intake
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.effects.sqlite import SqliteDatabase
from shared.key import SigningKey
from shared.payload import pack
from shared.topic import Leaf, topic_of
from tests.bench.figure import Figure, Say
from tests.bench.payloads import Gateway
from tests.bench.site import workspace

DEVICES: Final = 10
HOUR: Final = 3_600
DAY: Final = 86_400
MONTH: Final = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())
DAYS: Final = 31
CHANNELS: Final = tuple(
    (f"device-{at}", meter, unit) for at in range(DEVICES) for meter, unit in (("energy", "Wh"), ("data_down", "By"))
)
RECEIPT_KEY: Final = SigningKey(bytes(32))

CATALOG: Final = """
[operator]
name = "Bench Oy"
currency = "EUR"
timezone = "UTC"
country = "FI"
address = ["Example street 1", "00100 Helsinki"]
vat_id = "FI12345678"

[meters.energy]
unit = "kWh"
aggregate = "sum"

[meters.data_down]
unit = "GBy"
aggregate = "sum"

[plans.bench]
cycle = "month"

[[plans.bench.charges]]
name = "Connection"
type = "subscription"
price = 9.90

[[plans.bench.charges]]
name = "Energy"
type = "usage"
meter = "energy"
per = "device"
model = "graduated"
tiers = [{ up_to = 100, price = 0.30 }, { price = 0.25 }]

[[plans.bench.charges]]
name = "Data"
type = "usage"
meter = "data_down"
per = "device"
model = "per_unit"
price = 0.02

[[plans.bench.taxes]]
name = "VAT"
percent = 25.5
category = "S"

[accounts.bench]
name = "Bench"
address = ["Example street 2", "00100 Helsinki"]
country = "FI"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What a run has issued."""

    invoices: int
    lines: int
    """Invoice lines, all together."""
    readings: int
    seconds: float
    cpu_seconds: float


def billing(say: Say, *, contracts: int) -> list[Figure]:
    """The same contracts billed twice, in a store with a line a day, then with four."""
    sparse, dense = billed(say, contracts, hours=24), billed(say, contracts, hours=6)
    rate = sparse.invoices / sparse.cpu_seconds
    flat = (dense.cpu_seconds / dense.invoices) / (sparse.cpu_seconds / sparse.invoices)
    how = f"{sparse.invoices} invoices of {DEVICES} devices and 3 charges, {sparse.lines // sparse.invoices} lines each"

    def figure(name: str, value: float, unit: str, goal: float | None, note: str) -> Figure:
        return Figure(room="billing", name=name, value=value, unit=unit, least=goal, note=note)

    return [
        figure("issued invoices a second of a core", rate, "/s", 1_000, f"{how}; documents off"),
        figure(
            "issued invoices a second", sparse.invoices / sparse.seconds, "/s", None, "waiting for the disk included"
        ),
        Figure(
            room="billing",
            name="cost with four times as many stored lines",
            value=flat,
            unit="×",
            most=1.1,
            note=f"{dense.readings:,} interval readings in the period",
        ),
    ]


def billed(say: Say, contracts: int, *, hours: int) -> Billed:
    """Store lines of so many hourly intervals, apply the catalog, bill the month."""
    with workspace() as folder:
        store = Store(SqliteDatabase(folder / "store.db"))
        say(f"storing a month of {contracts} gateways, {24 // hours} lines a day")
        readings = sum(_stored(store, at, hours) for at in range(contracts))
        agreed = "".join(_contract(at) for at in range(contracts))
        apply(store, load_catalog(CATALOG + agreed), now_ms=(MONTH - DAY) * 1000)
        biller = Biller(key=RECEIPT_KEY, archive=FolderArchive(folder / "invoices"), view=StoreView)
        say(f"billing {contracts} contracts")
        began, cpu = time.perf_counter(), time.process_time()
        report = bill_due(store, (MONTH + (DAYS + 3) * DAY) * 1000, biller)
        seconds, cpu_spent = time.perf_counter() - began, time.process_time() - cpu
        issued = report.of("issued")
        assert len(issued) == contracts, report.outcomes[:3]
        lines = _lines(folder / "invoices")
        store.close()
    return Billed(invoices=len(issued), lines=lines, readings=readings, seconds=seconds, cpu_seconds=cpu_spent)


def _stored(store: Store, at: int, hours: int) -> int:
    gateway = Gateway(f"bench-{at}", random.Random(f"billing/{at}"), CHANNELS, HOUR, hours, MONTH)
    add_gateway(store, gateway.name, gateway.key.public, now_ms=0)
    intake = Intake(store, CollectorSettings(), RECEIPT_KEY)
    topic = topic_of(gateway.name, Leaf.REPORT)
    lines = [gateway.birth()]
    # A day more than the month: by its chain the gateway proves that nothing before the boundary is missing.
    lines += [gateway.usage() for _ in range((DAYS + 1) * 24 // hours)]
    messages = [(topic, pack([line])) for line in lines]
    keys = intake.keys_for([topic])
    intake.commit(intake.open(messages, keys), (MONTH + (DAYS + 2) * DAY) * 1000)
    return (len(lines) - 1) * len(CHANNELS) * hours


def _contract(at: int) -> str:
    devices = ", ".join(f'"bench-{at}/device-{device}"' for device in range(DEVICES))
    return f'\n[contracts.bench-{at}]\naccount = "bench"\nplan = "bench"\nstart = 2026-10-01\ndevices = [{devices}]\n'


def _lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b'"charge"') for path in folder.glob("*.ms"))
