"""What a customer says is wrong with a bill, what was said to it, and what came of it."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cloud_collector.client.money import Line
from cloud_collector.client.values import Account, Device, Instant, Money, Number, Quantity, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One thing that was said."""

    what: Annotated[str, Field(examples=["said"])]
    """`opened`, `said`, `upheld`, `rejected` or `withdrawn`."""
    said: str
    at: Instant
    who: str
    side: Annotated[str, Field(examples=["customer"])]
    """`customer` or `operator`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote:
    """What took the invoice back."""

    number: Number
    reason: str
    billed_again: Number | None
    """The invoice that stands in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A line of an invoice, or all of it, that is said to be wrong."""

    id: int
    account: Account
    invoice: Number
    line: int | None
    """From 1; null: the whole invoice."""
    amount: Annotated[str, Field(examples=["12.30 EUR"])]
    state: Annotated[str, Field(examples=["open"])]
    """`open`, `upheld`, `rejected`, `withdrawn` or `credited`."""
    evidence_sha256: str
    """Of the evidence as it stood when the dispute was opened, in hex."""
    evidence_holds: bool
    """Whether that evidence verified."""
    at: Instant
    who: str
    words: list[Word]
    credit_note: CreditNote | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAgain:
    """One line as it was billed, and as it comes out now; what is on one side only is null on the other."""

    line: int | None
    """The invoice's, from 1; null: it does not have this one."""
    charge: str
    device: Device | None
    unit: Unit
    quantity: Quantity | None
    amount: Money | None
    quantity_again: Quantity | None
    amount_again: Money | None
    difference: Money
    """What would have to be added to the billed amount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The invoice worked out again from the evidence as it stands now."""

    same: bool
    """To the letter."""
    sentences: list[str]
    """What differs, or why nothing came out."""
    lines: list[LineAgain]
    total: Money | None
    total_again: Money | None
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeDetail:
    """A dispute with what it is about."""

    dispute: Dispute
    line: Line | None
    """As it was billed; null: the whole invoice."""
    again: Again
