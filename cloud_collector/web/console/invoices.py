"""Invoices: what was issued, and each of them as its customer gets it."""

import json
from typing import Final

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import HTMLResponse, JSONResponse

from cloud_collector.invoice import html
from cloud_collector.store.store import Store
from cloud_collector.web.console.screen import Ask, Screen, serve
from cloud_collector.web.shell import PAPER_POLICY
from cloud_collector.web.site import Look, Site, iso
from cloud_collector.web.table import Cell, Column, Table, row

_COLUMNS: Final = (
    Column(title="Invoice", key="number"),
    Column(title="Account", key="account"),
    Column(title="Period", key="period_start", whole=True),
    Column(title="Kind", key="kind"),
    Column(title="Total", key="total", number=True),
    Column(title="Currency", key="currency"),
    Column(title="Issued", key="issued_at", whole=True),
)


def add(router: APIRouter, site: Site) -> None:
    """The pages are served."""
    serve(router, site, "/invoices", _screen)

    @router.get("/invoices/{number}", include_in_schema=False)
    def invoice(number: str) -> Response:
        with site.look() as look:
            body = invoice_body(look.store, number.removesuffix(".json"))
        if body is None:
            raise HTTPException(404, f"there is no invoice {number}")
        if number.endswith(".json"):
            return JSONResponse(body)
        page = html.page(body, key_words=site.key_words)
        return HTMLResponse(page, headers={"Content-Security-Policy": PAPER_POLICY})


def table(look: Look) -> Table:
    """What was issued, newest first."""
    moment = look.moment
    return Table(
        title="Invoices",
        path="/invoices",
        command="cloud-collector invoice list",
        empty="No invoice yet: the first is issued when a billing period has closed.",
        columns=_COLUMNS,
        rows=tuple(
            row(
                _COLUMNS,
                Cell(text=number, value=number, link=f"/invoices/{number}"),
                Cell(text=account, value=account, note=contract),
                Cell(text=f"{moment.day(start)} – {moment.day(end - 1)}", value=iso(start)),
                Cell(text=kind.replace("_", " "), value=kind),
                Cell(text=total, value=total),
                Cell(text=currency, value=currency),
                Cell(text=moment.local(issued), value=iso(issued)),
            )
            for number, account, contract, start, end, kind, total, currency, issued in look.store.rows("web_invoices")
        ),
    )


def invoice_body(store: Store, number: str) -> dict[str, object] | None:
    """The signed body of an issued invoice, or None."""
    found = store.row("web_invoice_line", number)
    if found is None:
        return None
    text = bytes(found[0]).decode("ascii")
    body: dict[str, object] = json.loads(text[4 : text.rindex("|")])
    return body


def _screen(look: Look, _: Ask) -> Screen:
    made = table(look)
    return Screen(title=made.title, data=made.records(), table=made)
