"""Messages that were received and not yet committed: a bounded queue that fills beside the transaction (P9)."""

import asyncio
from collections import deque

from cloud_collector.limits import BATCH_BYTES_MAX, GATHER_LOOKS, QUEUE_MESSAGES_MAX
from shared.effects.clock import Clock
from shared.effects.link import Message, Session
from shared.errors import LinkLost


class Inbox:
    """What one session has delivered and nobody has taken yet."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: deque[Message] = deque()
        self._bytes = 0
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
                self._waiting.append(message)
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
        if 0 < len(self._waiting) < most and self._bytes < BATCH_BYTES_MAX and self.lost is None:
            await self._gather(clock, most, milliseconds)
        taken = self._taken(most)
        if self._waiting or self.lost is not None:
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

    def _taken(self, most: int) -> list[Message]:
        taken: list[Message] = []
        room = BATCH_BYTES_MAX
        while self._waiting and len(taken) < most:
            size = len(self._waiting[0].payload)
            if taken and size > room:
                break
            room -= size
            self._bytes -= size
            taken.append(self._waiting.popleft())
        return taken
