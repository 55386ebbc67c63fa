"""What lies under a figure: days, a day's intervals, and the signed line that says each of them."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import Field

from cloud_collector.client.values import Contract, Currency, Device, Gateway, Instant, Money, Quantity, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One local day of a meter, as far as it has come."""

    day: date
    start: Instant
    end: Instant
    quantity: Quantity | None
    """Null: nothing is known of it, which is not zero."""
    estimated: bool
    gap_seconds: int
    """Of its time so far, not known."""
    deleted: bool
    """Its detail was deleted as agreed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterDays:
    """A meter's days in the running period."""

    meter: Annotated[str, Field(examples=["energy"])]
    unit: Unit
    days: list[Day]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDay:
    """A day of one meter of one device, while it was the account's."""

    device: Device
    meter: Annotated[str, Field(examples=["energy"])]
    unit: Unit
    day: Day


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a signed line stands."""

    gateway: Gateway
    log: Annotated[str, Field(examples=["main"])]
    epoch: Annotated[str, Field(examples=["5f2c91aa"])]
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A stretch of a meter's day: what a line says, what counters bridge, or that nothing is known."""

    start: Instant
    end: Instant
    quantity: Quantity | None
    unit: Unit
    estimated: bool
    why: str | None
    """Null where a line says it; else `gap`, `bridge`, `deleted`, or why nothing is known."""
    line: Place | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedLine:
    """A line as its gateway sealed it, and what is to be said of it."""

    gateway: Gateway
    log: str
    epoch: str
    seq: int
    kind: Annotated[str, Field(examples=["usage"])]
    raw: Annotated[str, Field(examples=["MS1|{…}|…"])]
    """Every byte of it; it is ASCII."""
    hash: str
    """SHA-256, in hex."""
    received_at: Instant
    genuine: bool
    """Whether the key that it names signed these bytes."""
    key: str
    words: str | None
    """The key's fingerprint in words; null where the gateway has no such key."""
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMonth:
    """A device in its contract's running period: what it costs so far, and its days."""

    contract: Contract
    currency: Currency
    device: Device
    state: Annotated[str, Field(examples=["active"])]
    since: Instant
    net: Money
    used: bool
    starts_at: Instant | None
    """Of one that is not billed yet: when its grace ends."""
    meters: list[MeterDays]
