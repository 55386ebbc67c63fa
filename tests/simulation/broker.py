"""A broker nastier than any real one: it acknowledges before it keeps, forgets, repeats and shuffles (P6, P7)."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType

from shared.effects.link import Message, Session, Will
from shared.errors import LinkLost, LinkRefused
from tests.simulation.simloop import Power, SimLoop


@dataclass(slots=True, kw_only=True)
class Nastiness:
    """How often what goes wrong, drawn per seed; probabilities a message unless named otherwise."""

    loss: float = 0.0
    """Acknowledged and forgotten."""
    mute: float = 0.0
    """Taken, but never acknowledged: the session ends by and by."""
    duplicate: float = 0.0
    forget_inflight: float = 0.0
    """At a reconnection what was sent and not acknowledged is not sent again."""
    corrupt: float = 0.0
    """Delivered with flipped bytes, beside the genuine one."""
    delay_seconds: float = 0.2
    """The most that a message takes each way; messages overtake each other."""
    slow: float = 0.0
    """A message that takes up to ten minutes."""
    queue_max: int = 1_000
    """Messages queued for a session; beyond it they are dropped."""


Note = Callable[[str, str], None]


@dataclass(slots=True, eq=False)
class Inbox:
    """What the broker keeps of a named client: subscriptions and messages that wait."""

    client: str
    filters: list[str] = field(default_factory=list)
    queue: list[Message] = field(default_factory=list)
    inflight: dict[int, Message] = field(default_factory=dict)
    connection: "Connection | None" = None


class Broker:
    """All sessions; survives its own crashes only as its last snapshot says."""

    def __init__(self, loop: SimLoop, draw: random.Random, nastiness: Nastiness, note: Note) -> None:
        self.loop = loop
        self.draw = draw
        self.nasty = nastiness
        self.note = note
        self.up = True
        self.partitioned: set[str] = set()
        self.inboxes: dict[str, Inbox] = {}
        self.retained: dict[str, bytes] = {}
        self.taken = 0
        self.taps: list[Callable[[str, str, bytes], None]] = []
        """Called with (client, topic, payload) for every publication, before anything happens to it."""
        self._numbers = 0
        self._snapshot: dict[str, tuple[list[str], list[Message]]] = {}

    def link(self, client: str, power: Power) -> "SimLink":
        """A way to this broker for one process."""
        return SimLink(self, client, power)

    def reachable(self, client: str) -> bool:
        """Whether a packet of this client passes."""
        return self.up and client not in self.partitioned

    def snapshot(self) -> None:
        """What would survive a restart from now on."""
        self._snapshot = {
            name: (list(inbox.filters), [*inbox.inflight.values(), *inbox.queue])
            for name, inbox in self.inboxes.items()
        }

    def crash(self) -> None:
        """Every session ends; what was not in the last snapshot is gone, what was acknowledged since comes again."""
        self.up = False
        for inbox in self.inboxes.values():
            if inbox.connection is not None:
                inbox.connection.sever()
        self.inboxes = {
            name: Inbox(name, list(filters), list(queue)) for name, (filters, queue) in self._snapshot.items()
        }

    def partition(self, client: str) -> None:
        """Packets of this client no longer pass; both sides find out after their keepalive."""
        self.partitioned.add(client)
        inbox = self.inboxes.get(client)
        if inbox is not None and inbox.connection is not None:
            self.loop.later(self.draw.uniform(1, 90), inbox.connection.sever)

    def heal(self, client: str) -> None:
        """Packets pass again."""
        self.partitioned.discard(client)

    def calm(self) -> None:
        """No more mischief: a plain broker with a little delay."""
        self.nasty = Nastiness()
        self.partitioned.clear()
        self.up = True

    def attach(self, connection: "Connection") -> None:
        """A client connects; an older session of the same name is taken over."""
        inbox = self.inboxes.setdefault(connection.client, Inbox(connection.client))
        if inbox.connection is not None:
            inbox.connection.sever()
        inbox.connection = connection
        waiting = list(inbox.inflight.values())
        inbox.inflight.clear()
        if waiting and self.draw.random() < self.nasty.forget_inflight:
            self.note("broker.forgot_inflight", f"{connection.client} {len(waiting)}")
            waiting = []
        inbox.queue[:0] = waiting
        self.pump(inbox)

    def accept(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Take a publication that has arrived."""
        self.taken += 1
        if retain:
            self.retained[topic] = payload
        nasty = self.nasty
        if self.draw.random() < nasty.loss:
            self.note("broker.loss", topic)
            return
        self._route(topic, payload)
        if self.draw.random() < nasty.duplicate:
            self.note("broker.duplicate", topic)
            self.loop.later(self.draw.uniform(0, 600), self._route, topic, payload)
        if nasty.corrupt and self.draw.random() < nasty.corrupt:
            self.note("broker.corrupt", topic)
            spoilt = bytearray(payload)
            for _ in range(self.draw.randrange(1, 4)):
                spoilt[self.draw.randrange(len(spoilt))] ^= self.draw.randrange(1, 256)
            self._route(topic, bytes(spoilt))

    def _route(self, topic: str, payload: bytes) -> None:
        if not self.up:
            return
        turn = self._turn(topic)
        for name in sorted(self.inboxes):
            inbox = self.inboxes[name]
            if turn is not None and name not in turn and any(map(is_shared, inbox.filters)):
                continue
            if topic not in inbox.filters and not any(matches(pattern, topic) for pattern in inbox.filters):
                continue
            if len(inbox.queue) >= self.nasty.queue_max:
                self.note("broker.overflow", name)
                continue
            inbox.queue.append(Message(topic, payload))
            self.pump(inbox)

    def _turn(self, topic: str) -> frozenset[str] | None:
        """Who of those that share the topic gets this message, connected or not; None where nobody shares it."""
        if not any(is_shared(pattern) for inbox in self.inboxes.values() for pattern in inbox.filters):
            return None
        sharing = [
            name
            for name in sorted(self.inboxes)
            if any(is_shared(pattern) and matches(pattern, topic) for pattern in self.inboxes[name].filters)
        ]
        return frozenset(self.draw.sample(sharing, min(1, len(sharing))))

    def pump(self, inbox: Inbox) -> None:
        """Send what waits to whoever is connected, each message by its own way."""
        connection = inbox.connection
        if connection is None or connection.lost or not self.up:
            return
        while inbox.queue:
            message = inbox.queue.pop(0)
            self._numbers += 1
            sent = Message(message.topic, message.payload, message.retained, self._numbers)
            inbox.inflight[self._numbers] = sent
            self.loop.later(self.delay(), connection.deliver, sent)

    def delay(self) -> float:
        """How long one packet takes."""
        if self.draw.random() < self.nasty.slow:
            return self.draw.uniform(1, 600)
        return self.draw.uniform(0.001, self.nasty.delay_seconds)

    def settle(self, client: str, number: int) -> None:
        """An acknowledgement has arrived."""
        inbox = self.inboxes.get(client)
        if inbox is not None:
            inbox.inflight.pop(number, None)

    def detach(self, connection: "Connection", *, farewell: bool) -> None:
        """A session has ended; without a farewell its will is published."""
        inbox = self.inboxes.get(connection.client)
        if inbox is not None and inbox.connection is connection:
            inbox.connection = None
            if not farewell and connection.will is not None:
                self.retained[connection.will.topic] = connection.will.payload
                self._route(connection.will.topic, connection.will.payload)


