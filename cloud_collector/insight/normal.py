"""What is normal for a contract: the median of what its last periods' habits would have come to in this one.

Each earlier period's usage by weekday and hour is laid over the days of this period that have passed, and over all of
it, and rated by today's terms. So weekdays are compared with weekdays, months of different length are alike, and a new
price is no unusual usage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from cloud_collector.activity.lifecycle import left_at, provisioned_at
from cloud_collector.contracts.period import Period
from cloud_collector.insight.ahead import Case, Channel, ahead, is_level
from cloud_collector.insight.habit import habit_of, hours_of
from cloud_collector.rating.known import Known
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import ChannelName, Measured, Span, SpanKind, UsageView

PERIODS: Final = 6
"""The last ones that are looked at."""
PERIODS_MIN: Final = 2
"""One alone makes nothing normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """Net money."""

    so_far: Fraction
    whole: Fraction
    periods: int
    """Of how many it is the median."""


Habits = Mapping[ChannelName, Channel]
"""How one earlier period was used."""


def habits(known: Known, period: Period) -> Habits:
    """How a period was used, by channel; of devices that the contract had in it."""
    found: dict[ChannelName, Channel] = {}
    for terms in (known.terms, *known.terms.pooled):
        for device in terms.devices:
            start, end = max(period.start, provisioned_at(terms, device)), min(period.end, left_at(terms, device))
            gateway, _, name = device.id.rpartition("/")
            if start >= end:
                continue
            for channel in known.usage.channels(gateway, name):
                spans = known.usage.spans(channel, start, end)
                reported = [span for span in spans if span.kind is SpanKind.USAGE]
                if reported:
                    meter = terms.meters.get(channel.meter)
                    hours = hours_of(spans, start, end, level=is_level(meter))
                    found[channel] = Channel(
                        name=channel,
                        meter=meter,
                        last=reported[-1],
                        begins=start,
                        # Every week of it counts the same.
                        habit=habit_of(hours, terms.timezone, end, even=True),
                    )
    return found


def normal(known: Known, period: Period, at: int, earlier: Sequence[Habits]) -> Normal | None:
    """The median over earlier periods, so far and for the whole; None where they are too few."""
    used = [each for each in earlier if each][:PERIODS]
    if len(used) < PERIODS_MIN:
        return None
    so_far = [_net(known, period, min(at, period.end), each, closed=False) for each in used]
    whole = [_net(known, period, period.end, each, closed=True) for each in used]
    return Normal(so_far=_median(so_far), whole=_median(whole), periods=len(used))


def _net(known: Known, period: Period, until: int, used: Habits, *, closed: bool) -> Decimal:
    spans = []
    for channel in used.values():
        span = ahead(replace(channel, begins=period.start), until, Case.LIKELY, Fraction(1))
        if span is not None:
            spans.append(span)
    usage: UsageView = _Only(Ledger(spans), until)
    return replace(known, usage=usage).draft(period, closed=closed).net


class _Only:
    """A ledger's usage before an instant; its last interval may reach beyond."""

    def __init__(self, ledger: Ledger, until: int) -> None:
        self._ledger = ledger
        self._until = until

    def measure(self, channel: ChannelName, start: int, end: int) -> Measured | None:
        """Usage in [start, end)."""
        return self._ledger.measure(channel, start, min(end, self._until))

    def spans(self, channel: ChannelName, start: int, end: int) -> list[Span]:
        """Spans that overlap [start, end)."""
        return self._ledger.spans(channel, start, min(end, self._until))

    def channels(self, gateway: str, device: str) -> list[ChannelName]:
        """The channels of a device that the earlier period knew."""
        return self._ledger.channels(gateway, device)


def _median(values: Sequence[Decimal]) -> Fraction:
    held = sorted(Fraction(value) for value in values)
    middle = len(held) // 2
    return held[middle] if len(held) % 2 else (held[middle - 1] + held[middle]) / 2
