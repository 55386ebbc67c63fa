"""`cloud-collector invoice`: list, show and export what was issued."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cloud_collector.billing.accounts import standings
from cloud_collector.billing.archive import ArchiveConflict, ArchiveFailed
from cloud_collector.billing.documents import Form, file_name, written
from cloud_collector.billing.export import Invoice, NoSuchInvoice, NotHandedOut, invoice
from cloud_collector.cli.opened import (
    FolderOption,
    Json,
    KeyOption,
    StoreOption,
    archive,
    ending,
    opened,
    say,
    settings,
    signing_key,
    write_file,
)
from cloud_collector.contracts.period import iso
from cloud_collector.invoice.vat import NotExpressible
from cloud_collector.settings import CollectorSettings
from shared.key import PublicKey

app = typer.Typer(no_args_is_help=True, help="Issued invoices: list, show, export with their evidence.")

NOT_FOUND: Final = 3
REFUSED: Final = 4
_NAMES_KEY: Final = frozenset({Form.PDF, Form.HTML, Form.BUNDLE})
"""Forms that name the operator's key, which only its file tells."""
Number = Annotated[str, typer.Argument(help="The invoice's number, such as INV-7.")]


@app.command(name="list")
@ending
def list_(
    account: Annotated[str, typer.Option("--account", metavar="NAME", help="Only those of this account.")] = "",
    store: StoreOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector invoice list --account acme`.

    Every issued invoice, in order of issue.
    """
    names = "number kind contract account start end currency total issued_at revision".split()
    with opened(settings(store=store)) as held:
        rows = [dict(zip(names, row, strict=True)) for row in held.rows("invoices") if account in ("", row[3])]
        stand = standings(held)
    for row in rows:
        row |= {"state": stand[row["number"]].state.value, "open": format(stand[row["number"]].open, "f")}
        row |= {name: iso(row[name]) for name in ("start", "end", "issued_at")}
    if json_:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        day = datetime.fromisoformat(row["issued_at"]).astimezone(UTC).date()
        period = f"{row['start']} to {row['end']}"
        state = f"{row['state']:<8}"
        print(f"{row['number']:<12} {day}  {row['total']:>12} {row['currency']}  {state}  {row['contract']}  {period}")
    if not rows:
        say("no invoice has been issued yet")


@app.command()
@ending
def show(number: Number, store: StoreOption = None, folder: FolderOption = None, json_: Json = False) -> None:
    """Example: `cloud-collector invoice show INV-7`.

    What an invoice says, line by line, down to the counters.
    """
    found = issued_invoice(number, settings(store=store, folder=folder))
    if json_:
        print(json.dumps(found.body, indent=2, ensure_ascii=False))
        return
    print(told(found.body))


@app.command()
@ending
def export(
    number: Number,
    as_: Annotated[
        list[Form] | None, typer.Option("--as", help="A form to write, named after the invoice; repeatable.")
    ] = None,
    to: Annotated[
        Path, typer.Option("--to", metavar="FOLDER", help="Where files of `--as` go; `-` is standard output.")
    ] = Path(),
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="FILE.zip", help="The invoice with everything it rests on.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="A page to read and print.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="The sealed body as JSON.")] = None,
    sealed: Annotated[Path | None, typer.Option("--sealed", metavar="FILE", help="The sealed line itself.")] = None,
    store: StoreOption = None,
    folder: FolderOption = None,
    key: KeyOption = None,
) -> None:
    """Example: `cloud-collector invoice export INV-7 --as pdf --as bundle --to outbox`.

    Write an invoice's files; `-` is standard output. A bundle is verified before it is written. Exit 4 where the
    evidence would show another account's readings, or where EN 16931 cannot express the invoice.
    """
    named = [(Form.BUNDLE, bundle), (Form.HTML, html), (Form.JSON, json_), (Form.SEALED, sealed)]
    wanted = [(form, path) for form, path in named if path is not None]
    wanted += [(form, to if str(to) == "-" else to / file_name(number, form)) for form in as_ or ()]
    if not wanted:
        say(f"say what to write: --as {', '.join(Form)}; or --bundle FILE.zip, --html FILE, --json FILE, --sealed FILE")
        raise typer.Exit(2)
    known = settings(store=store, key=key, folder=folder)
    found = issued_invoice(number, known)
    public = signing_key(known).public if any(form in _NAMES_KEY for form, _ in wanted) else None
    for form, path in wanted:
        write_file(path, _made(known, found, form, public))
        if form is Form.BUNDLE and public is not None:
            say(f"check it with: verify-invoice {path} --trust {public.words} --trust GATEWAY")


def _made(known: CollectorSettings, found: Invoice, form: Form, public: PublicKey | None) -> bytes:
    """The invoice in one form; ends the command with 4 where it has none."""
    with opened(known) as held:
        try:
            return written(held, found, form, operator=public, fonts=known.documents.fonts_path, say=say)
        except (NotHandedOut, NotExpressible) as error:
            say(str(error))
            raise typer.Exit(REFUSED) from None


def told(body: dict[str, Any]) -> str:
    """An invoice as text."""
    currency, period = body["currency"], body["period"]
    rows = [
        f"{body['number']}  {body['kind'].replace('_', ' ')}, issued {body['issued_at']}, due {body['due'] or '—'}",
        f"{body['operator']['name']} to {body['account']['name']}, contract {body['contract']}",
        f"{period['start']} to {period['end']} ({period['timezone']})",
        "",
    ]
    for place, line in enumerate(body["lines"], start=1):
        name = " · ".join(part for part in (line["charge"], line["device"], line["window"]) if part)
        unit = "" if line["unit"] == "1" else f" {line['unit']}"
        price = "" if line["unit_price"] is None else f" at {line['unit_price']}"
        mark = "  partly estimated" if line["estimated"] else ""
        rows.append(f"{place:>3}  {name}  {line['quantity']}{unit}{price}  {line['amount']} {currency}{mark}")
        rows.append(f"     {line['service_start']} to {line['service_end']}: {line['why']}")
        rows += [
            f"     {gateway}/{device} {meter}: {first} to {last} (reports {a} to {b} of {log} {epoch})"
            for gateway, log, device, meter, epoch, a, first, b, last, _ in line["reads"]
        ]
    rows += ["", f"net {body['net']} {currency}"]
    rows += [f"{tax['name']} {tax['percent']} % of {tax['base']}: {tax['amount']} {currency}" for tax in body["taxes"]]
    rows.append(f"total {body['total']} {currency}")
    rows += [
        f"not measured: {gateway}/{device} {meter} from {start} to {end} ({cause})"
        for gateway, device, meter, start, end, cause in body["gaps"]
    ]
    return "\n".join(rows)


def issued_invoice(number: str, known: CollectorSettings) -> Invoice:
    """The invoice of this number, in the folder before anyone sees it; ends the command where there is none."""
    with opened(known) as held:
        try:
            return invoice(held, archive(known), number)
        except NoSuchInvoice as error:
            say(str(error))
            raise typer.Exit(NOT_FOUND) from None
        except (ArchiveConflict, ArchiveFailed) as error:
            say(f"{error}. An invoice is in the folder before anyone is handed a copy")
            raise typer.Exit(1) from None
