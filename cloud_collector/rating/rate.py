"""The one function that makes an amount: invoices, previews, quotes and `verify-invoice` all call it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from cloud_collector.activity.activation import Activation, StateChange
from cloud_collector.activity.first_use import first_activity
from cloud_collector.activity.lifecycle import life_of
from cloud_collector.contracts.catalog import AnchorKind, Charge, ChargeType
from cloud_collector.contracts.money import summed
from cloud_collector.contracts.period import Period, iso, local_date
from cloud_collector.contracts.terms import Terms
from cloud_collector.rating.booking import Booking, unbooked
from cloud_collector.rating.commitment import Obligation, Rated, is_pooled, obligations, overage_of, pooled, true_ups
from cloud_collector.rating.draft import Draft, DraftLine
from cloud_collector.rating.facts import Facts
from cloud_collector.rating.look_back import parted
from cloud_collector.rating.one_time import one_time
from cloud_collector.rating.scope import Scope
from cloud_collector.rating.segment import Segment
from cloud_collector.rating.subscription import subscription
from cloud_collector.rating.tax import taxes_on
from cloud_collector.rating.usage_charge import usage_charge
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import UsageView
from shared.errors import MetersealError

Starts = Mapping[str, Activation]
"""Of one contract, by device."""
_NO_USAGE: Final[UsageView] = Ledger(())


class NotRepeatable(MetersealError):
    """Two lines have one key, so that a run could not tell what is booked of which."""


def draft(
    terms: Terms,
    period: Period,
    usage: UsageView,
    *,
    starts: Starts,
    states: Sequence[StateChange] = (),
    booked: Iterable[Booking] = (),
    closed: bool = True,
    others: Mapping[str, Starts] | None = None,
    own_advance: bool = False,
    billed_at: int | None = None,
    anchored: date | None = None,
    after: Terms | None = None,
    repeatable: bool = False,
) -> Draft:
    """What a period costs beyond what is booked for it, with the next period's charges that are due in advance.

    Pure: the same facts give the same draft (P15). `starts` comes from `first_activity`, and so do those of
    `others`, the contracts that share a pool; `closed` is false before the period's end, when there is no minimum
    and no commitment yet. The period's own advance charges are rated if it is the first, and with `own_advance`,
    where `booked` holds what the period before has billed of them. Look-back is counted from
    `billed_at`, and does not apply without. `anchored` is the date that periods are frozen at, where one is;
    `after` are the terms of the next period, where they are others. Raises UnlikeUnits where a channel cannot be
    billed in the catalog's unit, and with `repeatable` NotRepeatable: park the account (P19).
    """
    booked = [booking for booking in booked if booking.key.contract == terms.contract]
    facts = _facts(terms, period, usage, starts, states, others, anchored)
    scope = Scope.of(facts, period, own_advance=own_advance, after=after)
    lines = [line for charge, line in _rated(facts, period, closed=closed) if scope.own_advance or not _advance(charge)]
    if scope.following is not None:
        beyond = facts if after is None else _facts(after, period, usage, starts, states, others, facts.anchored)
        lines += [line for charge, line in _rated(beyond, scope.following, closed=closed) if _advance(charge)]
    if closed:
        found = obligations(facts, period)
        lines += true_ups(found, period, lambda each: [line for _, line in _rated(facts, each, closed=True)])
    if repeatable:
        _require_repeatable(lines, scope)
    fresh = unbooked(lines, booked, currency=terms.currency, covers=scope.covers_booking)
    if billed_at is None:
        return compose(terms, period, fresh)
    kept, too_late = parted(terms, fresh, billed_at)
    return replace(compose(terms, period, kept), too_late=too_late)


def scope_of(
    terms: Terms, period: Period, starts: Starts, *, anchored: date | None = None, after: Terms | None = None
) -> Scope:
    """What a draft of the period speaks for, without its own advance charges."""
    return Scope.of(_bare(terms, starts, anchored), period, own_advance=False, after=after)


def committed_in(
    terms: Terms, period: Period, starts: Starts, *, anchored: date | None = None
) -> tuple[tuple[int, int], ...]:
    """From when until when the commitments of several periods run in which this one has a part."""
    if all(stretch.commitment is None for stretch in terms.stretches):
        return ()
    found = obligations(_bare(terms, starts, anchored), period)
    return tuple((each.start, each.end) for each in found if each.start < period.start or each.end > period.end)


def standing(
    terms: Terms,
    period: Period,
    usage: UsageView,
    *,
    starts: Starts,
    states: Sequence[StateChange] = (),
    others: Mapping[str, Starts] | None = None,
    anchored: date | None = None,
) -> list[tuple[Obligation, Rated]]:
    """The commitments that the period has a part in, and what counts towards each, of periods up to this one."""
    facts = _facts(terms, period, usage, starts, states, others, anchored)

    def rated(each: Period) -> list[DraftLine]:
        closed = each.start < period.start
        return [line for _, line in _rated(facts, each, closed=closed)] if each.start <= period.start else []

    return [(each, rated) for each in obligations(facts, period)]


def compose(terms: Terms, period: Period, lines: Iterable[DraftLine]) -> Draft:
    """Lines, of this period and late ones of others, with their net sum, taxes and total (P17)."""
    lines = tuple(lines)
    taxes = taxes_on(terms, lines)
    net = summed(line.amount for line in lines)
    total = net + summed(tax.amount for tax in taxes)
    return Draft(
        contract=terms.contract,
        currency=terms.currency.code,
        period=period,
        lines=lines,
        net=terms.currency.amount(net),
        taxes=taxes,
        total=terms.currency.amount(total),
    )


def _rated(facts: Facts, period: Period, *, closed: bool) -> list[tuple[Charge, DraftLine]]:
    """Every line of a period's own service but true-ups, with its charge."""
    found = obligations(facts, period) if closed else []
    return [
        (charge, line)
        for segment in facts.segments(period, closed=closed)
        for charge in segment.stretch.charges
        for line in _charged(segment, charge, found)
    ]


