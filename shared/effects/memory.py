"""Clock and Link within one process, for tests: a clock that is set by hand, and a broker that is honest.

The broker keeps what it has acknowledged: named sessions are durable, unacknowledged messages of
QoS 1 come again, retained messages and wills are kept. Nasty brokers live in the simulator.
Source: MQTT 3.1.1, sections 4.4 and 4.7; MQTT 5, section 4.8.2 for `$share`.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from shared.effects.link import Message, Session, Will
from shared.errors import LinkLost, LinkRefused

QUEUED_MAX: Final = 100_000
"""Messages that wait for one session; further ones are dropped and counted, as brokers do."""
INFLIGHT_MAX: Final = 1_000
"""Messages on their way to one session without its acknowledgement."""

Access = Callable[[str, Literal["publish", "subscribe"], str], bool]
"""Whether a user may publish to a topic or subscribe to a filter."""


class SimpleClock:
    """A clock that moves only when it is told to."""

    def __init__(
        self, *, boot_ms: int = 0, utc_ms: int = 0, synchronised: bool = True, boot_id: str = "00000000"
    ) -> None:
        self._boot_ms = boot_ms
        self._utc_ms = utc_ms
        self._synchronised = synchronised
        self._boot_id = boot_id
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._slept = 0

    def boot_ms(self) -> int:
        """Milliseconds since this boot."""
        return self._boot_ms

    def utc_ms(self) -> int:
        """Milliseconds since 1970 by the wall clock."""
        return self._utc_ms

    def synchronised(self) -> bool:
        """Whether the wall clock is said to be disciplined."""
        return self._synchronised

    def boot_id(self) -> str:
        """8 hex digits."""
        return self._boot_id

    async def sleep(self, seconds: float) -> None:
        """Return once the clock has been advanced by this much."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        self._slept += 1
        waking = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._boot_ms + round(seconds * 1000), self._slept, waking))
        await waking

    def advance(self, milliseconds: int) -> None:
        """Both clocks have moved on; sleepers whose time has come wake in the order of their times."""
        self._boot_ms += milliseconds
        self._utc_ms += milliseconds
        while self._sleepers and self._sleepers[0][0] <= self._boot_ms:
            waking = heapq.heappop(self._sleepers)[2]
            if not waking.done():
                waking.set_result(None)

    def step(self, *, utc_ms: int, synchronised: bool = True) -> None:
        """The wall clock has been set; the monotonic one has not moved."""
        self._utc_ms = utc_ms
        self._synchronised = synchronised


@dataclass(slots=True, eq=False)
class _Held:
    """What the broker keeps of a named client, connected or not."""

    client_id: str
    filters: dict[str, int] = field(default_factory=dict)
    inflight: dict[int, Message] = field(default_factory=dict)
    waiting: deque[tuple[Message, int]] = field(default_factory=deque)
    session: "_MemorySession | None" = None
    sent: int = 0


