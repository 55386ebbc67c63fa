"""The terms of one contract: what its plan, account, overrides and operator say together."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from cloud_collector.contracts.catalog import (
    ActivationRule,
    AnchorKind,
    Catalog,
    Charge,
    Commitment,
    Contract,
    ContractDevice,
    Cycle,
    Meter,
    Tax,
)
from cloud_collector.contracts.duration import Duration
from cloud_collector.contracts.money import Currency, Rounding
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
    rounding: Rounding
    holidays: frozenset[date]
    commitment: Commitment | None


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
    look_back: Duration | None = None
    moved_from: Mapping[str, str] = field(default_factory=dict)
    """Devices that came from another contract of the account, by that contract."""
    pooled_with: tuple[str, ...] = ()
    """The account's other contracts that share a pool with this one."""
    siblings: "tuple[Terms, ...]" = ()
    """The terms of every contract that these two name, and of those that they name."""

    @property
    def pooled(self) -> "tuple[Terms, ...]":
        """The terms of the contracts that share a pool with this one, which is a sibling of theirs."""
        if not self.pooled_with:
            return ()
        alone = replace(self, siblings=())
        return tuple(
            replace(each, siblings=(alone, *(other for other in self.siblings if other is not each)))
            for each in self.siblings
            if each.contract in self.pooled_with
        )

    def origin_of(self, device: str) -> "Terms | None":
        """The terms of the contract of the account from which a device came; this one is no sibling of theirs."""
        for each in self.siblings:
            if each.contract == self.moved_from.get(device):
                return replace(each, siblings=tuple(other for other in self.siblings if other is not each))
        return None


def terms_of(catalog: Catalog, contract: str) -> Terms:
    """The contract's terms, defaults resolved; raises UnknownContract."""
    found = catalog.contracts.get(contract)
    if found is None:
        known = ", ".join(sorted(catalog.contracts)[:8]) or "none"
        raise UnknownContract(f"the catalog has no contract {contract!r}; it has {known}")
    return replace(_terms(catalog, found), siblings=_siblings(catalog, found))


def currency_of(catalog: Catalog, contract: Contract) -> str:
    """The contract's or its plan's currency, else the account's, else the operator's."""
    account = catalog.accounts[contract.account].currency
    return contract.currency or contract.plan.currency or account or catalog.operator.currency


def timezone_of(catalog: Catalog, contract: Contract) -> str:
    """The contract's or its plan's zone, else the account's, else the operator's."""
    account = catalog.accounts[contract.account].timezone
    return contract.timezone or contract.plan.timezone or account or catalog.operator.timezone


def _siblings(catalog: Catalog, contract: Contract) -> tuple[Terms, ...]:
    found: dict[str, Terms] = {}
    waiting = [contract]
    while waiting:
        each = waiting.pop()
        for name in sorted({*each.moved_from.values(), *each.pooled_with} - {contract.key, *found}):
            found[name] = _terms(catalog, catalog.contracts[name])
            waiting.append(catalog.contracts[name])
    return tuple(found[name] for name in sorted(found))


def _terms(catalog: Catalog, found: Contract) -> Terms:
    plan, account = found.plan, catalog.accounts[found.account]
    plans = [(found.start, plan), *((amendment.start, amendment.plan) for amendment in found.amendments)]
    return Terms(
        contract=found.key,
        account=found.account,
        catalog_hash=catalog.hash,
        currency=Currency(code=currency_of(catalog, found), rounding=plan.rounding),
        timezone=timezone_of(catalog, found),
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
                rounding=each.rounding,
                holidays=each.holidays,
                commitment=each.commitment,
            )
            for start, each in plans
        ),
        meters=catalog.meters,
        look_back=catalog.operator.look_back,
        moved_from=found.moved_from,
        pooled_with=found.pooled_with,
    )


def _taxes(taxes: tuple[Tax, ...], account_tax: Tax | None) -> tuple[Tax, ...]:
    if account_tax is None:
        return taxes
    name = account_tax.name or (taxes[0].name if taxes else "Tax")
    return (replace(account_tax, name=name),)
