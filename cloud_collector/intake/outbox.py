"""Receipts on their way to the broker: the newest of each log's epoch, never held back by a slow broker (P8)."""

import asyncio
import logging
from collections.abc import Iterable

from cloud_collector.intake.intake import Sealed
from cloud_collector.limits import OUTBOX_RECEIPTS_MAX, PUBLISH_AT_ONCE_MAX
from shared.effects.link import Session
from shared.topic import Leaf, topic_of

_log = logging.getLogger(__name__)


class Outbox:
    """Receipts in the order of their commits; one that is lost is asked for again."""

    def __init__(self, session: Session, prefix: str) -> None:
        self._session = session
        self._prefix = prefix
        self._waiting: list[Sealed] = []
        self._news = asyncio.Event()

    def put(self, receipts: Iterable[Sealed]) -> None:
        """Let these leave."""
        self._waiting.extend(receipts)
        # P9: beyond the bound the oldest are dropped; their gateways ask again.
        del self._waiting[:-OUTBOX_RECEIPTS_MAX]
        if self._waiting:
            self._news.set()

    async def drain(self) -> None:
        """Publish what comes; raises LinkLost when the session ends."""
        while True:
            await self._news.wait()
            leaving, self._waiting = self._waiting[:PUBLISH_AT_ONCE_MAX], self._waiting[PUBLISH_AT_ONCE_MAX:]
            if not self._waiting:
                self._news.clear()
            await asyncio.gather(*(self._publish(gateway, sealed) for gateway, sealed in leaving))
            _log.debug("event=receipts_sent receipts=%d", len(leaving))

    async def _publish(self, gateway: str, sealed: bytes) -> None:
        await self._session.publish(topic_of(gateway, Leaf.RECEIPT, self._prefix), sealed)
