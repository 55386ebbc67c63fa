"""The story: three months of four customers, as the agents' and the collector's own code make them out of readings.

`tell` writes a site's folder in a few seconds: configurations, keys, spools, the collector's store with its issued
invoices, warnings, alarms and checkpoints. Nothing is in that store but what intake took from sealed lines, and what
the collector's own chores did when it was time. The same seed and the same moment give the same lines and invoices.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from cloud_collector.billing.archive import FolderArchive
from cloud_collector.billing.outcome import Outcome
from cloud_collector.billing.revisions import apply
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.cli.telling import watch_of
from cloud_collector.config import load as collector_settings
from cloud_collector.contracts.read import load_catalog
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.insight.warnings import Against, said
from cloud_collector.insight.watch import Kept
from cloud_collector.intake.intake import Intake
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.upkeep.checkpoints import Checkpointer
from cloud_collector.upkeep.watch import Watch as AlarmWatch
from demo.past import PastDisk, PastGateway
from demo.people import HOUSE, SITE
from demo.readings import DAY, HOUR, ZONE
from demo.site import HISTORY_COUNT, HISTORY_STEP, LIVE, Site, prepare
from edge_agent.config import load as agent_settings
from shared.effects.sqlite import SqliteDatabase

WINDOW: Final = HISTORY_STEP * HISTORY_COUNT
LAG_MS: Final = 10_000
"""A line is sealed so long after its window's end, and received as much later."""

Heard = Callable[[str], None]
"""Gets a sentence for each thing that happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is in the folder."""

    site: Site
    readings: int
    lines: int
    invoices: tuple[str, ...]
    """Numbers, in order of issue."""
    warnings: int


def tell(
    folder: Path,
    *,
    now: int,
    seed: str = "1",
    interfaces: Sequence[str] = (),
    broker_port: int = 1883,
    web_port: int = 8080,
    heard: Heard = lambda _: None,
) -> Story:
    """The folder, which is empty or absent, holds the story up to the last full hour before `now` (Unix seconds)."""
    site = Site(folder=folder, seed=seed, now=now, broker_port=broker_port, web_port=web_port)
    readings = prepare(site, interfaces)
    meters = sum(len(each) for each in site.gateways().values())
    heard(f"{meters} meters of {len(site.gateways()) - 1} gateways have been read {readings:,} times")
    return asyncio.run(_told(site, readings, heard))


async def _told(site: Site, readings: int, heard: Heard) -> Story:
    database = SqliteDatabase(":memory:")
    office = _Office(site, Store(database), heard)
    fleet = [_gateway(site, name) for name in site.gateways() if name != LIVE]
    for at in _instants(site):
        if at == _last_long(site):
            for gateway in fleet:
                gateway.shorten(HISTORY_STEP, 1)
        for gateway in fleet:
            if at > site.begins(gateway.name):
                await gateway.advance(at * 1_000 + LAG_MS)
        away, back = site.calendar.silence
        office.take([each for each in fleet if each.name != SITE or not away <= at < back], at)
        office.tick(at)
    for gateway in fleet:
        await gateway.close()
    # In memory until now: a disk that has every commit in it at once is another program's subject.
    database.execute("vacuum into ?", (str(site.store),))
    warnings = len(office.store.rows("warnings"))
    office.store.close()
    return Story(site=site, readings=readings, lines=office.lines, invoices=tuple(office.invoices), warnings=warnings)


