"""Where a contract stands: its next open period, and what would have to be composed to close it.

Derived from the store at every look; nothing is remembered between runs.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from cloud_collector.activity.activation import Activation, ActivationCause, StateChange
from cloud_collector.activity.first_use import first_activity
from cloud_collector.billing.absent import deleted_before, deletions
from cloud_collector.billing.device_states import changes_for
from cloud_collector.billing.due import Due, Waiting, next_due, periods_until, silent_in
from cloud_collector.billing.issue import NotIssuable
from cloud_collector.contracts.catalog import AnchorKind, Charge, Pool
from cloud_collector.contracts.period import Period, iso, local_date
from cloud_collector.contracts.revision import Revision, plans_revision, terms_in_force
from cloud_collector.contracts.terms import Terms, terms_of
from cloud_collector.fleet.holes import complete_until
from cloud_collector.invoice.basis import Booked
from cloud_collector.invoice.compose import Order, Stated, Task
from cloud_collector.rating.scope import has_advance
from cloud_collector.store.store import Store
from cloud_collector.usage.span import UsageView
from shared.effects.database import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """How billing looks at what was received."""

    view: Callable[[Store], UsageView]
    complete: Callable[[Store, str], int | None] = complete_until


def still(sight: Sight) -> Sight:
    """The same, looking at each thing once: for as long as nothing that was received changes, as in a transaction."""
    views: dict[int, UsageView] = {}
    reached: dict[str, int | None] = {}

    def view(store: Store) -> UsageView:
        if id(store) not in views:
            views[id(store)] = sight.view(store)
        return views[id(store)]

    def complete(store: Store, gateway: str) -> int | None:
        if gateway not in reached:
            reached[gateway] = sight.complete(store, gateway)
        return reached[gateway]

    return Sight(view=view, complete=complete)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A contract at the beginning of its next open period."""

    terms: Terms
    plans: Revision
    due: Due | Waiting | None
    order: Order | None = None
    further: bool = False
    """Whether another period is due after this one."""
    moves: bool = True
    """Whether closing it may change where periods begin and end, so that nobody knows that yet."""


class _Opening(NamedTuple):
    """What decides when a contract's next period begins and ends."""

    closed: list[Row]
    cadence: Revision
    states: tuple[StateChange, ...]
    anchored: date | None
    periods: list[Period]
    next: Period | None
    """The earliest that is open."""


def ended_period(store: Store, contract: str, known: Sequence[Revision], now: int, sight: Sight) -> Period | None:
    """The contract's earliest open period, if its end has passed: otherwise nothing can be due."""
    following = _opening(store, contract, known, now, sight).next
    return following if following is not None and following.end <= now else None


def case_of(store: Store, contract: str, known: Sequence[Revision], now: int, sight: Sight, *, billed_at: int) -> Case:
    """Where the contract stands: its next open period, and what would have to be composed to close it."""
    newest = known[-1]
    closed, cadence, states, anchored, periods, following = _opening(store, contract, known, now, sight)
    by_number = {revision.number: revision for revision in known}
    starts = [row[0] for row in closed]
    # `settle` and the like are the plan's of that period.
    plans = plans_revision(known, contract, now if following is None else following.start)
    terms = terms_in_force(plans.catalog, newest.catalog, cadence.catalog, contract)
    due = next_due(terms, periods, starts, now, lambda gateway: sight.complete(store, gateway), states)
    if due is None:
        return Case(terms=terms, plans=plans, due=None)
    _refuse_clones(store, terms)
    tiling = {period.start: period for period in periods if terms.end is None or period.first < terms.end}
    # Nothing is rated anew of which the detail was deleted: what is booked of it stays as it is.
    barred = deleted_before(store, newest.catalog.contracts[contract].account)
    rated_by = {
        row[0]: by_number[row[4]] for row in closed if row[0] in tiling and (barred is None or row[0] >= barred)
    }
    adjusts = isinstance(due, Due) and due.adjusts
    starts = sorted(rated_by, reverse=True)
    if not adjusts:
        rated_by[due.period.start] = plans
        starts.insert(0, due.period.start)

    def plans_at(start: int) -> Revision:
        return rated_by.get(start) or plans_revision(known, contract, start)

    _refuse_split_pools(store, terms, {start: rated_by[start] for start in starts}, known)
    order = Order(
        contract=contract,
        tasks=tuple(
            Task(
                period_start=start,
                plans=rated_by[start],
                after=_after(rated_by[start], plans_at(tiling[start].end), contract),
            )
            for start in starts
        ),
        newest=newest,
        cadence=cadence,
        anchored=anchored,
        states=states,
        silent=due.silent,
        booked=_booked(store, contract, barred),
        billed_at=billed_at,
        stated=stated_starts(store, known, (contract, *terms.pooled_with)),
    )
    further = any(each.end <= now for each in periods if each.start > due.period.start)
    # The first closed period freezes the cadence, and the first start on an invoice the anchor.
    moves = cadence.number != plans.number or terms.anchor is AnchorKind.ACTIVATION
    return Case(terms=terms, plans=plans, due=due, order=order, further=further, moves=moves)


