"""Where everything stands, what accounts owe, and what a change of the catalog would have cost whom."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cloud_collector.client.money import Period
from cloud_collector.client.runs import Progress
from cloud_collector.client.values import Account, Contract, Currency, Device, Instant, Money, Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What there is, and what waits for a person."""

    gateways: int
    standings: dict[str, int]
    """Gateways by how they stood at the last look (`online`, `late`, `silent`, `clock`, `never`), and `holes`."""
    lines: int
    """Sealed lines that are held."""
    last_line_at: Instant | None
    alarms: int
    unmatched: int
    parked: int
    """Contracts that cannot be billed."""
    drafts: int
    """That wait for approval."""
    invoices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """What an account has agreed to, owes, and has to its credit."""

    account: Account
    name: Annotated[str, Field(examples=["Acme Oy"])]
    contracts: int
    devices: int
    open: dict[Currency, Money]
    """By currency: issued and not paid."""
    credit: dict[Currency, Money]
    parked: int
    """Contracts that cannot be billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStanding:
    """A device of a contract, as the list of all devices has it."""

    device: Device
    account: Account
    account_name: str
    contract: Contract
    plan: str
    state: Annotated[str, Field(examples=["active"])]
    since: Instant | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanWords:
    """What a contract's plan says, in sentences."""

    contract: Contract
    plan: Annotated[str, Field(examples=["charger"])]
    title: str
    words: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What the periods come to."""

    net: Money
    tax: Money
    total: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeChange:
    """A charge before and after, net."""

    charge: str
    before: Money
    after: Money
    difference: Money
    percent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartChange:
    """A device that would be billed from another instant on."""

    device: Device
    before: Instant | None
    after: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One contract, as it is agreed and as it is tried out."""

    account: Account
    contract: Contract
    currency: Currency
    periods: int
    before: Bill
    after: Bill
    difference: Money
    percent: str | None
    charges: list[ChargeChange]
    """What differs most first."""
    starts: list[StartChange]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A contract that cannot be rated so."""

    contract: Contract
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """Who would have paid how much more or less."""

    changes: list[str]
    """As they were written."""
    found: list[Difference]
    """What differs most first."""
    left_out: list[LeftOut]
    beyond: int
    """Contracts that were not looked at, because they were too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingState:
    """Where billing stands."""

    approval: Annotated[str, Field(examples=["one"])]
    """Who must approve: `none`, `one`, `two` or `people`."""
    issues: bool
    """Whether documents are issued from here."""
    drafts: int
    """That wait for approval."""
    approved: int
    """That wait to be issued."""
    parked: int
    stopped: int | None
    """The run that was begun and has not ended, which can be resumed."""
    running: int | None
    """The run that this collector carries out now."""
    progress: Progress | None
    """Of the run that was begun here last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingDraft:
    """The newest draft of a document, and where it stands."""

    draft: int
    run: int
    state: Annotated[str, Field(examples=["draft"])]
    """`draft`, `approved`, `issued` or `superseded`."""
    task: Annotated[str, Field(examples=["period"])]
    contract: Contract
    period: Period
    of: Number | None
    reason: str
    currency: Currency
    total: Money
    drafted_by: str
    approved_by: str | None
    approved_at: Instant | None
    number: Number | None