def is_shared(pattern: str) -> bool:
    """Whether those who have this filter take turns."""
    return pattern.startswith("$share/")


@lru_cache(maxsize=4_096)
def matches(pattern: str, topic: str) -> bool:
    """Whether an MQTT filter, possibly shared, takes a topic."""
    if not pattern.endswith(topic[topic.rindex("/") :]):
        return False
    wanted = pattern.removeprefix("$share/collectors/").split("/")
    parts = topic.split("/")
    return len(wanted) == len(parts) and all(want in ("+", part) for want, part in zip(wanted, parts, strict=True))


class SimLink:
    """The `Link` of one process."""

    def __init__(self, broker: Broker, client: str, power: Power) -> None:
        self._broker = broker
        self._client = client
        self._power = power

    def session(self, *, will: Will | None = None) -> AbstractAsyncContextManager[Session]:
        """Connect when entered."""
        self._power.use()
        return _Connecting(self._broker, self._client, self._power, will)


class _Connecting:
    def __init__(self, broker: Broker, client: str, power: Power, will: Will | None) -> None:
        self._made = (broker, client, power, will)
        self._connection: Connection | None = None

    async def __aenter__(self) -> Session:
        broker, client, power, will = self._made
        power.use()
        await asyncio.sleep(broker.delay())
        power.use()
        if not broker.reachable(client):
            raise LinkRefused("the broker cannot be reached")
        self._connection = Connection(broker, client, power, will)
        broker.attach(self._connection)
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        broker, _, power, _ = self._made
        power.use()
        if self._connection is not None:
            self._connection.lost = True
            broker.detach(self._connection, farewell=error is None)


