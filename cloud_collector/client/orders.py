"""What a gateway and a device are told to do, and what came of it."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cloud_collector.client.values import Contract, Device, Gateway, Instant, Number


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedAgain:
    """What a gateway was asked to send again."""

    gateway: Gateway
    missing: int
    """Lines that are missing of it, of the ranges that a command can ask for."""
    lines: int
    """Of these, how many it is asked for now; what is left was asked for before, or is asked for next."""
    commands: list[int]
    """The numbers of the commands that were given."""
    why: str | None
    """Why some were not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """A command that was given; `GET /gateways/{gateway}` says what becomes of it."""

    gateway: Gateway
    command: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command and what became of it."""

    command: int
    order: Annotated[str, Field(examples=["resend"])]
    details: str
    given_at: Instant
    state: Annotated[str, Field(examples=["done"])]
    """`waits`, `sent`, `sent N times`, `done`, `refused` or `given up`."""
    answered_at: Instant | None
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDone:
    """What came of a word about a device."""

    device: Device
    contract: Contract
    state: Annotated[str, Field(examples=["suspended"])]
    """The state that holds from `at` on."""
    at: Instant
    before: Annotated[str, Field(examples=["active"])]
    new: bool
    """False where the very same had been said before."""
    billed: list[Number]
    """Invoices of the time in which it now holds: what differs comes with the next one."""
