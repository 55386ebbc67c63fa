"""A second collector beside the first: both on one store, in turn on `$share`, stopped, killed and started at random.

A third of the seeds have one. What only PostgreSQL can do, to elect a scheduler and to keep two transactions apart, the
simulation does for SQLite: the one that was elected stays it for as long as it has power, no two transactions run at
the same time, and what a collector remembers of a gateway is forgotten by turns alone (`intake.turns`).
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cloud_collector.store.store import Store, named_queries
from shared.effects.database import Database, Row
from tests.simulation.clocks import Machine
from tests.simulation.simloop import Power

if TYPE_CHECKING:
    from tests.simulation.party import CollectorParty
    from tests.simulation.world import World

SHARE: Final = 1 / 3
NAME: Final = "collector-2"
EVENTS_A_DAY: Final = 10.0
"""How often one of the two is stopped or killed, beside what the seed's own faults do to both."""
COVERED: Final = ("collectors.two", "collectors.turn", "collectors.stopped", "collectors.killed", "collectors.elected")
"""What several collectors met: seeds with two, a gateway on which the other one had worked, an end that was asked for,
one that was not, and a scheduler that took over."""


_AS_POSTGRES: Final = {
    # `queries/postgres/intake.sql`, in SQLite's words.
    "changed_elsewhere": "select 0",
    "turns_take": (
        "insert into turn (gateway, holder) select value, ?2 from json_each(?1) where true order by 1"
        " on conflict (gateway) do update set holder = excluded.holder where turn.holder <> excluded.holder"
        " returning gateway"
    ),
    "turns_forget": "update turn set holder = 0",
}


def has_two(seed: int) -> bool:
    """Whether this seed has two collectors."""
    return random.Random(f"collectors {seed}").random() < SHARE


class Election:
    """Which process does what is due: the first that asks, until it has no power any more."""

    def __init__(self, note: Callable[[str, str], None]) -> None:
        self._note = note
        self._elected: Power | None = None

    def take(self, power: Power) -> bool:
        """Whether this process is elected."""
        before = self._elected
        if before is None or not before.on:
            self._elected = power
            if before is not None and before.name != power.name:
                self._note("collectors.elected", power.name)
        return self._elected is power


class TurnStore(Store):
    """A store of several processes that says whose turn it was as PostgreSQL does, where SQLite would say less."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._queries = named_queries("sqlite") | _AS_POSTGRES

    def run(self, name: str, *parameters: object) -> None:
        if name == "gateway_key_add":
            self._database.execute("update turn set holder = 0 where gateway = ?", parameters[:1])
        super().run(name, *parameters)


class SharedStore(TurnStore):
    """The same for a process that may be elected."""

    def __init__(self, database: Database, power: Power, election: Election, note: Callable[[str, str], None]) -> None:
        super().__init__(database)
        self._power = power
        self._election = election
        self._note = note

    def rows(self, name: str, *parameters: object) -> list[Row]:
        if name == "scheduler_take":
            return [(int(self._election.take(self._power)),)]
        found = super().rows(name, *parameters)
        if name == "turns_take" and found:
            self._note("collectors.turn", " ".join(sorted(row[0] for row in found)))
        return found


class Second:
    """The second collector of a world, and what happens to either of the two."""

    def __init__(self, world: "World", make: "Callable[[str, Machine], CollectorParty]") -> None:
        self._world = world
        self._draw = random.Random(f"second collector {world.seed}")
        self.election = Election(world.note)
        first = world.collector
        self.party = make(NAME, Machine(world.loop))
        self.party.next_key = first.next_key
        # Two processes, two connections, one file.
        self.party.drive.path = first.drive.path
        for number, party in enumerate((first, self.party), 1):
            party.number = number
            party.share = self.election

    def begin(self, until: float) -> None:
        """It starts within some hours, and from then on both come and go."""
        world, when = self._world, self._draw.uniform(0, 6 * 3_600)
        world.note("collectors.two", "")
        world.loop.later(when, self.party.boot)
        while (when := when + self._draw.expovariate(EVENTS_A_DAY / 86_400)) < until:
            world.loop.later(when, self._harm, self._draw.getrandbits(32))

    def _harm(self, number: int) -> None:
        draw = random.Random(number)
        party = draw.choice(self._world.collectors)
        if not party.running:
            return
        if draw.random() < 0.5:
            self._world.note("collectors.killed", party.name)
            party.crash(
                "collectors.killed", pause=draw.uniform(2, 4 * 3_600), fuse=draw.choice((0, draw.randrange(1, 60)))
            )
        elif party.collector is not None:
            self._world.note("collectors.stopped", party.name)
            party.rest(draw.uniform(2, 4 * 3_600))
            party.collector.stop()
