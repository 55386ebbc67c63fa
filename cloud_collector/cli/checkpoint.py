"""`cloud-collector checkpoint`: the signed roots over everything accepted and issued, and proofs under them."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cloud_collector.cli.gateway import iso, show_rows
from cloud_collector.cli.opened import Json, archive, ending, opened, say, settings, signing_key
from cloud_collector.store.store import Store
from cloud_collector.upkeep.checkpoints import all_checkpoints, faults, make, newest_of, origin_of
from cloud_collector.upkeep.tree import Tree
from shared.checkpoint import read_checkpoint
from shared.effects.clock import SystemClock
from shared.errors import InvalidRecord, Refused
from shared.key import PublicKey
from shared.line import parse
from shared.merkle import consistent, from_text, includes, leaf_hash, text_of

NOT_FOUND: Final = 3

app = typer.Typer(no_args_is_help=True, help="Signed roots over everything accepted and issued; proofs under them.")


@app.command("list")
@ending
def list_(json_: Json = False) -> None:
    """Example: `cloud-collector checkpoint list`.

    Every checkpoint: its log, how many leaves, the root, when.
    """
    with opened(settings()) as store:
        rows = [
            {
                "at": iso(each.checkpoint.at * 1000),
                "origin": each.checkpoint.origin,
                "size": each.checkpoint.size,
                "root": each.checkpoint.root,
            }
            | ({"line": each.line.decode()} if json_ else {})
            for each in all_checkpoints(store)
        ]
    show_rows(rows, as_json=json_, empty="no checkpoint yet: the running collector signs one a day")


@app.command("make")
@ending
def make_() -> None:
    """Example: `cloud-collector checkpoint make`.

    Sign a checkpoint now, over everything that was accepted and issued; nothing where nothing is new.
    """
    known = settings()
    key, folder = signing_key(known), archive(known)
    with opened(known) as store:
        now = SystemClock().utc_ms() // 1000
        origin, made = origin_of(store, key.public), None
        while made is None:
            before = Tree(store, origin).size
            made = make(store, key, folder, now)
            if made is None and Tree(store, origin).size == before:
                say("nothing is new since the last checkpoint")
                return
    print(f"{made.checkpoint.origin} at {made.checkpoint.size}: {made.checkpoint.root}")


@app.command()
@ending
def prove(
    what: Annotated[str, typer.Argument(help="An invoice's number, or the hash of a line.")] = "",
    since: Annotated[
        int | None, typer.Option("--from", metavar="SIZE", help="Prove that the log grew from its checkpoint at SIZE.")
    ] = None,
) -> None:
    """Example: `cloud-collector checkpoint prove INV-7 > proof.json`.

    Print a proof (JSON) under the newest checkpoint: that an invoice or a line is in it, or that it grew from an older.
    """
    known = settings()
    key = signing_key(known).public
    with opened(known) as store:
        newest = newest_of(store, origin_of(store, key))
        if newest is None:
            say("there is no checkpoint yet: `cloud-collector checkpoint make`")
            raise typer.Exit(NOT_FOUND)
        told, tree = newest.checkpoint, Tree(store, newest.checkpoint.origin)
        proof: dict[str, Any] = {"checkpoint": newest.line.decode()}
        if since is not None:
            older = [
                e for e in all_checkpoints(store) if (e.checkpoint.origin, e.checkpoint.size) == (told.origin, since)
            ]
            if not older:
                say(f"the log {told.origin} has no checkpoint at {since}: `cloud-collector checkpoint list`")
                raise typer.Exit(NOT_FOUND)
            path = tree.prove_consistency(since, told.size)
            proof |= {"older": older[0].line.decode(), "consistency": [text_of(node) for node in path]}
        else:
            place = _place(store, told.origin, told.size, what)
            path = tree.prove_inclusion(told.size, place)
            proof |= {"leaf": what, "index": place, "inclusion": [text_of(node) for node in path]}
    print(json.dumps(proof, indent=1))


@app.command()
@ending
def verify(
    proof: Annotated[Path | None, typer.Argument(help="A proof; without one, everything in the store.")] = None,
    line: Annotated[
        Path | None,
        typer.Option("--line", metavar="FILE", help="The sealed line that the proof is of, such as INV-7.ms."),
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The operator's public key (PEM).")] = None,
) -> None:
    """Example: `cloud-collector checkpoint verify`.

    Without a proof: every checkpoint's seal and root, that each grew from the one before, and that no leaf was changed.
    With one: that it holds under the operator's key. Exit 6 where not.
    """
    if proof is None:
        known = settings()
        with opened(known) as store:
            found = list(faults(store, signing_key(known).public))
            count = len(all_checkpoints(store))
        for fault in found:
            print(fault)
        if found:
            raise typer.Exit(6)
        print(f"{count} checkpoints hold, and every leaf is what it was")
        return
    public = signing_key(settings()).public if key is None else _public(key)
    why = _fault_of(json.loads(proof.read_text(encoding="utf-8")), None if line is None else line.read_bytes(), public)
    if why is not None:
        say(f"{proof}: {why}")
        raise typer.Exit(6)
    print(f"{proof} holds")


def _fault_of(proof: dict[str, Any], line: bytes | None, key: PublicKey) -> str | None:
    """Why a proof does not hold; None where it does."""
    try:
        newest = _checkpoint(proof["checkpoint"], key)
        if isinstance(newest, str):
            return newest
        if "consistency" in proof:
            older = _checkpoint(proof["older"], key)
            if isinstance(older, str):
                return older
            path = [from_text(node) for node in proof["consistency"]]
            roots = from_text(older[1]), older[0], from_text(newest[1]), newest[0]
            return None if consistent(*roots, path) else "the newer log did not grow from the older one"
        if line is None:
            return "name the sealed line that it is of, with --line"
        path = [from_text(node) for node in proof["inclusion"]]
        held = includes(from_text(newest[1]), newest[0], proof["index"], leaf_hash(line.strip()), path)
    except (KeyError, TypeError, AttributeError, InvalidRecord) as error:
        return f"this is no proof: {error}"
    return None if held else "the line is not in the checkpoint"


def _checkpoint(text: str, key: PublicKey) -> tuple[int, str] | str:
    parsed = parse(text.encode())
    if isinstance(parsed, Refused):
        return parsed.reason
    if not parsed.verified_by(key):
        return f"the operator's key {key.id} has not signed the checkpoint"
    told = read_checkpoint(parsed)
    return told.reason if isinstance(told, Refused) else (told.size, told.root)


def _place(store: Store, origin: str, size: int, what: str) -> int:
    row = store.row("leaf_of_invoice", origin, what) or store.row("leaf_of_line", origin, what)
    if row is None or row[0] >= size:
        say(f"{what or 'nothing'} is in no checkpoint of {origin}: name an invoice's number or a line's hash")
        raise typer.Exit(NOT_FOUND)
    return int(row[0])


def _public(path: Path) -> PublicKey:
    return PublicKey.from_pem(path.read_text(encoding="ascii"))
