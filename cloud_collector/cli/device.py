"""`cloud-collector device`: what devices are doing, how they came to it, and what an operator does to them."""

import getpass
import json
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Final

import typer

from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, say, settings
from cloud_collector.contracts.catalog import State
from cloud_collector.contracts.node import nearest
from cloud_collector.contracts.period import boundary, iso
from cloud_collector.contracts.revision import Revision
from cloud_collector.contracts.terms import timezone_of
from cloud_collector.insight.device_deeds import (
    NAME_CHARS_MAX,
    REASON_CHARS_MAX,
    Done,
    NotPossible,
    Word,
    do,
)
from cloud_collector.insight.device_life import TESTING, Chapter, UnknownDevice, chapters
from cloud_collector.insight.event import Event
from cloud_collector.insight.timeline import timeline
from cloud_collector.rating.csv_facts import instant_ms_of
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.effects.clock import SystemClock

NOT_FOUND: Final = 3
REFUSED: Final = 4
STATES: Final = [*(state.value for state in State), TESTING]

app = typer.Typer(no_args_is_help=True, help="Devices: their states, how they came about, and how to change them.")

Name = Annotated[str, typer.Argument(help="The device as the catalog names it: gateway/device.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept.")]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="T", help="An instant (RFC 3339), or a local date of the contract (default: now)."),
]
As = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="Who does this; it is kept (default: your login).")
]
AsOf = Annotated[str | None, typer.Option("--as-of", metavar="T", help="How it was at an instant (RFC 3339).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen and change nothing.")]


