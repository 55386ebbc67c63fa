"""The billing run: what is due is closed, issued and archived, contract by contract; what cannot be is parked.

Safe to kill anywhere, and to run twice at once: a few periods are one transaction, each a part of it that rolls back
alone, and the schema decides.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from cloud_collector.billing.approval import Approval, Approved, approved_period
from cloud_collector.billing.approved import issue_corrections
from cloud_collector.billing.archive import Archive, ArchiveConflict, ArchiveFailed
from cloud_collector.billing.case import Case, Sight, case_of, ended_period, still
from cloud_collector.billing.confirmation import require_confirmed, waits_for_confirmation
from cloud_collector.billing.cutoff import cutoff
from cloud_collector.billing.due import Due, Waiting
from cloud_collector.billing.issue import BillingRefused, Issued, issue, require_issuable
from cloud_collector.billing.means import Means
from cloud_collector.billing.outcome import Outcome, Report
from cloud_collector.billing.reimport import keep_catalogs
from cloud_collector.billing.revisions import revisions
from cloud_collector.billing.too_late import keep_too_late
from cloud_collector.billing.turns import Turn, begin_turns, take_contract
from cloud_collector.contracts.period import Period, iso
from cloud_collector.contracts.revision import Revision, plans_revision
from cloud_collector.invoice.compose import Composition, compose
from cloud_collector.rating.draft import Draft
from cloud_collector.store.store import Store
from shared.errors import DatabaseError, MetersealError

_log: Final = logging.getLogger(__name__)

PERIODS_A_RUN_MAX: Final = 1_200
"""Periods of one contract that one run closes: a hundred years of months."""
LINES_TOGETHER_MAX: Final = 4_096
"""Invoice lines after which no further period joins the transaction."""
PERIODS_A_TICK_MAX: Final = 100
"""Periods that one tick closes, so that reports are taken in between; the next tick goes on."""


class Biller(Means):
    """A billing run as a chore of the collector's tick."""

    __slots__ = ()

    def __call__(self, store: Store, now_ms: int) -> None:
        """A chore of the collector's tick."""
        # P22: after a restore a person speaks first; the alarm `restored` says so.
        if store.row("catalog_newest") is not None and waits_for_confirmation(store) is None:
            known = {contract: reason for contract, _, reason, _ in store.rows("parked")}
            # Where people approve, a tick issues what they have approved; `billing run` looks at everything.
            free = self.approval is Approval.NONE
            contracts = None if free else {row[0] for row in store.rows("approved_contracts")}
            most = PERIODS_A_TICK_MAX
            bill_due(store, now_ms, self, contracts=contracts, most=most, progress=lambda each: _tell(each, known))


def bill_due(
    store: Store,
    now_ms: int,
    biller: Biller,
    *,
    as_of_ms: int | None = None,
    contracts: Collection[str] | None = None,
    most: int | None = None,
    progress: Callable[[Outcome], None] = lambda _: None,
    left: Callable[[int], None] = lambda _: None,
) -> Report:
    """Close every period that is due; raises NoCatalog, BillingRefused, ArchiveFailed and DatabaseError.

    `as_of_ms` says what is due, `now_ms` when it is issued; `left` hears how many contracts are still to be looked at.
    Invoices that an earlier run issued and could not archive are archived first, with the same bytes.
    """
    require_confirmed(store)
    archived = complete_archive(store, biller.archive)
    run = Run(
        store=store,
        known=revisions(store),
        biller=biller,
        now_ms=now_ms,
        as_of_ms=as_of_ms or now_ms,
        sight=biller.sight,
    )
    keep_catalogs(store, biller.archive)
    outcomes = list(issue_corrections(store, biller, now_ms=now_ms, contracts=contracts, progress=progress))
    closed = 0
    parked = {row[0] for row in store.rows("parked")}
    waiting: deque[str] = deque()
    for contract in wanted_contracts(run.known, contracts):
        if _may_be_due(run, contract):
            waiting.append(contract)
        elif contract in parked:
            store.run("unpark", contract)
    left(len(waiting))
    begin_turns(store, waiting)
    while waiting and closed != most:
        together = biller.together if most is None else min(biller.together, most - closed)
        for outcome in _bill_together(run, waiting, together):
            outcomes.append(outcome)
            progress(outcome)
            closed += outcome.state in ("issued", "nothing")
        left(len(waiting))
    for contract in run.busy:
        alone = deque([contract])
        while alone and closed != most:
            for outcome in _bill_together(run, alone, 1, patient=True):
                outcomes.append(outcome)
                progress(outcome)
                closed += outcome.state in ("issued", "nothing")
    return Report(outcomes=tuple(outcomes), archived=archived)


