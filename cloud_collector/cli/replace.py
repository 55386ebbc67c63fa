"""`cloud-collector key rotate-receipt` and `key recover`: the operator's receipt key, replaced gateway by gateway."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.key import write_new
from cloud_collector.cli.opened import Json, ending, opened, read_key, say, settings
from cloud_collector.fleet.gateways import names
from cloud_collector.fleet.orders import current_epoch, give_sealed, told
from cloud_collector.store.store import Store
from shared.command import trust_order
from shared.effects.clock import SystemClock
from shared.errors import InvalidRecord
from shared.key import SigningKey

PARTLY: Final = 5
_LAST: Final = 64


@ending
def rotate_receipt(json_: Json = False) -> None:
    """Example: `cloud-collector key rotate-receipt`.

    Replace the receipt key: the same again shows who has confirmed the next one, and ends when all have.
    """
    known = settings()
    path = known.key_file
    following = _next_of(path)
    if not following.exists():
        write_new(following, SigningKey(os.urandom(32)))
    new = read_key(following)
    done = _told_all(read_key(path), new, as_json=json_)
    if not done:
        say(f"the same command again goes on; until all have confirmed it, {path} and {following} are both needed")
        raise typer.Exit(PARTLY)
    old = path.with_name(f"{path.name}.old")
    old.unlink(missing_ok=True)
    os.link(path, old)
    # Whole at every moment: there is a receipt key at its path, the last or the next.
    following.replace(path)
    say(f"{path} is the next key now, {new.public.id}, and {old} the last one; restart `cloud-collector run`")
    print(new.public.words)


@ending
def recover(
    recovery: Annotated[Path, typer.Option("--recovery-key", metavar="FILE", help="The offline recovery key (PEM).")],
    json_: Json = False,
) -> None:
    """Example: `cloud-collector key recover --recovery-key /media/safe/recovery.pem`.

    Replace a receipt key that is lost or stolen: the recovery key signs for the next one. Then restart the collector.
    """
    known = settings()
    path, signer = known.key_file, read_key(recovery)
    if not path.exists():
        write_new(path, SigningKey(os.urandom(32)))
        say(f"made {path}: restart `cloud-collector run`, so that it signs with it")
    done = _told_all(signer, read_key(path), as_json=json_)
    if not done:
        say("the same command again shows who has confirmed it, and asks the others; they keep what has no receipt")
        raise typer.Exit(PARTLY)


class Finder:
    """The key that is about to replace the receipt key, by its id, looked for on disk."""

    def __init__(self, path: Path) -> None:
        self._paths = (_next_of(path), path)

    def __call__(self, name: str) -> SigningKey | None:
        """The key of this id, where it is there."""
        for path in self._paths:
            if path.exists():
                found = read_key(path)
                if found.public.id == name:
                    return found
        return None


def _next_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")


def _told_all(by: SigningKey, new: SigningKey, *, as_json: bool) -> bool:
    """Every gateway was asked to trust the key; whether all have answered that they do."""
    with opened(settings()) as store:
        rows = [{"gateway": name, "state": state} for name, state in _asked(store, by, new)]
    show_rows(rows, as_json=as_json, empty="there is no gateway yet: nobody has to be told")
    if not as_json:
        counts = Counter("confirmed" if row["state"] == "confirmed" else "open" for row in rows)
        say(", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none")
    return all(row["state"] == "confirmed" for row in rows)


def _asked(store: Store, by: SigningKey, new: SigningKey) -> Iterator[tuple[str, str]]:
    now_ms = SystemClock().utc_ms()
    for name in names(store):
        trusted = store.row("receipt_trust_one", name)
        if trusted is not None and trusted[0] == new.public.id:
            yield name, "confirmed"
            continue
        waits = _waiting(store, name, new)
        if waits is not None:
            yield name, waits
            continue
        if current_epoch(store, name) is None:
            yield name, "has not spoken yet"
            continue
        yield name, _ask(store, name, by, new, now_ms)


def _ask(store: Store, name: str, by: SigningKey, new: SigningKey, now_ms: int) -> str:
    try:
        give_sealed(store, name, lambda epoch, counter: trust_order(name, epoch, counter, new), by, now_ms)
    except InvalidRecord as error:
        return str(error)
    return "asked"


def _waiting(store: Store, name: str, new: SigningKey) -> str | None:
    """How the command for this very key stands, where one is on its way."""
    for row in told(store, name, _LAST):
        if row["do"] == "trust_key" and row["with"].get("next") == new.public.text:
            return str(row["state"]) if row["answered_at"] is None and row["state"] != "given up" else None
    return None