class MemoryBroker:
    """A broker in this process."""

    def __init__(self, *, access: Access = lambda _user, _act, _topic: True) -> None:
        self._access = access
        self._held: dict[str, _Held] = {}
        self._retained: dict[str, tuple[bytes, int]] = {}
        self._turns: dict[str, int] = {}
        self._refusal: str | None = None
        self.dropped = 0
        """Messages that found a session's queue full."""

    def stop(self, reason: str = "nothing listens at the broker's address: the connection was refused") -> None:
        """Every session has ended and none is let in; what was kept stays kept."""
        self._refusal = reason
        for client_id in list(self._held):
            self.drop(client_id, "the broker has stopped")

    def start(self) -> None:
        """Sessions are let in again."""
        self._refusal = None

    def drop(self, client_id: str, reason: str = "the connection was lost") -> None:
        """The client's connection has ended without a farewell; its will has been published."""
        held = self._held.get(client_id)
        if held is not None and held.session is not None:
            self._leave(held.session, reason, farewell=False)

    def retained(self, topic: str) -> bytes | None:
        """What a topic retains."""
        return self._retained.get(topic, (None, 0))[0]

    def _enter(self, client_id: str, user: str, will: Will | None) -> "_MemorySession":
        if self._refusal is not None:
            raise LinkRefused(self._refusal)
        self.drop(client_id, "another client took over this name")
        held = self._held.setdefault(client_id, _Held(client_id))
        session = _MemorySession(self, held, user, will)
        held.session = session
        for number, message in held.inflight.items():
            session.deliver(Message(message.topic, message.payload, message.retained, (session, number)))
        self._pump(held)
        return session

    def _leave(self, session: "_MemorySession", reason: str, *, farewell: bool) -> None:
        if session.ended is not None:
            return
        session.end(reason)
        if session.held.session is session:
            session.held.session = None
        if not farewell and session.will is not None:
            self._publish(session.user, session.will.topic, session.will.payload, 1, retain=True)

    def _publish(self, user: str, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        if not self._access(user, "publish", topic):
            return  # MQTT 3.1.1 has no refusal of a publish: it is acknowledged and dropped.
        if retain:
            if payload:
                self._retained[topic] = (payload, qos)
            else:
                self._retained.pop(topic, None)
        message = Message(topic, payload)
        for held, granted in self._receivers(topic):
            self._queue(held, message, min(qos, granted))

    def _receivers(self, topic: str) -> list[tuple[_Held, int]]:
        receivers: list[tuple[_Held, int]] = []
        groups: dict[str, list[tuple[_Held, int]]] = {}
        for held in self._held.values():
            own = [qos for name, qos in held.filters.items() if not _is_shared(name) and matches(name, topic)]
            if own:
                receivers.append((held, max(own)))
            for name, qos in held.filters.items():
                if _is_shared(name) and matches(name.split("/", 2)[2], topic):
                    groups.setdefault(name, []).append((held, qos))
        for name, members in groups.items():
            present = [member for member in members if member[0].session is not None] or members
            turn = self._turns.get(name, 0)
            self._turns[name] = turn + 1
            receivers.append(present[turn % len(present)])
        return receivers

    def _queue(self, held: _Held, message: Message, qos: int) -> None:
        if held.session is None and qos == 0:
            return
        if len(held.waiting) >= QUEUED_MAX:
            self.dropped += 1
            return
        held.waiting.append((message, qos))
        self._pump(held)

    def _pump(self, held: _Held) -> None:
        while held.session is not None and held.waiting and len(held.inflight) < INFLIGHT_MAX:
            message, qos = held.waiting.popleft()
            if qos == 0:
                held.session.deliver(message)
                continue
            held.sent += 1
            held.inflight[held.sent] = message
            token = (held.session, held.sent)
            held.session.deliver(Message(message.topic, message.payload, message.retained, token))

    def _subscribe(self, session: "_MemorySession", topic_filter: str, qos: int) -> None:
        if not self._access(session.user, "subscribe", topic_filter):
            raise LinkRefused(
                f"the broker refuses user {session.user} the subscription to {topic_filter}: "
                "its access list must allow it"
            )
        session.held.filters[topic_filter] = qos
        if _is_shared(topic_filter):
            return  # MQTT 5, 4.8.2: retained messages are not sent to a shared subscription.
        for topic, (payload, sent_qos) in list(self._retained.items()):
            if matches(topic_filter, topic):
                self._queue(session.held, Message(topic, payload, retained=True), min(qos, sent_qos))

    def _acknowledge(self, held: _Held, number: int) -> None:
        held.inflight.pop(number, None)
        self._pump(held)


class _MemorySession:
    """One connection to the broker in this process."""

    def __init__(self, broker: MemoryBroker, held: _Held, user: str, will: Will | None) -> None:
        self._broker = broker
        self.held = held
        self.user = user
        self.will = will
        self.ended: str | None = None
        self._received: deque[Message] = deque()
        self._arrived = asyncio.Event()

    def deliver(self, message: Message) -> None:
        """A message has come in."""
        self._received.append(message)
        self._arrived.set()

    def end(self, reason: str) -> None:
        """The session is over; what it has not acknowledged comes again in the next."""
        self.ended = reason
        self._arrived.set()

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Return when the broker has taken the message; raises LinkLost."""
        await asyncio.sleep(0)
        self._alive()
        self._broker._publish(self.user, topic, payload, qos, retain=retain)  # noqa: SLF001

    async def subscribe(self, topic_filter: str, *, qos: int = 1) -> None:
        """Return when the broker has granted it; raises LinkRefused where it does not, LinkLost."""
        await asyncio.sleep(0)
        self._alive()
        self._broker._subscribe(self, topic_filter, qos)  # noqa: SLF001

    async def receive(self) -> Message:
        """The next message, unacknowledged; raises LinkLost when the session ended."""
        while not self._received:
            self._alive()
            self._arrived.clear()
            await self._arrived.wait()
        return self._received.popleft()

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that the message is dealt with; without it, it comes again."""
        match message.token:
            case (session, int() as number) if session is self and self.ended is None:
                self._broker._acknowledge(self.held, number)  # noqa: SLF001
            case _:
                pass  # Of QoS 0, or of a session that is over: the broker delivers that one again.

    def _alive(self) -> None:
        if self.ended is not None:
            raise LinkLost(self.ended)


class MemoryLink:
    """A named, durable session with a broker in this process."""

    def __init__(self, broker: MemoryBroker, client_id: str, *, user: str | None = None) -> None:
        self._broker = broker
        self._client_id = client_id
        self._user = user or client_id

    @asynccontextmanager
    async def session(self, *, will: Will | None = None) -> AsyncIterator[Session]:
        """Connect; raises LinkRefused with one sentence that says why, LinkLost while inside."""
        await asyncio.sleep(0)
        session = self._broker._enter(self._client_id, self._user, will)  # noqa: SLF001
        try:
            yield session
        finally:
            self._broker._leave(session, "the session is over", farewell=True)  # noqa: SLF001


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter with `+` and `#` takes in a topic; wildcards leave out topics that begin with `$`."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for index, want in enumerate(wanted):
        if want == "#":
            return True
        if index >= len(levels) or want not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)


def _is_shared(topic_filter: str) -> bool:
    return topic_filter.startswith("$share/")
