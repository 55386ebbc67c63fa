"""What a catalog says: operator, meters, plans, accounts and contracts, as frozen records.

`read.load_catalog` makes them from TOML; defaults stand here. Names are the catalog's keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from cloud_collector.contracts.agreed import DataTerms, Warn
from cloud_collector.contracts.duration import Duration
from cloud_collector.contracts.money import Rounding

ZERO = Decimal(0)


class Cycle(StrEnum):
    """How long a billing period is."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class AnchorKind(StrEnum):
    """Anchors that are no day of the month."""

    CALENDAR = "calendar"
    ACTIVATION = "activation"


class Aggregate(StrEnum):
    """How a meter's intervals become one quantity."""

    SUM = "sum"
    MAX = "max"
    AVERAGE = "average"
    ACTIVE_TIME = "active_time"
    COUNT = "count"


class ChargeType(StrEnum):
    """What a charge is for."""

    SUBSCRIPTION = "subscription"
    USAGE = "usage"
    ONE_TIME = "one_time"


class Model(StrEnum):
    """How a quantity becomes an amount."""

    PER_UNIT = "per_unit"
    GRADUATED = "graduated"
    VOLUME = "volume"
    PACKAGE = "package"
    PERCENTAGE = "percentage"
    CAPACITY = "capacity"


class Per(StrEnum):
    """To whom a charge belongs."""

    DEVICE = "device"
    CONTRACT = "contract"


class Pool(StrEnum):
    """Across what usage and allowances are added up."""

    DEVICE = "device"
    CONTRACT = "contract"
    ACCOUNT = "account"


class TrueUp(StrEnum):
    """When what is missing from a commitment is billed."""

    PERIOD = "period"
    TERM = "term"
    NONE = "none"


class Prorate(StrEnum):
    """How a short period shortens a subscription."""

    DAY = "day"
    SECOND = "second"
    NONE = "none"


class State(StrEnum):
    """A device's place in its life."""

    PROVISIONED = "provisioned"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


class Occasion(StrEnum):
    """What a one-time charge is for."""

    ACTIVATED = "activated"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    ENDED = "ended"
    CONTRACT_START = "contract_start"


