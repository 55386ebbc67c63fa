"""Correcting what was issued, as the operator's rule about approval has it: at once, or drafted for somebody else."""

from dataclasses import dataclass

from cloud_collector.billing.approval import Approval
from cloud_collector.billing.means import Means
from cloud_collector.billing.prepare import draft_rebill, draft_void
from cloud_collector.billing.rebill import Rebilling, rebill
from cloud_collector.billing.void import Voiding, void
from cloud_collector.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What came of it: a document, or a run that holds its draft, or nothing where nothing is missing."""

    of: str
    number: str | None = None
    run: int | None = None


def take_back(store: Store, number: str, *, reason: str, by: str, now_ms: int, means: Means) -> Correction:
    """A credit note takes the document back in full, or is drafted; raises NoSuchInvoice, NotPossible."""
    if means.approval is not Approval.NONE:
        return Correction(of=number, run=draft_void(store, number, reason=reason, by=by, at=now_ms // 1000))
    voiding = Voiding(number=number, reason=reason, by=by)
    return Correction(
        of=number, number=void(store, voiding, now_ms=now_ms, key=means.key, archive=means.archive).number
    )


def bill_again(store: Store, number: str, *, by: str, now_ms: int, means: Means) -> Correction:
    """The period of a document that was taken back is billed again, or that is drafted; raises as `rebill` does."""
    if means.approval is not Approval.NONE:
        return Correction(of=number, run=draft_rebill(store, number, by=by, now_ms=now_ms, means=means))
    issued = rebill(store, Rebilling(number=number, by=by), now_ms=now_ms, means=means)
    return Correction(of=number, number=None if issued is None else issued.number)
