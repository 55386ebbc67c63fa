"""`cloud-collector gateway holes` and `gateway resend`: lines that later ones prove to exist, and asking for them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from cloud_collector.cli.gateway import Name, not_known, show_rows
from cloud_collector.cli.opened import Json, ending, opened, say, settings
from cloud_collector.fleet.gateways import names
from cloud_collector.fleet.holes import missing
from cloud_collector.fleet.orders import current_epoch, give_order, told
from cloud_collector.fleet.positions import chain_of
from cloud_collector.limits import COMMANDS_OPEN_MAX
from cloud_collector.store.store import Store
from shared.command import Resend
from shared.effects.clock import SystemClock
from shared.errors import InvalidRecord

REFUSED: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """A range of positions that is missing."""

    gateway: str
    log: str
    epoch: str
    first: int
    last: int


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
                "lines": hole.last - hole.first + 1,
            }
            for gateway in ([name] if name is not None else names(store))
            for hole in _holes(store, gateway)
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
        wanted = list(_holes(store, name))
        asked = {
            (row["with"]["log"], row["with"]["epoch"], *row["with"]["seq"])
            for row in told(store, name, COMMANDS_OPEN_MAX)
            if row["do"] == "resend" and row["answered_at"] is None and row["state"] != "given up"
        }
        new = [hole for hole in wanted if (hole.log, hole.epoch, hole.first, hole.last) not in asked]
        if new and current_epoch(store, name) is None:
            say(f"{name} has not spoken yet: there is nothing to ask for")
            raise typer.Exit(REFUSED)
        given = [] if dry_run else list(_ask(store, name, new))
    if json_:
        print(json.dumps({"gateway": name, "missing": len(wanted), "asked": given}))
    elif not wanted:
        say(f"nothing of {name} is missing")
    else:
        for hole in new:
            print(f"{name}: log {hole.log}, epoch {hole.epoch}, {hole.first}-{hole.last}")
        verb = "would be asked for" if dry_run else "asked for, the running collector sends it"
        say(f"{len(new)} {verb}; {len(wanted) - len(new)} asked for before")


def _ask(store: Store, name: str, wanted: list[Hole]) -> Iterator[int]:
    now_ms = SystemClock().utc_ms()
    for hole in wanted:
        order = Resend(log=hole.log, epoch=hole.epoch, first=hole.first, last=hole.last)
        try:
            yield give_order(store, name, order, now_ms)
        except InvalidRecord as error:
            say(str(error))
            return


def _holes(store: Store, gateway: str) -> Iterator[Hole]:
    for row in store.rows("chains_of_gateway", gateway):
        chain = chain_of(store.rows("chain_by_name", gateway, row[0], row[1])[0])
        if chain.through < chain.top:
            for first, last in missing(store, chain):
                yield Hole(gateway=gateway, log=row[0], epoch=row[1], first=first, last=last)