def closed_case(
    store: Store,
    contract: str,
    start: int,
    known: Sequence[Revision],
    sight: Sight,
    *,
    now: int,
    billed_at: int,
    adjusts: bool,
) -> Case:
    """A closed period, to be billed again: what is not booked of it and of those before it.

    Its plans are what the catalog says of it now; those of the others stay what they were billed by.
    """
    newest, by_number = known[-1], {revision.number: revision for revision in known}
    closed = store.rows("periods_closed", contract)
    cadence = by_number[closed[0][5]]
    first = terms_in_force(cadence.catalog, newest.catalog, cadence.catalog, contract)
    states = changes_for(store, newest.catalog, [contract])
    anchored = _anchored(store, first, sight, now, states)
    tiling = {
        period.start: period
        for period in periods_until(first, now, anchored)
        if first.end is None or period.first < first.end
    }
    rated_by = {row[0]: by_number[row[4]] for row in closed if row[0] in tiling}
    barred = deleted_before(store, newest.catalog.contracts[contract].account)
    if barred is not None and start < barred:
        raise NotIssuable(f"{deletions(store, first.account)[0].sentence}: the period of {iso(start)} stays as it is")
    if barred is not None:
        rated_by = {each: plans for each, plans in rated_by.items() if each >= barred}
    if start not in rated_by:
        raise NotIssuable(f"{iso(start)} begins no billed period of {contract} as it is now")
    seen_until = max(tiling[each].end for each in rated_by)
    if not adjusts:
        rated_by[start] = plans_revision(known, contract, start)
    terms = terms_in_force(rated_by[start].catalog, newest.catalog, cadence.catalog, contract)
    _refuse_clones(store, terms)
    starts = sorted((each for each in rated_by if each <= start), reverse=True)
    _refuse_split_pools(store, terms, {each: rated_by[each] for each in starts}, known)
    silent = {} if adjusts else silent_in(terms, tiling[start], lambda gateway: sight.complete(store, gateway), states)
    tasks = []
    for each in starts:
        end = tiling[each].end
        following = rated_by.get(end) or plans_revision(known, contract, end)
        after = _after(rated_by[each], following, contract)
        tasks.append(Task(period_start=each, plans=rated_by[each], after=after))
    booked = store.rows("bookings_until", contract, start, barred or 0)
    order = Order(
        contract=contract,
        tasks=tuple(tasks),
        newest=newest,
        cadence=cadence,
        anchored=anchored,
        states=states,
        silent=silent,
        booked=tuple(Booked(number=number, line=json.loads(line)) for number, line in booked),
        billed_at=billed_at,
        stated=stated_starts(store, known, (contract, *terms.pooled_with)),
        seen_until=None if seen_until == tiling[start].end else seen_until,
    )
    due = Due(period=tiling[start], silent=silent, adjusts=adjusts)
    return Case(terms=terms, plans=rated_by[start], due=due, order=order)


