"""`cloud-collector token`: what programs show to the API; made, listed, revoked."""

import json
from typing import Annotated

import typer

from cloud_collector.access.secret import SECRET_BYTES
from cloud_collector.access.tokens import TokenRefused, make_token, revoke_token, tokens
from cloud_collector.access.viewer import Deed
from cloud_collector.cli.access import NOT_FOUND, REFUSED, Accounts, known_accounts
from cloud_collector.cli.deeds import whoever
from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, say, settings
from shared.effects.chance import system_chance
from shared.effects.clock import SystemClock

app = typer.Typer(no_args_is_help=True, help="Let programs in, with tokens that end and can be revoked.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="The token's name; never used twice.")]


@app.command()
@ending
def create(
    name: Name,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", metavar="DEED", help="What it may do; repeatable (default: read).")
    ] = None,
    account: Accounts = None,
    days: Annotated[int, typer.Option("--days", metavar="N", help="It ends after so many days.")] = 90,
    store: StoreOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector token create grafana --scope read --days 365`.

    Make a token for a program and print it, once: nothing but its hash is kept.
    """
    scopes = [_deed(each) for each in scope or ["read"]]
    now_ms = SystemClock().utc_ms()
    with opened(settings(store=store)) as held:
        accounts = known_accounts(held, account)
        try:
            secret = make_token(
                held,
                name,
                scopes=scopes,
                accounts=accounts,
                days=days,
                by=whoever().name,
                chance=system_chance(SECRET_BYTES),
                now_ms=now_ms,
            )
        except TokenRefused as error:
            say(str(error))
            raise typer.Exit(REFUSED) from None
        (made,) = [each for each in tokens(held) if each.name == name]
    if json_:
        print(json.dumps({"token": secret, **made.to_json(now_ms)}, indent=2))
        return
    print(secret)
    say(f"{name} lasts until {made.to_json(now_ms)['ends_at']}, and is shown this once")
    say(f"send it as a header: Authorization: Bearer {secret[:6]}…")


@app.command(name="list")
@ending
def list_(store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector token list`.

    Every token: whether it is valid, what it may do and see, until when, and when it was last used, to the hour.
    """
    now_ms = SystemClock().utc_ms()
    with opened(settings(store=store)) as held:
        rows = [each.to_json(now_ms) for each in tokens(held)]
    if json_:
        print(json.dumps(rows, indent=2))
        return
    shown = [
        {
            "name": row["name"],
            "state": row["state"],
            "may": " ".join(row["scopes"]),
            "sees": "every account" if row["accounts"] is None else " ".join(row["accounts"]),
            "until": row["ends_at"],
            "last_used": row["used_at"] or "never",
            "made_by": row["made_by"],
        }
        for row in rows
    ]
    show_rows(shown, as_json=False, empty="there is no token: `cloud-collector token create NAME` makes one")


@app.command()
@ending
def revoke(name: Name, store: StoreOption = None) -> None:
    """Example: `cloud-collector token revoke grafana`.

    It is worth nothing from the next request on.
    """
    now_ms = SystemClock().utc_ms()
    with opened(settings(store=store)) as held:
        try:
            done = revoke_token(held, name, now_ms=now_ms)
        except TokenRefused as error:
            say(str(error))
            raise typer.Exit(NOT_FOUND) from None
    say(f"{name} is revoked" if done else f"{name} was revoked before")


def _deed(word: str) -> Deed:
    try:
        return Deed(word)
    except ValueError:
        say(f"{word[:32]!r} is no scope: it is one of {', '.join(Deed)}")
        raise typer.Exit(2) from None
