"""A loop on virtual time, and a link that a test holds in its hands: it sees, answers, cuts."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from shared.effects.link import Message, Session, Will
from shared.errors import LinkLost, LinkRefused, Refused
from shared.payload import unpack
from shared.receipt import Receipt, seal_receipt
from shared.topic import Leaf, topic_of
from tests.simulation.simloop import SimLoop
from tests.spools import COLLECTOR_KEY, GATEWAY

UTC_MS: Final = 1_800_000_000_000
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T], *, seed: int = 1) -> T:
    """The work's result; hours of it take a moment."""
    loop = SimLoop(seed)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(work)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        asyncio.set_event_loop(None)
        loop.close()


class VirtualClock:
    """The loop's time as a clock that has always been right."""

    def boot_ms(self) -> int:
        """Milliseconds since the loop began."""
        return int(asyncio.get_running_loop().time() * 1_000)

    def utc_ms(self) -> int:
        """The same, in UTC."""
        return UTC_MS + self.boot_ms()

    def synchronised(self) -> bool:
        """Always."""
        return True

    def boot_id(self) -> str:
        """One boot."""
        return "b0000001"

    async def sleep(self, seconds: float) -> None:
        """Sleep on the loop."""
        await asyncio.sleep(seconds)


class Wire:
    """The way to a broker, as seen from behind it."""

    def __init__(self) -> None:
        self.up = True
        self.takes = True
        """Whether the broker takes messages; otherwise it is silent."""
        self.published: list[tuple[float, str, bytes, bool]] = []
        self.wills: list[Will | None] = []
        self.sessions: list[float] = []
        self.subscribed: list[str] = []
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self.acknowledged: list[Message] = []

    @asynccontextmanager
    async def session(self, *, will: Will | None = None) -> AsyncIterator[Session]:
        """Let in, or refuse."""
        await asyncio.sleep(0)
        self.sessions.append(asyncio.get_running_loop().time())
        if not self.up:
            raise LinkRefused("nothing listens there")
        self.wills.append(will)
        yield self

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Note it."""
        assert qos == 1
        while not self.takes:  # noqa: ASYNC110 - virtual time.
            await asyncio.sleep(3_600)
        await asyncio.sleep(0)
        if not self.up:
            raise LinkLost("the connection was lost")
        self.published.append((asyncio.get_running_loop().time(), topic, payload, retain))

    async def subscribe(self, topic_filter: str, *, qos: int = 1) -> None:
        """Note it."""
        assert qos == 1
        self.subscribed.append(topic_filter)

    async def receive(self) -> Message:
        """The next message, or the session's end."""
        message = await self._inbox.get()
        if message is None:
            raise LinkLost("the connection was lost")
        return message

    def acknowledge(self, message: Message) -> None:
        """Note it."""
        self.acknowledged.append(message)

    def cut(self) -> None:
        """The session is lost and none is let in."""
        self.up = False
        self._inbox.put_nowait(None)

    def deliver(self, payload: bytes, *, retained: bool = False, leaf: Leaf = Leaf.RECEIPT) -> None:
        """A message for the gateway."""
        self._inbox.put_nowait(Message(topic_of(GATEWAY, leaf), payload, retained))

    def answer(self, receipt: Receipt) -> None:
        """A receipt for the gateway."""
        self.deliver(seal_receipt(receipt, COLLECTOR_KEY))

    def reports(self) -> list[tuple[float, list[bytes]]]:
        """When which lines were published."""
        return [(at, lines_of(payload)) for at, topic, payload, _ in self.published if topic.endswith("/report")]

    def states(self) -> list[bytes]:
        """What was said of the gateway's state, all of it retained."""
        said = [(payload, retain) for _, topic, payload, retain in self.published if topic.endswith("/state")]
        assert all(retain for _, retain in said)
        return [payload for payload, _ in said]


def lines_of(payload: bytes) -> list[bytes]:
    """A payload's lines."""
    lines = unpack(payload)
    assert not isinstance(lines, Refused)
    return lines
