"""From the catalog and usage to everything that an invoice says but its number and date.

Pure. The billing run and `verify-invoice` call this and nothing else, so a verified invoice is one that comes
out the same. A run rates everything from each period's start and subtracts what is booked.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final

from cloud_collector.activity.activation import Activation, ActivationCause, StateChange
from cloud_collector.activity.first_use import first_activity
from cloud_collector.activity.lifecycle import ended_at, left_at, provisioned_at
from cloud_collector.contracts.catalog import ContractDevice
from cloud_collector.contracts.period import Period, local_date
from cloud_collector.contracts.revision import Revision, billing_periods, terms_in_force
from cloud_collector.contracts.terms import Terms
from cloud_collector.invoice.basis import Booked, RatedPeriod, RevisionName, reads_of
from cloud_collector.invoice.guard import require_one_place, require_ratable, require_same
from cloud_collector.rating.booking import Booking, bookings_of
from cloud_collector.rating.draft import Draft, DraftLine
from cloud_collector.rating.join import joined
from cloud_collector.rating.rate import committed_in, draft, scope_of
from cloud_collector.usage.noted import NotedView, Stretches, together, without
from cloud_collector.usage.span import ChannelName, Measured, NamedGap, Read, UsageView
from shared.errors import MetersealError

NOT_RECEIVED: Final = "not_received"
"""The cause of a gap at a period's end that was not waited for any longer."""


