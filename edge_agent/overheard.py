"""A link on which one topic more is heard, beside whoever uses it and without that one's knowledge."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from shared.effects.link import Link, Message, Session, Will
from shared.errors import LinkRefused

_LOG: Final = logging.getLogger(__name__)


class OverheardLink:
    """Messages of the topic are handed to `take`; all others go on to the link's user."""

    def __init__(self, link: Link, topic: str, take: Callable[[bytes], None]) -> None:
        self._link = link
        self._topic = topic
        self._take = take

    @asynccontextmanager
    async def session(self, *, will: Will | None = None) -> AsyncIterator[Session]:
        """Connect, and listen to the topic where the broker lets us."""
        async with self._link.session(will=will) as session:
            try:
                await session.subscribe(self._topic)
            except LinkRefused as error:
                # What was asked for beside must not cost the link itself.
                _LOG.warning('event=alerts_refused why="%s"', error)
            yield _Overheard(session, self._topic, self._take)


class _Overheard:
    def __init__(self, session: Session, topic: str, take: Callable[[bytes], None]) -> None:
        self._session = session
        self._topic = topic
        self._take = take
        self.publish = session.publish
        self.subscribe = session.subscribe
        self.acknowledge = session.acknowledge

    async def receive(self) -> Message:
        """The next message of another topic; raises LinkLost when the session ended."""
        while (message := await self._session.receive()).topic == self._topic:
            self._take(message.payload)
            self._session.acknowledge(message)
        return message
