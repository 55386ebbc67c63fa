"""The terms of one contract: what its plan, account, overrides and operator say together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from cloud_collector.contracts.catalog import (
    ActivationRule,
    AnchorKind,
    Catalog,
    Charge,
    ContractDevice,
    Cycle,
    Duration,
    Meter,
    Tax,
)
from cloud_collector.contracts.money import Currency
from shared.errors import MetersealError


class UnknownContract(MetersealError):
    """The catalog has no contract of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """From this local date until the next stretch the contract has these charges and taxes."""

    start: date
    plan: str
    title: str
    charges: tuple[Charge, ...]
    taxes: tuple[Tax, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Everything that rating must know of a contract."""

    contract: str
    account: str
    catalog_hash: str
    currency: Currency
    timezone: str
    cycle: Cycle
    anchor: AnchorKind | int
    settle: Duration | None
    start: date
    end: date | None
    devices: tuple[ContractDevice, ...]
    activation: ActivationRule
    stretches: tuple[Stretch, ...]
    """By start; the first begins with the contract. Amendments begin the others."""
    meters: Mapping[str, Meter]


def terms_of(catalog: Catalog, contract: str) -> Terms:
    """The contract's terms, defaults resolved; raises UnknownContract."""
    found = catalog.contracts.get(contract)
    if found is None:
        known = ", ".join(sorted(catalog.contracts)[:8]) or "none"
        raise UnknownContract(f"the catalog has no contract {contract!r}; it has {known}")
    plan, account, operator = found.plan, catalog.accounts[found.account], catalog.operator
    code = found.currency or plan.currency or account.currency or operator.currency
    plans = [(found.start, plan), *((amendment.start, amendment.plan) for amendment in found.amendments)]
    return Terms(
        contract=found.key,
        account=found.account,
        catalog_hash=catalog.hash,
        currency=Currency(code=code, rounding=plan.rounding),
        timezone=found.timezone or plan.timezone or account.timezone or operator.timezone,
        cycle=plan.cycle,
        anchor=plan.anchor,
        settle=plan.settle,
        start=found.start,
        end=found.end,
        devices=found.devices,
        activation=plan.activation,
        stretches=tuple(
            Stretch(
                start=start,
                plan=each.name,
                title=each.title,
                charges=each.charges,
                taxes=_taxes(each.taxes, account.tax),
            )
            for start, each in plans
        ),
        meters=catalog.meters,
    )


def _taxes(taxes: tuple[Tax, ...], account_tax: Tax | None) -> tuple[Tax, ...]:
    if account_tax is None:
        return taxes
    name = account_tax.name or (taxes[0].name if taxes else "Tax")
    return (replace(account_tax, name=name),)
