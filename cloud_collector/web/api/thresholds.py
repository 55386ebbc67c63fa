"""What a customer wants to be warned of, and who is told: read, set, and taken back."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from cloud_collector.access.viewer import Deed, Viewer
from cloud_collector.client.page import Page
from cloud_collector.client.thresholds import Thresholds
from cloud_collector.insight.wishes import (
    MAIL_MAX,
    PERCENTS_MAX,
    Wish,
    WishRefused,
    keep_wish,
    read_wish,
    wish_of,
    wishes,
)
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.invoices import BEYOND
from cloud_collector.web.api.once import Once
from cloud_collector.web.api.problem import Refusal, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.shape import shaped
from cloud_collector.web.api.sight import Here, seen
from cloud_collector.web.gate import Asking, must, record
from cloud_collector.web.site import Site

router = APIRouter(route_class=ApiRoute, tags=["warnings"])
Decimals = Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$")]
Mail = Annotated[str, Field(pattern=r"^[^\s,;@]+@[^\s,;@]+$", max_length=254)]
NOTHING: Final[dict[str, str]] = {"budget": "", "over": "", "under": "", "mail": ""}


class Wanted(BaseModel):
    """What is to count; what is left out is asked for no more."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"budget": "120.00", "over": ["80", "100"], "mail": ["boss@acme.example"]}]},
    )

    budget: Decimals | None = None
    """Net a period, in the contract's currency. Null: none."""
    over: Annotated[list[Decimals], Field(max_length=PERCENTS_MAX)] = []
    """Per cent above which somebody is warned."""
    under: Annotated[list[Decimals], Field(max_length=PERCENTS_MAX)] = []
    mail: Annotated[list[Mail], Field(max_length=MAIL_MAX)] = []
    """Who is told beside the account's own address."""


@router.get("/contracts/{contract}/thresholds", response_model=Thresholds)
def counted(site: Here, viewer: Asking, contract: str) -> Any:
    """The budget, the thresholds and the recipients that count: what was asked for last, else what the catalog says."""
    with seen(site, viewer) as sight:
        return _told(wish_of(sight.store, sight.contract(contract)))


@router.get("/contracts/{contract}/thresholds/history", response_model=Page[Thresholds])
def asked_for(site: Here, viewer: Asking, contract: str, part: Part) -> Any:
    """Everything that was ever asked for of the contract, the newest first, and by whom."""
    with seen(site, viewer) as sight:
        sight.contract(contract)
        after = part.after((0,)) or (BEYOND,)
        found = wishes(sight.store, contract, part.limit + 1, below=int(after[0]))
        return told(page(found, part, lambda each: (each.id,)), _told)


@router.post(
    "/contracts/{contract}/thresholds", response_model=Thresholds, dependencies=[Once], responses=documented(409, 413)
)
def ask(request: Request, site: Here, viewer: Asking, contract: str, wanted: Wanted) -> Any:
    """Set the budget, the thresholds and who is told: it counts from now on, in place of what counted before."""
    given = {
        "budget": wanted.budget or "",
        "over": " ".join(wanted.over),
        "under": " ".join(wanted.under),
        "mail": " ".join(wanted.mail),
    }
    return _kept(request, site, viewer, contract, given)


@router.post(
    "/contracts/{contract}/thresholds/remove",
    response_model=Thresholds,
    dependencies=[Once],
    responses=documented(409, 413),
)
def remove(request: Request, site: Here, viewer: Asking, contract: str) -> Any:
    """Ask for nothing any more: no budget, no thresholds, nobody told; what was asked for stays in the history."""
    return _kept(request, site, viewer, contract, NOTHING)


def _kept(request: Request, site: Site, viewer: Viewer, contract: str, given: dict[str, str]) -> Thresholds:
    must(viewer, Deed.WARN)
    with seen(site, viewer) as sight:
        agreed = sight.contract(contract)
    try:
        wish = read_wish(contract, **given)
    except WishRefused as error:
        raise Refusal(409, str(error)) from None
    with site.writing() as store:
        with store.atomic():
            keep_wish(store, wish, who=viewer.name, now_ms=site.clock.utc_ms())
            record(request, Deed.WARN, f"warnings of {contract}", account=agreed.account, store=store)
        return _told(wish_of(store, agreed))


def _told(wish: Wish) -> Thresholds:
    return shaped(Thresholds, wish.to_json())
