"""What a contract costs: so far, as a forecast, and as a document line by line."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from pydantic import Field

from cloud_collector.client.values import (
    Account,
    Contract,
    Currency,
    Device,
    Instant,
    Money,
    Number,
    Quantity,
    Unit,
    Zone,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From the first instant of it until the first after it."""

    start: Instant
    end: Instant
    timezone: Zone = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One amount, with everything that explains it."""

    charge: Annotated[str, Field(examples=["Energy"])]
    kind: Annotated[str, Field(examples=["usage"])]
    """`subscription`, `usage`, `one_time`, `discount`, `cap`, `minimum`, `true_up` or `adjustment`."""
    device: Device | None
    window: str | None
    quantity: Quantity
    unit: Unit
    unit_price: Money | None
    """Null where several prices apply: see `steps`."""
    exact: Money
    amount: Money
    service_start: Instant
    service_end: Instant
    estimated: bool
    why: str
    steps: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tax:
    """One rate on the sum of the lines that it covers."""

    name: Annotated[str, Field(examples=["VAT"])]
    percent: Annotated[str, Field(examples=["25.5"])]
    base: Money
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A document as it would be, as `cloud-collector quote` prints it."""

    contract: Contract
    currency: Currency
    period: Period
    lines: list[Line]
    net: Money
    taxes: list[Tax]
    total: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One figure with its band."""

    low: Money
    likely: Money
    high: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the period will come to."""

    net: Band
    total: Band
    charges: dict[str, Money]
    days: int
    """Of how many days the habit was learnt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """Where a ramp goes on."""

    from_period: int
    figure: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """One commitment in the period that runs."""

    of: Annotated[str, Field(examples=["amount"])]
    """`amount`, `devices` or `quantity`."""
    start: Instant
    end: Instant
    committed: Quantity
    counted: Quantity
    unit: str | None
    missing: Money
    """What would be billed for it, if nothing more came."""
    trued_up: bool
    ramp_step: int | None
    next_step: NextStep | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeCost:
    """A charge's part of the net figure."""

    charge: str
    net: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCost:
    """A device's part of the net figure."""

    device: Device
    state: str
    since: Instant
    net: Money
    used: bool
    starts_at: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the running period costs so far, by the invoice's own code."""

    account: Account
    contract: Contract
    as_of: Instant
    known_until: Instant | None
    """The end of the latest report."""
    currency: Currency
    net: Money
    total: Money
    budget: Money | None
    forecast: Forecast | None
    """Null while it is too early to say."""
    commitments: list[Commitment]
    charges: list[ChargeCost]
    devices: list[DeviceCost]
    shared: Money
    """What belongs to no device."""
    waiting: list[Device]
    unused: list[Device]
    draft: Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A contract's earliest period that has ended and is not billed, with its invoice as it would be now."""

    contract: Contract
    start: Instant
    end: Instant
    waits_until: Instant | None
    """When it is billed all the same; null where the next run bills it."""
    silent: list[str]
    """Gateways whose reports it waits for, or is billed without."""
    more: bool
    """Whether the period after it has ended too."""
    net: Money | None
    """Null where it cannot be billed as it is."""
    total: Money | None
    currency: Currency | None
    period: date | None = None
    """The local date on which it began: by it `cost_lines` names its lines. Older collectors do not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An issued document, as it stands in a list."""

    number: Number
    kind: Annotated[str, Field(examples=["regular"])]
    """`regular`, `adjustment` or `credit_note`."""
    contract: Contract
    account: Account
    period: Period
    currency: Currency
    total: Money
    issued_at: Instant
    revision: int
    state: Annotated[str, Field(examples=["issued"])]
    """`issued`, `paid` or `credited`."""
    open: Money
    """What is still to be paid of it; of a credit note: what has not been used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """The credit note that took a document back."""

    credit_note: Number
    reason: str
    by: str
    at: Instant
    replaced_by: Number | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A payment, or credit that was used or paid out."""

    at: Instant
    what: Annotated[str, Field(examples=["payment"])]
    """`payment`, `offset` or `pay_out`."""
    amount: Money
    invoice: Number | None
    credit_note: Number | None
    by: str
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLife:
    """An issued document and what became of it."""

    invoice: Invoice
    taken_back: TakenBack | None
    takes_back: Number | None
    """Of a credit note: which document it takes back."""
    moved: list[Moved]
    """In order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What came of taking a document back, or of billing its period again."""

    of: Number
    number: Number | None
    """The document that was issued."""
    run: int | None
    """Where documents are approved: the run that holds the draft. Null with `number`: nothing was missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """A line of an issued document, with the registers that it rests on."""

    number: Number
    place: int
    """From 1."""
    line: Line
    reads: list[list[Any]]
    """Each: gateway, log, device, meter, epoch, first report, register there, last report, register there,
    estimated."""
