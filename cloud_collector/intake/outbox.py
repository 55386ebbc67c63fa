"""Receipts and commands on their way to the broker, in order, never held back by a slow broker (P8)."""

import asyncio
import logging
from collections.abc import Iterable

from cloud_collector.fleet.orders import Due
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
        self._waiting: list[tuple[str, Leaf, bytes]] = []
        self._news = asyncio.Event()

    def put(self, receipts: Iterable[Sealed]) -> None:
        """Let these leave."""
        self._add((gateway, Leaf.RECEIPT, sealed) for gateway, sealed in receipts)

    def put_commands(self, commands: Iterable[Due]) -> None:
        """Let these leave; what is lost here is sent again when its answer does not come."""
        self._add((command.gateway, Leaf.COMMAND, command.sealed) for command in commands)

    def _add(self, messages: Iterable[tuple[str, Leaf, bytes]]) -> None:
        self._waiting.extend(messages)
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
            await asyncio.gather(*(self._publish(*message) for message in leaving))
            _log.debug("event=receipts_sent receipts=%d", len(leaving))

    async def _publish(self, gateway: str, leaf: Leaf, sealed: bytes) -> None:
        await self._session.publish(topic_of(gateway, leaf, self._prefix), sealed)
