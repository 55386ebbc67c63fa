"""`cloud-collector billing`: look at what is due, issue it, list what was issued and what is parked."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from cloud_collector.billing.archive import ArchiveConflict, ArchiveFailed
from cloud_collector.billing.case import Sight
from cloud_collector.billing.issue import BillingRefused
from cloud_collector.billing.outcome import Outcome
from cloud_collector.billing.preview import preview as previewed
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.billing.too_late import too_late
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
from cloud_collector.contracts.period import iso
from cloud_collector.rating.draft import Draft
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.between import RATES_MAX
from shared.effects.clock import SystemClock

app = typer.Typer(no_args_is_help=True, help="Billing runs: preview, run, list. A run is safe to kill and to repeat.")

REFUSED: Final = 4
PARTLY: Final = 5
NOT_FOUND: Final = 3

AsOf = Annotated[
    str | None, typer.Option("--as-of", metavar="T", help="An instant (RFC 3339): what was due then (default: now).")
]
Contracts = Annotated[list[str] | None, typer.Option("--contract", metavar="NAME", help="Only this one; repeatable.")]


@app.command()
@ending
def preview(store: StoreOption = None, contract: Contracts = None, as_of: AsOf = None, json_: Json = False) -> None:
    """Example: `cloud-collector billing preview --as-of 2026-11-03T00:00:00Z`.

    The next invoice of every contract whose period has ended, as it would be issued; nothing is changed.
    """
    instant = _instant(as_of, SystemClock().utc_ms())
    with opened(settings(store=store)) as held:
        _known(held, contract)
        found = previewed(held, instant, Sight(view=StoreView), contracts=contract)
    if json_:
        print(json.dumps([outcome.to_json() for outcome in found], indent=2, ensure_ascii=False))
        return
    for outcome in found:
        print(told(outcome))
        for line in outcome.draft.lines if outcome.draft is not None else ():
            device = f" {line.device}" if line.device else ""
            print(f"    {line.charge}{device}  {format(line.amount, 'f')}  {line.why}")
    if not found:
        say("nothing is due")


@app.command()
@ending
def run(
    store: StoreOption = None,
    key: KeyOption = None,
    folder: FolderOption = None,
    contract: Contracts = None,
    as_of: AsOf = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector billing run`.

    Close every period that is due: issue, number, seal and archive. Killed anywhere, the same command completes it
    with the same bytes. Exit 4 refused, 5 where something is parked.
    """
    now = SystemClock().utc_ms()
    instant = _instant(as_of, now)
    if instant > now:
        say("--as-of lies in the future: nothing is issued before its time")
        raise typer.Exit(2)
    known = settings(store=store, key=key, folder=folder)
    biller = biller_of(known)
    with opened(known) as held:
        _known(held, contract)
        try:
            report = bill_due(
                held,
                now,
                biller,
                as_of_ms=instant,
                contracts=contract,
                progress=lambda outcome: say(told(outcome)),
            )
        except (BillingRefused, ArchiveConflict) as error:
            say(str(error))
            raise typer.Exit(REFUSED) from None
        except ArchiveFailed as error:
            say(f"{error}. Run the same command again when it can be written: nothing is issued twice")
            raise typer.Exit(PARTLY) from None
    if json_:
        outcomes = [outcome.to_json() for outcome in report.outcomes]
        print(json.dumps({"outcomes": outcomes, "archived": list(report.archived)}, indent=2, ensure_ascii=False))
    else:
        counted = ", ".join(f"{len(report.of(state))} {state}" for state in ("issued", "nothing", "waiting", "parked"))
        print(counted)
    if report.of("parked"):
        raise typer.Exit(PARTLY)


@app.command(name="list")
@ending
def list_(
    store: StoreOption = None,
    late: Annotated[
        bool, typer.Option("--too-late", help="What look-back bars instead: it was used and is not billed.")
    ] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector billing list --json`.

    Every period that was closed, by contract, and every contract that is parked, with its reason.
    """
    with opened(settings(store=store)) as held:
        closed = held.rows("periods_closed_all")
        parked = held.rows("parked")
        barred = too_late(held) if late else []
    if late:
        _print_too_late(barred, json_=json_)
        return
    periods = [
        {"contract": row[0], "start": iso(row[1]), "end": iso(row[2]), "closed_at": iso(row[3]), "number": row[4]}
        for row in closed
    ]
    waiting = [{"contract": row[0], "reason": row[2], "since": iso(row[3])} for row in parked]
    if json_:
        print(json.dumps({"closed": periods, "parked": waiting}, indent=2, ensure_ascii=False))
        return
    for row in periods:
        print(f"{row['contract']}  {row['start']} to {row['end']}  {row['number'] or 'nothing to bill'}")
    for row in waiting:
        print(f"{row['contract']}  PARKED since {row['since']}: {row['reason']}")
    if not periods and not waiting:
        say("no period has been closed yet")


def _print_too_late(barred: list[dict[str, Any]], *, json_: bool) -> None:
    if json_:
        print(json.dumps(barred, indent=2, ensure_ascii=False))
        return
    for row in barred:
        line = row["line"]
        print(f"{row['contract']}  {line['service_start']} to {line['service_end']}  {line['amount']}  {line['why']}")
    if not barred:
        say("nothing came too late")


def biller_of(known: CollectorSettings) -> Biller:
    """What billing needs besides the store, as configured; ends the command with 2 where the key is not usable."""
    return Biller(
        key=signing_key(known),
        archive=archive(known),
        view=StoreView,
        rates_max={**RATES_MAX, **known.rates_max},
        skew_seconds=known.clock_skew_seconds,
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


def _known(held: Store, wanted: list[str] | None) -> None:
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


def _instant(text: str | None, now: int) -> int:
    if text is None:
        return now
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        say(f"--as-of {text}: write an instant with its zone, such as 2026-11-03T00:00:00Z")
        raise typer.Exit(2)
    return int(instant.astimezone(UTC).timestamp()) * 1000
