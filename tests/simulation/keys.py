"""Faults of keys: rotated in mid-backlog, stolen and revoked, the receipt key replaced; by the product's own means."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from cloud_collector.fleet.decisions import LogPositions, revoke_key
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.fleet.orders import give_order, give_sealed
from cloud_collector.store.store import Store
from edge_agent.keyring import Keys
from shared.command import RotateKey, trust_order
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseError, InvalidRecord, MetersealError
from shared.key import SigningKey
from tests.simulation.clocks import true_utc_ms
from tests.simulation.malice import Rogue
from tests.simulation.party import AgentParty
from tests.simulation.several import TurnStore
from tests.simulation.simloop import PowerLost

if TYPE_CHECKING:
    from tests.simulation.world import World


class KeyFaults:
    """What befalls the keys of one world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.revoked: dict[tuple[str, str], dict[tuple[str, str], int]] = {}
        """Of each revoked key (gateway, id) the last position that it keeps, by (log, epoch)."""
        for agent in world.agents:
            agent.ring.on_change = self._watch(agent)

    def inject(self, what: str, agent: AgentParty, draw: random.Random) -> None:
        """One of the faults."""
        if not self._world.checkers.knows(agent.name):
            return
        match what:
            case "rotation":
                self._rotate(agent, draw)
            case "revocation":
                self._revoke(agent, draw)
            case _:
                self._replace_receipt_key(agent)

    def thieve(self, agent: AgentParty, key: SigningKey, draw: random.Random) -> None:
        """Somebody with a key that is no longer valid opens an epoch of this gateway."""
        thief = Rogue(agent.name, draw.getrandbits(32), self._world.loop, self._world._send_rogue, device="thief")
        thief.key = key
        for at in (1.0, 900.0, 4_000.0):
            self._world.loop.later(at, thief.act)

    def _rotate(self, agent: AgentParty, draw: random.Random) -> None:
        if draw.random() < 0.5:
            self._in_store(lambda store: give_order(store, agent.name, RotateKey(), self._now_ms()))
        elif agent.running and agent.power is not None and agent.agent is not None:
            self._world.loop.start(agent.power, self._asked(agent))

    async def _asked(self, agent: AgentParty) -> None:
        """People at the gateway ask; what it raises ends the agent."""
        try:
            if agent.agent is not None and agent.agent.status():
                await agent.agent.rotate_key()
        except (MetersealError, PowerLost):
            return

    def _revoke(self, agent: AgentParty, draw: random.Random) -> None:
        stolen = agent.ring.keys.current
        if agent.revoked or not agent.epochs:
            return
        positions = self._earlier(agent, draw) if draw.random() < 0.3 else {}
        public = stolen.public.id

        def decide(store: Store) -> None:
            revoke_key(store, agent.name, public, positions, self._now_ms())
            limits = {(log, epoch): last for key, _, log, epoch, last in store.rows("revocations_told", agent.name)
                      if key == public}  # fmt: skip
            self.revoked[agent.name, public] = limits
            following = SigningKey(agent.draw.randbytes(32))
            add_gateway(store, agent.name, following.public, self._now_ms())
            agent.revoked += 1
            agent.cut_back |= bool(positions)

            def begin() -> None:
                agent.ring.begin(following)
                for meter in agent.site.meters:
                    meter.glitch = None  # A first value that is wrong is nobody's to find out.

            agent.crash("crash.agent", pause=draw.uniform(60, 3_600), then=begin)
            self._world.note("key.revocation", agent.name)
            self.thieve(agent, stolen, draw)

        self._in_store(decide)

    def _earlier(self, agent: AgentParty, draw: random.Random) -> LogPositions:
        """A position of each log that lies before what was accepted, as an operator finds out later."""
        found: dict[str, tuple[str, int]] = {}
        sql = "select log, epoch, top from chain where gateway = ? and rank is not null and succeeded is null"
        for log, epoch, top in self._world.checkers.facts.rows(sql, agent.name):
            found[log] = (epoch, max(1, top - draw.randrange(1, 6)))
        return found

    def _replace_receipt_key(self, agent: AgentParty) -> None:
        world = self._world
        following = world.collector.next_key

        def give(store: Store) -> None:
            by = world.collector.key
            give_sealed(store, agent.name, lambda e, n: trust_order(agent.name, e, n, following), by, self._now_ms())

        if agent.ring.keys.trusted is None:
            self._in_store(give)

    def _watch(self, agent: AgentParty) -> Callable[[Keys, Keys], None]:
        def changed(before: Keys, after: Keys) -> None:
            if after.trusted != before.trusted:
                self._world.note("key.receipt", agent.name)
            if after.old is not None and after.old == before.current:
                self._world.note("key.rotation", agent.name)
                draw = random.Random(f"thief {agent.name} {after.current.public.id}")
                # A rotation that another life of the gateway keeps from being heard leaves the old key valid.
                if draw.random() < 0.3 and not agent.rewound:
                    self.thieve(agent, before.current, draw)

        return changed

    def _in_store(self, work: Callable[[Store], object]) -> None:
        """What an operator's command does beside the running collector."""
        database = SqliteDatabase(self._world.collector.drive.path)
        try:
            work(Store(database) if self._world.second is None else TurnStore(database))
        except (InvalidRecord, DatabaseError) as error:
            self._world.note("refused", str(error)[:100])
        finally:
            database.close()

    def _now_ms(self) -> int:
        return true_utc_ms(self._world.loop)
