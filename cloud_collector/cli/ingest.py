"""`cloud-collector ingest`: logs for usage that programs send over HTTP, sealed with keys that the operator holds."""

import json
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from cloud_collector.cli.access import known_accounts
from cloud_collector.cli.deeds import whoever
from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.key import write_new
from cloud_collector.cli.opened import (
    Json,
    KeyUnusable,
    StoreOption,
    ending,
    opened,
    read_key,
    say,
    settings,
)
from cloud_collector.ingest.log import LogRefused, Meter, log_of, logs, open_log
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.chance import system_chance
from shared.effects.clock import SystemClock
from shared.errors import InvalidRecord
from shared.finding import Finding, bad, good
from shared.grammar import GATEWAY_PATTERN
from shared.key import SigningKey

NOT_FOUND: Final = 3
REFUSED: Final = 4
_log: Final = logging.getLogger(__name__)
app = typer.Typer(no_args_is_help=True, help="Logs for usage that programs send over HTTP.")


@app.command("open")
@ending
def open_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The log's name; its devices are NAME/DEVICE.")],
    account: Annotated[str, typer.Option("--account", metavar="NAME", help="Whose usage it takes, and nobody else's.")],
    meter: Annotated[
        list[str],
        typer.Option("--meter", metavar="NAME=UNIT[:DECIMALS]", help="What may be counted, and how fine; repeatable."),
    ],
    store: StoreOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector ingest open shop-1 --account acme --meter orders=1 --meter energy=kWh:3`.

    Open a log for events over HTTP and make its key; of one that is open, meters are added.
    """
    if GATEWAY_PATTERN.fullmatch(name) is None:
        say(f"{name!r} is no log: at most 32 lower case letters, digits and hyphens, no hyphen at the ends")
        raise typer.Exit(2)
    meters = [_meter(each) for each in meter]
    known = settings(store=store)
    with opened(known) as held:
        known_accounts(held, [account])
        new = log_of(held, name) is None
        path = key_path(known, name)
        if new and not path.exists():
            if held.rows("gateway_and_keys", name):
                say(f"{name} is a gateway that meters for itself: give the log a name of its own")
                raise typer.Exit(REFUSED)
            write_new(path, SigningKey(os.urandom(32)))
        elif not path.exists():
            say(
                f"the key of {name} is not at {path}: put it back from where you keep it, or open a log of another name"
            )
            raise typer.Exit(NOT_FOUND)
        public = read_key(path).public
        try:
            found = open_log(
                held,
                name,
                public,
                account=account,
                meters=meters,
                by=whoever().name,
                chance=system_chance,
                now_ms=SystemClock().utc_ms(),
            )
        except LogRefused as error:
            say(str(error))
            raise typer.Exit(REFUSED) from None
    if json_:
        print(
            json.dumps({**found.to_json(), "key": public.id, "sha256": public.sha256, "words": public.words}, indent=2)
        )
        return
    print(public.words)
    say(f"{name} takes {', '.join(each.told for each in found.meters)} of {account}; its key is kept at {path}")
    if new:
        say(f"next: a token, `cloud-collector token create NAME --scope ingest --account {account}`")


@app.command(name="list")
@ending
def list_(store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector ingest list`.

    Every log: whose it is, what it counts, until when it is sealed, and how many events wait.
    """
    known = settings(store=store)
    with opened(known) as held:
        found = [(each.to_json(), each) for each in logs(held)]
    rows = [told | {"key": _id_of(known, each.gateway)} for told, each in found]
    if json_:
        print(json.dumps(rows, indent=2))
        return
    shown = [
        {
            "log": row["log"],
            "account": row["account"],
            "meters": " ".join(meter.told for meter in each.meters),
            "lines": row["lines"],
            "sealed_until": row["sealed_until"],
            "waiting": row["events_waiting"],
            "key": row["key"] or "MISSING",
        }
        for row, (_, each) in zip(rows, found, strict=True)
    ]
    show_rows(
        shown, as_json=False, empty="there is no log: `cloud-collector ingest open NAME --account A --meter M=UNIT`"
    )


def ingest_folder(known: CollectorSettings) -> Path:
    """Where logs' keys lie."""
    return known.ingest_path or known.key_file.with_name("ingest")


def key_path(known: CollectorSettings, name: str) -> Path:
    """Where a log's key lies."""
    return ingest_folder(known) / f"{name}.pem"


def log_key(known: CollectorSettings, name: str) -> SigningKey | None:
    """A log's key; None, and a word in the program's log, where it cannot be read."""
    path = key_path(known, name)
    if not path.exists():
        return None
    try:
        return read_key(path)
    except KeyUnusable as error:
        _log.warning('event=ingest_key_unusable log=%s why="%s"', name, error)
        return None


def key_findings(known: CollectorSettings, store: Store) -> Iterator[Finding]:
    """For the doctor: whether each log's key is here."""
    for each in logs(store):
        name, path, key = f"log {each.gateway}", key_path(known, each.gateway), log_key(known, each.gateway)
        if key is None or key.public.id not in {row[0] for row in store.rows("gateway_keys", each.gateway)}:
            waiting = f"{each.waiting} events wait to be sealed"
            yield bad(name, f"its key is not at {path}; {waiting}", "put it back from where you keep it")
        elif path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield bad(name, f"others may read {path}", f"`chmod 600 {path}`")
        else:
            yield good(name, f"{key.public.id}, {key.public.words}")


def _id_of(known: CollectorSettings, name: str) -> str | None:
    found = log_key(known, name)
    return None if found is None else found.public.id


def _meter(told: str) -> Meter:
    name, _, rest = told.partition("=")
    unit, _, decimals = rest.partition(":")
    if not rest or (decimals and not decimals.isdecimal()) or len(decimals) > 2:
        say(f"{told[:64]!r} is no meter: write NAME=UNIT or NAME=UNIT:DECIMALS, such as energy=kWh:3")
        raise typer.Exit(2)
    try:
        return Meter(name=name, unit=unit, exponent=-int(decimals or "0"))
    except InvalidRecord as error:
        say(str(error))
        raise typer.Exit(2) from None
