"""The billing run: what is due is closed, issued and archived, contract by contract; what cannot be is parked.

Safe to kill anywhere, and to run twice at once: a few periods are one transaction, each a part of it that rolls back
alone, and the schema decides.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from cloud_collector.billing.archive import Archive, ArchiveConflict, ArchiveFailed
from cloud_collector.billing.case import Case, Sight, case_of, has_ended, still
from cloud_collector.billing.confirmation import require_confirmed, waits_for_confirmation
from cloud_collector.billing.cutoff import cutoff
from cloud_collector.billing.due import Due, Waiting
from cloud_collector.billing.issue import BillingRefused, Issued, issue, require_issuable
from cloud_collector.billing.outcome import Outcome, Report
from cloud_collector.billing.reimport import keep_catalogs
from cloud_collector.billing.revisions import revisions
from cloud_collector.billing.too_late import keep_too_late
from cloud_collector.contracts.period import iso
from cloud_collector.contracts.revision import Revision
from cloud_collector.fleet.holes import complete_until
from cloud_collector.invoice.compose import Composition, compose
from cloud_collector.store.store import Store
from cloud_collector.usage.between import RATES_MAX
from cloud_collector.usage.derive import SKEW_SECONDS
from cloud_collector.usage.span import UsageView
from shared.errors import DatabaseError, MetersealError
from shared.key import SigningKey

_log: Final = logging.getLogger(__name__)

PERIODS_A_RUN_MAX: Final = 1_200
"""Periods of one contract that one run closes: a hundred years of months."""
TOGETHER_MAX: Final = 64
"""Periods that are closed in one transaction: a power cut costs no more, and intake waits no longer."""
LINES_TOGETHER_MAX: Final = 4_096
"""Invoice lines after which no further period joins the transaction."""
PERIODS_A_TICK_MAX: Final = 100
"""Periods that one tick closes, so that reports are taken in between; the next tick goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Biller:
    """What billing needs besides the store: effects handed in, and what the collector was told."""

    key: SigningKey
    archive: Archive
    view: Callable[[Store], UsageView]
    complete: Callable[[Store, str], int | None] = complete_until
    rates_max: Mapping[str, int] = field(default_factory=lambda: RATES_MAX)
    skew_seconds: int = SKEW_SECONDS
    together: int = TOGETHER_MAX
    """Periods to close in one transaction."""

    @property
    def sight(self) -> Sight:
        """Its eyes alone."""
        return Sight(view=self.view, complete=self.complete)

    def __call__(self, store: Store, now_ms: int) -> None:
        """A chore of the collector's tick."""
        # P22: after a restore a person speaks first; the alarm `restored` says so.
        if store.row("catalog_newest") is not None and waits_for_confirmation(store) is None:
            known = {contract: reason for contract, _, reason, _ in store.rows("parked")}
            bill_due(store, now_ms, self, most=PERIODS_A_TICK_MAX, progress=lambda outcome: _tell(outcome, known))


def bill_due(
    store: Store,
    now_ms: int,
    biller: Biller,
    *,
    as_of_ms: int | None = None,
    contracts: Collection[str] | None = None,
    most: int | None = None,
    progress: Callable[[Outcome], None] = lambda _: None,
) -> Report:
    """Close every period that is due; raises NoCatalog, BillingRefused, ArchiveFailed and DatabaseError.

    `as_of_ms` says what is due, `now_ms` when it is issued. Invoices that an earlier run issued and could not
    archive are archived first, with the same bytes.
    """
    require_confirmed(store)
    archived = complete_archive(store, biller.archive)
    run = _Run(
        store=store,
        known=revisions(store),
        biller=biller,
        now_ms=now_ms,
        as_of_ms=as_of_ms or now_ms,
        sight=biller.sight,
    )
    keep_catalogs(store, biller.archive)
    outcomes: list[Outcome] = []
    closed = 0
    parked = {row[0] for row in store.rows("parked")}
    waiting: deque[str] = deque()
    for contract in _contracts(run.known, contracts):
        if _may_be_due(run, contract):
            waiting.append(contract)
        elif contract in parked:
            store.run("unpark", contract)
    while waiting and closed != most:
        together = biller.together if most is None else min(biller.together, most - closed)
        for outcome in _bill_together(run, waiting, together):
            outcomes.append(outcome)
            progress(outcome)
            closed += outcome.state in ("issued", "nothing")
    return Report(outcomes=tuple(outcomes), archived=archived)


def preview(
    store: Store, as_of_ms: int, sight: Sight, *, contracts: Collection[str] | None = None
) -> tuple[Outcome, ...]:
    """What `bill_due` would do next with each contract, without doing it."""
    known, now = revisions(store), as_of_ms // 1000
    return tuple(
        outcome
        for contract in _contracts(known, contracts)
        if (outcome := _preview(store, contract, known, now, sight)) is not None
    )


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
class _Run:
    """One run: what it works on, its two clocks, and how far it has come."""

    store: Store
    known: Sequence[Revision]
    biller: Biller
    now_ms: int
    as_of_ms: int
    sight: Sight
    starts: dict[str, int] = field(default_factory=dict)
    """Where the period begins at which a contract was last found."""
    closed: Counter[str] = field(default_factory=Counter)
    """Periods, by contract."""

    def case(self, contract: str) -> Case:
        """Where the contract stands."""
        case = case_of(
            self.store, contract, self.known, self.as_of_ms // 1000, self.sight, billed_at=self.now_ms // 1000
        )
        if case.due is not None:
            self.starts[contract] = case.due.period.start
        return case


