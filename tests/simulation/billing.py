"""Billing in the simulation: the collector's own biller by its own tick, an archive that outlives it, and an observer.

The collector may be killed between any two statements of an issuing transaction, and between the
commit, the archive and the mark; what was ever seen of an invoice must stay so (P16).
"""

import random
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.revisions import apply
from cloud_collector.billing.run import Biller
from cloud_collector.contracts.read import load_catalog
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.effects.database import Parameters
from shared.effects.sqlite import SqliteDatabase
from tests.simulation.agreements import catalog_of, draw_agreements
from tests.simulation.clocks import EPOCH_SECONDS
from tests.simulation.deeds import Deeds
from tests.simulation.disk import SimDatabase
from tests.simulation.facts import CommittedFacts
from tests.simulation.party import CollectorParty
from tests.simulation.simloop import Power, PowerLost

if TYPE_CHECKING:
    from tests.simulation.world import World

EVERY_SECONDS: Final = 3 * 3_600
"""A process bills with its first tick and then this often."""
ISSUING_STEPS: Final = range(2, 11)
"""From an invoice's row to the commit."""
HANDING_OVER_STEPS: Final = range(11, 16)
"""From the commit to the mark that it is archived."""
KILL_SHARE: Final = 0.3


class Archive:
    """The folder of issued invoices as one process sees it; the lines outlive the process."""

    def __init__(self, lines: MemoryArchive, power: Power) -> None:
        self._lines = lines
        self._power = power

    def put(self, number: str, line: bytes) -> None:
        """Kept; the power may go before or after."""
        self._step()
        self._lines.put(number, line)
        self._step()

    def put_all(self, lines: Iterable[tuple[str, bytes]]) -> None:
        """Each kept in its turn."""
        for number, line in lines:
            self.put(number, line)

    def get(self, number: str) -> bytes | None:
        """The line of this number, or None."""
        self._power.use()
        return self._lines.get(number)

    def numbers(self) -> frozenset[str]:
        """Every number in the archive."""
        self._power.use()
        return self._lines.numbers()

    def beside(self, name: str) -> "Archive":
        """What is kept beside the invoices, under the same power."""
        return Archive(self._lines.beside(name), self._power)

    def _step(self) -> None:
        if not self._power.step():
            raise PowerLost(self._power.name)


class Billing:
    """One world's catalog, its archive, and every invoice as it was first seen."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._draw = random.Random(f"billing {world.seed}")
        devices = {agent.name: sorted({meter.device for meter in agent.site.meters}) for agent in world.agents}
        self.agreements = draw_agreements(world.seed, {**devices, world.hostile.name: ["d0"]})
        self.deeds = Deeds(world)
        self.archive = MemoryArchive()
        self.seen: dict[str, bytes] = {}
        """Every invoice's bytes as first seen committed."""
        self._facts: CommittedFacts | None = None
        self._newest = 0
        for party in world.collectors:
            party.chores = self._chores
            if world.mix.on("crash.collector"):
                party.drive.before = partial(self._maybe_kill, party)

    def agree(self) -> None:
        """Apply the catalog to the fresh store."""
        store = Store(SqliteDatabase(self._world.collector.drive.path))
        catalog = load_catalog(catalog_of(self.agreements))
        now = EPOCH_SECONDS * 1000
        apply(store, catalog, now_ms=now, effective_at=min(each.provisioned for each in self.agreements.values()))
        store.close()
        self.deeds.schedule()

    def biller(self, archive: MemoryArchive | Archive) -> Biller:
        """As `run` makes it."""
        party = self._world.collector
        return Biller(
            key=party.key,
            archive=archive,
            view=StoreView,
            rates_max=party.settings.rates_max,
            skew_seconds=party.settings.clock_skew_seconds,
        )

    def observe(self) -> None:
        """P14, P16: look at what is committed and at what is in the folder."""
        if self._facts is None:
            self._facts = CommittedFacts(self._world.collector.drive.path)
        rows = self._facts.rows("select id, number, line from invoice where id > ? order by id", self._newest)
        for id_, number, line in rows:
            self._newest = id_
            if self.seen.setdefault(number, bytes(line)) != bytes(line):
                self._world.problem(f"P14: {number} was issued twice")
        for number in sorted(self.archive.numbers() - self.seen.keys()):
            self._world.problem(f"P16: {number} is in the folder and was never issued")

    def close(self) -> None:
        """Close the observer's connection."""
        if self._facts is not None:
            self._facts.close()
            self._facts = None

    def _chores(self, power: Power) -> Sequence[Callable[[Store, int], object]]:
        biller = self.biller(Archive(self.archive, power))
        due_ms = 0

        def bill(store: Store, now_ms: int) -> None:
            nonlocal due_ms
            if now_ms < due_ms:
                return
            due_ms = now_ms + EVERY_SECONDS * 1000
            self.observe()
            if self.seen.keys() - self.archive.numbers():
                self._world.note("billing.unarchived")
            biller(store, now_ms)
            self.observe()

        return (bill,)

    def _maybe_kill(self, party: CollectorParty, _database: SimDatabase, sql: str, _parameters: Parameters) -> None:
        if sql.startswith("insert into invoice (") and self._draw.random() < KILL_SHARE:
            party.crash(
                "billing.killed",
                pause=self._draw.uniform(2, 1_800),
                fuse=self._draw.choice(self._draw.choice((ISSUING_STEPS, HANDING_OVER_STEPS))),
            )


def copied(source: "World", name: str) -> Store:
    """The collector's store as it is committed, in a file of its own."""
    path = source.folder / name
    copy, original = sqlite3.connect(path), sqlite3.connect(source.collector.drive.path)
    original.backup(copy)
    original.close()
    copy.close()
    return Store(SqliteDatabase(path))
