"""Contracts, their closed periods, and where each of their devices stands."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query

from cloud_collector.activity.holding import holdings
from cloud_collector.client.agreements import Closed, Contract, Standing
from cloud_collector.client.page import Page
from cloud_collector.contracts.catalog import Contract as Agreed
from cloud_collector.contracts.terms import terms_of
from cloud_collector.insight.device_life import Chapter, chapters
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, Sight, instant, seen
from cloud_collector.web.gate import Asking

router = APIRouter(route_class=ApiRoute, tags=["contracts"])
OfAccount = Annotated[str | None, Query(description="Of this account alone.", max_length=64)]


@router.get("/contracts", response_model=Page[Contract])
def contracts(site: Here, viewer: Asking, part: Part, account: OfAccount = None) -> Any:
    """Every contract in sight, by name."""
    with seen(site, viewer) as sight:
        after = part.after(("",)) or ("",)
        wanted = (
            each
            for name, each in sight.contracts.items()
            if (name,) > after and (account is None or each.account == account)
        )
        return told(page(wanted, part, lambda each: (each.key,)), lambda each: _contract(sight, each))


@router.get("/contracts/{contract}", response_model=Contract)
def contract(site: Here, viewer: Asking, contract: str) -> Any:
    """One contract, as the newest catalog has it."""
    with seen(site, viewer) as sight:
        return _contract(sight, sight.contract(contract))


@router.get("/contracts/{contract}/periods", response_model=Page[Closed])
def periods(site: Here, viewer: Asking, contract: str, part: Part) -> Any:
    """The billing periods that were closed, the newest first."""
    with seen(site, viewer) as sight:
        sight.contract(contract)
        after = part.after((0,)) or (2**62,)
        rows = sight.store.rows("api_periods", contract, after[0], part.limit + 1)
        return told(
            page(rows, part, lambda row: (row[0],)),
            lambda row: Closed(
                contract=contract,
                start=instant(row[0]),
                end=instant(row[1]),
                closed_at=instant(row[2]),
                number=row[3],
            ),
        )


@router.get("/contracts/{contract}/devices", response_model=Page[Standing])
def devices_of_contract(site: Here, viewer: Asking, contract: str, part: Part) -> Any:
    """Each device of the contract with its state now: since when, by which rule, or what it waits for."""
    with seen(site, viewer) as sight:
        sight.contract(contract)
        after = part.after(("", 0)) or ("", 0)
        found = _chapters(sight, contract, str(after[0]), part.limit + 1)
        return told(
            page((each for each in found if _key(each) > after), part, _key),
            lambda each: standing_of(each, sight.now),
        )


def standing_of(chapter: Chapter, now: int) -> Standing:
    """Where a device stands in its time with a contract."""
    held, start = chapter.held, chapter.life.activation or chapter.foreseen
    coming = chapter.life.activation is None and start is not None and start.at < chapter.life.end
    return Standing(
        device=chapter.device.id,
        contract=held.contract,
        account=held.account,
        state=chapter.state_at(now),
        since=instant(chapter.since(now)),
        starts_at=instant(start.at) if coming and start is not None else None,
        why=None if start is None else start.why,
    )


def _chapters(sight: Sight, contract: str, first: str, at_once: int) -> Iterator[Chapter]:
    """In order, from a device on; so many are looked at as are asked for, however many the contract has."""
    held = holdings(sight.known[-1].catalog)
    names = sorted(name for name in held if name >= first and any(each.contract == contract for each in held[name]))
    for at in range(0, len(names), at_once):
        only = set(names[at : at + at_once])
        found = chapters(
            sight.store, sight.view, sight.known, sight.now, contracts=[contract], only=only, memory=sight.kept
        )
        yield from sorted(found, key=_key)


def _key(chapter: Chapter) -> tuple[str | int, ...]:
    return chapter.device.id, chapter.held.start


def _contract(sight: Sight, agreed: Agreed) -> Contract:
    terms = terms_of(sight.known[-1].catalog, agreed.key)
    parked = sight.store.row("is_parked", agreed.key)
    stretch = terms.stretches[-1]
    return Contract(
        contract=agreed.key,
        account=agreed.account,
        plan=stretch.plan,
        title=stretch.title,
        currency=terms.currency.code,
        timezone=terms.timezone,
        cycle=terms.cycle.value,
        start=agreed.start,
        end=agreed.end,
        devices=len({each.id for each in agreed.devices}),
        budget=agreed.budget,
        parked=None if parked is None else parked[0],
    )
