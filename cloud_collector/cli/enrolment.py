"""`cloud-collector gateway invite|accept|revoke`: who becomes one of ours, and who is one no longer."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import segno
import typer

from cloud_collector.cli.desk import address_of, write_revoked
from cloud_collector.cli.gateway import Name, iso, not_known
from cloud_collector.cli.opened import Json, ending, opened, say, settings
from cloud_collector.cli.pki import RELOAD
from cloud_collector.fleet import invitations
from cloud_collector.fleet.decisions import LogPositions
from cloud_collector.fleet.invitations import (
    AcceptanceRefused,
    InvitationRefused,
    InvitationWrong,
    NothingPending,
    Pending,
)
from cloud_collector.fleet.pki import Pki, PkiMissing, PkiUnusable
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.claim import SECRET_BYTES, ClaimCode
from shared.effects.clock import SystemClock
from shared.errors import InvalidRecord
from shared.grammar import HEX8_PATTERN


@ending
def invite(
    name: Name,
    hours: Annotated[int, typer.Option("--hours", help="How long the code may be used; at most 720.")] = 24,
    replace: Annotated[
        bool, typer.Option("--replace", help="For new hardware: the key it replaces is revoked on acceptance.")
    ] = False,
    qr: Annotated[bool | None, typer.Option("--qr/--no-qr", help="Default: on a terminal.")] = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector gateway invite house-7`.

    Print a claim code, good for one use, and what to type on the gateway. An earlier code of it is void.
    """
    known = settings()
    pki = _pki(known)
    now_ms = SystemClock().utc_ms()
    code = ClaimCode.draw(os.urandom(SECRET_BYTES), pki.authority.issued.der)
    with opened(known, make=True) as store:
        try:
            invitations.invite(store, name, code, now_ms=now_ms, hours=hours, replaces=replace)
        except InvitationWrong as error:
            say(str(error))
            raise typer.Exit(2) from None
        except InvitationRefused as error:
            say(str(error))
            raise typer.Exit(4) from None
    command = f"edge-agent enrol {address_of(known, pki)} {code.text}"
    until = iso(now_ms + hours * invitations.HOUR_MS)
    if json_:
        print(json.dumps({"gateway": name, "code": code.text, "command": command, "ends_at": until}))
    else:
        print(f"{name} may enrol once until {until}. Type on the gateway:\n\n  sudo {command}\n")
        if sys.stdout.isatty() if qr is None else qr:
            segno.make(f"sudo {command}", micro=False).terminal(compact=True, border=2)
        print(f"Then compare the words that it shows: cloud-collector gateway accept {name} --words")
    if not known.enrolment.host:
        say("nothing listens there yet: set enrolment.host in the configuration, and start `cloud-collector run` again")