class Connection:
    """One session: what the process holds and the broker writes to."""

    def __init__(self, broker: Broker, client: str, power: Power, will: Will | None) -> None:
        self.client = client
        self.will = will
        self.lost = False
        self._broker = broker
        self._power = power
        self._arrived: asyncio.Queue[Message | None] = asyncio.Queue()
        self._lost: asyncio.Future[None] = broker.loop.create_future()

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Return when the broker says that it has it, which means nothing."""
        self._power.use()
        self._check()
        broker = self._broker
        for tap in broker.taps:
            tap(self.client, topic, payload)
        taken: asyncio.Future[bool] = broker.loop.create_future()
        broker.loop.later(broker.delay(), self._take, taken, topic, payload, retain)
        if qos == 0:
            return
        await asyncio.wait((taken, self._lost), return_when=asyncio.FIRST_COMPLETED)
        self._power.use()
        if not taken.done():
            taken.cancel()
            raise LinkLost("the session with the broker ended")

    async def subscribe(self, topic_filter: str, *, qos: int = 1) -> None:
        """Return when the broker has granted it."""
        self._power.use()
        self._check()
        broker = self._broker
        await asyncio.sleep(broker.delay())
        self._power.use()
        self._check()
        inbox = broker.inboxes.setdefault(self.client, Inbox(self.client, connection=self))
        if topic_filter not in inbox.filters:
            inbox.filters.append(topic_filter)
        for topic in sorted(broker.retained):
            if matches(topic_filter, topic):
                inbox.queue.append(Message(topic, broker.retained[topic], retained=True))
        broker.pump(inbox)
        assert qos <= 1

    async def receive(self) -> Message:
        """The next message."""
        self._power.use()
        if self.lost and self._arrived.empty():
            raise LinkLost("the session with the broker ended")
        message = await self._arrived.get()
        self._power.use()
        if message is None:
            self._arrived.put_nowait(None)
            raise LinkLost("the session with the broker ended")
        return message

    def acknowledge(self, message: Message) -> None:
        """Tell the broker; the telling may be lost with the session."""
        self._power.use()
        if not self.lost and isinstance(message.token, int):
            self._broker.loop.later(self._broker.delay(), self._settle, message.token)

    def deliver(self, message: Message) -> None:
        """A message reaches the process; through a partition, or to a dead session, it does not."""
        if not self.lost and self._power.on and self._broker.reachable(self.client):
            self._arrived.put_nowait(message)

    def sever(self) -> None:
        """The session ends without a farewell."""
        if not self.lost:
            self.lost = True
            if not self._lost.done():
                self._lost.set_result(None)
            self._arrived.put_nowait(None)
            self._broker.detach(self, farewell=False)

    def _check(self) -> None:
        if self.lost:
            raise LinkLost("the session with the broker ended")

    def _take(self, taken: "asyncio.Future[bool]", topic: str, payload: bytes, retain: bool) -> None:  # noqa: FBT001
        broker = self._broker
        if not broker.reachable(self.client):
            return
        # What was sent before the process or its session died still arrives.
        if broker.draw.random() < broker.nasty.mute:
            broker.note("broker.mute", topic)
            broker.loop.later(broker.draw.uniform(1, 90), self.sever)
        elif not taken.done():
            broker.loop.later(broker.delay(), _resolve, taken)
        broker.accept(topic, payload, retain=retain)

    def _settle(self, number: int) -> None:
        if self._broker.reachable(self.client) and not self.lost:
            self._broker.settle(self.client, number)


def _resolve(taken: "asyncio.Future[bool]") -> None:
    if not taken.done():
        taken.set_result(True)
