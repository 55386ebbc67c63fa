"""Invoices: what was issued to an account, each with its documents, its evidence, and its check in the browser."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from cloud_collector.access.viewer import Deed, Viewer
from cloud_collector.billing.disputes import disputes
from cloud_collector.billing.documents import Form, file_name, written
from cloud_collector.billing.export import Invoice, NotHandedOut, as_it_stands
from cloud_collector.billing.kept_invoice import issued_to
from cloud_collector.invoice import html
from cloud_collector.invoice.einvoice import NotInstalled
from cloud_collector.invoice.locale import Locale, locale_named
from cloud_collector.invoice.pdf import PaperFailed
from cloud_collector.invoice.vat import NotExpressible
from cloud_collector.proof.page import page_with
from cloud_collector.store.store import Store
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.paging import pager
from cloud_collector.web.portal.frame import Visiting, moment_of, owner, show, twins
from cloud_collector.web.shell import PAPER_POLICY
from cloud_collector.web.site import Look, Site, iso
from cloud_collector.web.table import Cell, Column, Table, row
from shared.errors import Refused

_COLUMNS: Final = (
    Column(title="Invoice", key="number"),
    Column(title="Period", key="period_start", whole=True),
    Column(title="Kind", key="kind"),
    Column(title="Total", key="total", number=True),
    Column(title="Currency", key="currency", unseen=True),
    Column(title="Issued", key="issued_at", whole=True),
    Column(title="Check", key="check"),
)
_MEDIA: Final = {
    Form.PDF: "application/pdf",
    Form.JSON: "application/json",
    Form.SEALED: "text/plain; charset=utf-8",
    Form.FACTUR_X: "application/xml",
    Form.UBL: "application/xml",
    Form.BUNDLE: "application/zip",
}
_FORMS: Final = (
    (Form.PDF, "PDF, with the electronic invoice inside"),
    (Form.BUNDLE, "Evidence, with verify.html that checks it without a network"),
    (Form.UBL, "Electronic invoice (UBL)"),
    (Form.FACTUR_X, "Electronic invoice (CII)"),
    (Form.JSON, "Everything that the invoice says, as JSON"),
    (Form.SEALED, "The sealed line itself"),
)


def add(router: APIRouter, site: Site) -> None:
    """The pages are served."""
    _add_list(router, site)
    _add_one(router, site)
    _add_evidence(router, site)


def _add_list(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/invoices"

    twins(router, site, path, lambda look, parts: table_of(look, parts["account"]))

    @router.get(path, include_in_schema=False)
    def listed(request: Request, account: str, viewer: Visiting) -> Response:
        with site.look() as look:
            made = table_of(look, account)
            answer = show(request, look, account, "table.html", title="Invoices", table=made, told={})
        looked(site, request, viewer, account, "invoices")
        return answer


def _add_one(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/invoices/{number}"

    @router.get(f"{path}/paper", include_in_schema=False)
    def paper(request: Request, account: str, number: str, viewer: Visiting) -> Response:
        with site.look() as look:
            found = invoice_of(look.store, account, number)
        looked(site, request, viewer, account, f"invoice {number}")
        made = html.page(found.body, key_words=site.key_words)
        return HTMLResponse(made, headers={"Content-Security-Policy": PAPER_POLICY})

    @router.get(f"{path}/as/{{form}}", include_in_schema=False)
    def document(request: Request, account: str, number: str, form: str, viewer: Visiting) -> Response:
        return _document(site, request, viewer, account, number, form)

    def sheet(look: Look, account: str, number: str) -> tuple[Invoice, Table]:
        found = invoice_of(look.store, account, number)
        lines = lines_of(found.body, locale_named(owner(look.store, account).locale), account)
        return found, replace(lines, path=f"/portal/{account}/invoices/{number}")

    def printed(look: Look, parts: Mapping[str, str]) -> Table:
        return sheet(look, parts["account"], parts["number"])[1]

    def sealed(look: Look, parts: Mapping[str, str]) -> Any:
        return invoice_of(look.store, parts["account"], parts["number"]).body

    twins(router, site, path, printed, sealed)

    @router.get(path, include_in_schema=False)
    def invoice(request: Request, account: str, number: str, viewer: Visiting) -> Response:
        with site.look() as look:
            found, lines = sheet(look, account, number)
            people = locale_named(owner(look.store, account).locale)
            page = pager(request, len(lines.rows))
            lines = replace(lines, rows=lines.rows[page.rows])
            told = {
                "pager": page,
                "invoice": found.body,
                "due": date.fromisoformat(found.body["due"]) if found.body["due"] else None,
                "say": lambda amount: people.amount(amount, found.body["currency"]),
                "number": people.number,
                "step_told": lambda step, unit: step_told(step, unit, people),
                "path": f"/portal/{account}/invoices/{number}",
                "forms": [(form.value, words) for form, words in _FORMS],
                "first": moment_of(look, account).day(_seconds(found.body["period"]["start"])),
                "last": moment_of(look, account).day(_seconds(found.body["period"]["end"]) - 1),
                "credited": look.store.row("dispute_credit", number),
                "disputes": [each for each in disputes(look.store, account) if each.number == number],
            }
            answer = show(request, look, account, "invoice.html", title=f"Invoice {number}", table=lines, told=told)
        looked(site, request, viewer, account, f"invoice {number}")
        return answer


def _add_evidence(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/invoices/{number}"

    @router.get(f"{path}/evidence.zip", include_in_schema=False)
    def evidence(request: Request, account: str, number: str, viewer: Visiting) -> Response:
        made = _standing(site, viewer, account, number)
        looked(site, request, viewer, account, f"evidence of invoice {number}", Deed.EXPORT)
        return _file(made, f"{number}.zip", "application/zip")

    @router.get(f"{path}/verify.html", include_in_schema=False)
    def page(request: Request, account: str, number: str, viewer: Visiting) -> Response:
        made = page_with(_standing(site, viewer, account, number))
        looked(site, request, viewer, account, f"evidence of invoice {number}", Deed.EXPORT)
        # Only as a file: on this site it would be a page with another policy.
        return _file(made, f"{number}-verify.html", "application/octet-stream")


def invoice_of(store: Store, account: str, number: str) -> Invoice:
    """An invoice of this account; raises Closed with 404 for every other (P20)."""
    found = issued_to(store, account, number)
    if found is None:
        raise gate.Closed(404, gate.NOT_THERE)
    if isinstance(found, Refused):
        raise gate.Closed(500, f"{number} cannot be read any more: the archive of issued invoices has it whole")
    return found


def table_of(look: Look, account: str) -> Table:
    """What was issued to the account, newest first."""
    people = locale_named(owner(look.store, account).locale)
    moment, base = moment_of(look, account), f"/portal/{account}/invoices"
    return Table(
        title="Invoices",
        path=base,
        command=f"cloud-collector invoice list --account {account}",
        empty="No invoice yet: the first comes when a billing period has closed.",
        columns=_COLUMNS,
        rows=tuple(
            row(
                _COLUMNS,
                Cell(text=number, value=number, link=f"{base}/{number}", note=contract),
                Cell(text=f"{moment.day(start)} – {moment.day(end - 1)}", value=iso(start)),
                Cell(text=kind.replace("_", " "), value=kind),
                Cell(text=people.amount(total, currency), value=total),
                Cell(text=currency, value=currency),
                Cell(text=moment.day(issued), value=iso(issued), time=True),
                Cell(text="Check this bill", value=f"{base}/{number}/check", link=f"{base}/{number}/check"),
            )
            for number, contract, start, end, kind, total, currency, issued in look.store.rows(
                "portal_invoices", account
            )
        ),
    )


_LINES: Final = (
    Column(title="#", key="line", number=True),
    Column(title="What", key="charge", wrap=True),
    Column(title="Quantity", key="quantity", number=True),
    Column(title="Unit", key="unit"),
    Column(title="Unit price", key="unit_price", number=True),
    Column(title="Amount", key="amount", number=True),
)


def lines_of(body: dict[str, Any], people: Locale, account: str) -> Table:
    """An invoice's lines as a table; each figure opens onto what it rests on."""
    base = f"/portal/{account}/invoices/{body['number']}/lines"
    return Table(
        title="Lines",
        path="",
        command=f"cloud-collector invoice show {body['number']}",
        empty="This invoice has no lines.",
        columns=_LINES,
        rows=tuple(
            row(
                _LINES,
                Cell(text=str(place), value=place),
                Cell(text=line["charge"], value=line["charge"], note=line["why"], link=f"{base}/{place}"),
                Cell(text=people.number(line["quantity"]), value=line["quantity"], link=f"{base}/{place}"),
                Cell(text="" if line["unit"] == "1" else line["unit"], value=line["unit"]),
                Cell(
                    text=people.number(line["unit_price"] or "") or ("see steps" if line.get("steps") else ""),
                    value=line["unit_price"],
                ),
                Cell(text=people.number(line["amount"]), value=line["amount"], link=f"{base}/{place}"),
            )
            for place, line in enumerate(body["lines"], start=1)
        ),
    )


