"""Drafting documents for approval: what a run would issue, and corrections of what was issued."""

from collections.abc import Collection

from cloud_collector.billing.approval import Drafted, Task, digest_of, keep_drafts
from cloud_collector.billing.case import Sight
from cloud_collector.billing.export import NoSuchInvoice
from cloud_collector.billing.issue import require_issuable
from cloud_collector.billing.means import Means
from cloud_collector.billing.preview import preview
from cloud_collector.billing.rebill import composed
from cloud_collector.billing.void import require_reason, require_voidable
from cloud_collector.invoice.void import turned
from cloud_collector.store.store import Store


def draft_due(
    store: Store, as_of_ms: int, sight: Sight, *, by: str, contracts: Collection[str] | None = None
) -> int | None:
    """Keep a draft of every document that is due, as one run; its number, or None where nothing is due."""
    kept = [
        Drafted(
            task=Task.PERIOD,
            contract=each.contract,
            start=each.start,
            end=each.end,
            currency=each.draft.currency,
            total=format(each.draft.total, "f"),
            digest=digest_of(each.draft),
            draft=each.draft,
        )
        for each in preview(store, as_of_ms, sight, contracts=contracts)
        if each.state == "due" and each.draft is not None and each.start is not None and each.end is not None
    ]
    if not kept:
        return None
    at = as_of_ms // 1000
    return keep_drafts(store, kept, by=by, at=at, as_of=at, contracts=sorted(contracts or ()))


def draft_void(store: Store, number: str, *, reason: str, by: str, at: int) -> int:
    """Keep a draft of taking an invoice back; its run. Raises NoSuchInvoice and NotPossible."""
    row = store.row("invoice_to_void", number)
    if row is None:
        raise NoSuchInvoice(f"there is no invoice {number}: `cloud-collector invoice list` names them all")
    id_, contract, _, start, end, kind, currency, total, _, digest, _ = row
    require_voidable(store, number, id_, kind)
    kept = Drafted(
        task=Task.VOID,
        contract=contract,
        start=start,
        end=end,
        currency=currency,
        total=turned(total),
        digest=digest,
        invoice=id_,
        reason=require_reason(reason),
    )
    return keep_drafts(store, [kept], by=by, at=at, as_of=at, contracts=[contract])


def draft_rebill(store: Store, number: str, *, by: str, now_ms: int, means: Means) -> int | None:
    """Keep a draft of billing a period again; its run, or None where nothing is missing."""
    found = composed(store, number, now_ms=now_ms, means=means)
    draft, catalog = found.composition.draft, found.known[-1].catalog
    if not draft.lines:
        return None
    require_issuable(found.composition, catalog.operator, catalog.accounts[found.case.terms.account])
    kept = Drafted(
        task=Task.REBILL,
        contract=draft.contract,
        start=draft.period.start,
        end=draft.period.end,
        currency=draft.currency,
        total=format(draft.total, "f"),
        digest=digest_of(draft),
        draft=draft,
        invoice=found.voided,
    )
    return keep_drafts(store, [kept], by=by, at=now_ms // 1000, as_of=now_ms // 1000, contracts=[draft.contract])
