"""Issued documents as a list and one by one: where each stands, what moved on it, what took it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from cloud_collector.billing.accounts import entries, standing
from cloud_collector.store.store import Store

NEWEST: Final = 2**60


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """An issued document."""

    id: int
    number: str
    account: str
    contract: str
    start: datetime
    end: datetime
    kind: str
    revision: int
    total: Decimal
    currency: str
    issued_at: datetime
    open: Decimal
    """What the customer still owes of it, or has to his credit."""
    state: str
    """issued, paid, credited"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A credit note that took a document back."""

    credit_note: str
    reason: str
    by: str
    at: datetime
    replaced_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A document and what became of it."""

    issued: Issued
    taken: Taken | None
    takes: str | None
    """Of a credit note: which document it takes back."""
    moved: tuple[dict[str, Any], ...]
    """Payments and credit, in order."""


def issued_rows(
    store: Store, *, before: int = NEWEST, account: str = "", contract: str = "", number: str = "", rows: int
) -> list[Issued]:
    """Documents before an id, the newest first."""
    like = "%" + number.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    found = store.rows("invoices_page", before, account, account, contract, contract, like, rows)
    return [_issued(store, row) for row in found]


def life_of_document(store: Store, number: str) -> Life | None:
    """One document; None where there is none of that number."""
    row = store.row("document_row", number)
    if row is None:
        return None
    (found,) = store.rows("invoices_page", row[0] + 1, "", "", "", "", "%", 1)
    voided, takes = store.row("voided_by", row[0]), store.row("voids", row[0])
    after = store.row("rebilled_by", row[0])
    taken = None
    if voided is not None:
        taken = Taken(
            credit_note=voided[0],
            reason=voided[1],
            by=voided[2],
            at=datetime.fromtimestamp(voided[3], UTC),
            replaced_by=None if after is None else after[0],
        )
    return Life(
        issued=_issued(store, found),
        taken=taken,
        takes=None if takes is None else takes[0],
        moved=tuple(entries(store, number)),
    )


def _issued(store: Store, row: Sequence[Any]) -> Issued:
    id_, number, account, contract, start, end, kind, revision, total, currency, issued_at = row
    now = standing(store, number)
    return Issued(
        id=id_,
        number=number,
        account=account,
        contract=contract,
        start=datetime.fromtimestamp(start, UTC),
        end=datetime.fromtimestamp(end, UTC),
        kind=kind,
        revision=revision,
        total=Decimal(total),
        currency=currency,
        issued_at=datetime.fromtimestamp(issued_at, UTC),
        open=now.open,
        state=now.state.value,
    )