def step_told(step: dict[str, Any], unit: str, people: Locale) -> str:
    """A step of a line for people; prices with every digit that they have."""
    of = "" if unit == "1" else f" {unit}"
    said = {name: people.number(value) if isinstance(value, str) else "" for name, value in step.items()}
    amount = f" = {said['amount']}" if "amount" in said else ""
    if "included" in step:
        return f"{said['quantity']}{of} included"
    if "state" in step:
        time = "days" if "days" in step else "seconds"
        return f"{step[time]} of {step['of']} {time} {step['state']} × {said['price']}{amount}"
    if "packages" in step:
        return f"{said['packages']} packages of {said['size']}{of} × {said['price']}{amount}"
    if "booked" in step:
        return f"{said['booked']} billed before{amount}"
    if "quantity" in step and "price" in step:
        return f"{said['quantity']}{of} × {said['price']}{amount}"
    words = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in said.items() if name != "amount")
    return f"{words}{amount}"


def _seconds(instant: str) -> int:
    return int(datetime.fromisoformat(instant).timestamp())


def _document(site: Site, request: Request, viewer: Viewer, account: str, number: str, form: str) -> Response:
    gate.must(viewer, Deed.EXPORT)
    if form not in _MEDIA:
        raise gate.Closed(404, gate.NOT_THERE)
    wanted = Form(form)
    with site.look() as look:
        found = invoice_of(look.store, account, number)
        try:
            made = written(look.store, found, wanted, operator=site.key)
        except (NotHandedOut, NotExpressible, NotInstalled, PaperFailed) as error:
            raise gate.Closed(409, str(error)) from error
    looked(site, request, viewer, account, f"invoice {number} as {form}", Deed.EXPORT)
    return _file(made, file_name(number, wanted), _MEDIA[wanted])


def _standing(site: Site, viewer: Viewer, account: str, number: str) -> bytes:
    """The evidence as the store holds it: a check that could not fail would be none."""
    gate.must(viewer, Deed.EXPORT)
    with site.look() as look:
        return evidence_of(site, look.store, account, number)


def evidence_of(site: Site, store: Store, account: str, number: str) -> bytes:
    """The evidence of an invoice of this account as the store holds it; raises Closed where none is handed out."""
    found = invoice_of(store, account, number)
    if site.key is None:
        raise gate.Closed(409, "this collector has no key to hand out evidence with")
    try:
        return as_it_stands(store, found, site.key)
    except NotHandedOut as error:
        raise gate.Closed(409, str(error)) from error


def _file(content: bytes, name: str, media: str) -> Response:
    # Numbers are the operator's own words: none of them may end the header.
    plain = json.dumps(name, ensure_ascii=True)
    return Response(content, media_type=media, headers={"Content-Disposition": f"attachment; filename={plain}"})
