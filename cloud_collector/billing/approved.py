"""Corrections that were approved, issued by the next run: what is taken back first, then what is billed again."""

from collections.abc import Callable, Collection, Iterator
from decimal import Decimal

from cloud_collector.billing.accounts import NotPossible
from cloud_collector.billing.approval import Approval, Approved, Task, approved_corrections
from cloud_collector.billing.issue import BillingRefused, Issued
from cloud_collector.billing.means import Means
from cloud_collector.billing.outcome import Outcome
from cloud_collector.billing.rebill import Rebilling, rebill_within
from cloud_collector.billing.turns import begin_turns
from cloud_collector.billing.void import Voiding, void_within
from cloud_collector.store.store import Store
from shared.errors import DatabaseBusy, DatabaseError, MetersealError


def issue_corrections(
    store: Store,
    means: Means,
    *,
    now_ms: int,
    contracts: Collection[str] | None,
    progress: Callable[[Outcome], None],
) -> Iterator[Outcome]:
    """Every approved correction of these contracts, each in a transaction of its own."""
    if means.approval is Approval.NONE:
        return
    for approved, task, number, reason, digest in approved_corrections(store, means.approval):
        contract = store.rows("document_row", number)[0][6]
        if contracts is not None and contract not in contracts:
            continue
        outcome = _issued(store, means, now_ms, (approved, task, number, reason, digest), contract)
        progress(outcome)
        yield outcome


def _issued(
    store: Store, means: Means, now_ms: int, what: tuple[Approved, Task, str, str, str], contract: str
) -> Outcome:
    approved, task, number, reason, digest = what
    begin_turns(store, [contract])
    try:
        with store.atomic():
            issued: Issued | None
            if task is Task.VOID:
                voiding = Voiding(number=number, reason=reason, by=approved.by)
                issued = void_within(store, voiding, now_ms=now_ms, key=means.key, archive=means.archive)
            else:
                asked = Rebilling(number=number, by=approved.by)
                issued = rebill_within(store, asked, now_ms=now_ms, means=means, digest=digest)
            if issued is not None:
                store.run("draft_issued_add", approved.draft, issued.id)
    except DatabaseBusy as error:
        return Outcome(contract=contract, state="waiting", reason=str(error))
    except (DatabaseError, BillingRefused):
        raise
    except NotPossible as error:
        return Outcome(contract=contract, state="unapproved", reason=str(error))
    except MetersealError as error:
        # P19: never guess; the others are billed.
        return Outcome(contract=contract, state="parked", reason=f"{number} is not billed again: {error}")
    if issued is None:
        return Outcome(contract=contract, state="nothing", reason=f"nothing of the period of {number} is missing")
    means.archive.put(issued.number, issued.line)
    store.run("invoice_is_archived", issued.id)
    row = store.rows("document_row", issued.number)[0]
    return Outcome(
        contract=contract,
        state="issued",
        number=issued.number,
        kind=issued.kind.value,
        currency=row[4],
        total=Decimal(row[5]),
    )
