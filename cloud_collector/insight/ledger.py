"""Accounts as an operator sees them: what they have agreed to, owe, and have been warned of."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cloud_collector.billing.accounts import open_credits
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.revision import Revision
from cloud_collector.insight.cost import Cost
from cloud_collector.insight.device_index import device_index
from cloud_collector.insight.kept import Kept
from cloud_collector.insight.look import look
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.errors import DatabaseError, MetersealError

COSTS_MAX: Final = 20
"""Contracts of which the cost so far is worked out for one page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """An account in the list."""

    account: str
    name: str
    contracts: int
    devices: int
    open: dict[str, Decimal]
    """By currency, what it owes."""
    credit: dict[str, Decimal]
    parked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SoFar:
    """A contract's running period, or why there is none."""

    contract: str
    plan: str
    devices: int
    cost: Cost | None
    why: str = ""


def account_rows(store: Store, catalog: Catalog, search: str = "") -> list[AccountRow]:
    """Every account whose key or name contains `search`, by name."""
    owed = _open(store)
    credit: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for each in open_credits(store):
        held = credit[each["account"]]
        held[each["currency"]] = held.get(each["currency"], Decimal(0)) + Decimal(each["open"])
    parked = {row[0] for row in store.rows("parked")}
    contracts: dict[str, list[str]] = defaultdict(list)
    for contract in catalog.contracts.values():
        contracts[contract.account].append(contract.key)
    counts = device_index(catalog).counts
    sought = search.casefold()
    return sorted(
        (
            AccountRow(
                account=key,
                name=account.name,
                contracts=len(contracts[key]),
                devices=sum(counts.get(name, 0) for name in contracts[key]),
                open=owed.get(key, {}),
                credit=credit.get(key, {}),
                parked=sum(name in parked for name in contracts[key]),
            )
            for key, account in catalog.accounts.items()
            if sought in key.casefold() or sought in account.name.casefold()
        ),
        key=lambda each: (each.name.casefold(), each.account),
    )


def so_far(
    store: Store,
    known: Sequence[Revision],
    contracts: Sequence[str],
    now_ms: int,
    memory: Kept | None = None,
    *,
    wait: bool = True,
) -> list[SoFar]:
    """What these contracts cost so far: the invoice's own rating on the open period.

    Without `wait` forecasts that rest on many reports are left for later.
    """
    catalog = known[-1].catalog
    counts = device_index(catalog).counts
    found: list[SoFar] = []
    for name in contracts:
        contract = catalog.contracts[name]
        plan = contract.plan.title or contract.plan.name
        cost, why = None, ""
        if len(found) < COSTS_MAX:
            try:
                seen = look(store, known, name, now_ms, StoreView, memory=memory)
                cost = seen.cost(memory=memory, wait=wait)
            except DatabaseError:
                raise
            except MetersealError as error:
                # P19: never guess; the account's others are shown.
                why = str(error)
        else:
            why = f"only the first {COSTS_MAX} are worked out here: cloud-collector cost {name}"
        found.append(SoFar(contract=name, plan=plan, devices=counts.get(name, 0), cost=cost, why=why))
    return found


def _open(store: Store) -> dict[str, dict[str, Decimal]]:
    """What each account owes, by currency: what its documents come to and nothing has settled or taken back."""
    owed: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for query, sign in (("owed_sums", 1), ("settled_sums", -1)):
        for account, currency, decimals, units in store.rows(query):
            amount = sign * Decimal(units).scaleb(-decimals)
            owed[account][currency] = owed[account].get(currency, Decimal(0)) + amount
    return {account: {code: left for code, left in sums.items() if left} for account, sums in owed.items()}
