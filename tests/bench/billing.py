"""The billing run: issued invoices a second, whether more readings make it slower, and how long a preview takes.

In process and without a broker: lines go through intake into a store on disk, a catalog with three
charges is applied, and the month is closed. An invoice is issued when it is committed, sealed, and
synced into the folder of issued invoices.
"""

import random
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cloud_collector.billing.archive import FolderArchive
from cloud_collector.billing.case import Sight
from cloud_collector.billing.preview import preview
from cloud_collector.billing.revisions import apply, revisions
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
LATER_MS: Final = (MONTH + (DAYS + 3) * DAY) * 1000
LINES_AT_ONCE: Final = 256
GATEWAYS_AT_ONCE: Final = 64
ROUNDS: Final = 3
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
    """Of intervals, as they lie behind it."""
    reports: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Invoices a second of a core."""
        return self.invoices / self.cpu_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Gateways with a contract each, and how finely their month is reported."""

    contracts: int
    devices: int = DEVICES
    step: int = HOUR
    """Seconds of an interval."""
    intervals: int = 24
    """Of a line."""

    @property
    def lines_a_month(self) -> int:
        """A day more than the month: by its chain a gateway proves that nothing before the boundary is missing."""
        return (DAYS + 1) * DAY // (self.step * self.intervals)


GROWTH: Final = 100


def billing(say: Say, *, contracts: int, grown: int, previewed: int) -> list[Figure]:
    """A run; the same contracts on a hundred times the readings; a preview of many."""
    run = billed(say, Fleet(contracts=contracts))
    few = billed(say, Fleet(contracts=grown))
    many = billed(say, Fleet(contracts=grown, step=HOUR // GROWTH))
    flat = (many.cpu_seconds / many.invoices) / (few.cpu_seconds / few.invoices)
    how = f"{run.invoices} invoices of {DEVICES} devices and 3 charges, {run.lines // run.invoices} lines each"
    small = preview_seconds(say, Fleet(contracts=previewed, devices=1, step=DAY, intervals=DAYS + 1))
    large = preview_seconds(say, Fleet(contracts=previewed, step=DAY, intervals=DAYS + 1))

    def figure(name: str, value: float, unit: str, goal: float | None, note: str) -> Figure:
        return Figure(room="billing", name=name, value=value, unit=unit, least=goal, note=note)

    def preview_figure(value: float, goal: float | None, note: str) -> Figure:
        name = f"preview of {previewed:,} contracts"
        return Figure(room="billing", name=name, value=value, unit="s", most=goal, note=note)

    return [
        figure("issued invoices a second of a core", run.rate, "/s", 1_000, f"{how}; documents off"),
        figure("issued invoices a second", run.invoices / run.seconds, "/s", None, "waiting for the disk included"),
        Figure(
            room="billing",
            name=f"cost with {many.readings // few.readings} times the readings",
            value=flat,
            unit="×",
            most=1.1,
            note=f"{many.readings:,} interval readings in {many.reports:,} lines",
        ),
        preview_figure(small, 10, "of one device and 3 charges; CPU"),
        preview_figure(large, 10, f"of {DEVICES} devices and 3 charges; CPU"),
    ]


def billed(say: Say, fleet: Fleet) -> Billed:
    """Store a month, apply the catalog, bill it; the quickest of several rounds, each from the same store."""
    with workspace() as folder:
        whole = folder / "whole.db"
        store = Store(SqliteDatabase(whole))
        readings = agreed(say, store, fleet)
        store.close()
        rounds = [_billed(say, whole, folder / f"round-{at}", fleet, readings) for at in range(ROUNDS)]
    return min(rounds, key=lambda each: each.cpu_seconds)


def _billed(say: Say, whole: Path, folder: Path, fleet: Fleet, readings: int) -> Billed:
    folder.mkdir()
    shutil.copy(whole, folder / "store.db")
    store = Store(SqliteDatabase(folder / "store.db"))
    biller = Biller(key=RECEIPT_KEY, archive=FolderArchive(folder / "invoices"), view=StoreView)
    say(f"billing {fleet.contracts} contracts")
    began, cpu = time.perf_counter(), time.process_time()
    report = bill_due(store, LATER_MS, biller)
    seconds, cpu_spent = time.perf_counter() - began, time.process_time() - cpu
    store.close()
    (folder / "store.db").unlink()
    issued = report.of("issued")
    assert len(issued) == fleet.contracts, report.outcomes[:3]
    return Billed(
        invoices=len(issued),
        lines=_lines(folder / "invoices"),
        readings=readings,
        reports=fleet.contracts * fleet.lines_a_month,
        seconds=seconds,
        cpu_seconds=cpu_spent,
    )


def preview_seconds(say: Say, fleet: Fleet) -> float:
    """What a preview of every contract takes of a core, its catalog read."""
    with workspace() as folder:
        store = Store(SqliteDatabase(folder / "store.db"))
        agreed(say, store, fleet)
        revisions(store)
        say(f"previewing {fleet.contracts} contracts")
        cpu = time.process_time()
        outcomes = preview(store, LATER_MS, Sight(view=StoreView))
        spent = time.process_time() - cpu
        assert sum(1 for each in outcomes if each.state == "due") == fleet.contracts, outcomes[:3]
        store.close()
    return spent


def agreed(say: Say, store: Store, fleet: Fleet) -> int:
    """The month is stored and the catalog applied; how many interval readings that is."""
    say(f"storing a month of {fleet.contracts} gateways, {fleet.lines_a_month} lines each")
    readings = sum(_stored(store, at, fleet) for at in range(0, fleet.contracts, GATEWAYS_AT_ONCE))
    agreed = "".join(_contract(at, fleet) for at in range(fleet.contracts))
    apply(store, load_catalog(CATALOG + agreed), now_ms=(MONTH - DAY) * 1000)
    return readings


def _stored(store: Store, first: int, fleet: Fleet) -> int:
    """A few gateways' month, in batches that hold lines of all of them."""
    channels = CHANNELS[: 2 * fleet.devices]
    gateways = [
        Gateway(f"bench-{at}", random.Random(f"billing/{at}"), channels, fleet.step, fleet.intervals, MONTH)
        for at in range(first, min(first + GATEWAYS_AT_ONCE, fleet.contracts))
    ]
    for gateway in gateways:
        add_gateway(store, gateway.name, gateway.key.public, now_ms=0)
    intake = Intake(store, CollectorSettings(), RECEIPT_KEY)
    keys = intake.keys_for([topic_of(gateway.name, Leaf.REPORT) for gateway in gateways])
    each = max(LINES_AT_ONCE // len(gateways), 1)
    for begun in range(0, fleet.lines_a_month, each):
        messages = []
        for gateway in gateways:
            lines = [] if begun else [gateway.birth()]
            lines += [gateway.usage() for _ in range(min(each, fleet.lines_a_month - begun))]
            messages += [(topic_of(gateway.name, Leaf.REPORT), pack([line])) for line in lines]
        intake.commit(intake.open(messages, keys), (MONTH + (DAYS + 2) * DAY) * 1000)
    return len(gateways) * fleet.lines_a_month * len(channels) * fleet.intervals


def _contract(at: int, fleet: Fleet) -> str:
    devices = ", ".join(f'"bench-{at}/device-{device}"' for device in range(fleet.devices))
    return f'\n[contracts.bench-{at}]\naccount = "bench"\nplan = "bench"\nstart = 2026-10-01\ndevices = [{devices}]\n'


def _lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b'"charge"') for path in folder.glob("*.ms"))
