"""`cloud-collector config init`: a whole production set-up in a folder, to be read before it is used."""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from cloud_collector.cli.opened import Json, ending, say
from cloud_collector.settings import CollectorSettings
from cloud_collector.upkeep.production import LOCAL_POSTGRES, Chosen, Written, set_up
from shared.effects.sqlite import sync
from shared.errors import InvalidRecord

REFUSED: Final = 4
SECRET_BYTES: Final = 24


@ending
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet, or is empty.")],
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host", metavar="NAME", help="A name or address by which gateways reach this machine; repeatable."
        ),
    ] = None,
    postgres: Annotated[
        str | None,
        typer.Option("--postgres", metavar="URL", help="Keep the store there; `local` is a server on this machine."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector config init site --host collector.example --postgres local`.

    Write a commented production set-up: collector, broker, units, timers, compose file, monitoring, next steps.
    """
    hosts = tuple(host or _asked())
    store = LOCAL_POSTGRES if postgres == "local" else postgres or ""
    try:
        CollectorSettings(store=store)
        files = set_up(
            Chosen(hosts=hosts, store=store, uid=os.getuid()),
            postgres_password=secrets.token_urlsafe(SECRET_BYTES),
            grafana_password=secrets.token_urlsafe(SECRET_BYTES),
        )
    except InvalidRecord as error:
        say(str(error))
        raise typer.Exit(2) from None
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        say(f"{folder} is there and not empty; nothing is overwritten: name another folder")
        raise typer.Exit(REFUSED)
    if not dry_run:
        _write(folder, files)
    rows = [
        {"file": str(folder / each.name), "bytes": len(each.text.encode()), "mode": f"{each.mode:04o}"}
        for each in files
    ]
    if json_:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(row["file"])
    say("nothing was written: --dry-run" if dry_run else f"read {folder / 'README.md'}: it says what to do next")


def _asked() -> list[str]:
    """The host, asked for at a terminal; elsewhere the command ends."""
    if not sys.stdin.isatty():
        say("name the host as gateways will call it: --host collector.example")
        raise typer.Exit(2)
    answer: str = typer.prompt("By which name or address do gateways reach this machine", err=True)
    return [answer.strip()]


def _write(folder: Path, files: list[Written]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for each in files:
        path = folder / each.name
        path.parent.mkdir(exist_ok=True, mode=0o700 if each.name.startswith("secrets/") else 0o755)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, each.mode), "w", encoding="utf-8") as out:
            out.write(each.text)
    sync(folder)
