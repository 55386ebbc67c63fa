"""What a period will come to: usage goes on by habit, and the invoice's own code rates the whole.

So tiers, allowances, windows, minimum, commitment, grace and first use are in the forecast as they will be on the
invoice. Usage that is low, likely and high is rated each; the band is from the least to the most of the three.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from cloud_collector.activity.activation import ActivationCause
from cloud_collector.activity.lifecycle import left_at, provisioned_at
from cloud_collector.contracts.catalog import Aggregate, ChargeType
from cloud_collector.contracts.money import as_written
from cloud_collector.contracts.period import Period, boundary, local_date, local_days
from cloud_collector.contracts.terms import Terms
from cloud_collector.insight.ahead import Case, Channel, Continued, ahead, expected, is_level
from cloud_collector.insight.habit import DAY, FINE, HISTORY_SECONDS, HOUR, Hour, habit_of, hours_of
from cloud_collector.insight.spread import band
from cloud_collector.rating.commitment import COUNTED
from cloud_collector.rating.draft import Draft
from cloud_collector.rating.known import Known
from cloud_collector.usage.quantity import worth
from cloud_collector.usage.span import ChannelName, Span, SpanKind, UsageView

SHOWN_AFTER_DAYS: Final = 2
"""Of the period, and of anything known: a forecast is shown from the third day on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """One figure with its band."""

    low: Decimal
    likely: Decimal
    high: Decimal

    def to_json(self) -> dict[str, str]:
        """The public form."""
        return {name: as_written(getattr(self, name)) for name in ("low", "likely", "high")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Of one period, to its end."""

    net: Money
    total: Money
    counted: Money
    """What of the net figure counts towards a commitment of money."""
    charges: Mapping[str, Decimal]
    """Net by charge, of the likely course."""
    days: int
    """Of how many days the habit was learnt."""

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "net": self.net.to_json(),
            "total": self.total.to_json(),
            "charges": {name: as_written(amount) for name, amount in self.charges.items()},
            "days": self.days,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learnt:
    """A channel with the hours that its habit was learnt from."""

    channel: Channel
    hours: Mapping[int, Hour]


def is_shown(period: Period, at: int) -> bool:
    """Whether so much of the period has passed that a forecast may be shown."""
    return boundary(period.timezone, period.first + timedelta(days=SHOWN_AFTER_DAYS)) <= at < period.end


def forecast(known: Known, period: Period, at: int) -> Forecast | None:
    """What the period will come to, by what is known at an instant; None where that is too early to say."""
    if not is_shown(period, at):
        return None
    learnt = list(_learnt(known, at))
    days = max((_days(each, known.terms.timezone, at) for each in learnt), default=0)
    if days < SHOWN_AFTER_DAYS:
        return None
    factors = _factors(known.terms, learnt, period)
    drafts = {case: _rated(known, learnt, period, case, factors) for case in Case}
    likely = drafts[Case.LIKELY]
    charges: dict[str, Decimal] = {}
    for line in likely.lines:
        charges[line.charge] = charges.get(line.charge, Decimal(0)) + line.amount
    return Forecast(
        net=_money(likely.net, [draft.net for draft in drafts.values()]),
        total=_money(likely.total, [draft.total for draft in drafts.values()]),
        counted=_money(_counted(known, likely), [_counted(known, draft) for draft in drafts.values()]),
        charges=charges,
        days=days,
    )


def _rated(
    known: Known, learnt: Sequence[_Learnt], period: Period, case: Case, factors: Mapping[str, Fraction]
) -> Draft:
    """The whole period, as it would be billed after its end."""
    one = Fraction(1)
    spans = []
    for each in learnt:
        spread = factors[each.channel.name.meter]
        factor = {Case.LOW: max(one - spread, Fraction(0)), Case.LIKELY: one, Case.HIGH: one + spread}[case]
        spans.append(ahead(each.channel, period.end, case, factor))
    usage = Continued(known.usage, [span for span in spans if span is not None])
    if _may_start(known, learnt):
        return Known.of(known.terms, usage, known.states, until=period.end).draft(period, closed=True)
    return replace(known, usage=usage).draft(period, closed=True)


def _may_start(known: Known, learnt: Sequence[_Learnt]) -> bool:
    """Whether usage ahead may start a device that has not started yet; grace is foreseen already."""
    moving = {
        (each.channel.name.gateway, each.channel.name.device)
        for each in learnt
        if any(rate.units for rate in each.channel.habit.rates)
    }
    for terms, starts in (
        (known.terms, known.starts),
        *((each, known.others[each.contract]) for each in known.terms.pooled),
    ):
        for device in terms.devices:
            gateway, _, name = device.id.rpartition("/")
            start = starts.get(device.id)
            begun = start is not None and start.cause is not ActivationCause.GRACE
            if not begun and (gateway, name) in moving:
                return True
    return False


def _counted(known: Known, draft: Draft) -> Decimal:
    once = {each.name for part in known.terms.stretches for each in part.charges if each.type is ChargeType.ONE_TIME}
    zero = known.terms.currency.amount(Fraction(0))
    return sum((line.amount for line in draft.lines if line.kind in COUNTED and line.charge not in once), zero)


def _learnt(known: Known, at: int) -> Iterator[_Learnt]:
    seen: set[ChannelName] = set()
    for terms in (known.terms, *known.terms.pooled):
        for device in terms.devices:
            first, last = max(provisioned_at(terms, device), at - HISTORY_SECONDS), min(left_at(terms, device), at)
            gateway, _, name = device.id.rpartition("/")
            # P20: before and after, the device may be another account's.
            if first < last and left_at(terms, device) > at:
                for channel in known.usage.channels(gateway, name):
                    if channel not in seen:
                        seen.add(channel)
                        yield from _channel(terms, known.usage, channel, first, last)


def _channel(terms: Terms, usage: UsageView, name: ChannelName, first: int, last: int) -> Iterator[_Learnt]:
    spans = usage.spans(name, first, last)
    reported = [span for span in spans if span.kind is SpanKind.USAGE]
    if not reported:
        return
    meter = terms.meters.get(name.meter)
    begins = max(span.end for span in spans)
    hours = hours_of(spans, first, begins, level=is_level(meter))
    channel = Channel(
        name=name,
        meter=meter,
        last=max(reported, key=_end),
        begins=begins,
        habit=habit_of(hours, terms.timezone, begins),
    )
    yield _Learnt(channel=channel, hours=hours)


def _end(span: Span) -> int:
    return span.end


def _factors(terms: Terms, learnt: Sequence[_Learnt], period: Period) -> dict[str, Fraction]:
    """By meter, how much of what is expected may be more or less: all devices of the contract together."""
    found: dict[str, Fraction] = {}
    for meter in sorted({each.channel.name.meter for each in learnt}):
        those = [each for each in learnt if each.channel.name.meter == meter]
        coming = sum((_worth(each) * expected(each.channel, period.end) / FINE for each in those), Fraction(0))
        longest = min(each.channel.begins for each in those)
        width = band(_by_day(terms.timezone, those), Fraction(max(period.end - longest, 0), DAY))
        found[meter] = width / coming if coming else Fraction(0)
    return found


def _by_day(timezone: str, learnt: Sequence[_Learnt]) -> dict[int, Fraction]:
    """What each whole local day came to; a day of which a device's hours are missing takes its habit for them."""
    begins = min(each.channel.begins for each in learnt)
    first = min(min(each.hours) for each in learnt)
    days = local_days(timezone, first, begins)
    found = {}
    for start, end in days:
        if start < first or end > begins:
            continue
        value = Fraction(0)
        for each in learnt:
            units = sum((_units(each, hour) for hour in range(start - start % HOUR, end, HOUR)), Fraction(0))
            value += _worth(each) * units
        # A day on which the clock changes is as long as any other here.
        found[local_date(timezone, start).toordinal()] = value * DAY / (end - start)
    return found


def _units(each: _Learnt, begins: int) -> Fraction:
    """What an hour came to, in the measure of `expected`; by habit where it is not known."""
    hour = each.hours.get(begins)
    if hour is None:
        return Fraction(each.channel.habit.at(begins).units, FINE)
    return Fraction(hour.units)


def _worth(each: _Learnt) -> Fraction:
    """So that channels of one meter add up, whatever their exponents."""
    last, meter = each.channel.last, each.channel.meter
    converts = meter is not None and meter.aggregate not in {Aggregate.COUNT, Aggregate.ACTIVE_TIME}
    return worth(last.unit, last.exponent, meter.unit if meter is not None and converts else last.unit)


def _days(each: _Learnt, timezone: str, at: int) -> int:
    return len(local_days(timezone, min(each.hours), at)) - 1 if each.hours else 0


def _money(likely: Decimal, figures: Sequence[Decimal]) -> Money:
    return Money(low=min(figures), likely=likely, high=max(figures))
