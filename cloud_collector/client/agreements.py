"""Accounts, their contracts, and the devices that are billed under them."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from pydantic import Field

from cloud_collector.client.values import Account as AccountId
from cloud_collector.client.values import Contract as ContractId
from cloud_collector.client.values import Currency, Device, Instant, Money, Number, Zone


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTerms:
    """Who owns an account's data and who may see it, as it was agreed."""

    owner: str | None
    purposes: list[str]
    shared_with: list[str]
    keep_detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxTerms:
    """The rate that is agreed for an account, in place of the plan's."""

    name: Annotated[str, Field(examples=["VAT"])]
    percent: Annotated[str, Field(examples=["25.5"])]
    category: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who pays."""

    account: AccountId
    name: Annotated[str, Field(examples=["Acme Oy"])]
    email: str | None
    address: list[str]
    vat_id: str | None
    tax: TaxTerms | None
    currency: Currency
    timezone: Zone
    country: str | None
    locale: str | None
    contracts: list[ContractId]
    data: DataTerms | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What an account has agreed to pay for, by the newest catalog."""

    contract: ContractId
    account: AccountId
    plan: Annotated[str, Field(examples=["charger"])]
    title: Annotated[str, Field(examples=["Charger, pay as you use"])]
    """The plan's, for people."""
    currency: Currency
    timezone: Zone
    cycle: Annotated[str, Field(examples=["month"])]
    start: date
    end: date | None
    """Exclusive; null: it runs on."""
    devices: int
    budget: Money | None
    parked: str | None
    """Why it cannot be billed at present."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A billing period that was closed."""

    contract: ContractId
    start: Instant
    end: Instant
    closed_at: Instant
    number: Number | None
    """Its invoice; null: there was nothing to bill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A device in its time with a contract."""

    device: Device
    contract: ContractId
    account: AccountId
    start: Instant
    end: Instant | None
    """Exclusive; null: it stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a device stands now, in its time with a contract."""

    device: Device
    contract: ContractId
    account: AccountId
    state: Annotated[str, Field(examples=["active"])]
    """`provisioned`, `testing`, `active`, `suspended` or `ended`."""
    since: Instant
    starts_at: Instant | None
    """Of one that is not billed yet: when it will be, unless something happens before."""
    why: str | None
    """By which rule it started, or will."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A meter of a device."""

    device: Device
    meter: Annotated[str, Field(examples=["energy"])]
    unit: str | None
    exponent: int | None
    """A reading is an integer times 10 to this power, in the unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a device, or is expected to."""

    at: Instant
    what: Annotated[str, Field(examples=["active"])]
    told: str
    details: list[str]
    expected: bool
    data: dict[str, Any]
    """What belongs to this kind of event."""
