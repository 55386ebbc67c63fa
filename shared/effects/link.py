"""MQTT, handed in: sessions that publish, subscribe and acknowledge after the commit.

A broker's acknowledgement says nothing about delivery (P6, P7): `publish` returning means only that
the broker has taken the message.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """What arrived; `token` is the session's own, for `acknowledge`."""

    topic: str
    payload: bytes
    retained: bool = False
    token: object = None


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes, retained, when a session ends without a farewell."""

    topic: str
    payload: bytes


class Session(Protocol):
    """One connection to the broker."""

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Return when the broker has taken the message; raises LinkLost."""

    async def subscribe(self, topic_filter: str, *, qos: int = 1) -> None:
        """Return when the broker has granted it; raises LinkRefused where it does not, LinkLost."""

    async def receive(self) -> Message:
        """The next message, unacknowledged; raises LinkLost when the session ended."""

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that the message is dealt with; without it, it comes again."""


class Link(Protocol):
    """A way to the broker: a named, durable session each time it is entered."""

    def session(self, *, will: Will | None = None) -> AbstractAsyncContextManager[Session]:
        """Connect; raises LinkRefused with one sentence that says why, LinkLost while inside."""
