"""`cloud-collector warnings`: who was warned of what, and what was withdrawn."""

import json
from typing import Annotated, Any, Final

import typer

from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, say, settings
from cloud_collector.contracts.node import nearest
from cloud_collector.insight.alerts import public
from cloud_collector.store.store import Store

NOT_FOUND: Final = 3


@ending
def warnings(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A contract, or an account (default: all).")
    ] = None,
    store: StoreOption = None,
    standing: Annotated[bool, typer.Option("--standing", help="Only what has fired and was not withdrawn.")] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector warnings acme --standing`.

    Every threshold that fired, and every one that a correction withdrew, in their order.
    """
    with opened(settings(store=store)) as held:
        if name is not None:
            _known(held, name)
        rows = [(row, public(row)) for row in held.rows("warnings") if name is None or name in (row[1], row[2])]
    last = {(row[1], row[3], *row[5:9]): row[0] for row, _ in rows}
    kept = set(last.values())
    found = [told for row, told in rows if not standing or (row[0] in kept and told["what"] == "fired")]
    if json_:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for told in found:
        print(_line(told))
    if not found:
        say("nobody was warned" if not standing else "no warning stands")


def _line(told: dict[str, Any]) -> str:
    mark = "+" if told["what"] == "fired" else "-"
    return f"{told['at']}  {mark} {told['contract']}  {told['said']}"


def _known(held: Store, name: str) -> None:
    try:
        catalog = revisions(held)[-1].catalog
    except NoCatalog as error:
        say(str(error))
        raise typer.Exit(NOT_FOUND) from None
    if name not in catalog.contracts and name not in catalog.accounts:
        near = nearest(name, {*catalog.contracts, *catalog.accounts})
        say(f"the catalog has no contract and no account {name}{near}")
        raise typer.Exit(NOT_FOUND)
