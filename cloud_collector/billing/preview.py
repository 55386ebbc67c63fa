"""What a billing run would do, period by period, without doing it."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.case import Sight, case_of
from cloud_collector.billing.due import Due, Waiting
from cloud_collector.billing.issue import require_issuable
from cloud_collector.billing.means import Means
from cloud_collector.billing.outcome import Outcome
from cloud_collector.billing.revisions import revisions
from cloud_collector.billing.run import Run, next_alone, waits, wanted_contracts
from cloud_collector.contracts.revision import Revision
from cloud_collector.invoice.compose import compose
from cloud_collector.store.store import Store
from shared.errors import DatabaseError, MetersealError
from shared.key import SigningKey


def preview(
    store: Store, as_of_ms: int, sight: Sight, *, contracts: Collection[str] | None = None
) -> tuple[Outcome, ...]:
    """What `bill_due` would do with each contract, period by period, without doing it."""
    known, now = revisions(store), as_of_ms // 1000
    return tuple(
        outcome
        for contract in wanted_contracts(known, contracts)
        for outcome in _preview(store, contract, known, now, sight)
    )


def _preview(store: Store, contract: str, known: Sequence[Revision], as_of: int, sight: Sight) -> list[Outcome]:
    try:
        case = case_of(store, contract, known, as_of, sight, billed_at=as_of)
        if case.due is None or case.order is None or not case.order.tasks:
            return []
        if case.further:
            return _rehearsed(store, contract, known, as_of, sight)
        composition = compose(case.order, sight.view(store))
        catalog = known[-1].catalog
        require_issuable(composition, catalog.operator, catalog.accounts[case.terms.account])
    except DatabaseError:
        raise
    except MetersealError as error:
        return [Outcome(contract=contract, state="parked", reason=str(error))]
    draft = composition.draft
    if isinstance(case.due, Waiting):
        outcome = waits(contract, case.due)
    else:
        state, period = "due" if draft.lines else "nothing", case.due.period
        reason = _without(case.due) if draft.lines else None
        outcome = Outcome(contract=contract, state=state, start=period.start, end=period.end, reason=reason)
    return [replace(outcome, currency=draft.currency, total=draft.total, draft=draft)]


class _Undo(Exception):
    """Ends a rehearsal: nothing of it is kept."""


def _rehearsed(store: Store, contract: str, known: Sequence[Revision], as_of: int, sight: Sight) -> list[Outcome]:
    """Several periods that are due, as a run would close them one after the other: in a transaction that is undone."""
    # What it seals never leaves the transaction.
    means = Means(key=SigningKey(bytes(32)), archive=MemoryArchive(), view=sight.view, complete=sight.complete)
    run = Run(store=store, known=known, biller=means, now_ms=as_of * 1000, as_of_ms=as_of * 1000, sight=sight)
    found: list[Outcome] = []
    with suppress(_Undo), store.atomic():
        closing = next_alone(run, contract)
        while closing.outcome is not None and closing.goes_on:
            state = "nothing" if closing.issued is None else "due"
            found.append(replace(closing.outcome, state=state, number=None, draft=closing.draft))
            closing = next_alone(run, contract)
        found += [] if closing.outcome is None else [closing.outcome]
        raise _Undo
    return found


def _without(due: Due) -> str | None:
    return f"closes without reports of {', '.join(sorted(due.silent))}" if due.silent else None
