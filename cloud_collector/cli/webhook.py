"""`cloud-collector webhook`: where warnings are posted to, what became of each, and a listener to try it with."""

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, say, settings
from cloud_collector.cli.telling import keep_secret, secret_path
from cloud_collector.contracts.node import nearest
from cloud_collector.notify.webhook import SECRET_BYTES_MIN, BadSecret, NotGenuine, new_secret, verify
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.clock import SystemClock

app = typer.Typer(no_args_is_help=True, help="Post warnings to web servers, signed.")

NOT_FOUND: Final = 3
REFUSED: Final = 4
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
BODY_BYTES_MAX: Final = 64 * 1024
REQUEST_SECONDS_MAX: Final = 10
"""Whoever connects and says nothing for so long is let go, so that the next one is heard."""
Name = Annotated[str, typer.Argument(metavar="NAME", help="The webhook's name.")]


@app.command()
@ending
def add(
    name: Name,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to post; https, or http on this machine.")],
    account: Annotated[
        str, typer.Option("--account", metavar="NAME", help="Only this account's warnings (default: everybody's).")
    ] = "",
    store: StoreOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector webhook add billing-bot https://bot.example/hooks --account acme`.

    Warnings are posted there from now on. Prints the secret that the receiver checks signatures with, once; it is kept
    in a file of its own, readable by its owner alone.
    """
    _named(name)
    _url(url)
    known = settings(store=store)
    with opened(known) as held:
        if account:
            _account(held, account)
        if held.row("webhook_one", name) is not None:
            raise _ended(f"there is a webhook {name} already, and a name is never used twice", REFUSED)
        secret = new_secret(os.urandom(SECRET_BYTES_MIN))
        path = keep_secret(known, name, secret)
        held.run("webhook_add", name, url, account, SystemClock().utc_ms())
    if json_:
        print(json.dumps({"name": name, "url": url, "account": account or None, "secret": secret}, indent=2))
    else:
        print(secret)
        say(f"{name} gets every new warning{f' of {account}' if account else ''}; its secret is kept at {path}")


@app.command(name="list")
@ending
def list_(store: StoreOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector webhook list`.

    Every webhook, and since when and why nothing is sent to one.
    """
    with opened(settings(store=store)) as held:
        rows = [
            {
                "name": name,
                "url": url,
                "account": account or None,
                "added_at": _iso(added),
                "stopped_at": None if stopped is None else _iso(stopped),
                "why": why or None,
            }
            for name, url, account, added, stopped, why in held.rows("webhooks")
        ]
    if json_:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        state = f"stopped {row['stopped_at']}: {row['why']}" if row["stopped_at"] else "active"
        print(f"{row['name']}  {row['url']}  {row['account'] or 'every account'}  {state}")
    if not rows:
        say("there is no webhook: `cloud-collector webhook add NAME URL`")


@app.command()
@ending
def stop(name: Name, store: StoreOption = None) -> None:
    """Example: `cloud-collector webhook stop billing-bot`.

    Nothing is sent there any more; what was sent stays in the log.
    """
    with opened(settings(store=store)) as held:
        _hook(held, name)
        held.run("webhook_stop", SystemClock().utc_ms(), "stopped by a person", name)
    say(f"{name} is stopped")


@app.command()
@ending
def log(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One webhook (default: all, and e-mail).")] = None,
    store: StoreOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector webhook log billing-bot`.

    Every delivery of a warning, by e-mail too: its state, how often it was tried, and what came of the last try.
    """
    with opened(settings(store=store)) as held:
        if name is not None:
            _hook(held, name)
        rows = [
            {
                "delivery": row[0],
                "warning": row[1],
                "way": row[2],
                "to": row[3],
                "state": row[4],
                "attempts": row[5],
                "next_at": _iso(row[6]) if row[4] == "due" else None,
                "contract": row[7],
                "said": row[8],
                "last": row[9],
            }
            for row in held.rows("deliveries")
            if name is None or (row[2], row[3]) == ("webhook", name)
        ]
    if json_:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        last = f": {row['last']}" if row["last"] else ""
        print(f"{row['delivery']:>6}  {row['state']:<9}  {row['way']} {row['to']}  tried {row['attempts']}{last}")
        print(f"        {row['contract']}  {row['said']}")
    if not rows:
        say("nothing was to be delivered yet")


@app.command()
@ending
def replay(
    delivery: Annotated[int, typer.Argument(metavar="DELIVERY", help="Its number, as `webhook log` prints it.")],
    store: StoreOption = None,
) -> None:
    """Example: `cloud-collector webhook replay 12`.

    A delivery is sent once more by the running collector, whatever came of it; receivers know its id.
    """
    with opened(settings(store=store)) as held:
        if held.row("delivery_one", delivery) is None:
            raise _ended(f"there is no delivery {delivery}: `cloud-collector webhook log` lists them", NOT_FOUND)
        held.run("delivery_again", SystemClock().utc_ms(), delivery)
    say(f"delivery {delivery} is sent with the running collector's next tick")


@app.command()
@ending
def listen(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The webhook whose secret to check with.")] = None,
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", metavar="FILE", help="A secret of another collector.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 8099,
    count: Annotated[int | None, typer.Option("--count", min=1, help="End after so many messages.")] = None,
) -> None:
    """Example: `cloud-collector webhook listen billing-bot --port 8099`.

    Listen on this machine, check each message's signature, and print its event as a line of JSON.
    """
    secret = _secret(settings(), name, secret_file)
    heard: list[str] = []
    with HTTPServer(("127.0.0.1", port), _listener(secret, heard.append)) as server:
        say(f"listening at http://127.0.0.1:{server.server_port}/")
        while count is None or len(heard) < count:
            server.handle_request()


def _listener(secret: str, heard: Callable[[str], None] = lambda _: None) -> type[BaseHTTPRequestHandler]:
    """`heard` gets the id of each message, genuine or not; whoever only knocks sends none."""

    class Listener(BaseHTTPRequestHandler):
        """Takes what is genuine."""

        timeout = REQUEST_SECONDS_MAX

        def do_POST(self) -> None:
            heard(self.headers.get("webhook-id", ""))
            size = self.headers.get("content-length", "")
            if not size.isdecimal() or int(size) > BODY_BYTES_MAX:
                self._answer(413)
                return
            body = self.rfile.read(int(size))
            try:
                verify(secret, body, dict(self.headers), now=SystemClock().utc_ms() // 1_000)
                print(json.dumps(json.loads(body), ensure_ascii=False), flush=True)
            except NotGenuine as error:
                say(f"refused: {error}")
                self._answer(401)
                return
            except ValueError:
                say("refused: it is no JSON")
                self._answer(400)
                return
            self._answer(204)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
            """What is heard is printed; the rest is nobody's business."""

    return Listener


def _secret(known: CollectorSettings, name: str | None, file: Path | None) -> str:
    if name is None and file is None:
        raise _ended("name a webhook, or a --secret-file", 2)
    path = file if file is not None else secret_path(known, str(name))
    try:
        secret = path.read_text(encoding="ascii").strip()
        verify(secret, b"", {"webhook-id": "x", "webhook-timestamp": "0"}, now=0)
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise _ended(f"the secret {path} cannot be read: {said}", NOT_FOUND) from None
    except BadSecret as error:
        raise _ended(f"{path}: {error}", 2) from None
    except NotGenuine:
        pass
    return secret


def _named(name: str) -> None:
    if NAME.fullmatch(name) is None:
        raise _ended(f"{name[:48]!r} is no name: 1 to 32 of a-z, 0-9, - and _", 2)


def _url(url: str) -> None:
    there = urlsplit(url)
    local = there.hostname in {"localhost", "127.0.0.1", "::1"}
    if there.hostname is None or there.scheme not in {"https", "http"} or there.username is not None:
        raise _ended(f"{url[:64]!r} is no URL such as https://bot.example/hooks", 2)
    if there.scheme == "http" and not local:
        raise _ended(f"{url[:64]!r}: what a customer pays travels by https, but on this machine itself", 2)


def _account(held: Store, account: str) -> None:
    try:
        accounts = revisions(held)[-1].catalog.accounts
    except NoCatalog as error:
        raise _ended(str(error), NOT_FOUND) from None
    if account not in accounts:
        raise _ended(f"the catalog has no account {account}{nearest(account, accounts)}", NOT_FOUND)


def _hook(held: Store, name: str) -> Any:
    row = held.row("webhook_one", name)
    if row is None:
        raise _ended(
            f"there is no webhook {name}{nearest(name, [each[0] for each in held.rows('webhooks')])}", NOT_FOUND
        )
    return row


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ended(sentence: str, code: int) -> typer.Exit:
    say(sentence)
    return typer.Exit(code)