class _Office:
    """The collector: its intake, and the chores of its tick, at moments of the past."""

    def __init__(self, site: Site, store: Store, heard: Heard) -> None:
        self.store = store
        self.lines = 0
        self.invoices: list[str] = []
        self._site = site
        self._heard = heard
        began = self._began_ms = min(site.begins(name) for name in site.gateways()) * 1_000
        for name in site.gateways():
            add_gateway(store, name, site.key(name).public, began)
        apply(store, load_catalog(site.catalog_file.read_text(encoding="utf-8")), now_ms=began)
        known = collector_settings(site.collector_config, environment={}, flags=()).settings
        key, archive = site.key("receipt"), FolderArchive(site.issued)
        self._intake = Intake(store, known, key)
        self._biller = Biller(key=key, archive=archive, view=StoreView)
        self._checkpointer = Checkpointer(key, archive)
        self._alarms = AlarmWatch(known.alarms, connected=lambda: True, name="collector", skew_seconds=0)
        self._watch = watch_of(known)
        self._chapters = _chapters(site)

    def take(self, fleet: Iterable[PastGateway], at: int) -> None:
        """What the gateways publish becomes facts, and they hear of it."""
        by_name = {gateway.name: gateway for gateway in fleet}
        messages = [(each.topic, payload) for each in by_name.values() for payload in each.payloads()]
        if not messages:
            return
        opened = self._intake.open(messages, self._intake.keys_for([topic for topic, _ in messages]))
        outcome = self._intake.commit(opened, at * 1_000 + 2 * LAG_MS)
        self.lines += outcome.counts()["accepted"]
        assert outcome.counts()["accepted"] == len(outcome.verdicts), "everything in the story is accepted"
        for gateway, receipt in outcome.receipts:
            by_name[gateway].hear(receipt)

    def tick(self, at: int) -> None:
        """What is due is done, and told."""
        now_ms = at * 1_000 + 3 * LAG_MS
        while self._chapters and self._chapters[0][0] <= at:
            then, sentence = self._chapters.pop(0)
            self._tell(then, sentence)
        # What a running collector does all the time, and finds nothing to do, a story does once a day.
        daily = at % DAY == 0
        if daily:
            self._bill(at, now_ms)
        self._checkpointer(self.store, now_ms)
        # It has heard all the time; it only looks more seldom than a collector that runs.
        self.store.run("hearing_put", self._began_ms, now_ms)
        self._alarms(self.store, now_ms)
        if daily and self._site.watched(at):
            self._warn(at, self._watch.round(self.store, now_ms))

    def _bill(self, at: int, now_ms: int) -> None:
        report = bill_due(self.store, now_ms, self._biller)
        issued = [each for each in report.of("issued") if each.number is not None]
        self.invoices += [str(each.number) for each in issued]
        if issued:
            total = sum((each.total or Decimal(0) for each in issued), Decimal(0))
            self._tell(at, f"{_named(issued)} issued, {total:,} EUR")

    def _warn(self, at: int, news: Sequence[Kept]) -> None:
        """Of each contract's warnings that one which says most: what was agreed weighs more than what is usual."""
        for contract in dict.fromkeys(each.contract for each in news):
            those = [each.warning for each in news if each.contract == contract]
            weighty = [each for each in those if each.threshold.against is not Against.NORMAL] or those
            self._tell(at, f"{contract} is warned. {said(weighty[-1])}")

    def _tell(self, at: int, sentence: str) -> None:
        self._heard(f"{datetime.fromtimestamp(at, ZONE):%d %b}  {sentence}")


def _named(issued: Sequence[Outcome]) -> str:
    first, last = issued[0].number, issued[-1].number
    return f"invoice {first} is" if len(issued) == 1 else f"invoices {first} to {last} are"


def _chapters(site: Site) -> list[tuple[int, str]]:
    """What happens besides, and when, in order."""
    days = site.calendar
    away, back = days.silence
    change = int(
        datetime(days.clock_change.year, days.clock_change.month, days.clock_change.day, tzinfo=ZONE).timestamp()
    )
    following = days.clock_change + timedelta(days=1)
    hours = (int(datetime(following.year, following.month, following.day, tzinfo=ZONE).timestamp()) - change) // HOUR
    found = [
        (change, f"the clocks change: this day has {hours} hours"),
        (away, f"{SITE} falls silent; its agent goes on metering into its spool"),
        (back, f"{SITE} is heard again, and sends everything at once"),
    ]
    found += [
        (each.swap.at, f"the water meter of flat 2 is exchanged, {each.serial} by {each.swap.serial}")
        for each in site.gateways()[HOUSE]
        if each.swap is not None
    ]
    return sorted(found)


def _gateway(site: Site, name: str) -> PastGateway:
    settings = agent_settings(site.gateway_config(name), environment={}).settings
    return PastGateway(
        replace(settings, step_seconds=HISTORY_STEP, interval_count=HISTORY_COUNT),
        site.key(name),
        site.key("receipt").public,
        disk=PastDisk(settings.spool_path),
        began=site.begins(name),
        draw=random.Random(f"{site.seed}/{name}"),
    )


def _last_long(site: Site) -> int:
    return site.handover // WINDOW * WINDOW


def _instants(site: Site) -> Iterable[int]:
    """The ends of windows: long ones, then by the hour."""
    first = min(site.begins(name) for name in site.gateways()) // WINDOW * WINDOW
    yield from range(first + WINDOW, _last_long(site) + 1, WINDOW)
    yield from range(_last_long(site) + HOUR, site.handover + 1, HOUR)
