"""The billing run: what is due is closed, issued and archived, contract by contract; what cannot be is parked.

Safe to kill anywhere, and to run twice at once: each period is one transaction, and the schema decides.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final

from cloud_collector.activity.first_use import first_activity
from cloud_collector.billing.archive import Archive, ArchiveFailed
from cloud_collector.billing.cutoff import cutoff
from cloud_collector.billing.due import Due, Waiting, next_due, periods_until
from cloud_collector.billing.issue import BillingRefused, Issued, NotIssuable, issue, require_issuable
from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.catalog import AnchorKind
from cloud_collector.contracts.period import iso, local_date
from cloud_collector.contracts.revision import Revision, plans_revision, terms_in_force
from cloud_collector.contracts.terms import Terms
from cloud_collector.fleet.holes import complete_until
from cloud_collector.invoice.basis import Booked
from cloud_collector.invoice.compose import Composition, Order, Task, compose
from cloud_collector.rating.draft import Draft
from cloud_collector.store.store import Store
from cloud_collector.usage.between import RATES_MAX
from cloud_collector.usage.derive import SKEW_SECONDS
from cloud_collector.usage.span import UsageView
from shared.errors import DatabaseError, MetersealError
from shared.key import SigningKey

PERIODS_A_RUN_MAX: Final = 1_200
"""Periods of one contract that one run closes: a hundred years of months."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a contract's period: issued, nothing (no lines), waiting or parked."""

    contract: str
    state: str
    start: int | None = None
    end: int | None = None
    number: str | None = None
    kind: str | None = None
    currency: str | None = None
    total: Decimal | None = None
    reason: str | None = None
    draft: Draft | None = None
    """Of a preview."""

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "contract": self.contract,
            "state": self.state,
            "period": None
            if self.start is None or self.end is None
            else {"start": iso(self.start), "end": iso(self.end)},
            "number": self.number,
            "kind": self.kind,
            "currency": self.currency,
            "total": None if self.total is None else format(self.total, "f"),
            "reason": self.reason,
        } | ({} if self.draft is None else {"draft": self.draft.to_json()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a run did."""

    outcomes: tuple[Outcome, ...] = ()
    archived: tuple[str, ...] = ()
    """Numbers whose file an earlier run had left missing."""

    def of(self, state: str) -> tuple[Outcome, ...]:
        """The outcomes in a state."""
        return tuple(outcome for outcome in self.outcomes if outcome.state == state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Biller:
    """What billing needs besides the store: effects handed in, and what the collector was told."""

    key: SigningKey
    archive: Archive
    view: Callable[[Store], UsageView]
    complete: Callable[[Store, str], int | None] = complete_until
    rates_max: Mapping[str, int] = field(default_factory=lambda: RATES_MAX)
    skew_seconds: int = SKEW_SECONDS

    def __call__(self, store: Store, now_ms: int) -> None:
        """A chore of the collector's tick."""
        if store.row("catalog_newest") is not None:
            bill_due(store, now_ms, self)


def bill_due(
    store: Store,
    now_ms: int,
    biller: Biller,
    *,
    contracts: Collection[str] | None = None,
    progress: Callable[[Outcome], None] = lambda _: None,
) -> Report:
    """Close every period that is due; raises NoCatalog, BillingRefused, ArchiveFailed and DatabaseError.

    Invoices that an earlier run issued and could not archive are archived first, with the same bytes.
    """
    archived = complete_archive(store, biller.archive)
    known = revisions(store)
    outcomes = []
    for contract in _contracts(known, contracts):
        for outcome in _bill_contract(store, contract, known, now_ms, biller):
            outcomes.append(outcome)
            progress(outcome)
    return Report(outcomes=tuple(outcomes), archived=archived)


def preview(
    store: Store, now_ms: int, biller: Biller, *, contracts: Collection[str] | None = None
) -> tuple[Outcome, ...]:
    """What `bill_due` would do next with each contract, without doing it."""
    known = revisions(store)
    return tuple(
        outcome
        for contract in _contracts(known, contracts)
        if (outcome := _preview(store, contract, known, now_ms, biller)) is not None
    )


def complete_archive(store: Store, archive: Archive) -> tuple[str, ...]:
    """Every issued invoice is in the folder, in its very bytes; the numbers of those that were not."""
    pending = store.rows("invoices_not_archived")
    for id_, number, line in pending:
        archive.put(number, bytes(line))
        store.run("invoice_is_archived", id_)
    return tuple(number for _, number, _ in pending)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A contract at the beginning of its next open period."""

    terms: Terms
    plans: Revision
    due: Due | Waiting | None
    order: Order | None = None


def _bill_contract(
    store: Store, contract: str, known: Sequence[Revision], now_ms: int, biller: Biller
) -> Iterator[Outcome]:
    start = 0
    for _ in range(PERIODS_A_RUN_MAX):
        try:
            case = _case(store, contract, known, now_ms, biller)
            start = start if case.due is None else case.due.period.start
            match case.due:
                case None:
                    _unpark(store, contract)
                    return
                case Waiting(period=period, until=until):
                    _unpark(store, contract)
                    reason = f"waits for missing reports until {iso(until)}"
                    yield Outcome(contract=contract, state="waiting", start=period.start, end=period.end, reason=reason)
                    return
            outcome = _close(store, contract, known, now_ms, biller)
        except (DatabaseError, ArchiveFailed, BillingRefused):
            raise
        except MetersealError as error:
            # P19: never guess; the others are billed.
            yield _park(store, contract, start, str(error), now_ms)
            return
        if outcome is None:
            return
        yield outcome


def _close(store: Store, contract: str, known: Sequence[Revision], now_ms: int, biller: Biller) -> Outcome | None:
    """One period, in one transaction; then the folder, before anyone is handed a copy."""
    issued: Issued | None = None
    with store.atomic():
        # Looked at again inside: another run may have been here.
        case = _case(store, contract, known, now_ms, biller)
        if not isinstance(case.due, Due) or case.order is None:
            return None
        period, newest = case.due.period, known[-1]
        composition = compose(case.order, biller.view(store)) if case.order.tasks else None
        if composition is not None and composition.draft.lines:
            catalog = newest.catalog
            issued = issue(
                store,
                composition,
                operator=catalog.operator,
                account=catalog.accounts[case.terms.account],
                cutoff=cutoff(
                    store,
                    _reads(composition),
                    measured_until=composition.draft.period.end,
                    now_ms=now_ms,
                    silent=case.due.silent,
                    rates_max=biller.rates_max,
                    skew_seconds=biller.skew_seconds,
                ),
                adjusts=case.due.adjusts,
                now_ms=now_ms,
                key=biller.key,
                archive=biller.archive,
            )
        plans = case.plans.number
        number = None if issued is None else issued.id
        store.run("period_close", contract, period.start, period.end, now_ms // 1000, number, plans)
        store.run("unpark", contract)
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
    if issued is not None:
        biller.archive.put(issued.number, issued.line)
        store.run("invoice_is_archived", issued.id)
    return outcome


def _preview(store: Store, contract: str, known: Sequence[Revision], now_ms: int, biller: Biller) -> Outcome | None:
    try:
        case = _case(store, contract, known, now_ms, biller)
        if case.due is None or case.order is None or not case.order.tasks:
            return None
        composition = compose(case.order, biller.view(store))
        catalog = known[-1].catalog
        require_issuable(composition, catalog.operator, catalog.accounts[case.terms.account])
    except DatabaseError:
        raise
    except MetersealError as error:
        return Outcome(contract=contract, state="parked", reason=str(error))
    waits = isinstance(case.due, Waiting)
    return Outcome(
        contract=contract,
        state="waiting" if waits else "due" if composition.draft.lines else "nothing",
        start=case.due.period.start,
        end=case.due.period.end,
        currency=composition.draft.currency,
        total=composition.draft.total,
        reason=f"waits for missing reports until {iso(case.due.until)}" if isinstance(case.due, Waiting) else None,
        draft=composition.draft,
    )


def _case(store: Store, contract: str, known: Sequence[Revision], now_ms: int, biller: Biller) -> _Case:
    """Where the contract stands: its next open period, and what would have to be composed to close it."""
    newest, now = known[-1], now_ms // 1000
    closed = store.rows("periods_closed", contract)
    by_number = {revision.number: revision for revision in known}
    cadence = by_number[closed[0][4]] if closed else plans_revision(known, contract, now)
    terms = terms_in_force(cadence.catalog, newest.catalog, cadence.catalog, contract)
    anchored = _anchored(store, terms, biller, now)
    periods = periods_until(terms, now, anchored)
    starts = [row[0] for row in closed]
    # `settle` and the like are the plan's of that period.
    open_start = next((period.start for period in periods if period.start not in starts), now)
    plans = plans_revision(known, contract, open_start)
    terms = terms_in_force(plans.catalog, newest.catalog, cadence.catalog, contract)
    due = next_due(terms, periods, starts, now, lambda gateway: biller.complete(store, gateway))
    if due is None:
        return _Case(terms=terms, plans=plans, due=None)
    _refuse_clones(store, terms)
    adjusts = isinstance(due, Due) and due.adjusts
    earlier = [
        Task(
            period_start=row[0],
            plans=by_number[row[4]],
            booked=_booked(store, contract, row[0]),
        )
        for row in reversed(closed)
        if terms.end is None or local_date(terms.timezone, row[0]) < terms.end
    ]
    own = [] if adjusts else [Task(period_start=due.period.start, plans=plans, booked=())]
    order = Order(
        contract=contract,
        tasks=(*own, *earlier),
        newest=newest,
        cadence=cadence,
        anchored=anchored,
        silent=due.silent,
    )
    return _Case(terms=terms, plans=plans, due=due, order=order)


def _refuse_clones(store: Store, terms: Terms) -> None:
    """P19: nobody knows which of two gateways of one name is the true one."""
    cloned = {row[0] for row in store.rows("gateways_parked")}
    for gateway in sorted({device.id.rpartition("/")[0] for device in terms.devices} & cloned):
        raise NotIssuable(f"{gateway} has been cloned: see `cloud-collector gateway show {gateway}`")


def _booked(store: Store, contract: str, period_start: int) -> tuple[Booked, ...]:
    rows = store.rows("bookings_of_period", contract, period_start)
    return tuple(Booked(number=number, line=json.loads(line)) for number, line in rows)


def _anchored(store: Store, terms: Terms, biller: Biller, now: int) -> date | None:
    """The local date that periods are anchored at: as the first invoice stated it, else as known now."""
    if terms.anchor is not AnchorKind.ACTIVATION:
        return None
    stated = store.row("first_start_used", terms.contract, terms.contract)
    if stated is not None and stated[0] is not None:
        return local_date(terms.timezone, stated[0])
    started = first_activity(terms, biller.view(store), until=now)
    return local_date(terms.timezone, min(fact.at for fact in started.values())) if started else None


def _reads(composition: Composition) -> list[Any]:
    reads = [read for rated in composition.rated for read in rated.reads]
    reads += [read for line in composition.draft.lines for read in line.reads]
    return reads + [read for starts in composition.starts.values() for read in starts]


def _contracts(known: Sequence[Revision], wanted: Collection[str] | None) -> list[str]:
    return [name for name in sorted(known[-1].catalog.contracts) if wanted is None or name in wanted]


def _park(store: Store, contract: str, start: int, reason: str, now_ms: int) -> Outcome:
    store.run("park", contract, start, reason, now_ms // 1000)
    return Outcome(contract=contract, state="parked", reason=reason)


def _unpark(store: Store, contract: str) -> None:
    if store.row("is_parked", contract) is not None:
        store.run("unpark", contract)
