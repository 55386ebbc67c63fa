"""Issued documents: in lists, line by line, and in each of the forms that a customer is handed."""

import heapq
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from cloud_collector.access.viewer import Deed
from cloud_collector.billing.accounts import standing
from cloud_collector.billing.archive import ArchiveConflict, ArchiveFailed
from cloud_collector.billing.documents import Form, file_name, written
from cloud_collector.billing.export import NotHandedOut
from cloud_collector.billing.export import invoice as handed_out
from cloud_collector.client.money import Invoice, InvoiceLine, Line, Period
from cloud_collector.client.page import Page
from cloud_collector.contracts.terms import timezone_of
from cloud_collector.invoice.document import InvoiceKind
from cloud_collector.invoice.einvoice import NotInstalled
from cloud_collector.invoice.pdf import PaperFailed
from cloud_collector.invoice.vat import NotExpressible
from cloud_collector.web.api.cursor import Asked, Part, page, told
from cloud_collector.web.api.problem import Refusal, absent, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.shape import shaped
from cloud_collector.web.api.sight import Here, Sight, instant, seen
from cloud_collector.web.console.invoices import invoice_body
from cloud_collector.web.gate import Asking, must, record
from shared.effects.database import Row

router = APIRouter(route_class=ApiRoute, tags=["invoices"])
BEYOND: Final = 2**62
"""Above every id."""
TYPES: Final = {
    Form.PDF: "application/pdf",
    Form.HTML: "text/html; charset=utf-8",
    Form.JSON: "application/json",
    Form.SEALED: "text/plain; charset=ascii",
    Form.FACTUR_X: "application/xml",
    Form.UBL: "application/xml",
    Form.BUNDLE: "application/zip",
}


class _Forms(Convertor[str]):
    """Matches the forms alone: what else stands behind a number is a path of its own, with methods of its own."""

    regex = "|".join(each.value for each in Form)

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("form", _Forms())
OfAccount = Annotated[str | None, Query(max_length=64, description="Of this account alone.")]
OfContract = Annotated[str | None, Query(max_length=64, description="Of this contract alone.")]


@router.get("/invoices", response_model=Page[Invoice])
def invoices(
    site: Here,
    viewer: Asking,
    part: Part,
    account: OfAccount = None,
    contract: OfContract = None,
    kind: Annotated[InvoiceKind | None, Query(description="Documents of this kind alone.")] = None,
) -> Any:
    """Every issued document in sight, the newest first."""
    with seen(site, viewer) as sight:
        return _listed(sight, part, account, contract or "", "" if kind is None else kind.value)


@router.get("/credit-notes", response_model=Page[Invoice])
def credit_notes(site: Here, viewer: Asking, part: Part, account: OfAccount = None, contract: OfContract = None) -> Any:
    """Every credit note in sight, the newest first; `open` is what of it has not been used yet."""
    with seen(site, viewer) as sight:
        return _listed(sight, part, account, contract or "", InvoiceKind.CREDIT_NOTE.value)


@router.get("/invoices/{number}", response_model=Invoice)
def invoice(site: Here, viewer: Asking, number: str) -> Any:
    """One issued document: what it comes to, and what of it is open."""
    with seen(site, viewer) as sight:
        return invoice_of(sight, row_of(sight, number))


@router.get("/invoices/{number}/lines", response_model=Page[InvoiceLine])
def lines(site: Here, viewer: Asking, number: str, part: Part) -> Any:
    """Its lines as they were sealed, in order, with the registers that each rests on."""
    with seen(site, viewer) as sight:
        row_of(sight, number)
        body: Any = invoice_body(sight.store, number) or {}
        after = part.after((0,)) or (0,)
        numbered = [(place, line) for place, line in enumerate(body["lines"], start=1) if (place,) > after]
        return told(
            page(numbered, part, lambda each: (each[0],)),
            lambda each: InvoiceLine(
                number=number, place=each[0], line=shaped(Line, each[1]), reads=each[1].get("reads", [])
            ),
        )


@router.get(
    "/invoices/{number}/{form:form}",
    response_class=Response,
    responses=documented(409)
    | {
        200: {
            "description": "The document itself.",
            "content": {
                each: {
                    "schema": {"type": "object"}
                    if each == "application/json"
                    else {"type": "string", "format": "binary"}
                }
                for each in sorted(set(TYPES.values()))
            },
        }
    },
)
def document(request: Request, site: Here, viewer: Asking, number: str, form: Form) -> Response:
    """The document in a form: the sealed body, a page, a PDF, an electronic invoice, or the bundle of its evidence.

    409: it has none, or its evidence would show what is another account's. 503: this collector cannot make it.
    """
    with seen(site, viewer) as sight:
        account = str(row_of(sight, number)[3])
    must(viewer, Deed.EXPORT)
    office = site.office
    if office is None:
        raise Refusal(503, "this collector keeps no folder of invoices: nothing is handed out before it is in there")
    with site.writing() as store:
        try:
            made = written(
                store, handed_out(store, office.archive, number), form, operator=office.key, fonts=office.fonts
            )
        except (NotHandedOut, NotExpressible) as error:
            raise Refusal(409, str(error)) from None
        except (ArchiveConflict, ArchiveFailed, NotInstalled, PaperFailed) as error:
            raise Refusal(503, str(error)) from None
    record(request, Deed.EXPORT, f"{number} as {form.value}", account=account)
    name = file_name(number, form)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(made, media_type=TYPES[form], headers=headers)


def row_of(sight: Sight, number: str) -> Row:
    """The document's row; raises Refusal (404)."""
    row = sight.store.row("api_invoice", number)
    if row is None or not sight.viewer.sees(row[3]):
        raise absent()
    return row


def newest_of(sight: Sight, query: str, account: str | None, *rest: object) -> Iterable[Row]:
    """The rows of a query by descending id: of one account, of those in sight, or of all (P20)."""
    sees = sight.viewer.accounts
    if account is None and sees is None:
        return sight.store.rows(query, *rest)
    wanted = sorted(sees or ()) if account is None else [account] if sight.viewer.sees(account) else []
    each = [sight.store.rows(f"{query}_of", name, *rest) for name in wanted]
    at = 0 if query != "api_invoices" else -1
    return heapq.merge(*each, key=lambda row: row[at], reverse=True)


def _listed(sight: Sight, part: Asked, account: str | None, contract: str, kind: str) -> Page[Invoice]:
    after = part.after((0,)) or (BEYOND,)
    rows = newest_of(sight, "api_invoices", account, after[0], contract, contract, kind, kind, part.limit + 1)
    return told(page(rows, part, lambda row: (row[-1],)), lambda row: invoice_of(sight, row))


def invoice_of(sight: Sight, row: Row) -> Invoice:
    """A document as programs read it."""
    number, kind, contract, account, start, end, currency, total, issued_at, revision, _ = row
    stands = standing(sight.store, number)
    known = sight.known[-1].catalog
    zone = timezone_of(known, known.contracts[contract]) if contract in known.contracts else "UTC"
    return Invoice(
        number=number,
        kind=kind,
        contract=contract,
        account=account,
        period=Period(start=instant(start), end=instant(end), timezone=zone),
        currency=currency,
        total=Decimal(total),
        issued_at=instant(issued_at),
        revision=revision,
        state=stands.state.value,
        open=stands.open,
    )
