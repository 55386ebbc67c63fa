"""What nobody knows, and what is heard of no more."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cloud_collector.client.values import Contract, Device, Gateway, Instant

Kind = Annotated[str, Field(examples=["gateway"])]
"""`gateway`, `key`, `device` or `topic`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """What arrived, or is metered, and belongs to nobody that is known."""

    name: Annotated[str, Field(examples=["roof-3"])]
    """How the deeds call it: a gateway, `gateway#key`, `gateway/device`, or a topic."""
    kind: Kind
    topic: str | None
    """Null of a device: what it meters arrives, and nobody pays for it."""
    gateway: str
    reason: str
    nearest: str | None
    messages: int
    first_at: Instant | None
    last_at: Instant | None
    pending: bool
    """A key of this gateway has claimed an invitation, and waits for its words to be compared."""
    next: str
    """The command that lets it in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """What is heard of no more."""

    name: Annotated[str, Field(examples=["roof-3"])]
    kind: Kind
    by: str
    reason: str
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A gateway that is enrolled now."""

    gateway: Gateway
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """A device that belongs to a contract now."""

    device: Device
    contract: Contract
    revision: int
    """Of the catalog that says so."""
