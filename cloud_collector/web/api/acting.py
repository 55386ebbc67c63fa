"""Billing runs that are begun over HTTP: drafted, approved, carried out beside the pages, watched."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import APIRouter, BackgroundTasks, Request
from pydantic import BaseModel, ConfigDict, Field

from cloud_collector.access.viewer import Deed, Means
from cloud_collector.billing.accounts import NotPossible
from cloud_collector.billing.approval import Approval
from cloud_collector.billing.approval import approve as approve_drafts
from cloud_collector.billing.case import Sight as BillingSight
from cloud_collector.billing.outcome import Outcome
from cloud_collector.billing.prepare import draft_due
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.billing.runs import begin, end
from cloud_collector.client.runs import Approved, Drafted, Progress, RunDetail
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.web.api.billing import RunNumber, detail_of
from cloud_collector.web.api.deed import said
from cloud_collector.web.api.once import Once
from cloud_collector.web.api.problem import Refusal, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, seen
from cloud_collector.web.gate import Operating, must, record
from cloud_collector.web.site import Site
from shared.errors import MetersealError

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


@dataclass(slots=True, kw_only=True)
class Underway:
    """A run that this process carries out, or has carried out last."""

    run: int
    left: int = 0
    done: dict[str, int] = field(default_factory=dict)
    failed: str | None = None
    over: bool = False

    def count(self, outcome: Outcome) -> None:
        """One more."""
        self.done[outcome.state] = self.done.get(outcome.state, 0) + 1

    @property
    def progress(self) -> Progress:
        """As programs read it."""
        return Progress(left=self.left, done=dict(self.done), failed=self.failed)


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
    biller = None if site.office is None else site.office.biller
    if biller is None:
        raise Refusal(503, "this collector does not hold the key that invoices are sealed with")
    before: Underway | None = getattr(request.app.state, "underway", None)
    if before is not None and not before.over:
        raise Refusal(409, f"run {before.run} is under way here")
    with site.writing() as store:
        _require(store, site, viewer, which.contracts)
        now = site.clock.utc_ms() // 1_000
        number = begin(store, by=viewer.name, at=now, as_of=now, contracts=which.contracts)
        found = detail_of(store, number)
    underway = request.app.state.underway = Underway(run=number)
    later.add_task(_carry_out, site, biller, underway, which.contracts, now * 1_000)
    record(request, Deed.BILL, f"began run {number}")
    return found


def _carry_out(site: Site, biller: Biller, underway: Underway, contracts: list[str] | None, as_of_ms: int) -> None:
    """Bill what is due; killed anywhere, `cloud-collector billing resume` goes on."""

    def left(count: int) -> None:
        underway.left = count

    try:
        with site.writing() as store:
            report = bill_due(
                store,
                site.clock.utc_ms(),
                biller,
                as_of_ms=as_of_ms,
                contracts=contracts,
                progress=underway.count,
                left=left,
            )
            end(store, underway.run, report, at=site.clock.utc_ms() // 1_000)
    except MetersealError as error:
        underway.failed = str(error)
    finally:
        underway.over = True


def _require(store: Store, site: Site, viewer: Any, contracts: list[str] | None) -> None:
    """Contracts that are asked for are there; raises Refusal (404, 409)."""
    with seen(site, viewer) as sight:
        if not sight.known:
            raise Refusal(409, "no catalog has been applied yet: `cloud-collector catalog apply FILE`")
        for name in contracts or ():
            sight.contract(name)
    if store.row("restoration_open") is not None:
        raise Refusal(409, "after a restore a person speaks first: `cloud-collector backup confirm`")