def complete_archive(store: Store, archive: Archive) -> tuple[str, ...]:
    """Every issued invoice is in the folder, in its very bytes; the numbers of those that were not."""
    pending = [(id_, number, bytes(line)) for id_, number, line in store.rows("invoices_not_archived")]
    _archive(store, archive, pending)
    return tuple(number for _, number, _ in pending)


def _archive(store: Store, archive: Archive, issued: Sequence[tuple[int, str, bytes]]) -> None:
    if issued:
        archive.put_all([(number, line) for _, number, line in issued])
        with store.atomic():
            store.run_many("invoice_is_archived", [(id_,) for id_, _, _ in issued])


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: what it works on, its two clocks, and how far it has come."""

    store: Store
    known: Sequence[Revision]
    biller: Means
    now_ms: int
    as_of_ms: int
    sight: Sight
    starts: dict[str, int] = field(default_factory=dict)
    """Where the period begins at which a contract was last found."""
    closed: Counter[str] = field(default_factory=Counter)
    """Periods, by contract."""
    busy: list[str] = field(default_factory=list)
    """Contracts that are closed alone, after the others: reports of their gateways were being taken in."""

    def case(self, contract: str) -> Case:
        """Where the contract stands."""
        case = case_of(
            self.store, contract, self.known, self.as_of_ms // 1000, self.sight, billed_at=self.now_ms // 1000
        )
        if case.due is not None:
            self.starts[contract] = case.due.period.start
        return case


class Closing(NamedTuple):
    """A contract's next step, as it stands in a transaction that is not committed yet."""

    outcome: Outcome | None
    """None where nothing is due."""
    issued: Issued | None = None
    draft: Draft | None = None
    again: bool = True
    """Whether another look may find more."""

    @property
    def lines(self) -> int:
        """How many are on it."""
        return 0 if self.draft is None else len(self.draft.lines)

    @property
    def goes_on(self) -> bool:
        """Whether the contract's next period may be due as well."""
        return self.outcome is not None and self.outcome.state in ("issued", "nothing")


