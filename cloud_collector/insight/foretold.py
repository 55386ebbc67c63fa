"""Forecasts that were made a moment ago, for pages: a habit is learnt from weeks of reports, and changes as slowly.

What is kept, and how long, follows from how much was read for it: a small contract's forecast is always made anew, and
one that rests on a hundred thousand reports stands for some minutes. The cost so far is never kept.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Final

from cloud_collector.contracts.period import Period
from cloud_collector.insight.forecast import Forecast, forecast
from cloud_collector.rating.known import Known
from cloud_collector.usage.span import ChannelName, Measured, Span, UsageView

READ_A_SECOND: Final = 500
"""For so many reports that were read a forecast is kept a second."""
KEPT_SECONDS_MAX: Final = 1_800
KEPT_MAX: Final = 4_096
"""Forecasts that are remembered; then the oldest are forgotten."""


class Counted:
    """A UsageView that counts the reports that it hands out."""

    def __init__(self, usage: UsageView) -> None:
        self._usage = usage
        self.read = 0

    def measure(self, channel: ChannelName, start: int, end: int) -> Measured | None:
        """Usage in [start, end)."""
        return self._usage.measure(channel, start, end)

    def spans(self, channel: ChannelName, start: int, end: int) -> list[Span]:
        """Spans that overlap [start, end)."""
        found = self._usage.spans(channel, start, end)
        self.read += len(found)
        return found

    def channels(self, gateway: str, device: str) -> list[ChannelName]:
        """The channels of a device that have ever reported."""
        return self._usage.channels(gateway, device)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    at: int
    until: int
    found: Forecast | None


class Foretold:
    """Remembers the forecasts of one store."""

    def __init__(self) -> None:
        self._held: dict[Hashable, _Made] = {}

    def forecast(self, known: Known, period: Period, at: int) -> Forecast | None:
        """What the period will come to, as it was said a moment ago or is found now."""
        terms = known.terms
        states = len(known.states), terms.devices, terms.catalog_hash
        key = terms.contract, period.start, states, at >= period.end
        held = self._held.get(key)
        if held is not None and held.at <= at < held.until:
            return held.found
        usage = Counted(known.usage)
        found = forecast(replace(known, usage=usage), period, at)
        kept = min(usage.read // READ_A_SECOND, KEPT_SECONDS_MAX)
        if kept:
            while len(self._held) >= KEPT_MAX:
                self._held.pop(next(iter(self._held)), None)
            self._held[key] = _Made(at=at, until=at + kept, found=found)
        return found
