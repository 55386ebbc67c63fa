"""What became of issued documents, and what operators do about them: payments, credit notes, billing again."""

from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from cloud_collector.access.viewer import Deed
from cloud_collector.billing.accounts import NOTE_MAX, settle
from cloud_collector.billing.corrections import Correction as Made
from cloud_collector.billing.corrections import bill_again, take_back
from cloud_collector.billing.issued import life_of_document
from cloud_collector.billing.run import Biller
from cloud_collector.client.money import Correction, InvoiceLife, Moved, TakenBack
from cloud_collector.store.store import Store
from cloud_collector.web.api.deed import said
from cloud_collector.web.api.invoices import invoice_of
from cloud_collector.web.api.once import Once
from cloud_collector.web.api.problem import Refusal, absent, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.shape import shaped
from cloud_collector.web.api.sight import Here, Sight, seen
from cloud_collector.web.api.written import PRINTABLE, Amount
from cloud_collector.web.gate import Operating, must, record
from cloud_collector.web.site import Site

router = APIRouter(route_class=ApiRoute, tags=["invoices"])
REFUSALS = documented(409, 413)


@router.get("/invoices/{number}/life", response_model=InvoiceLife)
def life(site: Here, viewer: Operating, number: str) -> Any:
    """One issued document and what became of it: what was paid of it, and what took it back."""
    with seen(site, viewer) as sight:
        return _life(sight, number)


class Payment(BaseModel):
    """What was paid."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"amount": "12.50", "reference": "transfer 4711"}]}
    )

    amount: Amount | None = None
    """Decimal text in the document's currency; null: all that is open."""
    reference: Annotated[str, Field(max_length=NOTE_MAX, pattern=PRINTABLE)] = ""


@router.post("/invoices/{number}/payments", response_model=InvoiceLife, dependencies=[Once], responses=REFUSALS)
def pay(request: Request, site: Here, viewer: Operating, number: str, payment: Payment) -> Any:
    """Record that the document was paid, or that a credit note's credit was paid out. 409: not so much is open."""
    must(viewer, Deed.BILL)
    with site.writing() as store:
        account = _account_of(store, number)
        amount: Decimal | None = payment.amount
        at = site.clock.utc_ms() // 1_000
        with said():
            settle(store, number, amount=amount, at=at, by=viewer.name, note=payment.reference)
        what = f"invoice paid {number} {'' if amount is None else format(amount, 'f')}".strip()
        record(request, Deed.BILL, what, account=account, store=store)
    with seen(site, viewer) as sight:
        return _life(sight, number)


class Reason(BaseModel):
    """Why a document is taken back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "the tariff was wrong"}]})

    reason: Annotated[str, Field(min_length=1, max_length=NOTE_MAX, pattern=PRINTABLE)]
    """It stands on the credit note."""


@router.post("/invoices/{number}/void", response_model=Correction, dependencies=[Once], responses=REFUSALS)
def void(request: Request, site: Here, viewer: Operating, number: str, wanted: Reason) -> Any:
    """Take the document back in full by a credit note, or draft that where documents are approved.

    409: it was taken back before, or is a credit note itself.
    """
    must(viewer, Deed.BILL)
    with site.writing() as store:
        account = _account_of(store, number)
        with said():
            made = take_back(
                store,
                number,
                reason=wanted.reason,
                by=viewer.name,
                now_ms=site.clock.utc_ms(),
                means=means_of(site),
            )
        drafted = "" if made.run is None else " drafted"
        record(request, Deed.BILL, f"invoice void {number}{drafted}: {wanted.reason}", account=account, store=store)
    return correction_of(made)


@router.post("/invoices/{number}/rebill", response_model=Correction, dependencies=[Once], responses=REFUSALS)
def rebill(request: Request, site: Here, viewer: Operating, number: str) -> Any:
    """Bill the period of a document that was taken back again, or draft that where documents are approved.

    409: it was not taken back, or its period was billed again before.
    """
    must(viewer, Deed.BILL)
    with site.writing() as store:
        account = _account_of(store, number)
        with said():
            made = bill_again(store, number, by=viewer.name, now_ms=site.clock.utc_ms(), means=means_of(site))
        if made.run is not None or made.number is not None:
            told = " drafted" if made.number is None else f": {made.number}"
            record(request, Deed.BILL, f"invoice rebill {number}{told}", account=account, store=store)
    return correction_of(made)


def means_of(site: Site) -> Biller:
    """How documents are issued; raises Refusal (503)."""
    if site.office is None or site.office.biller is None:
        raise Refusal(503, "documents are not issued from here: this collector does not hold the key that seals them")
    return site.office.biller


def _account_of(store: Store, number: str) -> str:
    """Whose document it is; raises Refusal (404)."""
    row = store.row("api_invoice", number)
    if row is None:
        raise absent()
    return str(row[3])


def _life(sight: Sight, number: str) -> InvoiceLife:
    found, row = life_of_document(sight.store, number), sight.store.row("api_invoice", number)
    if found is None or row is None:
        raise absent()
    taken = found.taken
    return InvoiceLife(
        invoice=invoice_of(sight, row),
        taken_back=None
        if taken is None
        else TakenBack(
            credit_note=taken.credit_note,
            reason=taken.reason,
            by=taken.by,
            at=taken.at,
            replaced_by=taken.replaced_by,
        ),
        takes_back=found.takes,
        moved=[shaped(Moved, {**each, "note": each["note"] or None}) for each in found.moved],
    )


def correction_of(made: Made) -> Correction:
    """What came of it, as programs read it."""
    return Correction(of=made.of, number=made.number, run=made.run)
