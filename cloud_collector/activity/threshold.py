"""Thresholds of first use: intervals in order of their ends go in, the one that decides comes out."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush

from cloud_collector.activity.activation import Evidence
from cloud_collector.contracts.catalog import ActivationRule, Threshold
from cloud_collector.contracts.money import as_written, plain
from cloud_collector.contracts.period import later, local_date
from cloud_collector.usage.span import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Usage above zero in [start, end): an interval of a line, or what a cut leaves of one."""

    device: str
    start: int
    end: int
    quantity: Fraction
    """In the catalog's unit."""
    estimated: bool
    span: Span
    index: int

    @property
    def order(self) -> tuple[int, int, str, str, str, int, int]:
        """Total, and free of the order of arrival (P18)."""
        span = self.span
        return self.end, self.start, self.device, span.channel.meter, span.epoch, span.seq, self.index

    @property
    def decides_at(self) -> int:
        """Where billing starts if it decides: where it begins, or where it ends if it is estimated."""
        return self.end if self.estimated else self.start


def decide(
    rule: ActivationRule, timezone: str, intervals: Iterable[Interval], levels: Collection[str] = ()
) -> tuple[Interval, Evidence] | None:
    """The first interval with which the rule is met: one of `any`, where there are any, and every one of `all`.

    Without thresholds first use is the first report of usage. `intervals` come in their `order`; of the meters in
    `levels` a quantity is reached, not added up.
    """
    either = [_Count(threshold, timezone, levels) for threshold in rule.any]
    every = [_Count(threshold, timezone, levels) for threshold in rule.all]
    if not either and not every:
        either = [_Count(Threshold(reports=1), timezone, levels)]
    for interval in intervals:
        newly = [count for count in (*either, *every) if count.takes(interval)]
        if newly and all(count.met for count in every) and (not either or any(count.met for count in either)):
            return interval, _evidence(interval, newly[-1])
    return None


class _Count:
    """How far one threshold has come; once met it stays met."""

    def __init__(self, threshold: Threshold, timezone: str, levels: Collection[str]) -> None:
        self.threshold = threshold
        self.is_level = threshold.at_least is not None and threshold.meter in levels
        self.timezone = timezone
        self.met = False
        self._within: list[tuple[int, Fraction, int]] = []
        self._sum = Fraction(0)
        self._days: Counter[int] = Counter()
        self._last: tuple[str, int, int] | None = None
        self._needed = self._goal()

    def takes(self, interval: Interval) -> bool:
        """Count an interval; true if the threshold is met with it."""
        threshold = self.threshold
        if self.met or threshold.meter not in {None, interval.span.channel.meter}:
            return False
        report = (interval.device, interval.start, interval.end)
        if threshold.reports is not None and report == self._last:
            return False  # Two meters of one device in one interval are one report.
        self._last = report
        value = interval.quantity if threshold.at_least is not None else Fraction(1)
        if self.is_level:
            self._sum = Fraction(0)  # A level is reached by one interval, which lies within any span that holds it.
        # A day is asked for where days are counted.
        day = 0 if threshold.active_days is None else local_date(self.timezone, interval.start).toordinal()
        self._sum += value
        self._days[day] += 1
        if threshold.within is not None and not self.is_level:
            heappush(self._within, (interval.start, value, day))
            self._forget(later(self.timezone, interval.end, threshold.within, times=-1))
        self.met = self._figure() >= self._needed
        return self.met

    @property
    def figure(self) -> str:
        """How far it has come, for people."""
        return plain(self._figure())

    @property
    def rule(self) -> str:
        """The threshold for people, close to how the catalog spells it."""
        threshold = self.threshold
        if threshold.at_least is not None:
            said = f"{threshold.meter} at_least {as_written(threshold.at_least)}"
        elif threshold.active_days is not None:
            said = f"active_days {threshold.active_days}"
        else:
            said = f"reports {threshold.reports}"
        if threshold.at_least is None and threshold.meter is not None:
            said = f"{threshold.meter} {said}"
        return said if threshold.within is None else f"{said} within {threshold.within}"

    def _figure(self) -> Fraction:
        return self._sum if self.threshold.active_days is None else Fraction(len(self._days))

    def _goal(self) -> Fraction:
        threshold = self.threshold
        goal = threshold.at_least if threshold.at_least is not None else threshold.active_days or threshold.reports
        assert goal is not None, "a threshold has one figure"
        return Fraction(goal)

    def _forget(self, before: int) -> None:
        """Leave out intervals that begin before the rolling span does."""
        # In order of their beginnings, which is not the order in which intervals end.
        while self._within and self._within[0][0] < before:
            _, value, day = heappop(self._within)
            self._sum -= value
            self._days[day] -= 1
            if not self._days[day]:
                del self._days[day]


def _evidence(interval: Interval, count: _Count) -> Evidence:
    span = interval.span
    return Evidence(
        gateway=span.channel.gateway,
        device=span.channel.device,
        meter=span.channel.meter,
        log=span.log,
        epoch=span.epoch,
        seq=span.seq,
        interval=interval.index,
        start=interval.start,
        end=interval.end,
        estimated=interval.estimated,
        rule=count.rule,
        figure=count.figure,
    )
