"""The real agent and collector over amqtt in this process: what it loses on reconnect, receipts heal (P1, P6, P7)."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

from cloud_collector.collector import Collector
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.fleet.roster import seen_one
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.account import account
from cloud_collector.store.store import Store
from edge_agent.agent import Agent
from edge_agent.disk import FileDisk
from edge_agent.reading import ChannelSpec, Kind, Reading
from edge_agent.settings import AgentSettings
from shared.effects.clock import SystemClock
from shared.effects.sqlite import SqliteDatabase
from shared.effects.workers import InlineWorkers
from shared.key import SigningKey
from tests.brokers import Amqtt, amqtt_broker
from tests.requirements import require

GATEWAY_KEY, RECEIPT_KEY = SigningKey(b"g" * 32), SigningKey(b"r" * 32)
WINDOWS = 900
START = 1_790_000_000 // 300 * 300


class History:
    """One meter's past, a reading a minute, 7 units each, handed over at once."""

    name = "history"
    log = "past"
    poll_seconds = 0.2
    channels: tuple[ChannelSpec, ...] = (
        ChannelSpec(
            device="m-1",
            meter="energy",
            unit="Wh",
            exponent=0,
            kind=Kind.COUNTER,
            source="history",
            log="past",
            rate_max=100,
            historic=True,
        ),
    )

    def __init__(self) -> None:
        self.caught_up = self.finished = False
        self._left = [
            Reading(device="m-1", meter="energy", value=1_000 + 7 * min(at, WINDOWS * 5), at_ms=0, utc=START + 60 * at)
            for at in range(WINDOWS * 5 + 2)  # The last reading closes the last window, and adds nothing.
        ]

    def resume(self, after: int | None) -> None:
        """The next read begins later than this Unix second."""
        self._left = [reading for reading in self._left if after is None or (reading.utc or 0) > after]

    async def read(self) -> Sequence[Reading]:
        found, self._left = self._left[:500], self._left[500:]
        self.caught_up = self.finished = not self._left
        return found

    async def close(self) -> None:
        """Nothing is held."""


async def test_a_backlog_arrives_whole_although_amqtt_forgets_what_is_unacknowledged(tmp_path: Path) -> None:
    """Both sides are cut again and again in the middle of the drain; every unit is there, once."""
    require("amqtt")
    store = Store(SqliteDatabase(tmp_path / "collector.db"))
    add_gateway(store, "gw-1", GATEWAY_KEY.public, now_ms=0)
    async with amqtt_broker() as broker:
        collector = _collector(broker, store)
        agent = _agent(broker, tmp_path)
        running = [asyncio.ensure_future(collector.run()), asyncio.ensure_future(agent.run())]
        rng = random.Random(1)
        cuts = 0
        async with asyncio.timeout(60):
            while _lines(store) < WINDOWS + 1:  # and the birth
                await asyncio.sleep(0.4)
                assert not any(task.done() for task in running), "a party ended by itself"
                if cuts < 12:
                    victim = rng.choice(("gw-1", "_collector"))
                    try:
                        await broker.cut(victim)
                    except KeyError:
                        continue  # Not connected at this moment.
                    cuts += 1
        await agent.stop()
        collector.stop()
        await asyncio.wait(running, timeout=20)
    assert cuts >= 3
    (channel,) = account(store)
    assert (channel.counted, channel.quarantined) == (7 * 5 * WINDOWS, 0)
    store.close()


def _lines(store: Store) -> int:
    """Lines held, or 0 while any is missing."""
    ((gateway,),) = store.rows("gateway_names")
    found = seen_one(store, gateway, 0)
    return 0 if found is None or found.backlog else found.lines


def _collector(broker: Amqtt, store: Store) -> Collector:
    return Collector(
        CollectorSettings(reconnect_seconds_min=0.05, reconnect_seconds_max=0.2, holes_seconds=1),
        key=RECEIPT_KEY,
        store=store,
        clock=SystemClock(),
        link=broker.link("_collector"),
        workers=InlineWorkers(),
        random=random.Random(2),
    )


def _agent(broker: Amqtt, folder: Path) -> Agent:
    return Agent(
        AgentSettings(
            gateway="gw-1",
            step_seconds=60,
            interval_count=5,
            commit_seconds=1,
            drain_delay_seconds=0,
            reconnect_seconds_max=1,
            spool_path=folder / "spool.db",
        ),
        key=GATEWAY_KEY,
        receipt_keys=[RECEIPT_KEY.public],
        sources=[History()],
        clock=SystemClock(),
        link=broker.link("gw-1"),
        disk=FileDisk(folder / "spool.db"),
        random=random.Random(3),
    )
