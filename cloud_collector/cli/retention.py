"""`cloud-collector retention`: what `keep_detail` lets go, what stays and why; and letting it go."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress

from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.cli.deeds import whoever
from cloud_collector.cli.opened import Json, ending, opened, say, settings
from cloud_collector.contracts.revision import Revision
from cloud_collector.retention.deed import Moved, begin, carry_out, end
from cloud_collector.retention.horizon import Horizon, agreed, asked
from cloud_collector.retention.plan import Plan, chains_of, going, plan_of, told
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.clock import SystemClock

NOT_FOUND: Final = 3
PARTLY: Final = 5
DAY_SECONDS: Final = 86_400

app = typer.Typer(no_args_is_help=True, help="What keep_detail lets go, what stays and why; and letting it go.")
Request = Annotated[
    int | None,
    typer.Option("--request", metavar="ID", help="What a customer has asked for on the portal's data page."),
]


@app.command()
@ending
def preview(request: Request = None, json_: Json = False) -> None:
    """Example: `cloud-collector retention preview`.

    Of each account that has agreed on `keep_detail`: what would go now, what stays, and why. Nothing is changed.
    """
    known = settings()
    with opened(known) as store:
        plan = _plan(store, known, request)
        with _bar(store, plan, "looking") as advance:
            for chain in chains_of(store, plan):
                for _ in going(store, plan, chain):
                    pass
                advance(chain.through)
    _print(plan, json_, "would go")


@app.command()
@ending
def run(request: Request = None, json_: Json = False) -> None:
    """Example: `cloud-collector retention run`.

    Let go of what `retention preview` says. The running collector does it once a day. Killed at any instant, the next
    one goes on (exit 5 where something that decides what may go has changed meanwhile).
    """
    known = settings()
    with opened(known) as store:
        plan = _plan(store, known, request)
        begun = begin(store, plan, who=whoever(), now_ms=SystemClock().utc_ms(), request=request)
        try:
            with _bar(store, plan, "deleting") as advance:
                for _ in carry_out(store, begun, advance):
                    pass
        except Moved as error:
            say(str(error))
            raise typer.Exit(PARTLY) from None
        lines = end(store, begun, SystemClock().utc_ms())
    _print(plan, json_, "went")
    say(f"the detail of {lines} reports was deleted; their positions, hashes and counters stay")


def _plan(store: Store, known: CollectorSettings, request: int | None) -> Plan:
    now = SystemClock().utc_ms() // 1000
    try:
        catalogs = revisions(store)
    except NoCatalog as error:
        say(str(error))
        raise typer.Exit(NOT_FOUND) from None
    days = known.keep_unassigned_days
    return plan_of(
        store, catalogs, _horizons(store, catalogs, request, now), now - days * DAY_SECONDS if days else None
    )


def _horizons(store: Store, known: Sequence[Revision], request: int | None, now: int) -> list[Horizon]:
    found = {each.account: each for each in agreed(store, known, now)}
    if request is not None:
        row = store.row("deletion_one", request)
        if row is None or row[1] not in known[-1].catalog.accounts:
            say(
                f"there is no request {request}: the account's data page and `cloud-collector audit-log list` name them"
            )
            raise typer.Exit(NOT_FOUND)
        wanted = asked(store, known, row[1], row[2], now)
        if row[1] not in found or wanted.before > found[row[1]].before:
            found[row[1]] = wanted
    if not found:
        say("no account has agreed on keep_detail: everything is kept")
    return [found[name] for name in sorted(found)]


@contextmanager
def _bar(store: Store, plan: Plan, does: str) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(does, total=sum(chain.through for chain in chains_of(store, plan)))
        yield lambda lines: progress.advance(bar, lines)


def _print(plan: Plan, as_json: bool, verb: str) -> None:
    rows = [told(plan.horizons[account], plan.tallies[account]) for account in sorted(plan.horizons)]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for account, row in zip(sorted(plan.horizons), rows, strict=True):
        for sentence in _sentences(plan.horizons[account], row, verb):
            print(sentence)


def _sentences(horizon: Horizon, row: dict[str, Any], verb: str) -> Iterator[str]:
    name, before = row["account"] or "channels of no contract", horizon.day(horizon.before)
    yield f"{name}: detail before {before}: {row['lines']} reports ({row['bytes']:,} bytes) {verb}"
    if horizon.before < horizon.wanted:
        yield f"  what is from before {horizon.day(horizon.wanted)} would be old enough, and stays:"
        yield from (f"    {why}" for why in row["because"])
    yield from (f"  {each['lines']} reports stay: {each['because']}" for each in row["stays"])
