"""Billing: preview beside last period, outliers first; approve, run, resume; what is parked, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter

from cloud_collector.access.viewer import Deed, Means
from cloud_collector.billing.approval import Approval, approve, drafts
from cloud_collector.billing.case import Sight
from cloud_collector.billing.compare import Compared, Thresholds, compared
from cloud_collector.billing.prepare import draft_due
from cloud_collector.billing.preview import preview
from cloud_collector.billing.revisions import NoCatalog
from cloud_collector.billing.runs import every, stopped
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.web.console.cells import count, money, text
from cloud_collector.web.console.screen import Ask, Asked, Did, NotThere, Screen, Sure, act, serve, web_path
from cloud_collector.web.running import NotIssuedHere, Order, everything_due, parked_ones, stopped_one
from cloud_collector.web.site import Look, Moment, Site, iso
from cloud_collector.web.table import Cell, Column, Mood, Table, row

RUNS_SHOWN: Final = 10
_BLOCKED: Final = ("waiting", "parked")
_PREVIEW: Final = (
    Column(title="Contract", key="contract"),
    Column(title="Period", key="period_start", whole=True),
    Column(title="Would come to", key="total", number=True),
    Column(title="Before", key="last", number=True),
    Column(title="Change", key="change", number=True),
    Column(title="Share, %", key="share_percent", number=True),
    Column(title="State", key="state", whole=True),
    Column(title="Why", key="why", wrap=True),
    Column(title="Currency", key="currency", unseen=True),
)
_DRAFTS: Final = (
    Column(title="Contract", key="contract"),
    Column(title="What", key="task"),
    Column(title="From", key="period_start", whole=True),
    Column(title="Total", key="total", number=True),
    Column(title="State", key="state", whole=True),
    Column(title="Drafted by", key="drafted_by"),
    Column(title="Approved by", key="approved_by"),
    Column(title="Run", key="run", number=True),
)
_PARKED: Final = (
    Column(title="Contract", key="contract"),
    Column(title="Why it cannot be billed", key="reason", wrap=True),
    Column(title="Since", key="since", whole=True),
)
_RUNS: Final = (
    Column(title="Run", key="run", number=True),
    Column(title="By", key="by"),
    Column(title="What", key="what"),
    Column(title="Begun", key="begun", whole=True),
    Column(title="Ended", key="ended", whole=True),
    Column(title="Issued", key="issued", number=True),
    Column(title="Parked", key="parked", number=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingSheet:
    """Where billing stands."""

    approval: str
    drafts: tuple[dict[str, Any], ...]
    parked: tuple[dict[str, Any], ...]
    runs: tuple[dict[str, Any], ...]
    stopped: int | None
    """The run that was begun and has not ended, which can be resumed."""


def add(router: APIRouter, site: Site) -> None:
    """The pages and what can be done on them are served."""
    desk = _Desk(site)
    serve(router, site, "/billing", desk.screen)
    serve(router, site, "/billing/preview", desk.preview)
    act(router, site, "/billing/prepare", Deed.BILL, desk.prepare, back="/billing")
    act(router, site, "/billing/approve", Deed.APPROVE, desk.approve, back="/billing")
    act(router, site, "/billing/run", Deed.BILL, desk.run, back="/billing", weigh=desk.before_run)
    act(router, site, "/billing/resume", Deed.BILL, desk.resume, back="/billing")
    act(router, site, "/billing/retry", Deed.BILL, desk.retry, back="/billing")


class _Desk:
    """Where billing stands here."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def screen(self, look: Look, _: Ask) -> Screen:
        """Where billing stands; the preview is a page of its own, because it rates everything."""
        store, moment = look.store, look.moment
        kept = [each for each in drafts(store) if each["state"] in ("draft", "approved")]
        waiting = [
            {"contract": contract, "reason": reason, "since": iso(since)}
            for contract, _, reason, since in store.rows("parked")
        ]
        held = stopped(store)
        busy = self._site.runs.busy
        approval = self._approval
        sheet = BillingSheet(
            approval=approval.value,
            drafts=tuple(kept),
            parked=tuple(waiting),
            runs=tuple(reversed(every(store)[-RUNS_SHOWN:])),
            stopped=None if held is None or busy else held.number,
        )
        to_approve = sorted({each["run"] for each in kept if each["state"] == "draft"})
        return Screen(
            title="Billing",
            data=sheet,
            table=_parked(waiting),
            template="console/billing.html",
            told={
                "sheet": sheet,
                "progress": self._site.runs.last,
                "busy": busy,
                "held": held,
                "drafts": _drafts(kept),
                "to_approve": [(run, [each for each in kept if each["run"] == run]) for run in to_approve],
                "approved": [each for each in kept if each["state"] == "approved"],
                "runs": _runs(sheet.runs),
                "two": approval is Approval.TWO,
                "asks": approval is not Approval.NONE,
                "issues": self._site.office is not None and self._site.office.biller is not None,
                "now": moment.local(moment.now),
            },
        )

    def preview(self, look: Look, _: Ask) -> Screen:
        """The whole run as it would be, beside what each contract came to before."""
        office = self._site.office
        limits = Thresholds() if office is None else office.thresholds
        try:
            outcomes = preview(look.store, look.moment.now_ms, Sight(view=StoreView))
            found = compared(look.store, outcomes, limits)
        except NoCatalog:
            found = ()
        table = _preview(found, look.moment)
        parts = [
            (title, _preview([each for each in found if fits(each)], look.moment))
            for title, fits in (
                (f"Needs a look ({limits.share_percent} % and {limits.amount} or more)", lambda each: each.outlier),
                ("New", lambda each: _plain(each) and each.last is None),
                ("As before", lambda each: _plain(each) and each.last is not None),
                ("Not yet", lambda each: each.outcome.state in _BLOCKED),
            )
        ]
        return Screen(
            title="Preview",
            data=[each.to_json() for each in found],
            table=table,
            template="console/preview.html",
            told={"parts": [(title, part) for title, part in parts if part.rows], "sums": _sums(found), "found": found},
        )

    def prepare(self, store: Store, asked: Asked) -> Did:
        """Draft what is due, for somebody to approve."""
        run = draft_due(store, asked.now_ms, Sight(view=StoreView), by=asked.viewer.name)
        if run is None:
            return Did(told="nothing is due", to="/billing")
        return Did(told=f"run {run} holds the drafts", to="/billing", what=f"billing prepare: run {run}")

    def approve(self, store: Store, asked: Asked) -> Did:
        """Approve a run's drafts, but for those that were unticked."""
        number = asked.text("run")
        if not number.isdecimal() or len(number) > 9:
            return Did(told="choose a run", to="/billing", well=False)
        run = int(number)
        contracts = {each["contract"] for each in drafts(store) if each["run"] == run}
        only = {name for name in contracts if asked.form.get(f"contract.{name}") == "on"}
        if not only:
            return Did(told="nothing was ticked: nothing is approved", to="/billing", well=False)
        made = approve(
            store,
            run,
            by=asked.viewer.name,
            at=asked.now_ms // 1000,
            approval=self._approval,
            only=sorted(only),
            signed_in=asked.viewer.means is Means.SESSION,
        )
        told = f"{made} draft{'s' * (made != 1)} of run {run} approved; a run issues them, and so does the next tick"
        return Did(told=told, to="/billing", what=f"billing approve {run}: {made}")

    def before_run(self, look: Look, _: Asked) -> Sure:
        """What a run would issue now."""
        if self._approval is Approval.NONE:
            outcomes = preview(look.store, look.moment.now_ms, Sight(view=StoreView))
            sums = [(code, total, many) for code, total, _, many in _sums(compared(look.store, outcomes, Thresholds()))]
            parked = sum(each.state == "parked" for each in outcomes)
        else:
            approved = [each for each in drafts(look.store) if each["state"] == "approved"]
            codes = sorted({each["currency"] for each in approved})
            own = {code: [Decimal(each["total"]) for each in approved if each["currency"] == code] for code in codes}
            sums = [(code, sum(own[code], Decimal(0)), len(own[code])) for code in codes]
            parked = 0
        facts = [f"{many} document{'s' * (many != 1)} over {total:,f} {code} together" for code, total, many in sums]
        if parked:
            facts.append(f"{parked} contract{'s' * (parked != 1)} cannot be billed and will be parked; the others are")
        return Sure(
            title="Issue documents?",
            facts=[*(facts or ["nothing is ready to be issued now"]), "An issued document never changes."],
            label="Yes, issue them",
            command="cloud-collector billing run",
        )

    def run(self, store: Store, asked: Asked) -> Did:
        """Begin a run over everything that is due."""
        return self._start(store, everything_due(asked.viewer.name, asked.now_ms))

    def resume(self, store: Store, asked: Asked) -> Did:
        """Go on with the run that was stopped: for its contracts, with what was due then."""
        return self._start(store, stopped_one(store, asked.viewer.name))

    def retry(self, store: Store, asked: Asked) -> Did:
        """Bill the contracts that are parked, and no other."""
        return self._start(store, parked_ones(store, asked.viewer.name, asked.now_ms))

    def _start(self, store: Store, order: Order) -> Did:
        try:
            begun = self._site.begin(store, order)
        except NotIssuedHere as error:
            raise NotThere(str(error)) from None
        told = f"run {begun.number} has begun; it is safe to close this page"
        return Did(told=told, to="/billing", what=begun.what, then=begun.then)

    @property
    def _approval(self) -> Approval:
        office = self._site.office
        return Approval.NONE if office is None else office.approval


