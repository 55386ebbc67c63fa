"""What was used, by interval, hour, day or month."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from cloud_collector.client.values import Device, Instant, Quantity, Unit


class Step(StrEnum):
    """How long the stretches are: as metered, or cut at the contract's local hours, days and months."""

    INTERVAL = "interval"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One stretch of a curve."""

    start: Instant
    end: Instant
    amount: Quantity | None
    """Null: nothing is known of it."""
    estimated: bool
    gap_seconds: int
    """How much of it nobody metered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A meter's usage by day or by hour, as an operator's page draws it."""

    device: Device
    meter: Annotated[str, Field(examples=["energy"])]
    unit: Unit
    total: Quantity
    bars: list[Bar]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Usage of one channel in [start, end)."""

    device: Device
    meter: Annotated[str, Field(examples=["energy"])]
    start: Instant
    end: Instant
    quantity: Quantity | None
    """Null: nothing is known of it, which is not zero."""
    unit: Unit
    estimated: bool
    gap: Annotated[str | None, Field(examples=["source_down"])]
    """Why something in it could not be metered."""
