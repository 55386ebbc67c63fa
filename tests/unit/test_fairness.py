"""One gateway that floods is slowed alone, by acknowledgements that its neighbours never wait for (P6, P8, P9, P21).

On virtual time: a broker that hands messages out in one line, a store that takes its time for each of them, and a flood
of three times what the collector takes.
"""

import asyncio
import heapq
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from cloud_collector.collector import Collector
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.intake.batch import Inbox
from cloud_collector.limits import BATCH_MESSAGES_MAX, GATEWAY_WAITING_MAX, QUEUE_MESSAGES_MAX, SHARES_MIN
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.account import account
from cloud_collector.store.store import Store
from shared.effects.clock import Clock, SystemClock
from shared.effects.link import Message, Session, Will
from shared.effects.sqlite import SqliteDatabase
from shared.key import SigningKey
from shared.topic import Leaf
from tests.sealing import OPERATOR, PaperGateway
from tests.simulation.clocks import Machine, SimClock
from tests.simulation.simloop import Power, SimLoop

MESSAGE_SECONDS: Final = 0.002
"""What the store takes for a message: five hundred a second."""
FLOOD_A_SECOND: Final = 1_500
NEIGHBOURS: Final = 8
SECONDS: Final = 20
WINDOW: Final = 1_000
"""The broker's in-flight window."""


class SlowWorkers:
    """A transaction takes its time, by the number of messages in it."""

    async def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if function.__name__ == "commit":
            await asyncio.sleep(len(args[0]) * MESSAGE_SECONDS)
        return function(*args, **kwargs)


class Line:
    """A broker that hands out messages in the order in which they came, a window of them at a time."""

    def __init__(self, loop: SimLoop, window: int) -> None:
        self._loop = loop
        self._window = window
        self._queue: list[tuple[float, int, str, bytes]] = []
        self._inflight: set[int] = set()
        self._numbers = 0
        self._room = asyncio.Event()
        self.receipts: list[tuple[float, str]] = []
        """When which gateway had one."""
        self.most_inflight = 0

    def offer(self, at: float, topic: str, payload: bytes) -> None:
        """At that time it is published."""
        self._numbers += 1
        heapq.heappush(self._queue, (at, self._numbers, topic, payload))

    @asynccontextmanager
    async def session(self, *, will: Will | None = None) -> AsyncIterator[Session]:
        assert will is None
        yield self

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        assert payload
        assert (qos, retain) == (1, False)
        self.receipts.append((self._loop.now, topic.split("/")[-2]))

    async def subscribe(self, topic_filter: str, *, qos: int = 1) -> None:
        assert qos == 1
        assert topic_filter

    async def receive(self) -> Message:
        while len(self._inflight) >= self._window:
            self._room.clear()
            await self._room.wait()
        if not self._queue:
            await asyncio.Event().wait()
        at, number, topic, payload = heapq.heappop(self._queue)
        if at > self._loop.now:
            await asyncio.sleep(at - self._loop.now)
        self._inflight.add(number)
        self.most_inflight = max(self.most_inflight, len(self._inflight))
        return Message(topic, payload, token=number)

    def acknowledge(self, message: Message) -> None:
        assert isinstance(message.token, int)
        self._inflight.discard(message.token)
        self._room.set()


