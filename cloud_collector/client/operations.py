"""What an operator looks at: gateways, what is missing, what nobody knows, alarms, warnings and who heard of them."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cloud_collector.client.money import Period
from cloud_collector.client.orders import Command
from cloud_collector.client.values import Account, Contract, Device, Gateway, Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayState:
    """A gateway as the fleet's page has it; times are by the collector's clock."""

    gateway: Gateway
    enrolment: Annotated[str, Field(examples=["enrolled"])]
    """`invited`, `expired`, `pending`, `enrolled` or `revoked`."""
    state: Annotated[str, Field(examples=["online"])]
    """`online`, `late`, `silent`, `clock` (not to be believed) or `never` (it has not spoken yet)."""
    added_at: Instant
    heard_at: Instant | None
    lines: int
    backlog: int
    """Lines that later ones prove to exist and that have not come."""
    alarms: int
    clock: str
    """How its newest line places itself: `S`, `I`, `R` or `U`; empty: there is none."""
    ahead_seconds: int | None
    """How far its clock was ahead of the collector's, where it was."""
    parked: bool
    """Two machines speak as this one, and a person must say which is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Positions of a log, both counted."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One epoch of one log."""

    log: Annotated[str, Field(examples=["main"])]
    epoch: Annotated[str, Field(examples=["5f2c91aa"])]
    standing: str
    through: int
    """Everything up to here is held."""
    top: int
    asides: int
    gone: list[Range]
    """What the gateway itself says is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key that is enrolled for a gateway, and where it is valid."""

    key: str
    words: str
    log: str | None
    epoch: str | None
    first: int
    last: int | None
    added_at: Instant | None
    """Null: the gateway's own lines introduced it."""
    revoked_at: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainAlarm:
    """What a gateway's own chain contradicts."""

    kind: str
    log: str
    text: str
    raised_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """A range of lines that later ones prove to exist."""

    gateway: Gateway
    log: str
    epoch: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What is or was wrong with it."""

    kind: Annotated[str, Field(examples=["silent"])]
    part: str | None
    text: str
    begun_at: Instant
    ended_at: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """A meter that has reported."""

    device: Device
    meter: str
    unit: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayDetail:
    """A gateway with its keys, chains, holes, what is wrong, what it was asked and what it meters."""

    gateway: GatewayState
    agent: str | None
    """The program that it said it runs when it last began."""
    complete_until: Instant | None
    """Up to here nothing of it is missing."""
    refused: int
    """Messages of it that were refused."""
    keys: list[Key]
    chains: list[Chain]
    holes: list[Hole]
    alarms: list[ChainAlarm]
    incidents: list[Incident]
    """The newest."""
    commands: list[Command]
    """The newest."""
    meters: list[Metered]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What is or was wrong, one for each root cause."""

    id: int
    kind: Annotated[str, Field(examples=["silent"])]
    gateway: Gateway | None
    part: str | None
    text: str
    begun_at: Instant
    ended_at: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """A threshold that fired, or was withdrawn."""

    id: int
    contract: Contract
    account: Account
    period: Period
    against: Annotated[str, Field(examples=["budget"])]
    side: Annotated[str, Field(examples=["over"])]
    way: Annotated[str, Field(examples=["actual"])]
    percent: Annotated[str, Field(examples=["80"])]
    what: Annotated[str, Field(examples=["fired"])]
    at: Instant
    figure: str
    threshold: str
    unit: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where warnings are posted to."""

    name: str
    url: str
    account: Account | None
    """Null: everybody's."""
    added_at: Instant
    stopped_at: Instant | None
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook(Webhook):
    """One that was added just now."""

    secret: str | None
    """What checks the signatures (Standard Webhooks); told once, and null where the request was answered before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A warning on its way to someone."""

    id: int
    warning: int
    way: str
    to: str
    state: Annotated[str, Field(examples=["delivered"])]
    """`due`, `delivered` or `given_up`."""
    attempts: int
    next_at: Instant | None
    contract: Contract
    account: Account
    said: str
    last: str | None
    """What came of the last try."""