class StartRule(StrEnum):
    """What starts a device's billing."""

    IMMEDIATE = "immediate"
    FIRST_USE = "first_use"
    DATE = "date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Who invoices."""

    name: str
    currency: str
    timezone: str
    country: str | None = None
    address: tuple[str, ...] = ()
    vat_id: str | None = None
    iban: str | None = None
    invoice_prefix: str = "INV-"
    payment_terms_days: int = 14
    look_back: Duration | None = None
    """Charges for service periods that ended longer ago are no longer billed; credits always are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """What is measured: UCUM unit and how intervals are added up."""

    name: str
    unit: str
    aggregate: Aggregate
    demand: Duration | None = None
    """For `max`: the highest average rate an hour over local windows so long, in place of the highest level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One condition of first use; exactly one of the three figures is set."""

    at_least: Decimal | None = None
    active_days: int | None = None
    reports: int | None = None
    meter: str | None = None
    within: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationRule:
    """When a device starts to be billed."""

    rule: StartRule = StartRule.IMMEDIATE
    on: date | None = None
    """The local date of the rule `date`."""
    any: tuple[Threshold, ...] = ()
    all: tuple[Threshold, ...] = ()
    combine: Per = Per.DEVICE
    ignore_first: Duration | None = None
    grace: Duration | None = None
    usage_before_billed: bool = False
    late_evidence_adjusts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A stretch of quantity with its price; `up_to` is inclusive, None has no end."""

    up_to: Decimal | None = None
    price: Decimal = ZERO
    flat: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedWhen:
    """What counts as use of a device in a period; without a figure anything above zero does."""

    meter: str | None = None
    at_least: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of the local week with a price of its own; without days and hours it takes the rest."""

    name: str
    price: Decimal
    days: frozenset[int] = frozenset(range(7))
    """0 is Monday; a holiday is a Sunday."""
    start: int = 0
    """Minutes of the local clock after midnight."""
    end: int = 1_440
    """Exclusive; not after `start`, it lies past midnight, and the window belongs to the day it starts on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One thing that costs money; which fields are set depends on type and model."""

    name: str
    type: ChargeType
    per: Per
    price: Decimal | None = None
    discount_percent: Decimal = ZERO
    # subscription
    when_used: bool = False
    used_when: UsedWhen | None = None
    in_advance: bool = False
    prorate: Prorate = Prorate.DAY
    state_prices: Mapping[State, Decimal]
    # usage
    meter: str | None = None
    model: Model | None = None
    pool: Pool | None = None
    tiers: tuple[Tier, ...] = ()
    windows: tuple[Window, ...] = ()
    included: Decimal = ZERO
    increment: Decimal | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    size: Decimal | None = None
    rate: Decimal | None = None
    fixed: Decimal = ZERO
    # one_time
    on: Occasion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tax:
    """A rate on net lines; `charges` None covers all."""

    name: str
    percent: Decimal
    category: str | None = None
    reason: str | None = None
    start: date | None = None
    until: date | None = None
    charges: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RampStep:
    """From the commitment period of this number on, this much is committed."""

    from_period: int
    figure: Decimal


class Committed(StrEnum):
    """Of what a commitment is a number."""

    AMOUNT = "amount"
    DEVICES = "devices"
    QUANTITY = "quantity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """The least that the whole contract pays: an amount, so many used devices, or so many units of a meter."""

    of: Committed
    figure: Decimal
    """In each period, unless a ramp says so."""
    ramp: tuple[RampStep, ...] = ()
    """In order."""
    price_per_device: Decimal = ZERO
    meter: str | None = None
    overage_factor: Decimal = Decimal(1)
    true_up: TrueUp = TrueUp.PERIOD
    cycle: Cycle | None = None
    """A longer period than the plan's."""

    def step(self, number: int) -> Decimal:
        """What is committed in the period of this number; before a ramp's first step nothing is."""
        if not self.ramp:
            return self.figure
        begun = [step.figure for step in self.ramp if step.from_period <= number]
        return begun[-1] if begun else ZERO

    def has_begun(self, number: int) -> bool:
        """Whether anything is committed in the period of this number."""
        return not self.ramp or self.ramp[0].from_period <= number


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Prices and rules that contracts share."""

    name: str
    title: str
    cycle: Cycle
    anchor: AnchorKind | int = AnchorKind.CALENDAR
    currency: str | None = None
    timezone: str | None = None
    rounding: Rounding = Rounding.HALF_UP
    settle: Duration | None = None
    activation: ActivationRule
    charges: tuple[Charge, ...] = ()
    taxes: tuple[Tax, ...] = ()
    holidays: frozenset[date] = frozenset()
    commitment: Commitment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who pays; `tax`, where set, replaces the plan's."""

    key: str
    name: str
    email: str | None = None
    currency: str | None = None
    timezone: str | None = None
    country: str | None = None
    address: tuple[str, ...] = ()
    vat_id: str | None = None
    locale: str | None = None
    """How it reads numbers and dates, such as `fi_FI`."""
    tax: Tax | None = None
    data: DataTerms | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractDevice:
    """A device (`gateway/device`) and the local dates between which it belongs to the contract."""

    id: str
    start: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """From this local midnight the contract has these charges and taxes."""

    start: date
    plan: Plan
    """With every override applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What an account has agreed to pay for which devices."""

    key: str
    account: str
    plan: Plan
    """With the contract's overrides applied."""
    start: date
    end: date | None = None
    currency: str | None = None
    timezone: str | None = None
    devices: tuple[ContractDevice, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    budget: Decimal | None = None
    """Net a period: what the customer calls normal."""
    warn: Warn | None = None
    moved_from: Mapping[str, str] = field(default_factory=dict)
    """Devices that came from another contract of the account, by that contract."""
    pooled_with: tuple[str, ...] = ()
    """The account's other contracts that share a pool with this one."""


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Catalog:
    """One revision of the whole catalog; `hash` is SHA-256 of `text`, in hex."""

    operator: Operator
    meters: Mapping[str, Meter]
    plans: Mapping[str, Plan]
    accounts: Mapping[str, Account]
    contracts: Mapping[str, Contract]
    text: str
    """One TOML text that says the same: the file, or the files of a folder one after another."""
    hash: str