@app.command()
@ending
def suspend(
    name: Name,
    reason: Reason,
    at: At = None,
    as_: As = None,
    store: StoreOption = None,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector device suspend roof-1/sdm630-1 --reason "winter break" --at 2026-12-01`.

    The device is suspended from then on: its subscription costs what state_prices say, its usage is billed still.
    """
    _do(Word.SUSPEND, name, reason, at, as_, store, dry_run=dry_run, json_=json_)


@app.command()
@ending
def resume(
    name: Name,
    reason: Reason,
    at: At = None,
    as_: As = None,
    store: StoreOption = None,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector device resume roof-1/sdm630-1 --reason "back from winter" --at 2027-03-01`.

    A suspended device is active again; one that had not started to be billed waits for its first use again.
    """
    _do(Word.RESUME, name, reason, at, as_, store, dry_run=dry_run, json_=json_)


@app.command()
@ending
def end(
    name: Name,
    reason: Reason,
    at: At = None,
    as_: As = None,
    store: StoreOption = None,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector device end roof-1/sdm630-1 --reason "burnt down" --at 2026-11-20T14:30:00+02:00`.

    Nothing of the device is billed from then on. Under this contract that is final.
    """
    _do(Word.END, name, reason, at, as_, store, dry_run=dry_run, json_=json_)


@app.command()
@ending
def activate(
    name: Name,
    reason: Reason,
    at: At = None,
    as_: As = None,
    store: StoreOption = None,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector device activate roof-1/sdm630-1 --reason "as agreed with the customer"`.

    The device is billed from then on, used or not.
    """
    _do(Word.ACTIVATE, name, reason, at, as_, store, dry_run=dry_run, json_=json_)


@app.command("list")
@ending
def list_(
    contract: Annotated[
        list[str] | None, typer.Option("--contract", metavar="NAME", help="Only of this one; repeatable.")
    ] = None,
    state: Annotated[
        list[str] | None, typer.Option("--state", metavar="STATE", help="Only those in this state; repeatable.")
    ] = None,
    as_of: AsOf = None,
    store: StoreOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector device list --state suspended`.

    Every device of every contract: its state, since when, by which rule, and what it waits for.
    """
    for word in state or ():
        if word not in STATES:
            say(f"--state {word}: is no state{nearest(word, STATES)}")
            raise typer.Exit(2)
    now = SystemClock().utc_ms() // 1000 if as_of is None else _instant("--as-of", as_of)
    with opened(settings(store=store)) as held:
        known = _revisions(held)
        there = known[-1].catalog.contracts
        for name in contract or ():
            if name not in there:
                say(f"the catalog has no contract {name}{nearest(name, there)}")
                raise typer.Exit(NOT_FOUND)
        found = chapters(held, StoreView(held), known, now, contracts=contract or sorted(there))
        rows = [_row(chapter, now) for chapter in found if not state or chapter.state_at(now) in state]
    show_rows(
        rows, as_json=json_, empty="no device of the catalog is in such a state" if state else "there is no device"
    )


@app.command("timeline")
@ending
def timeline_(name: Name, as_of: AsOf = None, store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector device timeline roof-1/sdm630-1`.

    Everything that is known of one device, in order: each transition with the rule, the time and the report that caused
    it, what operators did, meters that were swapped, resets and gaps from sealed reports, what invoices said and took.
    """
    now = SystemClock().utc_ms() // 1000 if as_of is None else _instant("--as-of", as_of)
    with opened(settings(store=store)) as held:
        known = _revisions(held)
        try:
            events = timeline(held, StoreView(held), known, name, now)
        except UnknownDevice as error:
            say(str(error))
            raise typer.Exit(NOT_FOUND) from None
    if json_:
        print(json.dumps([event.to_json() for event in events], indent=2, ensure_ascii=False))
    else:
        print(table(events))


def table(events: Sequence[Event]) -> str:
    """The events for people: when, what, and why below it."""
    rows = []
    for event in events:
        mark = "  (expected)" if event.expected else ""
        rows.append(f"{iso(event.at)}  {event.what:<12}  {event.told}{mark}")
        rows += [f"{'':22}{'':14}{detail}" for detail in event.details]
    return "\n".join(rows)


def _do(
    word: Word,
    name: str,
    reason: str,
    at: str | None,
    by_whom: str | None,
    store: Any,
    *,
    dry_run: bool,
    json_: bool,
) -> None:
    who = _text("--as", by_whom if by_whom is not None else getpass.getuser(), NAME_CHARS_MAX)
    why = _text("--reason", reason, REASON_CHARS_MAX)
    now_ms = SystemClock().utc_ms()
    with opened(settings(store=store)) as held:
        known = _revisions(held)
        try:
            done = do(
                held,
                StoreView(held),
                known,
                word,
                device=name,
                at=now_ms // 1000 if at is None else _at(known, name, at),
                now_ms=now_ms,
                by_whom=who,
                reason=why,
                dry_run=dry_run,
            )
        except UnknownDevice as error:
            say(str(error))
            raise typer.Exit(NOT_FOUND) from None
        except NotPossible as error:
            say(str(error))
            raise typer.Exit(REFUSED) from None
    print(json.dumps(_answer(done), indent=2, ensure_ascii=False) if json_ else _sentence(done, dry_run=dry_run))


def _answer(done: Done) -> dict[str, Any]:
    deed = done.deed
    return {
        "device": deed.device,
        "contract": done.contract,
        "before": done.before,
        "state": deed.state.value,
        "at": iso(deed.at),
        "by": deed.by_whom,
        "reason": deed.reason,
        "said_at": iso(deed.said_at // 1000),
        "new": done.new,
        "billed": list(done.billed),
    }


def _sentence(done: Done, *, dry_run: bool) -> str:
    deed = done.deed
    if not done.new:
        return f"{deed.by_whom} said so on {iso(deed.said_at // 1000)} already: nothing changed"
    would = "would be" if dry_run else "is"
    said = f"{deed.device} ({done.contract}) {would} {deed.state.value} from {iso(deed.at)}; it was {done.before}"
    if done.billed:
        numbers = ", ".join(done.billed)
        said += f"\n{numbers} billed that time already: what differs comes with the next invoice"
    return said


def _row(chapter: Chapter, now: int) -> dict[str, Any]:
    start, foreseen = chapter.life.activation, chapter.foreseen
    return {
        "device": chapter.device.id,
        "contract": chapter.held.contract,
        "state": chapter.state_at(now),
        "since": iso(chapter.since(now)),
        "rule": None if start is None else start.cause.value,
        "billed_from": None if start is None else iso(start.at),
        "starts_by": None if foreseen is None else iso(foreseen.at),
        "why": start.why if start is not None else "" if foreseen is None else f"unless used before, {foreseen.why}",
    }


def _revisions(held: Store) -> tuple[Revision, ...]:
    try:
        return revisions(held)
    except NoCatalog as error:
        say(str(error))
        raise typer.Exit(NOT_FOUND) from None


def _at(known: Sequence[Revision], name: str, text: str) -> int:
    """An instant, or the beginning of a local date of whichever contract has the device then."""
    try:
        day = date.fromisoformat(text) if len(text) == len("2026-10-01") else None
    except ValueError:
        day = None
    if day is None:
        return _instant("--at", text)
    catalog = known[-1].catalog
    holding = [each for each in catalog.contracts.values() if name in [device.id for device in each.devices]]
    begun = [each for each in holding if each.start <= day] or holding
    zone = timezone_of(catalog, max(begun, key=lambda each: each.start)) if begun else catalog.operator.timezone
    return boundary(zone, day)


def _instant(option: str, text: str) -> int:
    try:
        return instant_ms_of(text) // 1000
    except ValueError as error:
        say(f"{option}: {error}")
        raise typer.Exit(2) from None


def _text(option: str, text: str, most: int) -> str:
    said = text.strip()
    if not said or len(said) > most or not said.isprintable():
        say(f"{option}: write 1 to {most} characters in one line")
        raise typer.Exit(2)
    return said
