"""Lines opened onto what they rest on: devices or their states, counters, and the moment that decides a maximum."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cloud_collector.client.days import Day, Place
from cloud_collector.client.money import Line
from cloud_collector.client.values import Currency, Device, Instant, Money, Number, Quantity, Unit

LineId = Annotated[str, Field(examples=["790be214531a7e20"])]
"""What a line of the cost so far is called: the same as long as it is for the same thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedLine:
    """A line of the cost so far."""

    id: LineId
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a device has in a line."""

    device: Device
    meter: str
    start: Instant
    end: Instant
    quantity: Quantity | None
    """Null: it cannot be said any more, see `how`."""
    unit: Unit
    how: Annotated[str, Field(examples=["metered"])]
    """How it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood:
    """A state of a device in a line that is not by usage."""

    device: Device
    state: Annotated[str, Field(examples=["active"])]
    start: Instant
    end: Instant | None
    why: str | None
    line: Place | None
    """The report that started it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """Two readings of a counter, and the reports that carry them."""

    device: Device
    meter: str
    log: str
    epoch: str
    first: int
    register_start: int
    last: int
    register_end: int
    units: int
    """Between them, in the channel's own integers."""
    estimated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one device adds to a maximum."""

    device: Device
    meter: str
    start: Instant
    end: Instant
    quantity: Quantity
    unit: Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """When a maximum was reached, and what it was made of then."""

    start: Instant
    end: Instant
    figure: Quantity
    unit: Unit
    shares: list[Share]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedLine:
    """A line of the cost so far with everything under it."""

    id: LineId
    line: Line
    currency: Currency
    devices: list[Used]
    """By what each of them used; empty where the line is not by usage."""
    states: list[Stood]
    counters: list[Counter]
    deciding: Deciding | None
    beside: list[LineId]
    """Discounts, caps and minimums of it, or what it is one of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedInvoiceLine:
    """A line of an issued document with everything under it."""

    number: Number
    place: int
    line: Line
    currency: Currency
    devices: list[Used]
    """By the sealed counters, where they say it; empty with `states` where only the counters are left."""
    states: list[Stood]
    counters: list[Counter]
    deciding: Deciding | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDays:
    """A device's meter by day, and what the days come to."""

    device: Device
    meter: str
    unit: Unit
    total: Quantity | None
    """By the meter's aggregate: a sum, a peak, a mean, a count or a time; null: nothing is known."""
    days: list[Day]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not hold."""

    stage: Annotated[str, Field(examples=["lines"])]
    place: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What the server finds in the evidence of a document as the store holds it now."""

    verified: bool
    number: Number | None
    total: Money | None
    currency: Currency | None
    reports: int
    findings: list[Finding]
    notes: list[str]
