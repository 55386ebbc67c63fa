"""Where everything stands, what accounts owe, where devices stand, and what plans say: the console's lists."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from cloud_collector.client.overview import DeviceStanding, Overview, Owed, PlanWords
from cloud_collector.client.page import Page
from cloud_collector.insight.device_list import DeviceList, device_list
from cloud_collector.insight.ledger import account_rows
from cloud_collector.insight.overview import overview as found_of
from cloud_collector.insight.plan_words import plan_words
from cloud_collector.web.api.contracts import OfAccount
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.invoices import OfContract
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, moment, seen
from cloud_collector.web.gate import Asking, Operating

router = APIRouter(route_class=ApiRoute)
Search = Annotated[str, Query(max_length=64, description="Those whose name contains this.")]
NO_DEVICES: Final = DeviceList(total=0, devices=(), next=None)


@router.get("/overview", response_model=Overview, tags=["operations"])
def overview(site: Here, viewer: Operating) -> Any:
    """What there is, and what waits for a person, in numbers."""
    with seen(site, viewer) as sight:
        found = found_of(sight.store, sight.now_ms)
    return Overview(
        gateways=found.gateways,
        standings=dict(found.standings),
        lines=found.lines,
        last_line_at=None if found.last_line_at is None else moment(found.last_line_at),
        alarms=found.alarms,
        unmatched=found.unmatched,
        parked=found.parked,
        drafts=found.drafts,
        invoices=found.invoices,
    )


@router.get("/ledger", response_model=Page[Owed], tags=["accounts"])
def ledger(site: Here, viewer: Operating, part: Part, search: Search = "") -> Any:
    """What each account owes and has to its credit, how many contracts and devices it has; by name of the account."""
    with seen(site, viewer) as sight:
        after = part.after(("",)) or ("",)
        every = account_rows(sight.store, sight.known[-1].catalog, search) if sight.known else []
        wanted = sorted((each for each in every if (each.account,) > after), key=lambda each: each.account)
        return told(
            page(wanted, part, lambda each: (each.account,)),
            lambda each: Owed(
                account=each.account,
                name=each.name,
                contracts=each.contracts,
                devices=each.devices,
                open=dict(sorted(each.open.items())),
                credit=dict(sorted(each.credit.items())),
                parked=each.parked,
            ),
        )


@router.get("/standings", response_model=Page[DeviceStanding], tags=["devices"])
def standings(
    site: Here,
    viewer: Operating,
    part: Part,
    account: OfAccount = None,
    contract: OfContract = None,
    search: Search = "",
) -> Any:
    """Every device of every contract by name: its state, since when, and by which rule."""
    with seen(site, viewer) as sight:
        after = part.after(("", "")) or ("", "")
        found = NO_DEVICES
        if sight.known:
            found = device_list(
                sight.store,
                sight.view,
                sight.known,
                sight.now,
                after=f"{after[0]} {after[1]}".strip(),
                search=search,
                contract=contract or "",
                account=account or "",
                rows=part.limit + 1,
                memory=sight.kept,
            )
        return told(
            page(found.devices, part, lambda each: (each.device, each.contract)),
            lambda each: DeviceStanding(
                device=each.device,
                account=each.account,
                account_name=each.account_name,
                contract=each.contract,
                plan=each.plan,
                state=each.state,
                since=each.since,
                why=each.why,
            ),
        )


@router.get("/contracts/{contract}/plan", response_model=PlanWords, tags=["contracts"])
def plan(site: Here, viewer: Asking, contract: str) -> Any:
    """What the contract's plan says, in sentences: each charge, what starts billing, what is committed."""
    with seen(site, viewer) as sight:
        agreed = sight.contract(contract)
        catalog = sight.known[-1].catalog
        currency = agreed.currency or sight.account(agreed.account).currency or agreed.plan.currency
        words = plan_words(agreed.plan, currency or catalog.operator.currency)
    return PlanWords(
        contract=contract, plan=agreed.plan.name, title=agreed.plan.title or agreed.plan.name, words=list(words)
    )