@ending
def accept(
    name: Name,
    words: Annotated[list[str] | None, typer.Argument(help="The eight words on the gateway's screen.")] = None,
    ask: Annotated[bool, typer.Option("--words", help="Show the words, and ask whether they are the same.")] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector gateway accept house-7 --words`.

    Enrol the pending key whose words are those on the gateway's screen; any others are refused (4).
    """
    known = settings()
    with opened(known) as store:
        waiting = invitations.pending(store, name)
        if not words and ask and waiting:
            words = [asked(waiting)]
        elif not words and waiting:
            say(f"type the words on the gateway's screen after {name}, or --words to be shown them here")
            raise typer.Exit(2)
        try:
            accepted, replaced = invitations.accept(store, name, words or (), now_ms=SystemClock().utc_ms())
        except NothingPending as error:
            say(str(error))
            raise typer.Exit(3) from None
        except AcceptanceRefused as error:
            say(str(error))
            raise typer.Exit(4) from None
        if json_:
            print(json.dumps({"gateway": name, "key": accepted.public.id, "replaced": list(replaced)}))
        else:
            print(
                f"{name}: key {accepted.public.id} enrolled; what it has sent meanwhile is taken when it sends it again"
            )
        if replaced:
            say(f"{', '.join(replaced)} revoked at its last accepted position")
            _tell_broker(known, store)


@ending
def revoke(
    name: Name,
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at",
            metavar="[LOG=]EPOCH:SEQ",
            help="The last position at which the key is believed, of the log main or LOG; repeatable. "
            "Default: of each log the last accepted one.",
        ),
    ] = None,
    key: Annotated[str, typer.Option("--key", help="Only the key with this id.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which keys, and revoke nothing.")] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector gateway revoke house-7 --at 5f3a9c01:4711`.

    Revoke a gateway's keys and certificates, turn down its pending key, void its invitation.
    """
    positions = _positions(at or ())
    known = settings()
    now_ms = SystemClock().utc_ms()
    with opened(known) as store:
        enrolled = [each for each in invitations.enrolled_keys(store, name) if key in ("", each)]
        waiting = [each.public.id for each in invitations.pending(store, name) if key in ("", each.public.id)]
        if store.row("gateway_one", name) is None and not store.rows("claimed_of", name):
            invited = (name,) in [row[:1] for row in store.rows("invitations_open")]
            if invited and not key:
                if not dry_run:
                    invitations.withdraw(store, name, now_ms)
                print("[]" if json_ else f"{name}: its invitation {'would be' if dry_run else 'is'} void")
                return
            raise not_known(store, name)
        if key and not enrolled and not waiting:
            say(f"{name} has no key {key} that could be revoked: `cloud-collector gateway show {name}` lists them")
            raise typer.Exit(3)
        if not dry_run:
            try:
                for each in enrolled:
                    invitations.revoke(store, name, each, positions=positions, now_ms=now_ms)
            except InvalidRecord as error:
                say(str(error))
                raise typer.Exit(4) from None
            invitations.withdraw(store, name, now_ms, key=key)
        rows = [{"key": each, "was": "enrolled"} for each in enrolled]
        rows += [{"key": each, "was": "pending"} for each in waiting]
        if json_:
            print(json.dumps(rows, indent=2))
        for row in () if json_ else rows:
            print(f"{name}: key {row['key']}, {row['was']}, {'would be' if dry_run else 'is'} revoked")
        if not rows:
            say(f"{name} has no key left to revoke")
        elif not dry_run:
            _tell_broker(known, store)


def asked(waiting: Sequence[Pending]) -> str:
    """The words that whoever sits here has found on the gateway's screen."""
    for each in waiting:
        say(
            f"key {each.public.id}, claimed {iso(each.claimed_at)} from {each.claimed_from}:\n\n  {each.public.words}\n"
        )
        try:
            same = typer.confirm("Do exactly these words stand on the gateway's screen?", err=True)
        except typer.Abort:
            say("\nnobody answered, and nothing is accepted: without a terminal, type the words after the name")
            raise typer.Exit(2) from None
        if same:
            return each.public.words
    say("then nothing is accepted; if the words differ, somebody else has used the code: revoke, and invite again")
    raise typer.Exit(4)


def _positions(texts: Sequence[str]) -> LogPositions:
    found: dict[str, tuple[str, int]] = {}
    for text in texts:
        log, _, position = text.rpartition("=")
        epoch, _, seq = position.partition(":")
        if HEX8_PATTERN.fullmatch(epoch) is None or not seq.isdecimal():
            say(f"--at takes EPOCH:SEQ or LOG=EPOCH:SEQ, such as main=5f3a9c01:4711; this is {text!r}")
            raise typer.Exit(2)
        found[log or "main"] = (epoch, int(seq))
    return found


def _tell_broker(known: CollectorSettings, store: Store) -> None:
    try:
        path = write_revoked(known, Pki.open(known.pki_path), store)
    except PkiMissing:
        return
    say(f"wrote {path}; {RELOAD}")


def _pki(known: CollectorSettings) -> Pki:
    try:
        return Pki.open(known.pki_path)
    except PkiMissing as error:
        say(str(error))
        raise typer.Exit(3) from None
    except PkiUnusable as error:
        say(str(error))
        raise typer.Exit(2) from None
