"""Billing a period again after its invoice was taken back: the next revision, with what is then not booked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cloud_collector.billing.accounts import NotPossible, require_name
from cloud_collector.billing.approval import digest_of
from cloud_collector.billing.case import Case, closed_case
from cloud_collector.billing.confirmation import require_confirmed
from cloud_collector.billing.cutoff import cutoff
from cloud_collector.billing.due import Due
from cloud_collector.billing.export import NoSuchInvoice
from cloud_collector.billing.issue import Issued, issue, require_issuable
from cloud_collector.billing.means import Means
from cloud_collector.billing.revisions import revisions
from cloud_collector.billing.too_late import keep_too_late
from cloud_collector.billing.turns import begin_turns, take_alone
from cloud_collector.contracts.revision import Revision
from cloud_collector.invoice.compose import Composition, compose
from cloud_collector.invoice.document import InvoiceKind
from cloud_collector.rating.draft import Draft
from cloud_collector.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebilling:
    """That the period of an invoice which was taken back is to be billed again."""

    number: str
    by: str


class Composed(NamedTuple):
    """What would be billed, and where it stands."""

    voided: int
    known: Sequence[Revision]
    case: Case
    due: Due
    composition: Composition


def rebill(store: Store, asked: Rebilling, *, now_ms: int, means: Means) -> Issued | None:
    """Issue the next revision of an invoice that was taken back; None where nothing is missing.

    Raises NoSuchInvoice, NotPossible, BillingRefused, ArchiveFailed, and whatever parks a contract in a run.
    """
    require_confirmed(store)
    begin_turns(store, [contract_of(store, asked.number)])
    with store.atomic():
        issued = rebill_within(store, asked, now_ms=now_ms, means=means)
    if issued is not None:
        means.archive.put(issued.number, issued.line)
        store.run("invoice_is_archived", issued.id)
    return issued


def rebill_draft(store: Store, number: str, *, now_ms: int, means: Means) -> Draft:
    """What `rebill` would issue, without issuing it."""
    found = composed(store, number, now_ms=now_ms, means=means)
    catalog = found.known[-1].catalog
    require_issuable(found.composition, catalog.operator, catalog.accounts[found.case.terms.account])
    return found.composition.draft


def rebill_within(
    store: Store, asked: Rebilling, *, now_ms: int, means: Means, digest: str | None = None
) -> Issued | None:
    """The same as `rebill` inside a transaction of the caller's, who archives it afterwards; `digest` was approved."""
    by = require_name(asked.by)
    take_alone(store, revisions(store), contract_of(store, asked.number))
    found = composed(store, asked.number, now_ms=now_ms, means=means)
    draft, catalog = found.composition.draft, found.known[-1].catalog
    if draft.lines and digest not in (None, digest_of(draft)):
        raise NotPossible(
            f"what replaces {asked.number} has changed since it was approved, to {draft.total:f} {draft.currency}: "
            "draft and approve it again"
        )
    keep_too_late(store, draft.contract, found.composition.too_late, at=now_ms // 1000)
    if not draft.lines:
        return None
    issued = issue(
        store,
        found.composition,
        operator=catalog.operator,
        account=catalog.accounts[found.case.terms.account],
        cutoff=cutoff(
            store,
            found.composition,
            now_ms=now_ms,
            silent=found.due.silent,
            rates_max=means.rates_max,
            skew_seconds=means.skew_seconds,
        ),
        adjusts=found.due.adjusts,
        now_ms=now_ms,
        key=means.key,
        archive=means.archive,
    )
    place = (draft.contract, draft.period.start, issued.id)
    store.run("rebill_add", *place, found.voided, found.case.plans.number, by)
    return issued


def contract_of(store: Store, number: str) -> str:
    """Whose invoice it is; raises NoSuchInvoice."""
    row = store.row("document_row", number)
    if row is None:
        raise NoSuchInvoice(f"there is no invoice {number}: `cloud-collector invoice list` names them all")
    contract: str = row[6]
    return contract


def composed(store: Store, number: str, *, now_ms: int, means: Means) -> Composed:
    """What is not booked of the period of an invoice that was taken back; raises NoSuchInvoice and NotPossible."""
    contract = contract_of(store, number)
    id_, _, _, start, _, kind, *_ = store.rows("invoice_to_void", number)[0]
    if store.row("voided_by", id_) is None:
        raise NotPossible(
            f"{number} stands: take it back first, with `cloud-collector invoice void {number} --reason …`"
        )
    after = store.row("rebilled_by", id_)
    if after is not None:
        raise NotPossible(f"{number} was replaced by {after[0]} already")
    known, now = revisions(store), now_ms // 1000
    adjusts = kind == InvoiceKind.ADJUSTMENT.value
    case = closed_case(store, contract, start, known, means.sight, now=now, billed_at=now, adjusts=adjusts)
    assert isinstance(case.due, Due), "a closed period is due"
    assert case.order is not None, "and has an order"
    return Composed(id_, known, case, case.due, compose(case.order, means.view(store)))
