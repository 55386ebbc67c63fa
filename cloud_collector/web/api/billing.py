"""Billing runs: what is due, beside the last period; what was begun, how far it is, and what is parked."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from cloud_collector.billing.approval import Approval, drafts
from cloud_collector.billing.case import Sight as BillingSight
from cloud_collector.billing.compare import Compared, Thresholds, compared
from cloud_collector.billing.preview import preview as previewed
from cloud_collector.billing.runs import stopped
from cloud_collector.client.money import Period
from cloud_collector.client.overview import BillingState, WaitingDraft
from cloud_collector.client.page import Page
from cloud_collector.client.runs import KeptDraft, Outcome, Parked, Progress, Run, RunDetail
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.invoices import BEYOND
from cloud_collector.web.api.problem import absent
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.shape import shaped
from cloud_collector.web.api.sight import Here, instant, seen
from cloud_collector.web.gate import Operating
from cloud_collector.web.running import Progress as Running
from cloud_collector.web.site import Site
from shared.effects.database import Row

router = APIRouter(route_class=ApiRoute, tags=["billing"])
RunNumber = Annotated[int, Path(ge=1, lt=BEYOND)]


@router.get("/billing", response_model=BillingState)
def billing(site: Here, viewer: Operating) -> Any:
    """Where billing stands: who must approve, what waits, what is under way here, what was stopped and can go on."""
    with seen(site, viewer) as sight:
        states = [each["state"] for each in drafts(sight.store)]
        held = stopped(sight.store)
        parked = len(sight.store.rows("parked"))
    runs, office = site.runs, site.office
    return BillingState(
        approval=(Approval.NONE if office is None else office.approval).value,
        issues=office is not None and office.biller is not None,
        drafts=states.count("draft"),
        approved=states.count("approved"),
        parked=parked,
        stopped=None if held is None or runs.busy else held.number,
        running=runs.last.number if runs.last is not None and runs.busy else None,
        progress=None if runs.last is None else progress_of(runs.last),
    )


@router.get("/billing/drafts", response_model=Page[WaitingDraft])
def drafted(
    site: Here,
    viewer: Operating,
    part: Part,
    state: Annotated[
        str, Query(pattern="^(draft|approved|issued|superseded)$", description="Those that stand so.")
    ] = "draft",
) -> Any:
    """The newest draft of each document that stands so, in order of drafting; those that wait for approval else."""
    with seen(site, viewer) as sight:
        after = part.after((0,)) or (0,)
        fitting = [each for each in drafts(sight.store) if each["state"] == state and (each["draft"],) > after]
        found = page(sorted(fitting, key=lambda each: each["draft"]), part, lambda each: (each["draft"],))
        return told(found, lambda each: shaped(WaitingDraft, each))


@router.get("/billing/preview", response_model=Page[Outcome])
def preview(
    site: Here,
    viewer: Operating,
    part: Part,
    *,
    outliers: Annotated[bool, Query(description="Only what differs so much that a person should look.")] = False,
) -> Any:
    """What a run would do now with each contract, by name: its draft, and how it differs from the last period."""
    after = part.after(("", 0)) or ("", -1)
    with seen(site, viewer) as sight:
        names = [name for name in sight.contracts if name >= str(after[0])]
    # Several periods that are due are rehearsed in a transaction that is undone: hence a connection that may write.
    with site.writing() as store:
        every = _previewed(site, store, names, part.limit + 1)
        found = (each for each in every if _key(each) > after and (each.outlier or not outliers))
        return told(page(found, part, _key), lambda each: shaped(Outcome, each.to_json()))


@router.get("/billing/runs", response_model=Page[Run])
def runs(site: Here, viewer: Operating, part: Part) -> Any:
    """Every run that somebody began, the newest first."""
    with seen(site, viewer) as sight:
        after = part.after((0,)) or (BEYOND,)
        rows = sight.store.rows("api_runs", after[0], part.limit + 1)
        return told(page(rows, part, lambda row: (row[0],)), run_of)


@router.get("/billing/runs/{run}", response_model=RunDetail)
def run(site: Here, viewer: Operating, run: RunNumber) -> Any:
    """One run with its drafts, and how far it is where this collector carries it out."""
    with seen(site, viewer) as sight:
        found = detail_of(sight.store, run)
    last = site.runs.last
    return replace(found, progress=progress_of(last)) if last is not None and last.number == run else found


@router.get("/billing/parked", response_model=list[Parked])
def parked(site: Here, viewer: Operating) -> Any:
    """The contracts that cannot be billed, each with its reason."""
    with seen(site, viewer) as sight:
        return [
            Parked(contract=contract, reason=reason, since=instant(since))
            for contract, _, reason, since in sight.store.rows("parked")
        ]


def _previewed(site: Site, store: Store, names: Sequence[str], at_once: int) -> Iterator[Compared]:
    """So many contracts at a time: what nobody asks for is not rated."""
    limits = Thresholds() if site.office is None else site.office.thresholds
    for first in range(0, len(names), at_once):
        part = names[first : first + at_once]
        outcomes = previewed(store, site.clock.utc_ms(), BillingSight(view=StoreView), contracts=part)
        yield from sorted(compared(store, outcomes, limits), key=_key)


def _key(each: Compared) -> tuple[str | int, ...]:
    return each.outcome.contract, each.outcome.start or 0


def detail_of(store: Store, number: int) -> RunDetail:
    """A run and its drafts; raises Refusal (404)."""
    row = store.row("api_run", number)
    if row is None:
        raise absent()
    return RunDetail(run=run_of(row), drafts=[_draft(each) for each in store.rows("drafts_of_run", number)])


def progress_of(last: Running) -> Progress:
    """How far a run has come, as programs read it."""
    return Progress(total=last.total, left=last.left, done=dict(last.counts), failed=last.why or None)


def run_of(row: Row) -> Run:
    """A run as programs read it."""
    number, begun, by, as_of, contracts, drafts, ended, issued, parked, unapproved = row
    return Run(
        run=number,
        what="drafts" if drafts else "issues",
        by=by,
        begun_at=instant(begun),
        as_of=instant(as_of),
        contracts=json.loads(contracts),
        ended_at=None if ended is None else instant(ended),
        issued=issued,
        parked=parked,
        unapproved=unapproved,
    )


def _draft(row: Row) -> KeptDraft:
    _, task, contract, start, end, of, reason, currency, total, by, at, number = row
    return KeptDraft(
        task=task,
        contract=contract,
        period=Period(start=instant(start), end=instant(end)),
        of=of,
        reason=reason,
        currency=currency,
        total=Decimal(total),
        approved_by=by,
        approved_at=None if at is None else instant(at),
        number=number,
    )