class _Closing(NamedTuple):
    """A contract's next step, as it stands in a transaction that is not committed yet."""

    outcome: Outcome | None
    """None where nothing is due."""
    issued: Issued | None = None
    lines: int = 0

    @property
    def goes_on(self) -> bool:
        """Whether the contract's next period may be due as well."""
        return self.outcome is not None and self.outcome.state in ("issued", "nothing")


def _may_be_due(run: _Run, contract: str) -> bool:
    try:
        return has_ended(run.store, contract, run.known, run.as_of_ms // 1000, run.sight)
    except DatabaseError:
        raise
    except MetersealError:
        # Said again, and parked for it, in a transaction.
        return True


def _bill_together(run: _Run, waiting: deque[str], most: int) -> list[Outcome]:
    """Close the next periods in one transaction; then the folder, before anyone is handed a copy."""
    found: list[_Closing] = []
    closed = lines = 0
    with run.store.atomic():
        # What others change from here on, they change after it.
        run = replace(run, sight=still(run.sight))
        while waiting and closed < most and lines < LINES_TOGETHER_MAX:
            contract = waiting[0]
            closing = _next_alone(run, contract)
            run.closed[contract] += closing.goes_on
            if not closing.goes_on or run.closed[contract] == PERIODS_A_RUN_MAX:
                waiting.popleft()
            found.append(closing)
            closed += closing.goes_on
            lines += closing.lines
    issued = [each.issued for each in found if each.issued is not None]
    _archive(run.store, run.biller.archive, [(each.id, each.number, each.line) for each in issued])
    return [each.outcome for each in found if each.outcome is not None]


def _next_alone(run: _Run, contract: str) -> _Closing:
    """The contract's next step; where it cannot be billed only its own part is rolled back."""
    run.store.run("contract_begin")
    try:
        found = _next(run, contract)
    except (DatabaseError, ArchiveConflict, ArchiveFailed, BillingRefused):
        raise
    except MetersealError as error:
        # P19: never guess; the others are billed.
        run.store.run("contract_back")
        found = _Closing(_park(run, contract, run.starts.get(contract, 0), str(error)))
    run.store.run("contract_end")
    return found


def _next(run: _Run, contract: str) -> _Closing:
    # Looked at inside: another run may have been here.
    case = run.case(contract)
    match case.due:
        case None:
            _unpark(run.store, contract)
            return _Closing(None)
        case Waiting():
            _unpark(run.store, contract)
            return _Closing(_waits(contract, case.due))
        case Due():
            return _close(run, case, case.due)


def _close(run: _Run, case: Case, due: Due) -> _Closing:
    """One period; call it inside a transaction."""
    store, issued, composition, period = run.store, None, None, due.period
    contract = case.terms.contract
    if case.order is not None and case.order.tasks:
        composition = compose(case.order, run.sight.view(store))
        keep_too_late(store, contract, composition.too_late, at=run.now_ms // 1000)
        issued = _issue(run, case, due, composition) if composition.draft.lines else None
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
    return _Closing(outcome, issued, 0 if composition is None else len(composition.draft.lines))


def _issue(run: _Run, case: Case, due: Due, composition: Composition) -> Issued:
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


def _preview(store: Store, contract: str, known: Sequence[Revision], as_of: int, sight: Sight) -> Outcome | None:
    try:
        case = case_of(store, contract, known, as_of, sight, billed_at=as_of)
        if case.due is None or case.order is None or not case.order.tasks:
            return None
        composition = compose(case.order, sight.view(store))
        catalog = known[-1].catalog
        require_issuable(composition, catalog.operator, catalog.accounts[case.terms.account])
    except DatabaseError:
        raise
    except MetersealError as error:
        return Outcome(contract=contract, state="parked", reason=str(error))
    draft = composition.draft
    if isinstance(case.due, Waiting):
        outcome = _waits(contract, case.due)
    else:
        state = "due" if draft.lines else "nothing"
        outcome = Outcome(contract=contract, state=state, start=case.due.period.start, end=case.due.period.end)
    return replace(outcome, currency=draft.currency, total=draft.total, draft=draft)


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


def _waits(contract: str, due: Waiting) -> Outcome:
    gateways = ", ".join(sorted(due.silent))
    return Outcome(
        contract=contract,
        state="waiting",
        start=due.period.start,
        end=due.period.end,
        reason=f"waits for missing reports of {gateways} until {iso(due.until)}",
    )


def _contracts(known: Sequence[Revision], wanted: Collection[str] | None) -> list[str]:
    return [name for name in sorted(known[-1].catalog.contracts) if wanted is None or name in wanted]


def _park(run: _Run, contract: str, start: int, reason: str) -> Outcome:
    run.store.run("park", contract, start, reason, run.now_ms // 1000)
    return Outcome(contract=contract, state="parked", reason=reason)


def _unpark(store: Store, contract: str) -> None:
    if store.row("is_parked", contract) is not None:
        store.run("unpark", contract)
