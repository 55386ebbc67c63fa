"""Events of usage that are sent over HTTP, and what became of each."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cloud_collector.client.values import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenEvent:
    """An event that is counted, once."""

    id: Annotated[str, Field(examples=["order-1017"])]
    source: Annotated[str, Field(examples=["https://shop.example/checkout"])]
    subject: Annotated[str, Field(examples=["shop-1/till-3"])]
    type: Annotated[str, Field(examples=["orders"])]
    state: Annotated[str, Field(examples=["accepted"])]
    """`accepted`, or `duplicate`: taken before with the same content, and counted once."""
    counted_from: Instant
    """When the interval begins in which it is counted."""
    late: bool
    """Whether the interval of its own time was sealed already: then it is counted in the one that was open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenEvents:
    """Every event of a request, in its order."""

    accepted: int
    duplicates: int
    events: list[TakenEvent]
