"""`cloud-collector gateway holes` and `gateway resend`: lines that later ones prove to exist, and asking for them."""

import json
from typing import Annotated, Final

import typer

from cloud_collector.cli.gateway import Name, not_known, show_rows
from cloud_collector.cli.opened import Json, ending, opened, say, settings
from cloud_collector.fleet.asking import ask_again, holes_of
from cloud_collector.fleet.gateways import names
from shared.effects.clock import SystemClock

REFUSED: Final = 4


@ending
def holes(name: Annotated[str | None, typer.Argument(help="One gateway alone.")] = None, json_: Json = False) -> None:
    """Example: `cloud-collector gateway holes`.

    Every range of lines that is missing, by gateway, log and epoch. The collector asks for them with every receipt.
    """
    with opened(settings()) as store:
        if name is not None and store.row("gateway_one", name) is None:
            raise not_known(store, name)
        rows = [
            {
                "gateway": hole.gateway,
                "log": hole.log,
                "epoch": hole.epoch,
                "first": hole.first,
                "last": hole.last,
                "lines": hole.lines,
            }
            for gateway in ([name] if name is not None else names(store))
            for hole in holes_of(store, gateway)
        ]
    show_rows(rows, as_json=json_, empty="no line is missing")


@ending
def resend(
    name: Name,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked for.")] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector gateway resend house-7`.

    Ask a gateway for everything of it that is missing, by signed commands; `gateway show` has its answers.
    """
    with opened(settings()) as store:
        if store.row("gateway_one", name) is None:
            raise not_known(store, name)
        asked = ask_again(store, name, SystemClock().utc_ms(), dry_run=dry_run)
    if asked.why:
        say(asked.why)
        if not asked.counters:
            raise typer.Exit(REFUSED)
    if json_:
        print(json.dumps({"gateway": name, "missing": len(asked.wanted), "asked": list(asked.counters)}))
    elif not asked.wanted:
        say(f"nothing of {name} is missing")
    else:
        for hole in asked.new:
            print(f"{name}: log {hole.log}, epoch {hole.epoch}, {hole.first}-{hole.last}")
        verb = "would be asked for" if dry_run else "asked for, the running collector sends it"
        say(f"{len(asked.new)} {verb}; {len(asked.wanted) - len(asked.new)} asked for before")
