"""First activity: from when each device of a contract is billed, whatever order reports arrived in (P18)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import itemgetter
from typing import Final

from cloud_collector.activity.activation import Activation, ActivationCause, Evidence, StateChange
from cloud_collector.activity.lifecycle import FOREVER, ended_at, left_at, provisioned_at
from cloud_collector.activity.recall import Recall, Spans
from cloud_collector.activity.threshold import Interval, decide
from cloud_collector.contracts.catalog import Aggregate, ContractDevice, Meter, Per, StartRule, State
from cloud_collector.contracts.period import boundary, iso, later
from cloud_collector.contracts.terms import Terms
from cloud_collector.usage.quantity import worth
from cloud_collector.usage.span import ChannelName, Span, UsageView

_LOOK_FIRST_SECONDS: Final = 3600
_LOOK_SECONDS_MAX: Final = 64 * 86_400
"""A device's usage is read in stretches that double up to this, so that a decision near provisioning is cheap."""

_RANK: Final = (
    ActivationCause.MOVED,
    ActivationCause.IMMEDIATE,
    ActivationCause.DATE,
    ActivationCause.FIRST_USE,
    ActivationCause.JOINED,
    ActivationCause.STATE,
    ActivationCause.GRACE,
)
"""Which cause is named where two hold at one instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A device in the time in which it can start."""

    id: str
    provisioned: int
    end: int
    channels: tuple[ChannelName, ...] = ()
    counts_from: int = 0


def first_activity(
    terms: Terms,
    usage: UsageView,
    states: Sequence[StateChange] = (),
    *,
    until: int,
    foresee: bool = False,
    issued: Mapping[str, Activation] | None = None,
    recall: Recall | None = None,
) -> dict[str, Activation]:
    """Each device's activation, by device; one that has not started is absent.

    Reports that begin before `until` are looked at, and starts up to it are named; with `foresee` also later ones
    that the rules alone give (grace, dates, devices that join). Starts that issued invoices rest on stay as they
    are where `late_evidence` keeps them. A `recall` spares looking at what has been looked at before.
    """
    members = [
        _Member(
            id=device.id,
            provisioned=provisioned_at(terms, device),
            end=ended_at(terms, device, states),
        )
        for device in terms.devices
    ]
    match terms.activation.rule:
        case StartRule.IMMEDIATE:
            ruled = [
                _starts(
                    member, member.provisioned, ActivationCause.IMMEDIATE, "is billed from the day it is provisioned"
                )
                for member in members
            ]
        case StartRule.DATE:
            ruled = [_on_date(terms, member) for member in members]
        case StartRule.FIRST_USE:
            ruled = _first_use(terms, usage, members, until, recall)
    ruled += _set_active(members, states)
    ruled += _moved(terms, members, usage, states, until=until, foresee=foresee, recall=recall)
    found: dict[str, Activation] = {}
    ends = {member.id: member.end for member in members}
    for activation in sorted(ruled, key=lambda each: (each.at, _RANK.index(each.cause))):
        if activation.at < ends[activation.device] and (foresee or activation.at <= until):
            found.setdefault(activation.device, activation)
    if issued is not None and not terms.activation.late_evidence_adjusts:
        found |= {device: fact for device, fact in issued.items() if device in ends}
    return found


def tested_until(terms: Terms, usage: UsageView, device: ContractDevice, *, until: int) -> tuple[Span, int] | None:
    """The device's first report since it was provisioned, and until when what it says is an installer's test.

    None where the plan ignores nothing at the beginning, or nothing has been reported before `until`.
    """
    ignored = terms.activation.ignore_first
    gateway, _, name = device.id.rpartition("/")
    if ignored is None:
        return None
    provisioned, end = provisioned_at(terms, device), min(until, left_at(terms, device))
    spans = [span for channel in usage.channels(gateway, name) for span in _earliest(usage, channel, provisioned, end)]
    member = _Member(id=device.id, provisioned=provisioned, end=end)
    first = _first_report(usage, usage.channels(gateway, name), member, until)
    if first is None:
        return None
    return min(spans, key=lambda span: (span.start, span.epoch, span.seq)), later(terms.timezone, first, ignored)


def _earliest(usage: UsageView, channel: ChannelName, start: int, end: int) -> list[Span]:
    """The channel's spans of the first stretch that has any."""
    return next((found for low, high in _stretches(start, end) if (found := usage.spans(channel, low, high))), [])


