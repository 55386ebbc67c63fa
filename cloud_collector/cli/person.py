"""`cloud-collector person`: who can sign in, as what, and a link for whoever no e-mail reaches."""

import json
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from cloud_collector.access.people import NoSuchPerson, PersonRefused, email_of, people, person_of, put_person
from cloud_collector.access.people import remove_person as remove_from
from cloud_collector.access.secret import SECRET_BYTES
from cloud_collector.access.sessions import Lasting, offer_link, sessions_of
from cloud_collector.access.viewer import Role
from cloud_collector.cli.access import NOT_FOUND, REFUSED, Accounts, known_accounts
from cloud_collector.cli.deeds import whoever
from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, say, settings
from cloud_collector.web.door import HOUR_MS, Door
from cloud_collector.web.sign_in import link_of
from shared.effects.chance import system_chance
from shared.effects.clock import SystemClock

app = typer.Typer(no_args_is_help=True, help="Let people in: operators, approvers, auditors, customers.")
Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The e-mail address that they sign in with.")]
As = Annotated[
    str, typer.Option("--role", metavar="ROLE", help="operator, approver, auditor or customer (default: customer).")
]
T = TypeVar("T")


@app.command()
@ending
def add(email: Email, role: As = "customer", account: Accounts = None, store: StoreOption = None) -> None:
    """Example: `cloud-collector person add anna@acme.example --account acme`.

    Let somebody sign in: a customer to the accounts that are named, everybody else to the operator's pages.
    """
    _put(email, role, account, store, new=True)


@app.command()
@ending
def role(
    email: Email,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="operator, approver, auditor or customer.")],
    account: Accounts = None,
    store: StoreOption = None,
) -> None:
    """Example: `cloud-collector person role bert@utility.example auditor`.

    Change what somebody may do, or which accounts a customer sees: from the next page on.
    """
    _put(email, role, account, store, new=False)


@app.command(name="list")
@ending
def list_(store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector person list`.

    Everybody who was ever let in, what they may do, and who let them in.
    """
    with opened(settings(store=store)) as held:
        rows = [each.to_json() for each in people(held)]
    if json_:
        print(json.dumps(rows, indent=2))
        return
    shown = [
        {
            "email": row["email"],
            "state": row["state"],
            "role": row["role"],
            "sees": "every account" if row["accounts"] is None else " ".join(row["accounts"]),
            "added_at": row["added_at"],
            "added_by": row["added_by"],
        }
        for row in rows
    ]
    show_rows(shown, as_json=False, empty="nobody: `cloud-collector person add EMAIL --role operator` lets somebody in")


@app.command()
@ending
def sessions(email: Email, store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector person sessions anna@acme.example`.

    The browsers in which somebody is signed in now: since when, last used, until when.
    """
    known = settings(store=store)
    lasting = Lasting(idle_ms=known.sign_in.idle_hours * HOUR_MS, whole_ms=known.sign_in.session_days * 24 * HOUR_MS)
    with opened(known) as held:
        name = _done(lambda: email_of(email))
        if person_of(held, name) is None:
            say(f"nobody is known as {name}: `cloud-collector person list` names them all")
            raise typer.Exit(NOT_FOUND)
        rows = [each.to_json() for each in sessions_of(held, name, SystemClock().utc_ms(), lasting)]
    show_rows(rows, as_json=json_, empty=f"{name} is signed in nowhere")


@app.command()
@ending
def remove(email: Email, store: StoreOption = None) -> None:
    """Example: `cloud-collector person remove anna@acme.example`.

    They are signed out everywhere and cannot sign in any more; what they did stays in the log.
    """
    now_ms = SystemClock().utc_ms()
    with opened(settings(store=store)) as held:
        found = _done(lambda: remove_from(held, email, now_ms=now_ms))
    say(f"{found.email} is removed, and signed out everywhere")


@app.command()
@ending
def link(email: Email, store: StoreOption = None) -> None:
    """Example: `cloud-collector person link bert@utility.example`.

    Print a link that signs them in, once: for the first operator, and for whoever no e-mail reaches.
    """
    known = settings(store=store)
    now_ms = SystemClock().utc_ms()
    door = Door(url=known.web.url or f"http://{known.web.host or '127.0.0.1'}:{known.web.port}")
    with opened(known) as held:
        name = _done(lambda: email_of(email))
        if person_of(held, name) is None:
            say(f"nobody is known as {name}: `cloud-collector person list` names them all")
            raise typer.Exit(NOT_FOUND)
        secret = offer_link(
            held,
            name,
            "",
            chance=system_chance(SECRET_BYTES),
            now_ms=now_ms,
            lasts_ms=known.sign_in.link_minutes * 60_000,
        )
    print(link_of(door, secret))
    say(f"it signs {name} in, once, within {known.sign_in.link_minutes} minutes: hand it over as you would a key")


def _put(email: str, word: str, account: list[str] | None, store: str | None, *, new: bool) -> None:
    try:
        what = Role(word)
    except ValueError:
        say(f"{word[:32]!r} is no role: it is one of {', '.join(Role)}")
        raise typer.Exit(2) from None
    now_ms = SystemClock().utc_ms()
    with opened(settings(store=store)) as held:
        accounts = known_accounts(held, account)
        made = _done(
            lambda: put_person(held, email, role=what, accounts=accounts, by=whoever().name, now_ms=now_ms, new=new)
        )
    sees = "every account" if made.accounts is None else ", ".join(sorted(made.accounts))
    say(f"{made.email} is {made.role} and sees {sees}")


def _done(deed: Callable[[], T]) -> T:
    try:
        return deed()
    except NoSuchPerson as error:
        say(str(error))
        raise typer.Exit(NOT_FOUND) from None
    except PersonRefused as error:
        say(str(error))
        raise typer.Exit(REFUSED) from None
