"""What moved on an account beside its invoices: payments, credit set off against invoices, credit paid out.

Facts, appended in the transaction of whatever caused them; what is open and in which state a document is follows
from them. Credit is the account's: a credit note of one contract is set off against invoices of any other.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from cloud_collector.billing.export import NoSuchInvoice
from cloud_collector.contracts.money import exponent_of
from cloud_collector.contracts.period import iso
from cloud_collector.invoice.document import InvoiceKind
from cloud_collector.store.store import Store
from shared.errors import MetersealError

NOTE_MAX: Final = 140
"""Characters of a reason or a reference: what a bank's transfer carries."""
_ZERO: Final = Decimal(0)


class NotPossible(MetersealError):
    """The document is not in a state in which this can be done."""


class What(StrEnum):
    """What an entry of an account is."""

    PAYMENT = "payment"
    OFFSET = "offset"
    PAY_OUT = "pay_out"


class State(StrEnum):
    """Where an issued document stands in its life."""

    ISSUED = "issued"
    PAID = "paid"
    """Nothing of it is open: paid, set off, or it came to zero."""
    CREDITED = "credited"
    """Taken back in full by a credit note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """Credit of a note that an invoice uses."""

    credit_note: int
    number: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is open of a document, in its own direction: what the customer owes, or has to his credit."""

    number: str
    kind: InvoiceKind
    open: Decimal
    state: State


def offsets(store: Store, account: str, currency: str, owed: Decimal) -> tuple[Offset, ...]:
    """The account's open credit, the oldest note first, up to what is owed; call it inside the issuing transaction."""
    found = []
    for id_, number, credit in _open_credits(store, account, currency):
        amount = min(credit, owed)
        if amount <= _ZERO:
            break
        found.append(Offset(credit_note=id_, number=number, amount=amount))
        owed -= amount
    return tuple(found)


def set_off(
    store: Store, account: str, currency: str, invoice: int, used: Sequence[Offset], *, at: int, by: str = ""
) -> None:
    """Write down that an invoice used this credit; call it inside the transaction that looked at it."""
    for each in used:
        _enter(
            store,
            account,
            What.OFFSET,
            (invoice, each.credit_note),
            amount=each.amount,
            currency=currency,
            at=at,
            by=by,
        )


def pay(store: Store, number: str, *, amount: Decimal | None, at: int, by: str, note: str = "") -> Standing:
    """Record that an invoice was paid, wholly or with `amount`; raises NotPossible."""
    _require_note(note)
    with store.atomic():
        row, now = _row(store, number), standing(store, number)
        if now.kind is InvoiceKind.CREDIT_NOTE:
            raise NotPossible(
                f"{number} is a credit note: `cloud-collector credit pay-out {number}` records its payment"
            )
        if now.state is not State.ISSUED:
            raise NotPossible(f"{number} is {now.state.value} already: nothing of it is open")
        paid = _part(number, now.open, amount, row[4])
        _enter(store, row[2], What.PAYMENT, (row[0], None), amount=paid, currency=row[4], at=at, by=by, note=note)
        return standing(store, number)


def pay_out(store: Store, number: str, *, amount: Decimal | None, at: int, by: str, note: str = "") -> Standing:
    """Record that the credit of a note was paid out, wholly or `amount` of it; raises NotPossible."""
    _require_note(note)
    with store.atomic():
        row, now = _row(store, number), standing(store, number)
        if now.kind is not InvoiceKind.CREDIT_NOTE:
            raise NotPossible(
                f"{number} is no credit note: `cloud-collector invoice paid {number}` records its payment"
            )
        if now.state is not State.ISSUED:
            raise NotPossible(f"{number} has no credit left: it was set off or paid out")
        paid = _part(number, now.open, amount, row[4])
        _enter(store, row[2], What.PAY_OUT, (None, row[0]), amount=paid, currency=row[4], at=at, by=by, note=note)
        return standing(store, number)


def settle(store: Store, number: str, *, amount: Decimal | None, at: int, by: str, note: str = "") -> Standing:
    """Record that a document was paid, or a note's credit paid out, wholly or with `amount`; raises NotPossible."""
    is_note = standing(store, number).kind is InvoiceKind.CREDIT_NOTE
    return (pay_out if is_note else pay)(store, number, amount=amount, at=at, by=by, note=note)


