"""`cloud-collector pki`: the certificate authority that lets gateways, collectors and the broker know each other."""

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cloud_collector.cli.desk import write_revoked
from cloud_collector.cli.gateway import iso, show_rows
from cloud_collector.cli.opened import Json, ending, opened, say, settings
from cloud_collector.fleet.pki import Pki, PkiExists, PkiMissing, PkiUnusable, Write, begin, told, write
from shared.effects.clock import SystemClock
from shared.errors import InvalidRecord
from shared.key import SigningKey

app = typer.Typer(no_args_is_help=True, help="The authority that gateways, collectors and the broker trust.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")]
Hosts = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="NAME", help="A name or address under which gateways reach the broker; repeatable."),
]
RELOAD = "let the broker read it: sudo systemctl reload mosquitto"


@app.command()
@ending
def init(
    host: Hosts = None,
    name: Annotated[str, typer.Option("--name", help="The CA's own name, as it stands in certificates.")] = (
        "Meterseal CA"
    ),
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector pki init --host collector.example --host 10.0.0.1`.

    Make the CA, once, and the certificates of the broker, the enrolment port and this collector. A CA that is there
    is never replaced (4).
    """
    if not host:
        say("name the broker as gateways will call it, with --host: a name, an address, or several of them")
        raise typer.Exit(2)
    known = settings()
    recovery = SigningKey(os.urandom(32))
    try:
        writes = begin(
            known.pki_path,
            name=name,
            client=known.client_id,
            hosts=host,
            recovery=(recovery.pem, recovery.public.pem),
            now=_now(),
        )
    except PkiExists as error:
        say(str(error))
        raise typer.Exit(4) from None
    except (PkiUnusable, InvalidRecord) as error:
        say(str(error))
        raise typer.Exit(2) from None
    _put(known.pki_path, writes, dry_run=dry_run, json_=json_)
    if not dry_run:
        fingerprint = Pki.open(known.pki_path).authority.fingerprint
        say(f"the CA's fingerprint: {fingerprint}")
        say(f"move {known.pki_path / 'recovery.key'} to a place that is offline, and keep a copy of ca.key there too")
        if not known.key_file.exists():
            say("next: the key that signs receipts and invoices, `cloud-collector key new`")


@app.command()
@ending
def renew(
    host: Hosts = None,
    every: Annotated[bool, typer.Option("--all", help="Renew also what is not due.")] = False,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector pki renew`, once a week from a timer.

    Renew the certificates that have a third of their time left, or are for other hosts; the CA and every key stay.
    Gateways renew their own.
    """
    known = settings()
    try:
        pki = Pki.open(known.pki_path)
        writes = list(pki.renewals(known.client_id, _now(), hosts=host or (), every=every))
    except PkiMissing as error:
        say(str(error))
        raise typer.Exit(3) from None
    except (PkiUnusable, InvalidRecord) as error:
        say(str(error))
        raise typer.Exit(2) from None
    _put(known.pki_path, writes, dry_run=dry_run, json_=json_)
    if writes and not dry_run:
        say(RELOAD)


@app.command()
@ending
def crl(dry_run: DryRun = False, json_: Json = False) -> None:
    """Example: `cloud-collector pki crl`.

    Write the list of revoked certificates again; `gateway revoke` does so by itself.
    """
    known = settings()
    with opened(known) as store:
        rows = [
            {"serial": serial, "revoked_at": iso(at)}
            for serial, at in store.rows("certificates_revoked", SystemClock().utc_ms())
        ]
        try:
            path = None if dry_run else write_revoked(known, Pki.open(known.pki_path), store)
        except PkiMissing as error:
            say(str(error))
            raise typer.Exit(3) from None
    show_rows(rows, as_json=json_, empty="no certificate is revoked")
    if path is not None:
        say(f"wrote {path}; {RELOAD}")


def _put(folder: Path, writes: Iterable[Write], *, dry_run: bool, json_: bool) -> None:
    listed = list(writes)
    if not dry_run:
        write(folder, listed)
    rows = [{**row, "file": str(folder / row["file"])} for row in told(listed)]
    if json_:
        print(json.dumps(rows, indent=2))
    else:
        show_rows(rows, as_json=False, empty="nothing is due")


def _now() -> datetime:
    return datetime.fromtimestamp(SystemClock().utc_ms() / 1_000, UTC)
