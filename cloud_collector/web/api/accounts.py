"""Accounts, and what each of them costs so far."""

from typing import Any

from fastapi import APIRouter

from cloud_collector.client.agreements import Account, DataTerms, TaxTerms
from cloud_collector.client.money import Cost, Ended
from cloud_collector.client.page import Page
from cloud_collector.contracts.catalog import Account as Agreed
from cloud_collector.contracts.money import as_written
from cloud_collector.insight.ended import ended_of
from cloud_collector.web.api.cost import cost_of
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, Sight, seen
from cloud_collector.web.gate import Asking

router = APIRouter(route_class=ApiRoute, tags=["accounts"])


@router.get("/accounts", response_model=Page[Account])
def accounts(site: Here, viewer: Asking, part: Part) -> Any:
    """Every account in sight, by name."""
    with seen(site, viewer) as sight:
        after = part.after(("",)) or ("",)
        found = page((each for name, each in sight.accounts.items() if (name,) > after), part, lambda each: (each.key,))
        return told(found, lambda each: _account(sight, each))


@router.get("/accounts/{account}", response_model=Account)
def account(site: Here, viewer: Asking, account: str) -> Any:
    """One account, with the names of its contracts."""
    with seen(site, viewer) as sight:
        return _account(sight, sight.account(account))


@router.get("/accounts/{account}/cost", response_model=Page[Cost])
def account_cost(site: Here, viewer: Asking, account: str, part: Part) -> Any:
    """What each contract of the account costs in its running period; those that do not run are left out."""
    with seen(site, viewer) as sight:
        sight.account(account)
        after = part.after(("",)) or ("",)
        names = [name for name, each in sight.contracts.items() if each.account == account and (name,) > after]
        found = page(names, part, lambda name: (name,))
        costs = [cost_of(sight, name) for name in found.items]
        return Page(items=[each for each in costs if each is not None], next=found.next)


@router.get("/accounts/{account}/ended", response_model=list[Ended])
def account_ended(site: Here, viewer: Asking, account: str) -> Any:
    """Periods that have ended and are not billed yet: each invoice as it would be now, and what it waits for."""
    with seen(site, viewer) as sight:
        sight.account(account)
        return [each.to_json() for each in ended_of(sight.store, account, sight.now_ms)]


def _account(sight: Sight, agreed: Agreed) -> Account:
    operator = sight.known[-1].catalog.operator
    data = agreed.data
    return Account(
        account=agreed.key,
        name=agreed.name,
        email=agreed.email,
        address=list(agreed.address),
        vat_id=agreed.vat_id,
        tax=None
        if agreed.tax is None
        else TaxTerms(
            name=agreed.tax.name,
            percent=as_written(agreed.tax.percent),
            category=agreed.tax.category,
            reason=agreed.tax.reason,
        ),
        currency=agreed.currency or operator.currency,
        timezone=agreed.timezone or operator.timezone,
        country=agreed.country,
        locale=agreed.locale,
        contracts=[name for name, each in sight.contracts.items() if each.account == agreed.key],
        data=None
        if data is None
        else DataTerms(
            owner=data.owner,
            purposes=list(data.purposes),
            shared_with=list(data.shared_with),
            keep_detail=None if data.keep_detail is None else str(data.keep_detail),
        ),
    )