def standing(store: Store, number: str) -> Standing:
    """Where a document stands; raises NoSuchInvoice where there is none."""
    row = _row(store, number)
    moved = sum((Decimal(entry[3]) for entry in store.rows("entries_of_document", row[0])), _ZERO)
    return _standing(number, row[3], Decimal(row[5]), moved, voided=store.row("voided_by", row[0]) is not None)


def standings(store: Store) -> dict[str, Standing]:
    """Where every document stands, in order of issue."""
    moved: dict[int, Decimal] = defaultdict(Decimal)
    for _, invoice, credit_note, amount in store.rows("entries_all"):
        for id_ in (invoice, credit_note):
            if id_ is not None:
                moved[id_] += Decimal(amount)
    return {
        number: _standing(number, kind, Decimal(total), moved[id_], voided=bool(voided))
        for number, kind, total, voided, id_ in store.rows("documents_standing")
    }


def entries(store: Store, number: str) -> list[dict[str, Any]]:
    """Everything that moved on a document."""
    names = ("what", "invoice", "credit_note", "amount", "at", "by", "note")
    rows = [dict(zip(names, row, strict=True)) for row in store.rows("entries_of_document", _row(store, number)[0])]
    return [row | {"at": iso(row["at"])} for row in rows]


def open_credits(store: Store) -> list[dict[str, Any]]:
    """Every credit note of which something is left, by account."""
    found: dict[str, dict[str, Any]] = {}
    for account, currency, number, contract, issued_at, total, _, amount, _ in store.rows("credits_all"):
        row = found.setdefault(
            number,
            {
                "account": account,
                "number": number,
                "contract": contract,
                "issued_at": iso(issued_at),
                "currency": currency,
                "total": total,
                "open": -Decimal(total),
            },
        )
        row["open"] -= Decimal(amount or 0)
    return [row | {"open": format(row["open"], "f")} for row in found.values() if row["open"]]


def require_name(name: str) -> str:
    """Who did it, as one line; raises NotPossible where nobody is named."""
    found = " ".join(name.split())
    if not found or len(found) > NOTE_MAX:
        raise NotPossible(f"say who does this: --as NAME, at most {NOTE_MAX} characters")
    return found


def _open_credits(store: Store, account: str, currency: str) -> list[tuple[int, str, Decimal]]:
    found: dict[int, tuple[str, Decimal]] = {}
    for id_, number, total, used in store.rows("credits_of_account", account, currency):
        _, left = found.get(id_, (number, -Decimal(total)))
        found[id_] = (number, left - Decimal(used or 0))
    return [(id_, number, left) for id_, (number, left) in found.items() if left > _ZERO]


def _standing(number: str, kind: str, total: Decimal, moved: Decimal, *, voided: bool) -> Standing:
    which = InvoiceKind(kind)
    left = (-total if which is InvoiceKind.CREDIT_NOTE else total) - moved
    state = State.CREDITED if voided else State.PAID if left <= _ZERO else State.ISSUED
    return Standing(number=number, kind=which, open=left, state=state)


def _row(store: Store, number: str) -> tuple[Any, ...]:
    row = store.row("document_row", number)
    if row is None:
        raise NoSuchInvoice(f"there is no invoice {number}: `cloud-collector invoice list` names them all")
    return row


def _part(number: str, left: Decimal, amount: Decimal | None, currency: str) -> Decimal:
    if amount is None:
        return left
    if amount <= _ZERO or amount > left or amount != round(amount, exponent_of(currency)):
        raise NotPossible(
            f"{number} has {left:f} {currency} open: an amount lies above 0 and not above that, in {currency}"
        )
    return amount


def _require_note(note: str) -> None:
    if len(note) > NOTE_MAX:
        raise NotPossible(f"a reference has at most {NOTE_MAX} characters")


def _enter(
    store: Store,
    account: str,
    what: What,
    between: tuple[int | None, int | None],
    *,
    amount: Decimal,
    currency: str,
    at: int,
    by: str,
    note: str = "",
) -> None:
    place = store.rows("account_entry_next", account)[0][0]
    invoice, credit_note = between
    store.run(
        "account_entry_add",
        account,
        place,
        what.value,
        invoice,
        credit_note,
        currency,
        format(amount, "f"),
        at,
        by,
        " ".join(note.split()),
    )
