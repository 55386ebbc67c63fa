"""`cloud-collector billing`: look at what is due, issue it, list what was issued and what is parked."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from cloud_collector.billing.approval import Approval
from cloud_collector.billing.archive import ArchiveConflict, ArchiveFailed
from cloud_collector.billing.issue import BillingRefused
from cloud_collector.billing.outcome import Outcome
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.billing.runs import begin, end, every, stopped
from cloud_collector.billing.too_late import too_late
from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.opened import (
    FolderOption,
    Json,
    KeyOption,
    StoreOption,
    archive,
    ending,
    opened,
    say,
    settings,
    signing_key,
)
from cloud_collector.cli.run_bar import login, running
from cloud_collector.contracts.period import iso
from cloud_collector.rating.draft import Draft
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.between import RATES_MAX
from shared.effects.clock import SystemClock
from shared.key import SigningKey

app = typer.Typer(no_args_is_help=True, help="Billing runs: preview, run, list. A run is safe to kill and to repeat.")

REFUSED: Final = 4
PARTLY: Final = 5
NOT_FOUND: Final = 3

AsOf = Annotated[
    str | None, typer.Option("--as-of", metavar="T", help="An instant (RFC 3339): what was due then (default: now).")
]
Who = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who does this (default: who is logged in).")]
Contracts = Annotated[list[str] | None, typer.Option("--contract", metavar="NAME", help="Only this one; repeatable.")]


@app.command()
@ending
def run(
    store: StoreOption = None,
    key: KeyOption = None,
    folder: FolderOption = None,
    contract: Contracts = None,
    as_of: AsOf = None,
    as_: Who = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector billing run`.

    Close every period that is due: issue, number, seal and archive; where documents are approved, those that were.
    Killed anywhere, the same command completes it with the same bytes. Exit 4 refused, 5 where something is parked or
    not approved.
    """
    now = SystemClock().utc_ms()
    due = instant(as_of, now)
    if due > now:
        say("--as-of lies in the future: nothing is issued before its time")
        raise typer.Exit(2)
    known = settings(store=store, key=key, folder=folder)
    biller = biller_of(known)
    with opened(known) as held:
        require_contracts(held, contract)
        number = begin(held, by=as_ or login(), at=now // 1000, as_of=due // 1000, contracts=contract)
        carry_out(held, biller, number, as_of_ms=due, contracts=contract, json_=json_)


@app.command()
@ending
def resume(store: StoreOption = None, key: KeyOption = None, folder: FolderOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector billing resume`.

    Go on with the last run where it was stopped: for its contracts, with what was due then.
    """
    known = settings(store=store, key=key, folder=folder)
    biller = biller_of(known)
    with opened(known) as held:
        found = stopped(held)
        if found is None:
            say("no run was stopped: there is nothing to resume")
            return
        of = f", of {', '.join(found.contracts)}" if found.contracts else ""
        say(f"run {found.number} of {found.by}, as of {iso(found.as_of)}{of}, goes on")
        as_of_ms = found.as_of * 1000
        carry_out(held, biller, found.number, as_of_ms=as_of_ms, contracts=found.contracts or None, json_=json_)


@app.command()
@ending
def retry(
    store: StoreOption = None,
    key: KeyOption = None,
    folder: FolderOption = None,
    as_: Who = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector billing retry`.

    Bill the contracts that are parked, and no other: after what parked them was put right.
    """
    known = settings(store=store, key=key, folder=folder)
    biller = biller_of(known)
    now = SystemClock().utc_ms()
    with opened(known) as held:
        contracts = [row[0] for row in held.rows("parked")]
        if not contracts:
            say("no contract is parked")
            return
        number = begin(held, by=as_ or login(), at=now // 1000, as_of=now // 1000, contracts=contracts)
        carry_out(held, biller, number, as_of_ms=now, contracts=contracts, json_=json_)


def carry_out(
    held: Store, biller: Biller, number: int, *, as_of_ms: int, contracts: Sequence[str] | None, json_: bool
) -> None:
    """Bill what is due and say what became of it; ends the command with 4 or 5 where not all could be billed."""
    clock = SystemClock()
    try:
        with running() as bar:
            report = bill_due(
                held,
                clock.utc_ms(),
                biller,
                as_of_ms=as_of_ms,
                contracts=contracts,
                progress=lambda outcome: bar.said(outcome.state, told(outcome)),
                left=bar.left,
            )
    except (BillingRefused, ArchiveConflict) as error:
        say(str(error))
        raise typer.Exit(REFUSED) from None
    except ArchiveFailed as error:
        say(f"{error}. Run the same command again when it can be written: nothing is issued twice")
        raise typer.Exit(PARTLY) from None
    end(held, number, report, at=clock.utc_ms() // 1000)
    if json_:
        outcomes = [outcome.to_json() for outcome in report.outcomes]
        print(json.dumps({"outcomes": outcomes, "archived": list(report.archived)}, indent=2, ensure_ascii=False))
    else:
        states = ("issued", "nothing", "waiting", "parked", *(("unapproved",) if report.of("unapproved") else ()))
        print(", ".join(f"{len(report.of(state))} {state}" for state in states))
    if report.of("parked") or report.of("unapproved"):
        raise typer.Exit(PARTLY)


@app.command(name="list")
@ending
def list_(store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector billing list --json`.

    Every period that was closed, by contract, and every contract that is parked, with its reason.
    """
    with opened(settings(store=store)) as held:
        closed, waiting = held.rows("periods_closed_all"), parked_rows(held)
    periods = [
        {"contract": row[0], "start": iso(row[1]), "end": iso(row[2]), "closed_at": iso(row[3]), "number": row[4]}
        for row in closed
    ]
    if json_:
        print(json.dumps({"closed": periods, "parked": waiting}, indent=2, ensure_ascii=False))
        return
    for row in periods:
        print(f"{row['contract']}  {row['start']} to {row['end']}  {row['number'] or 'nothing to bill'}")
    for row in waiting:
        print(f"{row['contract']}  PARKED since {row['since']}: {row['reason']}")
    if not periods and not waiting:
        say("no period has been closed yet")


@app.command()
@ending
def parked(store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector billing parked`.

    Every contract that a run could not bill, since when, and why; `billing retry` bills them once that is put right.
    """
    with opened(settings(store=store)) as held:
        rows = parked_rows(held)
    show_rows(rows, as_json=json_, empty="no contract is parked")


@app.command(name="too-late")
@ending
def too_late_(store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector billing too-late`.

    What `look_back` bars: it was used, came to light too late, and is not billed.
    """
    with opened(settings(store=store)) as held:
        barred = too_late(held)
    if json_:
        print(json.dumps(barred, indent=2, ensure_ascii=False))
        return
    rows = [
        {
            "contract": row["contract"],
            "charge": row["line"]["charge"],
            "device": row["line"]["device"],
            "from": row["line"]["service_start"],
            "to": row["line"]["service_end"],
            "amount": row["line"]["amount"],
            "seen": row["seen_at"],
            "why": row["line"]["why"],
        }
        for row in barred
    ]
    show_rows(rows, as_json=False, empty="nothing came too late")


@app.command()
@ending
def runs(store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector billing runs`.

    Every run that a person began: who, when, and how it ended.
    """
    with opened(settings(store=store)) as held:
        rows = every(held)
    show_rows(rows, as_json=json_, empty="nobody has begun a run yet; ticks are not listed")


def parked_rows(held: Store) -> list[dict[str, Any]]:
    """The contracts that are parked."""
    return [{"contract": row[0], "since": iso(row[3]), "reason": row[2]} for row in held.rows("parked")]


def biller_of(known: CollectorSettings, key: SigningKey | None = None) -> Biller:
    """What billing needs besides the store, as configured; ends the command with 2 where the key is not usable."""
    return Biller(
        key=key or signing_key(known),
        archive=archive(known),
        view=StoreView,
        rates_max={**RATES_MAX, **known.rates_max},
        skew_seconds=known.clock_skew_seconds,
        approval=Approval(known.billing.approval),
    )


def told_draft(draft: Draft) -> str:
    """A draft in lines, one a line of it, and its total."""
    rows = [
        f"    {line.charge}{f' {line.device}' if line.device else ''}  {line.amount:f}  {line.why}"
        for line in draft.lines
    ]
    return "\n".join([*rows, f"    total {draft.total:f} {draft.currency}"])


def told(outcome: Outcome) -> str:
    """An outcome in one line."""
    period = "" if outcome.start is None or outcome.end is None else f"  {iso(outcome.start)} to {iso(outcome.end)}"
    total = "" if outcome.total is None else f"  {format(outcome.total, 'f')} {outcome.currency}"
    number = f"  {outcome.number}" if outcome.number else ""
    reason = f"  {outcome.reason}" if outcome.reason else ""
    return f"{outcome.contract}  {outcome.state}{number}{period}{total}{reason}"


def require_contracts(held: Store, wanted: list[str] | None) -> None:
    """A contract that the catalog does not have ends the command with 3; so does a store without a catalog."""
    try:
        contracts = revisions(held)[-1].catalog.contracts
    except NoCatalog as error:
        say(str(error))
        raise typer.Exit(NOT_FOUND) from None
    for name in wanted or ():
        if name not in contracts:
            say(f"the catalog has no contract {name}; it has {', '.join(sorted(contracts)[:8]) or 'none'}")
            raise typer.Exit(NOT_FOUND)


def instant(text: str | None, now: int) -> int:
    """The instant of `--as-of` in milliseconds; ends the command with 2 where it is none."""
    if text is None:
        return now
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        say(f"--as-of {text}: write an instant with its zone, such as 2026-11-03T00:00:00Z")
        raise typer.Exit(2)
    return int(found.astimezone(UTC).timestamp()) * 1000