def _first_use(
    terms: Terms, usage: UsageView, members: list[_Member], until: int, recall: Recall | None
) -> list[Activation]:
    members = [_with_channels(terms, usage, member, until) for member in members]
    # Everything that is asked of the terms for a group, to the letter: 0.5 and 0.50 are said otherwise.
    rule = repr((terms.activation, terms.timezone, sorted(terms.meters.items())))

    def starts_of(*group: _Member) -> list[Activation]:
        if recall is None:
            return _group(terms, usage.spans, group, until)
        return recall.made((rule, group), until, lambda spans: _group(terms, spans, group, until))

    if terms.activation.combine is Per.DEVICE:
        return [start for member in members for start in starts_of(member)]
    starts = starts_of(*members) if members else []
    if not starts:
        return []
    earliest = min(start.at for start in starts)
    joined = [
        _starts(member, member.provisioned, ActivationCause.JOINED, "joins a contract that has started")
        for member in members
        if member.provisioned > earliest
    ]
    return [start for start in starts if start.at == earliest] + joined


def _group(terms: Terms, spans: Spans, members: tuple[_Member, ...], until: int) -> list[Activation]:
    """What usage or grace gives devices that start together, at the earlier of the two instants."""
    grace = terms.activation.grace
    provisioned = min(member.provisioned for member in members)
    grace_at = FOREVER if grace is None else later(terms.timezone, provisioned, grace)
    intervals = _intervals(terms, spans, members, min(until, grace_at))
    levels = {meter.name for meter in terms.meters.values() if meter.aggregate is Aggregate.MAX}
    decided = decide(terms.activation, terms.timezone, intervals, levels)
    # What begins with grace comes too late, though it may have been looked at beside what goes on beyond it.
    if decided is not None and decided[0].start < grace_at and decided[0].decides_at <= grace_at:
        interval, evidence = decided
        at, cause, why = interval.decides_at, ActivationCause.FIRST_USE, _why(interval, evidence)
    elif grace is not None:
        at, cause, evidence = grace_at, ActivationCause.GRACE, None
        why = f"starts {grace} after it was provisioned on {iso(provisioned)}"
    else:
        return []
    return [_starts(member, at, cause, why, evidence) for member in members if member.provisioned <= at]


def _why(interval: Interval, evidence: Evidence) -> str:
    said = f"first used: {evidence.rule} was met with {evidence.figure} by the report of "
    said += f"{iso(interval.start)} to {iso(interval.end)}"
    return said + (", which is estimated, so that billing starts where it ends" if interval.estimated else "")


def _with_channels(terms: Terms, usage: UsageView, member: _Member, until: int) -> _Member:
    gateway, _, device = member.id.rpartition("/")
    channels = tuple(sorted(usage.channels(gateway, device), key=lambda channel: channel.meter))
    counts_from = member.provisioned
    ignored = terms.activation.ignore_first
    if ignored is not None:
        first = _first_report(usage, channels, member, until)
        counts_from = FOREVER if first is None else later(terms.timezone, first, ignored)
    return _Member(
        id=member.id,
        provisioned=member.provisioned,
        end=member.end,
        channels=channels,
        counts_from=counts_from,
    )


def _first_report(usage: UsageView, channels: Iterable[ChannelName], member: _Member, until: int) -> int | None:
    """Where the device's first report since provisioning begins, of whatever meter and with whatever usage."""
    for start, end in _stretches(member.provisioned, min(until, member.end)):
        begins = []
        for channel in channels:
            for span in usage.spans(channel, start, end):
                inside = max(member.provisioned - span.start, 0) // span.step * span.step
                begins.append(max(span.start + inside, member.provisioned))
        if begins:
            return min(begins)
    return None


def _intervals(terms: Terms, look: Spans, members: tuple[_Member, ...], until: int) -> Iterator[Interval]:
    """Usage above zero in order of ends: what begins before `until`, and what ends before the last of that does."""
    rule = terms.activation
    thresholds = (*rule.any, *rule.all)
    named = {threshold.meter for threshold in thresholds}
    watched = None if None in named or not named else named
    channels = [
        (member, channel)
        for member in members
        for channel in member.channels
        if watched is None or channel.meter in watched
    ]
    first = min((member.counts_from for member, _ in channels), default=FOREVER)
    seen = first
    for start, end in _stretches(first, until):
        spans = [(member, span) for member, channel in channels for span in look(channel, start, end)]
        # Whole intervals up to the stretch's end; one that goes on beyond it comes with the next stretch.
        ends = (seen, end)
        yield from _expanded(terms, spans, ends)
        seen = end
    # P18: an interval that goes on beyond `until` decides only after whatever ends before it does.
    ends = (until, FOREVER)
    spans = [(member, span) for member, channel in channels for span in look(channel, until - 1, until)]
    astride = list(_expanded(terms, spans, ends, (0, until)))
    latest = max((interval.end for interval in astride), default=until)
    spans = [(member, span) for member, channel in channels for span in look(channel, until, latest)]
    after = _expanded(terms, spans, (until, latest), (until, FOREVER))
    yield from sorted([*astride, *after], key=lambda each: each.order)