def _opening(store: Store, contract: str, known: Sequence[Revision], now: int, sight: Sight) -> _Opening:
    closed = store.rows("periods_closed", contract)
    cadence = _numbered(known, closed[0][5]) if closed else plans_revision(known, contract, now)
    terms = terms_in_force(cadence.catalog, known[-1].catalog, cadence.catalog, contract)
    states = changes_for(store, known[-1].catalog, [contract])
    anchored = _anchored(store, terms, sight, now, states)
    periods = periods_until(terms, now, anchored)
    starts = {row[0] for row in closed}
    following = next((period for period in periods if period.start not in starts), None)
    return _Opening(closed, cadence, states, anchored, periods, following)


def _refuse_clones(store: Store, terms: Terms) -> None:
    """P19: nobody knows which of two gateways of one name is the true one."""
    cloned = {row[0] for row in store.rows("gateways_parked")}
    devices = [device for each in (terms, *terms.pooled) for device in each.devices]
    for gateway in sorted({device.id.rpartition("/")[0] for device in devices} & cloned):
        raise NotIssuable(f"{gateway} has been cloned: see `cloud-collector gateway show {gateway}`")


def _refuse_split_pools(store: Store, terms: Terms, plans: Mapping[int, Revision], known: Sequence[Revision]) -> None:
    """What contracts share must cost the same in each, or the shares add up to something else."""
    for other in terms.pooled:
        closed = {row[0]: row[4] for row in store.rows("periods_closed", other.contract)}
        for start, own in plans.items():
            number = closed.get(start) or plans_revision(known, other.contract, start).number
            if number != own.number and _shared(own, terms.contract) != _shared(
                _numbered(known, number), other.contract
            ):
                raise NotIssuable(
                    f"it shares a pool with {other.contract}, whose period of {iso(start)} another revision of the "
                    "catalog prices: billing cannot do this yet"
                )


def _shared(revision: Revision, contract: str) -> list[Charge]:
    found = revision.catalog.contracts[contract]
    plans = (found.plan, *(amendment.plan for amendment in found.amendments))
    return [charge for plan in plans for charge in plan.charges if charge.pool is Pool.ACCOUNT]


def _numbered(known: Sequence[Revision], number: int) -> Revision:
    return next(revision for revision in known if revision.number == number)


def _after(plans: Revision, following: Revision, contract: str) -> Revision | None:
    """The revision that prices the next period's charges in advance, where it is another and there are any."""
    if following.number == plans.number:
        return None
    either = (plans.catalog, following.catalog)
    return following if any(has_advance(terms_of(catalog, contract)) for catalog in either) else None


def stated_starts(store: Store, known: Sequence[Revision], contracts: Iterable[str]) -> tuple[Stated, ...]:
    """The latest word of issued invoices on each device's start, where late evidence keeps it."""
    found: dict[tuple[str, str], Stated] = {}
    for name in contracts:
        if not any(_keeps(revision, name) for revision in reversed(known)):
            continue
        for number, device, at, rule, why in store.rows("starts_stated", name):
            activation = Activation(device=device, at=at, cause=ActivationCause(rule), why=why)
            found[name, device] = Stated(number=number, contract=name, activation=activation)
    return tuple(found[key] for key in sorted(found))


def _keeps(revision: Revision, contract: str) -> bool:
    """Whether late evidence changes nothing of what an invoice has said of its devices' starts."""
    if not (revision.glance().may_keep(contract) and revision.knows(contract)):
        return False
    return not revision.catalog.contracts[contract].plan.activation.late_evidence_adjusts


def _booked(store: Store, contract: str, since: int | None) -> tuple[Booked, ...]:
    rows = store.rows("bookings_since", contract, 0 if since is None else since)
    return tuple(Booked(number=number, line=json.loads(line)) for number, line in rows)


def _anchored(store: Store, terms: Terms, sight: Sight, now: int, states: Sequence[StateChange]) -> date | None:
    """The local date that periods are anchored at: as the first invoice stated it, else as known now."""
    if terms.anchor is not AnchorKind.ACTIVATION:
        return None
    stated = store.row("first_start_used", terms.contract, terms.contract)
    if stated is not None and stated[0] is not None:
        return local_date(terms.timezone, stated[0])
    started = first_activity(terms, sight.view(store), states, until=now)
    return local_date(terms.timezone, min(fact.at for fact in started.values())) if started else None
