"""Whose an account's data is, who may see it, who looked and when; and having its detail deleted."""

from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from cloud_collector.access import trail
from cloud_collector.access.viewer import Deed
from cloud_collector.billing.absent import deletions
from cloud_collector.client.agreements import DataTerms
from cloud_collector.client.ownership import Deletion, DeletionRequest, Deletions
from cloud_collector.client.page import Page
from cloud_collector.client.trail import Entry
from cloud_collector.insight.ownership import ask_deletion, requests, terms_of_data
from cloud_collector.web.api.audit import entry_of
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.once import Once
from cloud_collector.web.api.problem import Refusal, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.shape import shaped
from cloud_collector.web.api.sight import Here, seen
from cloud_collector.web.gate import Asking, must, record

router = APIRouter(route_class=ApiRoute, tags=["data"])
DAY: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


class Wanted(BaseModel):
    """Detail that is to be gone."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"until": "2026-01-01"}]})

    until: Annotated[str, Field(pattern=DAY)]
    """Detail before this local day."""


@router.get("/accounts/{account}/data", response_model=DataTerms)
def terms(site: Here, viewer: Asking, account: str) -> Any:
    """Who owns the account's data, what it is used for, who may see it beside the operator, how long detail stays."""
    with seen(site, viewer) as sight:
        return shaped(DataTerms, terms_of_data(sight.account(account)).to_json())


@router.get("/accounts/{account}/looks", response_model=Page[Entry])
def looks(site: Here, viewer: Asking, account: str, part: Part) -> Any:
    """Who looked at the account's data, took it along or changed it, and when, the newest first."""
    with seen(site, viewer) as sight:
        sight.account(account)
        after = part.after((0,)) or (trail.NEWEST,)
        found = trail.entries(sight.store, account=account, before=int(after[0]), limit=part.limit + 1)
        return told(page(found, part, lambda each: (each.id,)), entry_of)


@router.get("/accounts/{account}/deletions", response_model=Deletions)
def deleted(site: Here, viewer: Asking, account: str) -> Any:
    """The last requests that detail be deleted, and what was deleted, as asked for or as agreed."""
    with seen(site, viewer) as sight:
        sight.account(account)
        return Deletions(
            requests=[shaped(DeletionRequest, each.to_json()) for each in requests(sight.store, account)],
            done=[shaped(Deletion, each.to_json()) for each in deletions(sight.store, account)],
        )


@router.post(
    "/accounts/{account}/deletions",
    response_model=DeletionRequest,
    status_code=201,
    dependencies=[Once],
    responses=documented(409, 413),
)
def delete(request: Request, site: Here, viewer: Asking, account: str, wanted: Wanted) -> Any:
    """Ask that detail before a day be deleted; the operator does it, and what bills rest on stays. 409: no such day."""
    must(viewer, Deed.DISPUTE)
    with seen(site, viewer) as sight:
        sight.account(account)
    try:
        until = date.fromisoformat(wanted.until)
    except ValueError:
        raise Refusal(409, "body.until: there is no such day") from None
    with site.writing() as store:
        with store.atomic():
            said = ask_deletion(store, account, until, who=viewer.name, now_ms=site.clock.utc_ms())
            record(request, Deed.DISPUTE, said, account=account, store=store)
        return shaped(DeletionRequest, requests(store, account)[0].to_json())