class NoSuchPeriod(MetersealError):
    """The contract has no billing period that begins then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A billing period to rate, and by the plans of which revision."""

    period_start: int
    plans: Revision
    after: Revision | None = None
    """Whose plans rate what the next period costs in advance, where that is another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """From when a device is billed, as an issued invoice has said it."""

    number: str
    contract: str
    activation: Activation


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be composed; the first task is the invoice's own period."""

    contract: str
    tasks: tuple[Task, ...]
    newest: Revision
    cadence: Revision
    """Whose cycle, anchor and zone the contract keeps."""
    booked: tuple[Booked, ...] = ()
    """Everything that the contract's invoices took."""
    billed_at: int | None = None
    """The instant from which look-back is counted."""
    stated: tuple[Stated, ...] = ()
    """Starts of the contract's devices, and of those that share its pools, where late evidence does not move them."""
    anchored: date | None = None
    """The local date of the first activation, where periods are anchored at it."""
    states: tuple[StateChange, ...] = ()
    """What operators did to its devices; what lies beyond the time that is rated is left out."""
    silent: Mapping[str, int | None] = field(default_factory=dict)
    """Gateways that had not proved the own period complete, and until when they had."""
    seen_until: int | None = None
    """Of a period that is billed again after later ones: until when starts of devices are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A draft over one billing period and what differs in earlier ones, with everything that it rests on."""

    draft: Draft
    origins: tuple[int, ...]
    """For each line of the draft the start of the billing period that it was rated in."""
    rated: tuple[RatedPeriod, ...]
    """The invoice's own period, then earlier ones of which something is on it."""
    activations: tuple[Activation, ...]
    starts: Mapping[str, tuple[Read, ...]]
    beside: tuple[Read, ...]
    """Counters of whatever else was looked at: other periods of a commitment, others that share a pool, starts."""
    asked: Mapping[ChannelName, Stretches]
    """Every channel that was looked at, and in which times."""
    stated: tuple[Stated, ...]
    states: tuple[StateChange, ...]
    channels: tuple[tuple[str, str, str, str, int], ...]
    gaps: tuple[NamedGap, ...]
    catalog: tuple[RevisionName, ...]
    """The newest first."""
    cadence: int
    anchored: date | None
    seen_until: int | None = None
    too_late: tuple[tuple[int, DraftLine], ...] = ()
    """What look-back bars, each with the start of its billing period; of every period that was rated."""

    @property
    def inputs(self) -> str:
        """SHA-256 over what it was rated from: the same facts, the same figure (P15)."""
        facts = {
            "catalog": [[name.number, name.sha256] for name in self.catalog],
            "rated": [
                [
                    rated.period.start,
                    rated.plans,
                    rated.after,
                    reads_of(rated.reads),
                    [dict(booked.line) for booked in rated.booked],
                ]
                for rated in self.rated
            ],
            "beside": reads_of(self.beside),
            "activations": [[fact.device, fact.at, fact.cause.value] for fact in self.activations],
        }
        if self.states:
            facts["states"] = [[change.device, change.state.value, change.at] for change in self.states]
        return hashlib.sha256(json.dumps(facts, separators=(",", ":"), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rated:
    """One task, rated."""

    task: Task
    terms: Terms
    period: Period
    booked: tuple[Booked, ...]
    draft: Draft
    started: Mapping[str, Activation]
    committed: tuple[tuple[int, int], ...]
    asked: Mapping[ChannelName, Stretches]


def compose(order: Order, usage: UsageView) -> Composition:
    """Rate the first task's period in full, and of the others what differs from what is booked.

    Raises UnlikeUnits, UnknownContract, NoSuchPeriod and NotYet: park the account (P19).
    """
    # A start inside a later period changes what was billed in advance, and what was used before it (P1).
    until = order.seen_until or _period(*_of(order, order.tasks[0])).end
    order = replace(order, states=_within(order))
    bookings = bookings_of({"contract": order.contract, "lines": [each.line for each in order.booked]})
    booked = tuple(zip(order.booked, bookings, strict=True))
    starts = _Starts(order, usage, until)
    own, *others = (_rate(order, task, usage, starts, booked) for task in order.tasks)
    require_one_place(order.booked, [own, *others])
    kept = [own, *(each for each in others if each.draft.lines)]
    require_same([own, *others], kept)
    times = [_own(each.terms, usage, each.period) for each in kept]
    measured = [(each, _measured(own_times, usage)) for each, own_times in zip(kept, times, strict=True)]
    activations: dict[str, Activation] = {}
    for each in kept:
        activations = {**each.started, **activations}
    rated = together(times)
    # Where reports are missing shows only beside those that are there: also of the devices of a pool (P12).
    looked = NotedView(usage)
    silent = _silent(order, own, looked)
    asked = together([rated, *(each.asked for each in kept), looked.asked])
    beside = _measured({name: without(each, rated.get(name, ())) for name, each in asked.items()}, usage)
    flat = [*beside, *(pair for _, pairs in measured for pair in pairs)]
    facts = tuple(activations[device] for device in sorted(activations))
    return Composition(
        draft=joined(own.terms, [each.draft for each in kept]),
        origins=tuple(each.period.start for each in kept for _ in each.draft.lines),
        rated=tuple(
            RatedPeriod(
                period=each.period,
                plans=each.task.plans.number,
                after=None if each.task.after is None else each.task.after.number,
                booked=each.booked,
                reads=tuple(read for _, found in pairs for read in found.reads),
            )
            for each, pairs in measured
        ),
        activations=facts,
        starts={fact.device: _starts(own.terms, usage, fact) for fact in facts},
        beside=tuple(read for _, found in beside for read in found.reads),
        asked=asked,
        stated=order.stated,
        states=order.states,
        channels=_channels(flat),
        gaps=_gaps(measured, silent),
        catalog=_revisions(order, kept),
        cadence=order.cadence.number,
        anchored=order.anchored,
        seen_until=order.seen_until,
        too_late=tuple((each.period.start, line) for each in (own, *others) for line in each.draft.too_late),
    )


def _within(order: Order) -> tuple[StateChange, ...]:
    """What was done to devices up to the end of what is billed: the own period, or the next one's in advance."""
    if not order.states:
        return ()
    task = order.tasks[0]
    terms, start, anchored = _of(order, task)
    period = _period(terms, start, anchored)
    following = scope_of(terms, period, {}, anchored=anchored, after=_after(order, task)).following
    end = max(order.seen_until or 0, period.end if following is None else following.end)
    return tuple(change for change in order.states if change.at <= end)


def _after(order: Order, task: Task) -> Terms | None:
    """By which the next period is rated, where that is another revision's."""
    if task.after is None:
        return None
    return terms_in_force(task.after.catalog, order.newest.catalog, order.cadence.catalog, order.contract)


def _of(order: Order, task: Task) -> tuple[Terms, int, date | None]:
    terms = terms_in_force(task.plans.catalog, order.newest.catalog, order.cadence.catalog, order.contract)
    return terms, task.period_start, order.anchored


class _Starts:
    """When devices started, as known at the end of what is billed: the same for all periods under the same terms."""

    def __init__(self, order: Order, usage: UsageView, until: int) -> None:
        self._order, self._usage, self._until = order, usage, until
        self._known: dict[int, tuple[Terms, dict[str, Activation], Mapping[ChannelName, Stretches]]] = {}

    def of(self, terms: Terms, noted: NotedView) -> dict[str, Activation]:
        """Each device's, by device; what was looked at for it is noted."""
        if id(terms) not in self._known:
            looked = NotedView(self._usage)
            stated = {
                each.activation.device: each.activation
                for each in self._order.stated
                if each.contract == terms.contract
            }
            found = first_activity(terms, looked, self._order.states, until=self._until, issued=stated)
            # The terms are kept with it, so that no others can take their place.
            self._known[id(terms)] = (terms, found, looked.asked)
        _, started, asked = self._known[id(terms)]
        noted.also(asked)
        return started


def _rate(
    order: Order, task: Task, usage: UsageView, starts: _Starts, booked: Sequence[tuple[Booked, Booking]]
) -> _Rated:
    terms, start, anchored = _of(order, task)
    require_ratable(terms)
    after = _after(order, task) or terms
    period, noted = _period(terms, start, anchored), NotedView(usage)
    started = starts.of(terms, noted)
    scope = scope_of(terms, period, started, anchored=anchored, after=after)
    # On whatever invoice it stands.
    covered = [pair for pair in booked if scope.covers_booking(pair[1])]
    rated = draft(
        terms,
        period,
        noted,
        starts=started,
        states=order.states,
        booked=[booking for _, booking in covered],
        others={each.contract: starts.of(each, noted) for each in terms.pooled},
        billed_at=order.billed_at,
        anchored=anchored,
        after=after,
        repeatable=True,
    )
    return _Rated(
        task=task,
        terms=terms,
        period=period,
        booked=tuple(each for each, _ in covered),
        draft=rated,
        started=started,
        committed=committed_in(terms, period, started, anchored=anchored),
        asked=noted.asked,
    )


def _period(terms: Terms, start: int, anchored: date | None) -> Period:
    until = local_date(terms.timezone, start) + timedelta(days=1)
    for period in billing_periods(terms, until=until, anchored=anchored):
        if period.start == start:
            return period
    raise NoSuchPeriod


def _split(device: str) -> tuple[str, str]:
    """The catalog's device, which is `gateway/device`."""
    gateway, _, name = device.rpartition("/")
    return gateway, name


def _own(terms: Terms, usage: UsageView, period: Period) -> dict[ChannelName, Stretches]:
    """Every channel of the contract's devices while it has them: also one without a price may tell of use."""
    found: dict[ChannelName, Stretches] = {}
    for device in sorted(terms.devices, key=lambda each: each.id):
        # P20: before and after it may be another account's.
        start, end = max(period.start, provisioned_at(terms, device)), min(period.end, left_at(terms, device))
        if start < end:
            found |= dict.fromkeys(usage.channels(*_split(device.id)), ((start, end),))
    return found


def _measured(times: Mapping[ChannelName, Stretches], usage: UsageView) -> list[tuple[ChannelName, Measured]]:
    return [
        (channel, measured)
        for channel, stretches in times.items()
        for start, end in stretches
        if (measured := usage.measure(channel, start, end)) is not None
    ]


def _starts(terms: Terms, usage: UsageView, fact: Activation) -> tuple[Read, ...]:
    """The counters from provisioning to the deciding report: they show that the device did not start earlier."""
    if fact.cause not in (ActivationCause.FIRST_USE, ActivationCause.GRACE):
        return ()
    device = next(each for each in terms.devices if each.id == fact.device)
    limit = fact.at if fact.evidence is None else max(fact.at, fact.evidence.end)
    start = provisioned_at(terms, device)
    reads: list[Read] = []
    for channel in usage.channels(*_split(device.id)):
        measured = usage.measure(channel, start, limit) if start < limit else None
        reads += measured.reads if measured is not None else ()
    return tuple(reads)


def _channels(measured: Iterable[tuple[ChannelName, Measured]]) -> tuple[tuple[str, str, str, str, int], ...]:
    rows = {(channel.gateway, channel.device, channel.meter, each.unit, each.exponent) for channel, each in measured}
    return tuple(sorted(rows))


def _gaps(
    measured: Iterable[tuple[_Rated, Sequence[tuple[ChannelName, Measured]]]], silent: Iterable[NamedGap]
) -> tuple[NamedGap, ...]:
    found = set(silent)
    for _, pairs in measured:
        found |= {gap for _, each in pairs for gap in each.gaps}
    return tuple(
        sorted(found, key=lambda gap: (gap.channel.gateway, gap.channel.device, gap.channel.meter, gap.start, gap.end))
    )


def _silent(order: Order, own: _Rated, usage: UsageView) -> list[NamedGap]:
    """What had not been received of the own period when it was closed all the same, by device."""
    found: list[NamedGap] = []
    for terms in (own.terms, *own.terms.pooled):
        for device in terms.devices:
            gateway, name = _split(device.id)
            if gateway in order.silent:
                channel = ChannelName(gateway=gateway, device=name, meter="*")
                found += _silent_of(terms, device, channel, order, own.period, usage)
    return found


def _silent_of(
    terms: Terms, device: ContractDevice, name: ChannelName, order: Order, period: Period, usage: UsageView
) -> Iterable[NamedGap]:
    first = max(period.start, provisioned_at(terms, device))
    end = min(period.end, ended_at(terms, device, order.states))
    until = order.silent[name.gateway]
    known = [
        span.end for channel in usage.channels(name.gateway, name.device) for span in usage.spans(channel, first, end)
    ]
    start = max([first, *known, *([] if until is None else [until])])
    if start < end:
        yield NamedGap(channel=name, start=start, end=end, cause=NOT_RECEIVED)


def _revisions(order: Order, kept: Iterable[_Rated]) -> tuple[RevisionName, ...]:
    plans = [each.task.plans for each in kept]
    plans += [each.task.after for each in kept if each.task.after is not None]
    used = {revision.number: revision for revision in (*plans, order.cadence)}
    used.pop(order.newest.number, None)
    return tuple(
        RevisionName(number=revision.number, sha256=revision.catalog.hash)
        for revision in (order.newest, *(used[number] for number in sorted(used)))
    )
