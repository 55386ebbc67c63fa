"""A small world for billing: one gateway's genuine lines, a catalog, and a store that holds both."""

from collections.abc import Sequence
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
from cloud_collector.store.view import StoreView
from edge_agent.fold import Fold, Foldable
from shared.effects.sqlite import SqliteDatabase
from shared.key import SigningKey
from shared.line import Line, hash_of, parse
from shared.report import (
    Birth,
    Cause,
    Channel,
    Clock,
    ClockLine,
    Gap,
    GapCause,
    GapRow,
    Header,
    Position,
    Report,
    Summary,
    Usage,
    UsageRow,
    read,
    rotate,
    seal_report,
)
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
    boot: str = "b7e1c09d"
    clock: Clock = Clock.SYNCHRONISED
    shift: int = 0
    """UTC minus the boot's own seconds, where the clock is R."""
    lines: list[bytes] = field(default_factory=list)
    registers: dict[str, int] = field(default_factory=lambda: {"sdm630-1": 12_345_631, "sdm630-2": 771_200})
    seq: int = 0
    prev: str = ""
    folded: set[bytes] = field(default_factory=set)
    """Lines that a summary stands for."""
    key: SigningKey = GATEWAY_KEY
    unit: str = "Wh"

    def _header(self, at: int) -> Header:
        return Header(
            gateway=self.name,
            log=self.log,
            key=self.key.public.id,
            epoch=self.epoch,
            seq=self.seq + 1,
            prev=self.prev,
            boot=self.boot,
            clock=self.clock,
            sealed_at=at - self.shift,
        )

    def _seal(self, report: Report) -> None:
        self.lines.append(seal_report(report, self.key))
        self.seq, self.prev = self.seq + 1, hash_of(self.lines[-1])

    def birth(self, at: int, previous: Position | None = None) -> None:
        self._seal(
            Birth(
                header=self._header(at),
                agent="meterseal 0.1.0",
                config="t5YG-zr-pb0WCe1AtiIULxyYElq8_omnamYbDo40ORA",
                cause=Cause.START,
                previous=previous,
                channels=tuple(
                    Channel(device, "energy", self.unit, 0, "modbus", f"SN-{device}", register, register)
                    for device, register in self.registers.items()
                ),
            )
        )

    def day(self, start: int, watts: dict[str, int]) -> None:
        rows = []
        for device, register in self.registers.items():
            deltas = tuple([watts.get(device, 0)] * COUNT)
            rows.append(UsageRow(device, "energy", self.unit, 0, register, deltas, {}))
            self.registers[device] = register + sum(deltas)
        header = self._header(start + STEP * COUNT)
        self._seal(Usage(header=header, start=start - self.shift, step=STEP, count=COUNT, rows=tuple(rows)))

    def gap(self, start: int, end: int, device: str, units: int | None) -> None:
        before = self.registers[device]
        after = None if units is None else before + units
        row = GapRow(
            device,
            "energy",
            start - self.shift,
            end - self.shift,
            GapCause.SOURCE_DOWN,
            None if units is None else before,
            after,
        )
        self._seal(Gap(header=self._header(end), rows=(row,)))
        self.registers[device] = before if after is None else after

    def tell_time(self, at: int) -> None:
        self._seal(ClockLine(header=self._header(at), offset=self.shift))

    def reboot(self, boot: str, *, clock: Clock, shift: int = 0) -> None:
        self.boot, self.clock, self.shift = boot, clock, shift

    def rotate(self, at: int, following: SigningKey) -> None:
        self._seal(rotate(self._header(at), following))
        self.key = following

    def fold(self, count: int, step: int = 3_600) -> None:
        """The oldest lines of this epoch that are not folded yet become a summary, or summaries one of days."""
        fold = Fold(step)
        for raw in list(self.lines):
            line = parse(raw)
            assert isinstance(line, Line)
            report = read(line)
            kinds = Summary if step > 3_600 else Usage | Gap
            if not isinstance(report, kinds) or report.header.epoch != self.epoch or raw in self.folded:
                continue
            if len(fold.taken) == count or not fold.take(Foldable(report, hash_of(raw))):
                break
        whole = fold.whole()
        if len(whole.taken) > 1:
            covered = {each.hash for each in whole.taken}
            self.folded |= {raw for raw in self.lines if hash_of(raw) in covered}
            self._seal(whole.summary(key=self.key.public.id, seq=self.seq + 1, prev=self.prev))

    def lose_spool(self, epoch: str, at: int) -> None:
        previous = Position(self.epoch, self.seq, self.prev)
        self.epoch, self.seq, self.prev = epoch, 0, ""
        self.birth(at, previous)


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
