"""What the commands on people and tokens share: which accounts there are, how they end."""

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.cli.opened import say
from cloud_collector.contracts.node import nearest
from cloud_collector.store.store import Store

NOT_FOUND: Final = 3
REFUSED: Final = 4
Accounts = Annotated[
    list[str] | None, typer.Option("--account", metavar="NAME", help="This account alone; repeatable (default: all).")
]


def known_accounts(store: Store, names: Sequence[str] | None) -> frozenset[str] | None:
    """The accounts, which the catalog knows; ends the command with 3 where it does not."""
    if not names:
        return None
    try:
        there = revisions(store)[-1].catalog.accounts
    except NoCatalog:
        there = {}
    for name in names:
        if name not in there:
            say(f"the catalog has no account {name[:48]!r}{nearest(name, there)}")
            raise typer.Exit(NOT_FOUND)
    return frozenset(names)