def _plain(each: Compared) -> bool:
    return not each.outlier and each.outcome.state not in _BLOCKED


def _sums(found: Sequence[Compared]) -> list[tuple[str, Decimal, Decimal, int]]:
    """By currency: what the run would come to, how much more than before, over how many documents."""
    due = [each for each in found if each.outcome.state == "due" and each.outcome.currency]
    sums = []
    for code in sorted({str(each.outcome.currency) for each in due}):
        own = [each for each in due if each.outcome.currency == code]
        total = sum((each.outcome.total or Decimal(0) for each in own), Decimal(0))
        change = sum((each.change for each in own if each.change is not None), Decimal(0))
        sums.append((code, total, change, len(own)))
    return sums


def _preview(found: Sequence[Compared], moment: Moment) -> Table:
    moods = {"due": Mood.GOOD, "parked": Mood.BAD, "waiting": Mood.WARN}

    def cells(each: Compared) -> tuple[Cell, ...]:
        outcome = each.outcome
        why = "; ".join(filter(None, [outcome.reason or "", ", ".join(each.why)]))
        return row(
            _PREVIEW,
            text(outcome.contract, link=web_path("contracts", outcome.contract)),
            Cell(
                text="—" if outcome.start is None else moment.day(outcome.start),
                value=None if outcome.start is None else iso(outcome.start),
            ),
            money(outcome.total, outcome.currency or ""),
            money(each.last),
            money(each.change, signed=True),
            Cell(
                text="—" if each.share is None else f"{each.share:+,f}",
                value=None if each.share is None else f"{each.share:f}",
            ),
            text(
                outcome.state,
                shown="look" if each.outlier else outcome.state,
                mood=Mood.WARN if each.outlier else moods.get(outcome.state, Mood.IDLE),
            ),
            text(why),
            text(outcome.currency or ""),
        )

    return Table(
        title="Preview",
        path="/billing/preview",
        command="cloud-collector billing preview",
        empty="Nothing is due.",
        columns=_PREVIEW,
        rows=tuple(cells(each) for each in found),
    )