def _charged(segment: Segment, charge: Charge, found: Sequence[Obligation]) -> list[DraftLine]:
    match charge.type:
        case ChargeType.SUBSCRIPTION:
            return subscription(segment, charge)
        case ChargeType.USAGE if is_pooled(segment, charge):
            return usage_charge(segment, pooled(charge), overage_of(segment, charge, found))
        case ChargeType.USAGE:
            return usage_charge(segment, charge)
        case ChargeType.ONE_TIME:
            return one_time(segment, charge)


def _advance(charge: Charge) -> bool:
    return charge.in_advance


def _facts(
    terms: Terms,
    period: Period,
    usage: UsageView,
    starts: Starts,
    states: Sequence[StateChange],
    others: Mapping[str, Starts] | None,
    anchored: date | None,
) -> Facts:
    beside = []
    for other in terms.pooled:
        known = None if others is None else others.get(other.contract)
        started = first_activity(other, usage, states, until=period.end) if known is None else known
        beside.append(_alone(other, usage, started, states))
    return replace(
        _alone(terms, usage, starts, states),
        pooled=tuple(beside),
        anchored=_anchor(terms, starts, anchored),
    )


def _bare(terms: Terms, starts: Starts, anchored: date | None) -> Facts:
    """For questions of time alone."""
    return Facts(terms=terms, usage=_NO_USAGE, lives=(), anchored=_anchor(terms, starts, anchored))


def _anchor(terms: Terms, starts: Starts, anchored: date | None) -> date | None:
    at = min((start.at for start in starts.values()), default=None)
    if terms.anchor is not AnchorKind.ACTIVATION or at is None:
        return anchored
    return anchored or local_date(terms.timezone, at)


def _require_repeatable(lines: Iterable[DraftLine], scope: Scope) -> None:
    """A line that its own draft would not find booked again would be billed by every run (P14)."""
    keys = set()
    for line in lines:
        key = line.key
        if key in keys or not scope.covers(key, line.service_end):
            raise NotRepeatable(
                f"{line.charge} of {line.device or 'the contract'} comes twice for one time, or in another period than "
                f"its own ({iso(line.service_start)}): billing cannot do this yet"
            )
        keys.add(key)


def _alone(terms: Terms, usage: UsageView, starts: Starts, states: Sequence[StateChange]) -> Facts:
    lives = tuple(life_of(terms, device, starts.get(device.id), states) for device in terms.devices)
    return Facts(terms=terms, usage=usage, lives=lives)
