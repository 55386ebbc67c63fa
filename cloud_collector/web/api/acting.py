"""Billing runs that are begun over HTTP: drafted, approved, carried out beside the pages, watched."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, BackgroundTasks, Request
from pydantic import BaseModel, ConfigDict, Field

from cloud_collector.access.viewer import Deed, Means
from cloud_collector.billing.accounts import NotPossible
from cloud_collector.billing.approval import Approval
from cloud_collector.billing.approval import approve as approve_drafts
from cloud_collector.billing.case import Sight as BillingSight
from cloud_collector.billing.prepare import draft_due
from cloud_collector.client.runs import Approved, Drafted, RunDetail
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.web.api.billing import RunNumber, detail_of
from cloud_collector.web.api.deed import said
from cloud_collector.web.api.once import Once
from cloud_collector.web.api.problem import Refusal, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, seen
from cloud_collector.web.gate import Operating, must, record
from cloud_collector.web.running import Order, everything_due, parked_ones, stopped_one
from cloud_collector.web.site import Site

router = APIRouter(route_class=ApiRoute, tags=["billing"], dependencies=[Once], responses=documented(409, 413))
CONTRACTS_MAX: Final = 1_000
"""Contracts that one request names."""
Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=CONTRACTS_MAX)]


class Which(BaseModel):
    """For which contracts."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"contracts": ["acme-chargers"]}]})

    contracts: Names | None = None
    """Null: all."""


class Approving(BaseModel):
    """Which drafts of a run."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"but": ["acme-chargers"]}]})

    contracts: Names | None = None
    """Null: all."""
    but: Names = []
    """Not these."""


@router.post("/billing/drafts", response_model=Drafted)
def draft(request: Request, site: Here, viewer: Operating, which: Which) -> Any:
    """Draft every document that is due, for somebody to approve; `run` is null where nothing is due."""
    must(viewer, Deed.BILL)
    with site.writing() as store:
        _require(store, site, viewer, which.contracts)
        now_ms = site.clock.utc_ms()
        with said():
            run = draft_due(store, now_ms, BillingSight(view=StoreView), by=viewer.name, contracts=which.contracts)
        count = 0 if run is None else len(store.rows("drafts_of_run", run))
    record(request, Deed.BILL, f"drafted run {run}")
    return Drafted(run=run, drafts=count)


@router.post("/billing/runs/{run}/approve", response_model=Approved)
def approve(request: Request, site: Here, viewer: Operating, run: RunNumber, which: Approving) -> Any:
    """Approve drafts of a run. A document is issued only while it says what was approved. 409: another must do it."""
    must(viewer, Deed.APPROVE)
    rule = Approval.NONE if site.office is None else site.office.approval
    with site.writing() as store:
        detail_of(store, run)
        at = site.clock.utc_ms() // 1_000
        try:
            count = approve_drafts(
                store,
                run,
                by=viewer.name,
                at=at,
                approval=rule,
                only=which.contracts,
                but=which.but,
                signed_in=viewer.means is Means.SESSION,
            )
        except NotPossible as error:
            raise Refusal(409, str(error)) from None
    record(request, Deed.APPROVE, f"approved {count} drafts of run {run}")
    return Approved(run=run, approved=count)


@router.post("/billing/runs", response_model=RunDetail, status_code=202)
def start(request: Request, site: Here, viewer: Operating, which: Which, later: BackgroundTasks) -> Any:
    """Issue what is due, and approved where that is asked for; `GET /billing/runs/{run}` says how far it is.

    409: one is under way here already, or billing waits for a person after a restore.
    """
    must(viewer, Deed.BILL)
    with site.writing() as store:
        _require(store, site, viewer, which.contracts)
        only = None if which.contracts is None else tuple(which.contracts)
        return _begun(request, site, store, everything_due(viewer.name, site.clock.utc_ms(), only), later)


@router.post("/billing/resume", response_model=RunDetail, status_code=202)
def resume(request: Request, site: Here, viewer: Operating, later: BackgroundTasks) -> Any:
    """Go on with the run that was stopped: for its contracts, with what was due then. 409: none was stopped."""
    must(viewer, Deed.BILL)
    with site.writing() as store:
        _require(store, site, viewer, None)
        with said():
            order = stopped_one(store, viewer.name)
        return _begun(request, site, store, order, later)


@router.post("/billing/retry", response_model=RunDetail, status_code=202)
def retry(request: Request, site: Here, viewer: Operating, later: BackgroundTasks) -> Any:
    """Bill the contracts that are parked, and no other. 409: no contract is parked."""
    must(viewer, Deed.BILL)
    with site.writing() as store:
        _require(store, site, viewer, None)
        with said():
            order = parked_ones(store, viewer.name, site.clock.utc_ms())
        return _begun(request, site, store, order, later)


def _begun(request: Request, site: Site, store: Store, order: Order, later: BackgroundTasks) -> RunDetail:
    """The run is written down, and carried out once the answer is out."""
    with said():
        begun = site.begin(store, order)
    later.add_task(begun.then)
    record(request, Deed.BILL, begun.what, store=store)
    return detail_of(store, begun.number)


def _require(store: Store, site: Site, viewer: Any, contracts: list[str] | None) -> None:
    """Contracts that are asked for are there; raises Refusal (404, 409)."""
    with seen(site, viewer) as sight:
        if not sight.known:
            raise Refusal(409, "no catalog has been applied yet: `cloud-collector catalog apply FILE`")
        for name in contracts or ():
            sight.contract(name)
    if store.row("restoration_open") is not None:
        raise Refusal(409, "after a restore a person speaks first: `cloud-collector backup confirm`")
