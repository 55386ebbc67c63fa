"""What the commands on people and tokens share: who gives the command, which accounts there are, the log."""

import getpass
import os
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from cloud_collector.access import trail
from cloud_collector.access.viewer import Deed, Means, Role, Viewer, everything
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.cli.opened import say
from cloud_collector.contracts.node import nearest
from cloud_collector.store.store import Store

NOT_FOUND: Final = 3
REFUSED: Final = 4
Accounts = Annotated[
    list[str] | None, typer.Option("--account", metavar="NAME", help="This account alone; repeatable (default: all).")
]


def whoever() -> Viewer:
    """Who gives this command: whoever may read the store may change it, and the log says by which name."""
    name = os.environ.get("SUDO_USER") or _user()
    return everything(Role.OPERATOR, name, means=Means.COMMAND)


def note(store: Store, deed: Deed, what: str, *, now_ms: int, account: str = "") -> None:
    """It stands in the log what this command did."""
    trail.enter(store, whoever(), deed, what, account=account, now_ms=now_ms)


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


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
