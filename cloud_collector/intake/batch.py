"""Messages that were received and not yet committed: a bounded queue that fills beside the transaction (P9).

A gateway that sends more than is taken is slowed alone (P21). Of a batch each gateway has its share, so that one does
not wait for another's hundreds. Where one of several fills the queue, what it sends beyond its bound is acknowledged
and let go: a broker hands messages out in one line, and whoever waited for the flood to be taken would hold everybody
up. Nothing is lost by that: an acknowledgement is no receipt (P7), and a gateway without one sends again.
"""

import asyncio
import logging
from collections import Counter, deque
from typing import Final

from cloud_collector.limits import (
    BATCH_BYTES_MAX,
    GATEWAY_WAITING_MAX,
    GATHER_LOOKS,
    QUEUE_MESSAGES_MAX,
    SHARES_MIN,
    TOPIC_CHARS_MAX,
)
from shared.effects.clock import Clock
from shared.effects.link import Message, Session
from shared.errors import LinkLost

_log: Final = logging.getLogger("meterseal.collector")


class Inbox:
    """What one session has delivered and nobody has taken yet."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._topics: Counter[str] = Counter()
        """How many of each topic wait."""
        self._left = False
        """Whether the last batch did not hold all that waited."""
        self._first = ""
        self._several = False
        """Whether more than one gateway was ever heard."""
        self.slowed: Counter[str] = Counter()
        """By topic: what was let go unread because too much of it waited."""
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.lost: LinkLost | None = None
        """Why nothing more will come."""

    async def fill(self) -> None:
        """Receive until the session ends; where the queue is full, the broker waits."""
        try:
            while True:
                await self._room.wait()
                message = await self._session.receive()
                if self._is_flood(message.topic):
                    self._let_go(message)
                    continue
                self._waiting.append(message)
                self._topics[message.topic] += 1
                self._bytes += len(message.payload)
                self._news.set()
                if len(self._waiting) >= QUEUE_MESSAGES_MAX:
                    self._room.clear()
        except LinkLost as error:
            self.end(error)

    def end(self, why: LinkLost) -> None:
        """Nothing more will come: what was received is still taken."""
        self.lost = self.lost or why
        self._news.set()

    def wake(self) -> None:
        """Let `batch` look again."""
        self._news.set()

    async def batch(self, clock: Clock, *, most: int, milliseconds: int) -> list[Message]:
        """At most this many messages, at most this long after the first; empty when woken, or when none is left.

        Together they have at most BATCH_BYTES_MAX, so that a backlog's payloads make no huge transaction (P9).
        """
        if not self._waiting and self.lost is None:
            await self._news.wait()
        self._news.clear()
        if not self._left and 0 < len(self._waiting) < most and self._bytes < BATCH_BYTES_MAX and self.lost is None:
            await self._gather(clock, most, milliseconds)
        taken = self._shared(most) if self._several else self._in_order(most)
        self._left = bool(self._waiting)
        if self._left or self.lost is not None:
            self._news.set()
        self._room.set()
        return taken

    async def _gather(self, clock: Clock, most: int, milliseconds: int) -> None:
        """Let more come for so long, but no longer than something does."""
        for _ in range(GATHER_LOOKS):
            held = len(self._waiting)
            await clock.sleep(milliseconds / GATHER_LOOKS / 1000)
            if len(self._waiting) in (held, most) or self._bytes >= BATCH_BYTES_MAX:
                return

    def _is_flood(self, topic: str) -> bool:
        """Whether so much of this topic waits that its neighbours would have no place."""
        if not self._several:
            self._first = self._first or topic
            self._several = topic != self._first
        return self._several and self._topics[topic] >= GATEWAY_WAITING_MAX

    def _let_go(self, message: Message) -> None:
        self._session.acknowledge(message)
        self.slowed[message.topic] += 1
        if self.slowed[message.topic] == 1:
            _log.warning("event=gateway_slowed topic=%s", ascii(message.topic[:TOPIC_CHARS_MAX]))

    def _in_order(self, most: int) -> list[Message]:
        """The oldest, as many as a batch holds."""
        taken: list[Message] = []
        room = BATCH_BYTES_MAX
        while self._waiting and len(taken) < most:
            size = len(self._waiting[0].payload)
            if taken and size > room:
                break
            room -= size
            taken.append(self._leave(self._waiting.popleft()))
        return taken

    def _shared(self, most: int) -> list[Message]:
        """The oldest of each gateway, as many as its share of a batch holds: one that is alone has a quarter of it."""
        shares = max(SHARES_MIN, len(self._topics))
        share, share_bytes = max(1, most // shares), BATCH_BYTES_MAX // shares
        taken: list[Message] = []
        left: deque[Message] = deque()
        counts, sizes = Counter[str](), Counter[str]()
        room = BATCH_BYTES_MAX
        for message in self._waiting:
            topic, size = message.topic, len(message.payload)
            counts[topic] += 1
            sizes[topic] += size
            within = counts[topic] == 1 or (counts[topic] <= share and sizes[topic] <= share_bytes)
            if within and len(taken) < most and (not taken or size <= room):
                room -= size
                taken.append(message)
            else:
                # Of a gateway nothing overtakes what came before it.
                counts[topic] = share + 1
                left.append(message)
        self._waiting = left
        return [self._leave(message) for message in taken]

    def _leave(self, message: Message) -> Message:
        self._bytes -= len(message.payload)
        self._topics[message.topic] -= 1
        if not self._topics[message.topic]:
            del self._topics[message.topic]
        return message
