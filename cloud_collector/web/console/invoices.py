"""Invoices: what was issued and where it stands; one of them with its documents, and what may be done to it."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from cloud_collector.access.viewer import Deed
from cloud_collector.billing.accounts import settle
from cloud_collector.billing.corrections import bill_again, take_back
from cloud_collector.billing.documents import Form, file_name, written
from cloud_collector.billing.export import NotHandedOut, invoice
from cloud_collector.billing.issued import NEWEST, Issued, Life, issued_rows, life_of_document
from cloud_collector.billing.run import Biller
from cloud_collector.billing.void import body_of_line
from cloud_collector.invoice import html
from cloud_collector.invoice.einvoice import NotInstalled
from cloud_collector.invoice.pdf import PaperFailed
from cloud_collector.invoice.vat import NotExpressible
from cloud_collector.store.store import Store
from cloud_collector.web import gate
from cloud_collector.web.console.cells import money, text, utc, when
from cloud_collector.web.console.screen import Ask, Asked, Did, NotThere, Screen, act, serve, web_path
from cloud_collector.web.looking import looked
from cloud_collector.web.shell import PAPER_POLICY
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Cell, Column, Mood, Table, row

PAGE_ROWS: Final = 50
WHOLE_ROWS: Final = 10_000
_MOODS: Final = {"issued": Mood.WARN, "paid": Mood.GOOD, "credited": Mood.IDLE}
_WORDS: Final = {"issued": "open", "credited": "taken back"}
_COLUMNS: Final = (
    Column(title="Invoice", key="number", whole=True),
    Column(title="Account", key="account"),
    Column(title="Period", key="period_start", whole=True),
    Column(title="Kind", key="kind", whole=True),
    Column(title="Total", key="total", number=True),
    Column(title="Currency", key="currency", unseen=True),
    Column(title="State", key="state", whole=True),
    Column(title="Open", key="open", number=True),
    Column(title="Issued", key="issued_at", whole=True),
)
_LINES: Final = (
    Column(title="Charge", key="charge"),
    Column(title="Device", key="device"),
    Column(title="Quantity", key="quantity", number=True),
    Column(title="Unit", key="unit"),
    Column(title="Amount", key="amount", number=True),
    Column(title="Why", key="why", wrap=True),
)
_MOVED: Final = (
    Column(title="When", key="at", whole=True),
    Column(title="What", key="what"),
    Column(title="Amount", key="amount", number=True),
    Column(title="By", key="by"),
    Column(title="Note", key="note", wrap=True),
)
_MEDIA: Final = {
    Form.PDF: "application/pdf",
    Form.HTML: "text/html; charset=utf-8",
    Form.JSON: "application/json",
    Form.SEALED: "text/plain; charset=utf-8",
    Form.FACTUR_X: "application/xml",
    Form.UBL: "application/xml",
    Form.BUNDLE: "application/zip",
}
_FORMS: Final = (
    (Form.PDF, "PDF"),
    (Form.BUNDLE, "Evidence bundle"),
    (Form.UBL, "UBL"),
    (Form.FACTUR_X, "CII"),
    (Form.JSON, "JSON"),
    (Form.SEALED, "Sealed line"),
)
_BACK: Final = "/invoices/{number}"


def add(router: APIRouter, site: Site) -> None:
    """The pages and what can be done on them are served."""
    serve(router, site, "/invoices", _screen)
    _add_papers(router, site)
    serve(router, site, "/invoices/{number}", _one)
    act(router, site, "/invoices/{number}/paid", Deed.BILL, _paid, back=_BACK)
    act(router, site, "/invoices/{number}/void", Deed.BILL, lambda store, asked: _void(site, store, asked), back=_BACK)
    act(
        router,
        site,
        "/invoices/{number}/rebill",
        Deed.BILL,
        lambda store, asked: _rebill(site, store, asked),
        back=_BACK,
    )


def table(found: Sequence[Issued], moment: Moment, *, path: str = "/invoices", title: str = "Invoices") -> Table:
    """A row a document."""
    return Table(
        title=title,
        path=path,
        command="cloud-collector invoice list" if path else "",
        empty="No invoice yet: the first is issued when a billing period has closed.",
        columns=_COLUMNS,
        rows=tuple(
            row(
                _COLUMNS,
                text(each.number, link=web_path("invoices", each.number)),
                text(each.account, note=each.contract),
                Cell(
                    text=f"{moment.at(each.start)[:10]} – {moment.at(each.end - timedelta(seconds=1))[:10]}",
                    value=utc(each.start),
                ),
                text(each.kind, shown=each.kind.replace("_", " ")),
                Cell(text=f"{each.total:,f} {each.currency}", value=f"{each.total:f}"),
                text(each.currency),
                text(each.state, shown=_WORDS.get(each.state, each.state), mood=_MOODS.get(each.state)),
                money(each.open),
                when(moment, each.issued_at),
            )
            for each in found
        ),
    )


def _screen(look: Look, ask: Ask) -> Screen:
    before = int(ask.text("after")) if ask.text("after").isdecimal() else NEWEST
    most = WHOLE_ROWS if ask.whole else PAGE_ROWS
    asked = {name: ask.text(name) for name in ("account", "contract")}
    found = issued_rows(look.store, before=min(before, NEWEST), number=ask.text("q"), rows=most + 1, **asked)
    further = str(found[most - 1].id) if len(found) > most else ""
    return Screen(
        title="Invoices",
        data=found[:most],
        table=table(found[:most], look.moment),
        template="console/list.html",
        told={
            "lead": "The newest first. An issued document never changes: a credit note and a new invoice correct it.",
            "q": ask.text("q"),
            "label": "Number contains",
            "further": ask.also(after=further) if further else "",
            "first": ask.also(after="") if before < NEWEST else "",
        },
    )


def _one(look: Look, ask: Ask) -> Screen:
    number, moment = ask.part("number"), look.moment
    life, body = life_of_document(look.store, number), invoice_body(look.store, number)
    if life is None or body is None:
        raise NotThere(f"there is no invoice {number[:64]}")
    path = web_path("invoices", number)
    shown = Moment(now_ms=moment.now_ms, zone=str(body.get("timezone", moment.zone)))
    return Screen(
        title=number,
        data={"life": life, "body": body},
        table=_lines(body, path, number),
        template="console/invoice.html",
        of=frozenset({life.issued.account}),
        told={
            "life": life,
            "body": body,
            "moment": shown,
            "path": path,
            "forms": [(f"{path}/documents/{form.value}", label) for form, label in _FORMS],
            "moved": _moved(life),
            "last": moment.at(life.issued.end - timedelta(seconds=1))[:10],
        },
    )


def _lines(body: dict[str, Any], path: str, number: str) -> Table:
    def cells(line: dict[str, Any]) -> tuple[Cell, ...]:
        return row(
            _LINES,
            text(str(line.get("charge", ""))),
            text(str(line.get("device") or "")),
            text(str(line.get("quantity") or "")),
            text(str(line.get("unit") or ""), shown="—" if line.get("unit") == "1" else ""),
            money(line.get("amount"), str(body.get("currency", ""))),
            text(str(line.get("why") or "")),
        )

    return Table(
        title="Lines",
        path=path,
        command=f"cloud-collector invoice show {number}",
        empty="It has no line.",
        columns=_LINES,
        rows=tuple(cells(line) for line in body.get("lines", ())),
    )


def _moved(life: Life) -> Table:
    return Table(
        title="Payments and credit",
        path="",
        command="",
        empty="Nothing has moved on it yet.",
        columns=_MOVED,
        rows=tuple(
            row(
                _MOVED,
                text(str(each["at"])),
                text(str(each["what"]), shown=str(each["what"]).replace("_", " "), note=str(each["credit_note"] or "")),
                money(each["amount"], life.issued.currency),
                text(str(each["by"])),
                text(str(each["note"] or "")),
            )
            for each in life.moved
        ),
    )


def invoice_body(store: Store, number: str) -> dict[str, Any] | None:
    """The signed body of an issued invoice, or None."""
    found = store.row("web_invoice_line", number)
    return None if found is None else dict(body_of_line(bytes(found[0])))


def _add_papers(router: APIRouter, site: Site) -> None:
    @router.get("/invoices/{number}/paper", include_in_schema=False)
    def paper(request: Request, number: str) -> Response:
        with site.look() as look:
            body = invoice_body(look.store, number)
        if body is None:
            raise gate.Closed(404, f"there is no invoice {number[:64]}")
        _seen(site, request, body)
        page = html.page(body, key_words=site.key_words)
        return HTMLResponse(page, headers={"Content-Security-Policy": PAPER_POLICY})

    @router.get("/invoices/{number}/documents/{form}", include_in_schema=False)
    def document(request: Request, number: str, form: str) -> Response:
        office = site.office
        if form not in [each.value for each in Form] or office is None:
            raise gate.Closed(404, "there is no such document")
        with site.writing() as store:
            if store.row("document_row", number) is None:
                raise gate.Closed(404, f"there is no invoice {number[:64]}")
            try:
                found = invoice(store, office.archive, number)
                made = written(store, found, Form(form), operator=office.key, fonts=office.fonts)
            except (NotHandedOut, NotInstalled, NotExpressible, PaperFailed) as error:
                raise gate.Closed(409, str(error)) from None
            whose = str(found.body["account"]["id"])
            gate.record(request, Deed.EXPORT, f"console: {number} as {form}", account=whose, store=store)
        headers = {"Content-Disposition": f'attachment; filename="{file_name(number, Form(form))}"'}
        return Response(made, media_type=_MEDIA[Form(form)], headers=headers)

    @router.get("/invoices/{number}/body.json", include_in_schema=False)
    def sealed(request: Request, number: str) -> Response:
        with site.look() as look:
            body = invoice_body(look.store, number)
        if body is None:
            raise gate.Closed(404, f"there is no invoice {number[:64]}")
        _seen(site, request, body)
        return JSONResponse(body)


def _seen(site: Site, request: Request, body: dict[str, Any]) -> None:
    """Its customer learns that it was looked at."""
    looked(site, request, request.state.viewer, str(body["account"]["id"]), f"console: {body['number']}")


def _paid(store: Store, asked: Asked) -> Did:
    number = asked.part("number")
    life = _known(store, number)
    amount = _amount(asked.text("amount"))
    if isinstance(amount, str):
        return Did(told=amount, to=web_path("invoices", number), well=False)
    now = settle(
        store, number, amount=amount, at=asked.now_ms // 1000, by=asked.viewer.name, note=asked.text("reference")
    )
    left = f", {now.open:f} {life.issued.currency} is open" if now.open else ": nothing of it is open"
    return Did(
        told=f"{number} is {now.state.value}{left}",
        to=web_path("invoices", number),
        what=f"invoice paid {number} {'' if amount is None else format(amount, 'f')}".strip(),
        account=life.issued.account,
    )


def _void(site: Site, store: Store, asked: Asked) -> Did:
    number, reason = asked.part("number"), asked.text("reason")
    life, means, to = _known(store, number), _means(site), web_path("invoices", number)
    made = take_back(store, number, reason=reason, by=asked.viewer.name, now_ms=asked.now_ms, means=means)
    if made.run is not None:
        return Did(
            told=f"run {made.run} drafts taking {number} back; it is issued once it is approved",
            to="/billing",
            what=f"invoice void {number} drafted: {reason}",
            account=life.issued.account,
        )
    return Did(
        told=f"{made.number} takes {number} back in full; bill its period again below",
        to=to,
        what=f"invoice void {number}: {reason}",
        account=life.issued.account,
    )


def _rebill(site: Site, store: Store, asked: Asked) -> Did:
    number = asked.part("number")
    life, means, to = _known(store, number), _means(site), web_path("invoices", number)
    made = bill_again(store, number, by=asked.viewer.name, now_ms=asked.now_ms, means=means)
    if made.run is not None:
        return Did(
            told=f"run {made.run} drafts it; it is issued once it is approved",
            to="/billing",
            what=f"invoice rebill {number} drafted",
            account=life.issued.account,
        )
    if made.number is None:
        return Did(told=f"nothing of the period of {number} is missing: what it billed stands on other invoices", to=to)
    return Did(
        told=f"{made.number} replaces {number}",
        to=web_path("invoices", made.number),
        what=f"invoice rebill {number}: {made.number}",
        account=life.issued.account,
    )


def _known(store: Store, number: str) -> Life:
    life = life_of_document(store, number)
    if life is None:
        raise NotThere(f"there is no invoice {number[:64]}")
    return life


def _means(site: Site) -> Biller:
    if site.office is None or site.office.biller is None:
        raise NotThere("documents are not issued from here")
    return site.office.biller


def _amount(said: str) -> Decimal | str | None:
    if not said:
        return None
    try:
        found = Decimal(said)
    except InvalidOperation:
        found = Decimal(-1)
    return found if found.is_finite() and found > 0 else f"{said[:20]} is no amount above zero: write 12.50"
