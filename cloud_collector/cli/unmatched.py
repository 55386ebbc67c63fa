"""`cloud-collector unmatched`: what belongs to nobody that is known; letting it in, or hearing no more of it."""

import getpass
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cloud_collector.billing.billable import CannotBill
from cloud_collector.cli.enrolment import asked
from cloud_collector.cli.gateway import iso, show_rows
from cloud_collector.cli.key import read_public
from cloud_collector.cli.opened import Json, ending, opened, say, settings
from cloud_collector.contracts.assignment import CannotAssign
from cloud_collector.fleet.invitations import AcceptanceRefused, NothingPending, pending
from cloud_collector.insight import strangers
from cloud_collector.insight.strangers import Kind, NotAccepted, TooManyBlocks, UnknownStranger
from cloud_collector.store.store import Store
from shared.effects.clock import SystemClock
from shared.errors import InvalidRecord

NOT_FOUND: Final = 3
REFUSED: Final = 4

app = typer.Typer(no_args_is_help=True, help="What arrived and belongs to nobody that is known: accept or block it.")

Name = Annotated[str, typer.Argument(help="As `unmatched list` calls it: gateway, gateway#key, gateway/device, topic.")]


@app.command("list")
@ending
def list_(json_: Json = False) -> None:
    """Example: `cloud-collector unmatched list`.

    Messages that nobody knows, the newest first, then devices in no contract; each with the reason, the nearest known
    name, and what lets it in.
    """
    with opened(settings()) as store:
        found = strangers.strangers(store)
    rows: list[dict[str, Any]] = [
        {
            "name": each.name,
            "kind": each.kind.value,
            "reason": f"{each.reason}: its key awaits acceptance" if each.pending else each.reason,
            "nearest": each.nearest,
            "messages": each.messages or None,
            "last_at": iso(each.last_at),
            "next": each.next,
        }
        for each in found
    ]
    if json_:
        more = [{"topic": each.topic, "gateway": each.gateway, "first_at": iso(each.first_at)} for each in found]
        print(json.dumps([row | other for row, other in zip(rows, more, strict=True)], indent=2, ensure_ascii=False))
    else:
        show_rows(rows, as_json=False, empty="everything that arrived belongs to a known gateway and contract")


@app.command()
@ending
def accept(
    name: Name,
    words: Annotated[list[str] | None, typer.Argument(help="The eight words on the gateway's screen.")] = None,
    ask: Annotated[bool, typer.Option("--words", help="Show the words, and ask whether they are the same.")] = False,
    key: Annotated[
        Path | None, typer.Option("--key", help="The gateway's public key (PEM), in place of words.")
    ] = None,
    contract: Annotated[str, typer.Option("--contract", help="Of a device: the contract that it gets into.")] = "",
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="DATE", help="Of a device: the local date (default: the contract's)."),
    ] = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector unmatched accept house-7/heat-pump --contract house --from 2026-11-01`.

    Enrol the gateway's key, by its words or its file; or put the device into a contract, as the next revision.
    """
    now_ms = SystemClock().utc_ms()
    with opened(settings()) as store:
        try:
            if "/" in name:
                answer = _device(store, name, contract, from_, now_ms)
            elif key is not None:
                public = read_public(key)
                new = strangers.accept_key(store, name, public, now_ms=now_ms)
                answer = {"gateway": name.partition("#")[0], "key": public.id, "words": public.words, "new": new}
            else:
                gateway = name.partition("#")[0]
                given = _words(store, name, words, ask=ask)
                key_id = strangers.accept_words(store, name, given, now_ms=now_ms)
                answer = {"gateway": gateway, "key": key_id, "new": True}
        except (UnknownStranger, NothingPending) as error:
            say(str(error))
            raise typer.Exit(NOT_FOUND) from None
        except (AcceptanceRefused, NotAccepted, CannotAssign, CannotBill, InvalidRecord) as error:
            say(str(error))
            raise typer.Exit(REFUSED) from None
    if json_:
        print(json.dumps(answer, ensure_ascii=False))
    elif "revision" in answer:
        print(f"{name} is in {contract}: revision {answer['revision']}")
        say("take it over into the catalog that you keep: `cloud-collector catalog export`")
    else:
        print(f"{answer['gateway']}: key {answer['key']} enrolled; what it has sent is taken when it sends it again")


@app.command()
@ending
def block(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept.")] = "",
    as_: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Who does this (default: your login).")
    ] = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector unmatched block house-7 --reason "a neighbour's test"`.

    It is listed no more. What is enrolled is taken all the same: a block silences, and forbids nothing.
    """
    with opened(settings()) as store:
        try:
            made = strangers.block(
                store, name, by_whom=as_ or getpass.getuser(), reason=reason, now_ms=SystemClock().utc_ms()
            )
        except UnknownStranger as error:
            say(str(error))
            raise typer.Exit(NOT_FOUND) from None
        except TooManyBlocks as error:
            say(str(error))
            raise typer.Exit(REFUSED) from None
    print(json.dumps({"name": made.name, "kind": made.kind.value}) if json_ else f"{made.name} is heard of no more")


@app.command()
@ending
def unblock(name: Name, json_: Json = False) -> None:
    """Example: `cloud-collector unmatched unblock house-7`.

    What knocks under this name is listed again.
    """
    with opened(settings()) as store:
        try:
            gone = strangers.unblock(store, name)
        except UnknownStranger as error:
            say(str(error))
            raise typer.Exit(NOT_FOUND) from None
    print(json.dumps({"name": gone.name, "kind": gone.kind.value}) if json_ else f"{gone.name} may knock again")


@app.command()
@ending
def blocked(json_: Json = False) -> None:
    """Example: `cloud-collector unmatched blocked`.

    Everything that is blocked, since when, by whom and why.
    """
    with opened(settings()) as store:
        rows = [
            {
                "name": each.name,
                "kind": each.kind.value,
                "at": iso(each.at),
                "by_whom": each.by_whom,
                "reason": each.reason,
            }
            for each in strangers.blocks(store)
        ]
    show_rows(rows, as_json=json_, empty="nothing is blocked")


def _device(store: Store, name: str, contract: str, from_: str | None, now_ms: int) -> dict[str, Any]:
    if not contract:
        say(f"name the contract that {name} gets into: --contract NAME (`cloud-collector catalog show` has them)")
        raise typer.Exit(2)
    try:
        start = None if from_ is None else date.fromisoformat(from_)
    except ValueError:
        say(f"--from takes a local date such as 2026-11-01; this is {from_!r}")
        raise typer.Exit(2) from None
    applied = strangers.accept_device(store, name, contract, start, now_ms=now_ms)
    return {"device": name, "contract": contract, "revision": applied.number, "new": applied.new}


def _words(store: Store, name: str, words: Sequence[str] | None, *, ask: bool) -> Sequence[str]:
    """The words that were typed or confirmed; ends the command where there is nothing to compare them with."""
    gateway = name.partition("#")[0]
    waiting = pending(store, gateway)
    if not waiting:
        if strangers.stranger_of(store, name).kind is Kind.TOPIC:
            raise NotAccepted(f"{name} is no gateway's topic: mend what is sent there")
        say(
            f"no key of {gateway} has claimed an invitation, so there are no words to compare: `cloud-collector "
            f"gateway invite {gateway}`, or name its public key with --key FILE"
        )
        raise typer.Exit(NOT_FOUND)
    if words:
        return words
    if ask:
        return [asked(waiting)]
    say(f"type the words on the gateway's screen after {name}, or --words to be shown them here")
    raise typer.Exit(2)
