"""`cloud-collector billing preview|prepare|drafts|approve`: what a person looks at before anything is issued."""

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Final

import typer

from cloud_collector.billing.approval import Approval
from cloud_collector.billing.approval import approve as approve_drafts
from cloud_collector.billing.approval import drafts as kept_drafts
from cloud_collector.billing.case import Sight
from cloud_collector.billing.compare import Compared, Thresholds, compared
from cloud_collector.billing.outcome import Outcome
from cloud_collector.billing.prepare import draft_due
from cloud_collector.billing.preview import preview as previewed
from cloud_collector.cli.billing import AsOf, Contracts, instant, require_contracts, told_draft
from cloud_collector.cli.correct import As, done
from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, say, settings
from cloud_collector.contracts.period import iso
from cloud_collector.store.view import StoreView
from shared.effects.clock import SystemClock

_BLOCKED: Final = ("waiting", "parked")


@ending
def preview(
    store: StoreOption = None,
    contract: Contracts = None,
    as_of: AsOf = None,
    lines: Annotated[bool, typer.Option("--lines", help="Every line of each document.")] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector billing preview --as-of 2026-11-03T00:00:00Z`.

    The whole run as it would be, period by period, beside what each contract came to in its last period: first what
    differs most, at the end what waits or is parked. Nothing is changed.
    """
    known = settings(store=store)
    limits = Thresholds(share_percent=known.billing.outlier_percent, amount=known.billing.outlier_amount)
    due = instant(as_of, SystemClock().utc_ms())
    with opened(known) as held:
        require_contracts(held, contract)
        found = compared(held, previewed(held, due, Sight(view=StoreView), contracts=contract), limits)
    if json_:
        print(json.dumps([each.to_json() for each in found], indent=2, ensure_ascii=False))
        return
    if not found:
        say("nothing is due")
        return
    print(summary(found))
    blocked = [each for each in found if each.outcome.state in _BLOCKED]
    others = [each for each in found if each.outcome.state not in _BLOCKED and not each.outlier]
    title = f"needs a look ({limits.share_percent} % and {limits.amount} or more)"
    _part(title, [each for each in found if each.outlier], lines=lines)
    _part("new", [each for each in others if each.last is None], lines=lines)
    _part("as before", [each for each in others if each.last is not None], lines=lines)
    _part("not yet", blocked, lines=lines)


@ending
def prepare(
    as_: As, store: StoreOption = None, contract: Contracts = None, as_of: AsOf = None, json_: Json = False
) -> None:
    """Example: `cloud-collector billing prepare --as Anna`.

    Draft every document that is due, for somebody to approve: needed where `billing.approval` is `one` or `two`.
    """
    known = settings(store=store)
    if Approval(known.billing.approval) is Approval.NONE:
        say("nothing waits for approval here: `billing run` issues what is due. Set billing.approval first")
        raise typer.Exit(2)
    due = instant(as_of, SystemClock().utc_ms())
    with opened(known) as held:
        require_contracts(held, contract)
        run = done(lambda: draft_due(held, due, Sight(view=StoreView), by=as_, contracts=contract))
        kept = [row for row in kept_drafts(held) if row["run"] == run]
    if json_:
        print(json.dumps({"run": run, "drafts": kept}, indent=2, ensure_ascii=False))
        return
    if run is None:
        say("nothing is due")
        return
    print(f"run {run} holds {len(kept)} draft{'s' * (len(kept) != 1)}")
    whom = "another person approves" if known.billing.approval == "two" else "somebody approves"
    say(f"look at them with `cloud-collector billing preview`; then {whom}: `cloud-collector billing approve {run}`")


@ending
def drafts(
    store: StoreOption = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that were issued or superseded.")] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector billing drafts`.

    Documents that are drafted or approved and not issued yet: of which run, by whom, what they come to.
    """
    with opened(settings(store=store)) as held:
        rows = [row for row in kept_drafts(held) if every or row["state"] in ("draft", "approved")]
    if json_:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    shown = [
        {
            "run": row["run"],
            "state": row["state"],
            "what": row["task"] if row["of"] is None else f"{row['task']} {row['of']}",
            "contract": row["contract"],
            "from": row["period"]["start"],
            "total": f"{row['total']} {row['currency']}",
            "drafted_by": row["drafted_by"],
            "approved_by": row["approved_by"],
            "number": row["number"],
        }
        for row in rows
    ]
    show_rows(shown, as_json=False, empty="nothing waits for approval")


@ending
def approve(
    run: Annotated[int, typer.Argument(help="The number of the run that holds the drafts.")],
    as_: As,
    contract: Contracts = None,
    but: Annotated[list[str] | None, typer.Option("--except", metavar="NAME", help="Not this one; repeatable.")] = None,
    store: StoreOption = None,
) -> None:
    """Example: `cloud-collector billing approve 7 --as Bert --except acme-roof`.

    Approve the drafts of a run. A document is issued only while it says what was approved. Exit 4 where another person
    must do it.
    """
    known = settings(store=store)
    rule = Approval(known.billing.approval)
    at = SystemClock().utc_ms() // 1000
    with opened(known) as held:
        count = done(lambda: approve_drafts(held, run, by=as_, at=at, approval=rule, only=contract, but=but or ()))
    print(f"{count} draft{'s' * (count != 1)} of run {run} approved")
    say("`cloud-collector billing run` issues what is approved; so does the collector's next tick")


def summary(found: Sequence[Compared]) -> str:
    """How many, how much, and how much before."""
    states = [each.outcome.state for each in found]
    counts = [f"{states.count(state)} {state}" for state in ("due", "nothing", "waiting", "parked") if state in states]
    rows = [", ".join(counts)]
    due = [each for each in found if each.outcome.state not in _BLOCKED]
    for currency in sorted({each.outcome.currency for each in due if each.outcome.currency}):
        own = [each for each in due if each.outcome.currency == currency]
        total = _sum(each.outcome.total for each in own)
        last = [each for each in own if each.last is not None]
        before = ""
        if last:
            change = _sum(each.change for each in last)
            before = f"; {len(last)} of them came to {_sum(each.last for each in last):f} before ({change:+f})"
        rows.append(f"{total:f} {currency}{before}")
    return "\n".join(rows)


def _part(title: str, kept: Sequence[Compared], *, lines: bool) -> None:
    if not kept:
        return
    print(f"\n{title}")
    cells = [_cells(each) for each in kept]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for each, row in zip(kept, cells, strict=True):
        aligned = [
            cell.rjust(width) if at in (2, 3, 4) else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print(f"  {'  '.join(aligned)}".rstrip())
        if lines and each.outcome.draft is not None:
            print(told_draft(each.outcome.draft))


def _cells(each: Compared) -> tuple[str, ...]:
    outcome = each.outcome
    period = _days(outcome)
    total = "" if outcome.total is None else f"{outcome.total:f} {outcome.currency}"
    change = "" if each.change is None else f"{each.change:+f}"
    share = "" if each.share is None else f"{each.share:+f} %"
    why = "; ".join([*([outcome.reason] if outcome.reason else []), ", ".join(each.why)]).strip("; ")
    return outcome.contract, period, total, change, share, f"{outcome.state}{': ' * bool(why)}{why}"


def _days(outcome: Outcome) -> str:
    """The period by its local days, both counted; as instants where nobody knows the zone."""
    if outcome.draft is not None:
        period = outcome.draft.period
        return f"{period.first} to {period.last - timedelta(days=1)}"
    return "" if outcome.start is None or outcome.end is None else f"{iso(outcome.start)} to {iso(outcome.end)}"


def _sum(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((amount for amount in amounts if amount is not None), Decimal(0))
