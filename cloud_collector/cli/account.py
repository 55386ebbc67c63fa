"""`cloud-collector account` and `contract`: who pays and owes what, and what was agreed with them."""

from decimal import Decimal
from typing import Annotated, Final

import typer

from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, settings
from cloud_collector.insight.device_index import device_index
from cloud_collector.insight.ledger import account_rows

app = typer.Typer(no_args_is_help=True, help="Accounts: who pays, and what is open.")
NO_CATALOG: Final = "no catalog has been applied yet: `cloud-collector catalog apply FILE` does it"
contract = typer.Typer(no_args_is_help=True, help="Contracts: what was agreed with whom.")


@app.callback()
@contract.callback()
def _group() -> None:
    """Keep `list` a verb of its own."""


@app.command(name="list")
@ending
def list_(store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector account list`.

    Every account with its contracts, devices, what is issued and not paid, and what credit it has.
    """
    with opened(settings(store=store)) as held:
        try:
            found = account_rows(held, revisions(held)[-1].catalog)
        except NoCatalog:
            found = []
    rows = [
        {
            "account": each.account,
            "name": each.name,
            "contracts": each.contracts,
            "devices": each.devices,
            "open": _plain(each.open) if json_ else _told(each.open),
            "credit": _plain(each.credit) if json_ else _told(each.credit),
            "parked": each.parked,
        }
        for each in found
    ]
    show_rows(rows, as_json=json_, empty=NO_CATALOG)


@contract.command(name="list")
@ending
def contracts(
    account: Annotated[str, typer.Option("--account", metavar="NAME", help="Only those of this account.")] = "",
    store: StoreOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector contract list --account acme`.

    Every contract of the newest catalog with its plan and devices, and why it is parked, where it is.
    """
    with opened(settings(store=store)) as held:
        try:
            catalog = revisions(held)[-1].catalog
        except NoCatalog:
            show_rows([], as_json=json_, empty=NO_CATALOG)
            return
        parked = {name: reason for name, _, reason, _ in held.rows("parked")}
    counts = device_index(catalog).counts
    rows = [
        {
            "contract": name,
            "account": each.account,
            "plan": each.plan.name,
            "devices": counts.get(name, 0),
            "start": each.start.isoformat(),
            "end": None if each.end is None else each.end.isoformat(),
            "parked": parked.get(name),
        }
        for name, each in sorted(catalog.contracts.items())
        if account in ("", each.account)
    ]
    show_rows(rows, as_json=json_, empty=f"{account} has no contract")


def _plain(sums: dict[str, Decimal]) -> dict[str, str]:
    return {code: f"{amount:f}" for code, amount in sorted(sums.items())}


def _told(sums: dict[str, Decimal]) -> str:
    return ", ".join(f"{amount} {code}" for code, amount in _plain(sums).items())
