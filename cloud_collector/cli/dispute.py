"""`cloud-collector dispute`: what customers say is wrong, and what was said to it."""

import json
from typing import Annotated, Final

import typer

from cloud_collector.billing.disputes import dispute, disputes
from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, say, settings

app = typer.Typer(no_args_is_help=True, help="Disputed invoices: what customers say is wrong, and how it stands.")
NOT_FOUND: Final = 3


@app.command(name="list")
@ending
def list_(
    account: Annotated[str, typer.Option("--account", metavar="NAME", help="Only this account's.")] = "",
    store: StoreOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector dispute list --account acme`.

    Every dispute, the newest first: of which line, and how it stands.
    """
    with opened(settings(store=store)) as held:
        found = [each.to_json() for each in disputes(held, account)]
    if json_:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    names = "id account invoice line amount state at who".split()
    show_rows([{name: each[name] for name in names} for each in found], as_json=False, empty="nothing is disputed")


@app.command()
@ending
def show(
    dispute_: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="The dispute's number.")],
    store: StoreOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector dispute show 3`.

    What both sides said, whether the evidence verified when it was opened, and the credit note that came of it.
    """
    with opened(settings(store=store)) as held:
        found = dispute(held, dispute_)
    if found is None:
        say(f"there is no dispute {dispute_}: `cloud-collector dispute list` names them all")
        raise typer.Exit(NOT_FOUND)
    if json_:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
        return
    of = f"line {found.place}" if found.place else "all of it"
    verified = "verified" if found.holds else "did not verify"
    print(f"dispute {found.id} of {found.number}, {of}, {found.amount}: {found.state}")
    print(f"evidence {found.evidence}, which {verified} then")
    for word in found.words:
        print(f"\n{word.to_json()['at']}  {word.who} ({word.side}), {word.what}:\n{word.said}")
    if found.credit is not None:
        print(f"\ntaken back by {found.credit[0]}: {found.credit[1]}")