def _may_be_due(run: Run, contract: str) -> bool:
    try:
        ended = ended_period(run.store, contract, run.known, run.as_of_ms // 1000, run.sight)
        # A transaction, in which others wait, reads no catalog that was not read before.
        return ended is not None and plans_revision(run.known, contract, ended.start).catalog is not None
    except DatabaseError:
        raise
    except MetersealError:
        # Said again, and parked for it, in a transaction.
        return True


def _bill_together(run: Run, waiting: deque[str], most: int, *, patient: bool = False) -> list[Outcome]:
    """Close the next periods in one transaction; then the folder, before anyone is handed a copy."""
    found: list[Closing] = []
    closed = lines = 0
    with run.store.atomic():
        # What others change from here on, they change after it.
        run = replace(run, sight=still(run.sight))
        while waiting and closed < most and lines < LINES_TOGETHER_MAX:
            contract = waiting[0]
            turn = take_contract(run.store, run.known, contract, patient=patient)
            if turn is not Turn.MINE:
                run.busy.extend([contract] if turn is Turn.BUSY else ())
                waiting.popleft()
                continue
            closing = next_alone(run, contract)
            run.closed[contract] += closing.goes_on
            if not (closing.goes_on and closing.again) or run.closed[contract] == PERIODS_A_RUN_MAX:
                waiting.popleft()
            found.append(closing)
            closed += closing.goes_on
            lines += closing.lines
    issued = [each.issued for each in found if each.issued is not None]
    _archive(run.store, run.biller.archive, [(each.id, each.number, each.line) for each in issued])
    return [each.outcome for each in found if each.outcome is not None]


def next_alone(run: Run, contract: str) -> Closing:
    """The contract's next step; where it cannot be billed only its own part is rolled back."""
    run.store.run("contract_begin")
    try:
        found = _next(run, contract)
    except (DatabaseError, ArchiveConflict, ArchiveFailed, BillingRefused):
        raise
    except MetersealError as error:
        # P19: never guess; the others are billed.
        run.store.run("contract_back")
        found = Closing(_park(run, contract, run.starts.get(contract, 0), str(error)))
    run.store.run("contract_end")
    return found


def _next(run: Run, contract: str) -> Closing:
    # Looked at inside: another run may have been here.
    case = run.case(contract)
    match case.due:
        case None:
            _unpark(run.store, contract)
            return Closing(None)
        case Waiting():
            _unpark(run.store, contract)
            return Closing(waits(contract, case.due))
        case Due():
            return _close(run, case, case.due)


def _close(run: Run, case: Case, due: Due) -> Closing:
    """One period; call it inside a transaction."""
    store, issued, composition, period = run.store, None, None, due.period
    contract = case.terms.contract
    if case.order is not None and case.order.tasks:
        composition = compose(case.order, run.sight.view(store))
        approved = _approved(run, case, period.start, composition)
        if isinstance(approved, str):
            return Closing(_unapproved(contract, period, composition.draft, approved))
        keep_too_late(store, contract, composition.too_late, at=run.now_ms // 1000)
        issued = _issue(run, case, due, composition) if composition.draft.lines else None
        if approved is not None and issued is not None:
            store.run("draft_issued_add", approved.draft, issued.id)
    closed = (contract, period.start, period.end, run.now_ms // 1000)
    store.run("period_close", *closed, None if issued is None else issued.id, case.plans.number)
    _unpark(store, contract)
    outcome = Outcome(
        contract=contract,
        state="nothing" if issued is None else "issued",
        start=period.start,
        end=period.end,
        number=None if issued is None else issued.number,
        kind=None if issued is None else issued.kind.value,
        currency=None if composition is None else composition.draft.currency,
        total=None if composition is None else composition.draft.total,
    )
    draft = None if composition is None else composition.draft
    return Closing(outcome, issued, draft, again=case.further or case.moves)


def _approved(run: Run, case: Case, start: int, composition: Composition) -> Approved | str | None:
    """Under which approval a document may be issued, why it may not, or None where there is nothing to approve."""
    if run.biller.approval is Approval.NONE or not composition.draft.lines:
        return None
    catalog, terms = run.known[-1].catalog, case.terms
    # Who cannot be billed is parked, and not waited for.
    require_issuable(composition, catalog.operator, catalog.accounts[terms.account])
    return approved_period(run.store, terms.contract, start, run.biller.approval, composition.draft)


def _unapproved(contract: str, period: Period, draft: Draft, reason: str) -> Outcome:
    return Outcome(
        contract=contract,
        state="unapproved",
        start=period.start,
        end=period.end,
        currency=draft.currency,
        total=draft.total,
        reason=reason,
    )


def _issue(run: Run, case: Case, due: Due, composition: Composition) -> Issued:
    catalog = run.known[-1].catalog
    return issue(
        run.store,
        composition,
        operator=catalog.operator,
        account=catalog.accounts[case.terms.account],
        cutoff=cutoff(
            run.store,
            composition,
            now_ms=run.now_ms,
            silent=due.silent,
            rates_max=run.biller.rates_max,
            skew_seconds=run.biller.skew_seconds,
        ),
        adjusts=due.adjusts,
        now_ms=run.now_ms,
        key=run.biller.key,
        archive=run.biller.archive,
    )


def _tell(outcome: Outcome, parked: Mapping[str, str]) -> None:
    """What an operator must hear of a tick, once each: a contract stays parked until someone has acted."""
    match outcome.state:
        case "issued":
            _log.info(
                "event=invoice_issued number=%s contract=%s total=%s currency=%s",
                outcome.number,
                outcome.contract,
                None if outcome.total is None else format(outcome.total, "f"),
                outcome.currency,
            )
        case "parked" if parked.get(outcome.contract) != outcome.reason:
            _log.warning('event=contract_parked contract=%s why="%s"', outcome.contract, outcome.reason)
        case _:
            pass


def waits(contract: str, due: Waiting) -> Outcome:
    """The period has ended and is not closed yet."""
    gateways = ", ".join(sorted(due.silent))
    return Outcome(
        contract=contract,
        state="waiting",
        start=due.period.start,
        end=due.period.end,
        reason=f"waits for missing reports of {gateways} until {iso(due.until)}",
    )


def wanted_contracts(known: Sequence[Revision], wanted: Collection[str] | None) -> list[str]:
    """The contracts of the newest revision, by name; all, or those of them that are wanted."""
    return [name for name in sorted(known[-1].catalog.contracts) if wanted is None or name in wanted]


def _park(run: Run, contract: str, start: int, reason: str) -> Outcome:
    run.store.run("park", contract, start, reason, run.now_ms // 1000)
    return Outcome(contract=contract, state="parked", reason=reason)


def _unpark(store: Store, contract: str) -> None:
    if store.row("is_parked", contract) is not None:
        store.run("unpark", contract)
