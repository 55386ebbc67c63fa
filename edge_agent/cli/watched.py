"""A link that remembers how it stands, for people who ask."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from shared.effects.clock import Clock
from shared.effects.link import Link, Session, Will
from shared.errors import CertificateRefused, LinkError


class WatchedLink:
    """A link that remembers how it stands, for people who ask."""

    def __init__(self, link: Link, clock: Clock, certificate_refused: Callable[[], None]) -> None:
        self._link = link
        self._certificate_refused = certificate_refused
        self._clock = clock
        self._since_ms = clock.boot_ms()
        self._up = False
        self._why: str | None = "not tried yet"

    def state(self) -> dict[str, Any]:
        """Whether it is up, for how long, and why not."""
        seconds = (self._clock.boot_ms() - self._since_ms) // 1_000
        return {"up": self._up, "seconds": seconds, "why": self._why}

    @asynccontextmanager
    async def session(self, *, will: Will | None = None) -> AsyncIterator[Session]:
        """Connect."""
        try:
            async with self._link.session(will=will) as session:
                self._became(up=True, why=None)
                yield session
        except LinkError as error:
            self._became(up=False, why=str(error))
            if isinstance(error, CertificateRefused):
                self._certificate_refused()
            raise
        finally:
            if self._up:
                self._became(up=False, why="the session ended")

    def _became(self, *, up: bool, why: str | None) -> None:
        if up is not self._up:
            self._since_ms = self._clock.boot_ms()
        self._up, self._why = up, why