class Site:
    """Neighbours with a line every other second each, and one gateway that may flood."""

    def __init__(self, *, flood: bool, window: int = WINDOW) -> None:
        self.loop = SimLoop(1)
        self.line = Line(self.loop, window)
        self.store = Store(SqliteDatabase(":memory:"))
        self.papers = [PaperGateway(name=f"gw-{at}", key=SigningKey(bytes([at + 1]) * 32)) for at in range(NEIGHBOURS)]
        self.flooder = PaperGateway(name="flood", key=SigningKey(b"f" * 32))
        self.sent: dict[str, list[float]] = {}
        for paper in (*self.papers, self.flooder):
            add_gateway(self.store, paper.name, paper.key.public, 0)
        draw = random.Random(3)
        for paper in self.papers:
            lines = [paper.birth(("pump", "energy", 0, 0))]
            lines += [paper.usage(("pump", "energy", at * 5, (5,))) for at in range(SECONDS // 2 - 1)]
            self.sent[paper.name] = [draw.uniform(0, 2) + 2 * at for at in range(len(lines))]
            for at, line in zip(self.sent[paper.name], lines, strict=True):
                self.line.offer(at, paper.topic, line)
        for at in range(SECONDS * FLOOD_A_SECOND if flood else 0):
            self.line.offer(at / FLOOD_A_SECOND, self.flooder.topic, b"noise")

    def run(self) -> None:
        """Let the time pass."""
        power = Power("collector")
        collector = Collector(
            CollectorSettings(),
            key=OPERATOR,
            store=self.store,
            clock=_clock(self.loop, power),
            link=self.line,
            workers=SlowWorkers(),
            random=random.Random(1),
        )
        task = self.loop.start(power, collector.run())
        self.loop.run_until_complete(asyncio.sleep(SECONDS + 5))
        assert not task.done(), "the collector goes on"
        power.lose()
        self.loop.abandon(power)

    def waits(self) -> list[float]:
        """From publication to the first receipt after it, for each line of the neighbours, in order."""
        found = []
        for name, times in self.sent.items():
            answered = [at for at, gateway in self.line.receipts if gateway == name]
            found += [next(at for at in answered if at >= sent) - sent for sent in times]
        return sorted(found)

    def close(self) -> None:
        self.loop.close()
        self.store.close()


def _clock(loop: SimLoop, power: Power) -> Clock:
    machine = Machine(loop)
    machine.power_on("00000001", synchronised=True)
    return SimClock(machine, power)


@pytest.fixture
def quiet() -> Iterator[Site]:
    site = Site(flood=False)
    yield site
    site.close()


@pytest.fixture
def flooded() -> Iterator[Site]:
    site = Site(flood=True)
    yield site
    site.close()


def test_the_neighbours_of_a_flood_have_their_receipts_almost_as_soon(quiet: Site, flooded: Site) -> None:
    """P21: in the ninety-ninth of a hundred cases within a batch and what is left of the one before."""
    for site in (quiet, flooded):
        site.run()
    alone, beside = (site.waits()[-len(site.waits()) // 100 - 1] for site in (quiet, flooded))
    share = BATCH_MESSAGES_MAX // SHARES_MIN * MESSAGE_SECONDS
    assert alone < 0.15
    assert beside < 0.15 + 3 * share, f"{alone:.3f} s alone, {beside:.3f} s beside a flood"
    assert {each.channel.gateway: each.counted for each in account(flooded.store)} == {
        paper.name: 5 * (len(paper.lines) - 1) for paper in flooded.papers
    }


def test_a_flood_is_taken_as_fast_as_there_is_room_and_acknowledged_all_the_same(flooded: Site) -> None:
    """P8: it is slowed and not stopped; P9: what waits is bounded, and the broker's window never fills."""
    flooded.run()
    ((taken,),) = flooded.store._database.execute("select messages from unmatched where gateway = 'flood'")
    assert 0.5 * SECONDS / MESSAGE_SECONDS < taken < SECONDS / MESSAGE_SECONDS + GATEWAY_WAITING_MAX
    assert flooded.line.most_inflight <= QUEUE_MESSAGES_MAX + BATCH_MESSAGES_MAX < WINDOW
    assert not flooded.line._queue, "everything was handed out"


def test_a_window_smaller_than_a_batch_fills_and_is_taken_by_the_clock() -> None:
    """P8: a batch never waits for messages that the broker holds back until the first are acknowledged."""
    site = Site(flood=False, window=3)
    site.run()
    assert max(site.waits()) < 0.5
    site.close()


class Burst:
    """A session that delivers what it was given and then waits."""

    def __init__(self, messages: list[tuple[str, bytes]]) -> None:
        self.messages = [Message(topic, payload, token=at) for at, (topic, payload) in enumerate(messages)]
        self.acknowledged: list[object] = []

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        raise NotImplementedError

    async def subscribe(self, topic_filter: str, *, qos: int = 1) -> None:
        raise NotImplementedError

    async def receive(self) -> Message:
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    def acknowledge(self, message: Message) -> None:
        self.acknowledged.append(message.token)


def topic(name: str) -> str:
    return f"meterseal/v1/{name}/{Leaf.REPORT}"


async def batches(session: Burst, count: int, most: int = BATCH_MESSAGES_MAX) -> list[list[Message]]:
    inbox = Inbox(session)
    filling = asyncio.ensure_future(inbox.fill())
    await asyncio.sleep(0)
    found = []
    for _ in range(count):
        found.append(await inbox.batch(SystemClock(), most=most, milliseconds=0))
        await asyncio.sleep(0)
    filling.cancel()
    return found


async def test_each_gateway_has_its_share_of_a_batch_and_its_own_order() -> None:
    sent = [(topic("flood"), bytes([at % 256])) for at in range(300)]
    sent[200:200] = [(topic("gw-1"), b"one"), (topic("gw-2"), b"two")]
    first, second = await batches(Burst(sent), 2)
    names = [message.topic.split("/")[2] for message in first]
    assert names.count("flood") == BATCH_MESSAGES_MAX // SHARES_MIN
    assert names[-2:] == ["gw-1", "gw-2"]
    order = [message.token for batch in (first, second) for message in batch if message.topic == topic("flood")]
    assert order == sorted(order)  # type: ignore[type-var]


async def test_a_gateway_that_is_alone_has_the_whole_batch_and_is_never_let_go() -> None:
    session = Burst([(topic("gw-1"), b"x") for _ in range(QUEUE_MESSAGES_MAX + 50)])
    found = await batches(session, 3)
    assert [len(batch) for batch in found] == [BATCH_MESSAGES_MAX, BATCH_MESSAGES_MAX, 50]
    assert session.acknowledged == []


async def test_what_a_flood_has_beyond_its_bound_is_acknowledged_at_once_and_not_kept() -> None:
    """P7, P9: it has no receipt for it, so it sends it again."""
    sent = [(topic("gw-1"), b"x"), *((topic("flood"), b"x") for _ in range(GATEWAY_WAITING_MAX + 5))]
    session = Burst([*sent, (topic("gw-2"), b"x")])
    (batch,) = await batches(session, 1)
    assert session.acknowledged == list(range(GATEWAY_WAITING_MAX + 1, GATEWAY_WAITING_MAX + 6))
    assert {message.topic for message in batch} == {topic("gw-1"), topic("gw-2"), topic("flood")}
