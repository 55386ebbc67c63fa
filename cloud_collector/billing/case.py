"""Where a contract stands: its next open period, and what would have to be composed to close it.

Derived from the store at every look; nothing is remembered between runs.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from cloud_collector.activity.first_use import first_activity
from cloud_collector.billing.due import Due, Waiting, next_due, periods_until
from cloud_collector.billing.issue import NotIssuable
from cloud_collector.contracts.catalog import AnchorKind
from cloud_collector.contracts.period import local_date
from cloud_collector.contracts.revision import Revision, plans_revision, terms_in_force
from cloud_collector.contracts.terms import Terms
from cloud_collector.fleet.holes import complete_until
from cloud_collector.invoice.basis import Booked
from cloud_collector.invoice.compose import Order, Task
from cloud_collector.store.store import Store
from cloud_collector.usage.span import UsageView


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """How billing looks at what was received."""

    view: Callable[[Store], UsageView]
    complete: Callable[[Store, str], int | None] = complete_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A contract at the beginning of its next open period."""

    terms: Terms
    plans: Revision
    due: Due | Waiting | None
    order: Order | None = None


def case_of(store: Store, contract: str, known: Sequence[Revision], now: int, sight: Sight) -> Case:
    """Where the contract stands: its next open period, and what would have to be composed to close it."""
    newest = known[-1]
    closed = store.rows("periods_closed", contract)
    by_number = {revision.number: revision for revision in known}
    cadence = by_number[closed[0][4]] if closed else plans_revision(known, contract, now)
    terms = terms_in_force(cadence.catalog, newest.catalog, cadence.catalog, contract)
    anchored = _anchored(store, terms, sight, now)
    periods = periods_until(terms, now, anchored)
    starts = [row[0] for row in closed]
    # `settle` and the like are the plan's of that period.
    open_start = next((period.start for period in periods if period.start not in starts), now)
    plans = plans_revision(known, contract, open_start)
    terms = terms_in_force(plans.catalog, newest.catalog, cadence.catalog, contract)
    due = next_due(terms, periods, starts, now, lambda gateway: sight.complete(store, gateway))
    if due is None:
        return Case(terms=terms, plans=plans, due=None)
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
    return Case(terms=terms, plans=plans, due=due, order=order)


def _refuse_clones(store: Store, terms: Terms) -> None:
    """P19: nobody knows which of two gateways of one name is the true one."""
    cloned = {row[0] for row in store.rows("gateways_parked")}
    for gateway in sorted({device.id.rpartition("/")[0] for device in terms.devices} & cloned):
        raise NotIssuable(f"{gateway} has been cloned: see `cloud-collector gateway show {gateway}`")


def _booked(store: Store, contract: str, period_start: int) -> tuple[Booked, ...]:
    rows = store.rows("bookings_of_period", contract, period_start)
    return tuple(Booked(number=number, line=json.loads(line)) for number, line in rows)


def _anchored(store: Store, terms: Terms, sight: Sight, now: int) -> date | None:
    """The local date that periods are anchored at: as the first invoice stated it, else as known now."""
    if terms.anchor is not AnchorKind.ACTIVATION:
        return None
    stated = store.row("first_start_used", terms.contract, terms.contract)
    if stated is not None and stated[0] is not None:
        return local_date(terms.timezone, stated[0])
    started = first_activity(terms, sight.view(store), until=now)
    return local_date(terms.timezone, min(fact.at for fact in started.values())) if started else None