def _drafts(found: Sequence[dict[str, Any]]) -> Table:
    return Table(
        title="Drafts",
        path="",
        command="",
        empty="Nothing waits for approval.",
        columns=_DRAFTS,
        rows=tuple(
            row(
                _DRAFTS,
                text(each["contract"], link=web_path("contracts", each["contract"])),
                text(each["task"] if each["of"] is None else f"{each['task']} {each['of']}", note=each["reason"]),
                text(each["period"]["start"], shown=each["period"]["start"][:10]),
                money(each["total"], each["currency"]),
                text(each["state"], mood=Mood.GOOD if each["state"] == "approved" else Mood.IDLE),
                text(each["drafted_by"]),
                text(each["approved_by"] or ""),
                count(each["run"]),
            )
            for each in found
        ),
    )


def _parked(found: Sequence[dict[str, Any]]) -> Table:
    return Table(
        title="Parked",
        path="/billing",
        command="cloud-collector billing parked",
        empty="Every contract can be billed.",
        columns=_PARKED,
        rows=tuple(
            row(
                _PARKED,
                text(each["contract"], link=web_path("contracts", each["contract"]), mood=Mood.BAD),
                text(each["reason"]),
                text(each["since"], shown=each["since"][:10]),
            )
            for each in found
        ),
    )


def _runs(found: Sequence[dict[str, Any]]) -> Table:
    return Table(
        title="Runs",
        path="",
        command="",
        empty="Nobody has begun a run yet; ticks are not listed.",
        columns=_RUNS,
        rows=tuple(
            row(
                _RUNS,
                count(each["run"]),
                text(each["by"]),
                text(each["what"], note="" if each["contracts"] == "all" else each["contracts"]),
                text(each["begun"], shown=each["begun"][:16].replace("T", " ")),
                text(each["ended"] or "", shown=(each["ended"] or "not ended")[:16].replace("T", " ")),
                count(each["issued"]),
                count(each["parked"]),
            )
            for each in found
        ),
    )
