"""Taking an invoice back: a credit note in full, with a number of its own; the invoice's number stays used (P16)."""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cloud_collector.billing.accounts import NOTE_MAX, NotPossible, Offset, require_name, set_off, standing
from cloud_collector.billing.archive import Archive
from cloud_collector.billing.confirmation import require_confirmed
from cloud_collector.billing.export import NoSuchInvoice
from cloud_collector.billing.issue import Issued, take_number, tzdata_version
from cloud_collector.billing.revisions import revisions
from cloud_collector.billing.turns import begin_turns, take_alone
from cloud_collector.contracts.period import iso
from cloud_collector.invoice.document import ENGINE, InvoiceKind
from cloud_collector.invoice.void import Void, booking_turned, turned, void_body
from cloud_collector.store.store import Store
from shared.errors import Refused
from shared.key import SigningKey
from shared.line import Body, hash_of, parse, read_body, seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Voiding:
    """That an invoice is to be taken back, and why."""

    number: str
    reason: str
    by: str


def void(store: Store, voiding: Voiding, *, now_ms: int, key: SigningKey, archive: Archive) -> Issued:
    """Issue the credit note that takes an invoice back in full; raises NoSuchInvoice, NotPossible, BillingRefused.

    What nobody has paid of the invoice is settled by it; what was paid becomes credit of the account.
    """
    require_confirmed(store)
    begin_turns(store, [_taken(store, voiding.number)[1]])
    with store.atomic():
        issued = void_within(store, voiding, now_ms=now_ms, key=key, archive=archive)
    archive.put(issued.number, issued.line)
    store.run("invoice_is_archived", issued.id)
    return issued


def void_within(store: Store, voiding: Voiding, *, now_ms: int, key: SigningKey, archive: Archive) -> Issued:
    """The same inside a transaction of the caller's, who archives it afterwards."""
    reason, by = require_reason(voiding.reason), require_name(voiding.by)
    id_, contract, account, start, end, kind, currency, total, inputs, digest, line = _taken(store, voiding.number)
    known = revisions(store)
    take_alone(store, known, contract)
    require_voidable(store, voiding.number, id_, kind)
    open_before = standing(store, voiding.number).open
    operator = known[-1].catalog.operator
    number = take_number(store, operator, InvoiceKind.CREDIT_NOTE, archive)
    note = InvoiceKind.CREDIT_NOTE.value
    taken = body_of_line(bytes(line))
    told = Void(
        key=key.public.id,
        number=number.text,
        revision=1 + store.rows("invoice_revisions", contract, start, note)[0][0],
        issued_at=now_ms // 1000,
        reason=reason,
        hash=digest,
        engine=ENGINE,
        tzdata=tzdata_version(),
    )
    sealed = seal("MI1", void_body(taken, told), key)
    added = store.rows(
        "invoice_add",
        *number,
        contract,
        account,
        start,
        end,
        note,
        told.revision,
        currency,
        turned(total),
        told.issued_at,
        inputs,
        hash_of(sealed),
        sealed,
    )
    credit = added[0][0]
    _book(store, id_, credit, taken)
    store.run("void_add", id_, credit, reason, by)
    if open_before > Decimal(0):
        owed = Offset(credit_note=credit, number=number.text, amount=open_before)
        set_off(store, account, currency, id_, [owed], at=told.issued_at, by=by)
    return Issued(id=credit, number=number.text, kind=InvoiceKind.CREDIT_NOTE, line=sealed)


def require_voidable(store: Store, number: str, id_: int, kind: str) -> None:
    """Raises NotPossible for a credit note, and for what was taken back before."""
    if kind == InvoiceKind.CREDIT_NOTE.value:
        raise NotPossible(
            f"{number} is a credit note and is not taken back: what it credited too much comes with the next invoice, "
            "because a run bills whatever is not booked"
        )
    before = store.row("voided_by", id_)
    if before is not None:
        raise NotPossible(f"{number} was taken back by {before[0]} on {iso(before[3])}: {before[1]}")


def require_reason(reason: str) -> str:
    """A reason as one line; raises NotPossible where there is none, or where no document can print it."""
    found = " ".join(reason.split())
    # A control character has no place in XML, and so in no electronic invoice.
    if not found or len(found) > NOTE_MAX or not found.isprintable():
        raise NotPossible(
            f"say why, in at most {NOTE_MAX} printable characters: the reason is printed on the credit note"
        )
    return found


def body_of_line(line: bytes) -> Body:
    """What an issued invoice's sealed line says."""
    parsed = parse(line)
    assert not isinstance(parsed, Refused), "an issued invoice is a sealed line"
    found = read_body(parsed)
    assert not isinstance(found, Refused), "an issued invoice has a body"
    return found


def _taken(store: Store, number: str) -> tuple[Any, ...]:
    row = store.row("invoice_to_void", number)
    if row is None:
        raise NoSuchInvoice(f"there is no invoice {number}: `cloud-collector invoice list` names them all")
    return row


def _book(store: Store, taken_id: int, credit: int, taken: Body) -> None:
    """Under every key of the invoice the same with the other sign, so that nothing of it is booked any more."""
    rows = []
    for place, *key, _ in store.rows("bookings_of_invoice", taken_id):
        line = booking_turned(taken["lines"][place - 1], taken["number"], place)
        rows.append((credit, place, *key, json.dumps(line, separators=(",", ":"))))
    store.run_many("booking_add", rows)