def _expanded(
    terms: Terms, spans: Iterable[tuple[_Member, Span]], ends: tuple[int, int], begins: tuple[int, int] = (0, FOREVER)
) -> Iterator[Interval]:
    """The spans' intervals above zero that begin in [begins) and end in (ends], cut to what counts of each, in order.

    Each is made when it is asked for: most often the first few decide.
    """
    # A device that rests for weeks is passed over line by line.
    moved = sorted((each for each in spans if any(each[1].deltas)), key=_begin)
    first = 0
    while first < len(moved):
        # What overlaps is put in order together; what begins after it ends comes after it.
        last, until = first + 1, moved[first][1].end
        while last < len(moved) and moved[last][1].start < until:
            until = max(until, moved[last][1].end)
            last += 1
        yield from _in_order(terms, moved[first:last], ends, begins)
        first = last


def _begin(each: tuple[_Member, Span]) -> int:
    return each[1].start


def _in_order(
    terms: Terms, spans: Iterable[tuple[_Member, Span]], ends: tuple[int, int], begins: tuple[int, int]
) -> Iterator[Interval]:
    found = []
    for member, span in spans:
        for index, delta in enumerate(span.deltas):
            begin = span.start + index * span.step
            finish = begin + span.step
            if not (delta and ends[0] < finish <= ends[1] and begins[0] <= begin < begins[1]):
                continue
            start, end = max(begin, member.counts_from), min(finish, member.end)
            whole, units = (start, end) == (begin, finish), delta
            if not whole:
                units = span.units_before(end) - span.units_before(start) if start < end else 0
            if units:
                order = (end, start, member.id, span.channel.meter, span.epoch, span.seq, index)
                found.append((order, units, whole, span))
    for (end, start, device, *_, index), units, whole, span in sorted(found, key=itemgetter(0)):
        yield Interval(
            device=device,
            start=start,
            end=end,
            quantity=_used(terms.meters.get(span.channel.meter), span, units, end - start),
            estimated=index in span.estimated or not whole,
            span=span,
            index=index,
        )


def _used(meter: Meter | None, span: Span, units: int, seconds: int) -> Fraction:
    """What an interval counts towards a quantity, by the meter's aggregate."""
    match meter:
        case None:
            return units * worth(span.unit, span.exponent, span.unit)
        case Meter(aggregate=Aggregate.COUNT):
            return Fraction(1)
        case Meter(aggregate=Aggregate.ACTIVE_TIME):
            return seconds * worth("s", 0, meter.unit)
        case _:
            one = worth(span.unit, span.exponent, meter.unit)
            return Fraction(units * one.numerator, one.denominator)


def _stretches(start: int, end: int) -> Iterator[tuple[int, int]]:
    length = _LOOK_FIRST_SECONDS
    while start < end:
        yield start, min(start + length, end)
        start += length
        length = min(2 * length, _LOOK_SECONDS_MAX)


def _on_date(terms: Terms, member: _Member) -> Activation:
    on = terms.activation.on
    assert on is not None, "the rule `date` has a date"
    at = max(member.provisioned, boundary(terms.timezone, on))
    return _starts(member, at, ActivationCause.DATE, f"is billed from {on}, as agreed")


def _set_active(members: list[_Member], states: Iterable[StateChange]) -> list[Activation]:
    """Setting a device active also starts it."""
    known = {member.id: member for member in members}
    return [
        _starts(
            known[change.device],
            max(change.at, known[change.device].provisioned),
            ActivationCause.STATE,
            f"was set active on {iso(change.at)}",
        )
        for change in states
        if change.state is State.ACTIVE and change.device in known
    ]


def _moved(
    terms: Terms,
    members: list[_Member],
    usage: UsageView,
    states: Sequence[StateChange],
    *,
    until: int,
    foresee: bool,
    recall: Recall | None,
) -> list[Activation]:
    """A device that was active in the contract of the account from which it came stays active."""
    found = []
    for member in members:
        origin = terms.origin_of(member.id)
        if origin is not None:
            starts = first_activity(origin, usage, states, until=until, foresee=foresee, recall=recall)
            before = starts.get(member.id)
            if before is not None:
                why = f"moved here from {origin.contract}, where it was active since {iso(before.at)}"
                found.append(_starts(member, member.provisioned, ActivationCause.MOVED, why))
    return found


def _starts(member: _Member, at: int, cause: ActivationCause, why: str, evidence: Evidence | None = None) -> Activation:
    return Activation(device=member.id, at=at, cause=cause, why=why, evidence=evidence)
