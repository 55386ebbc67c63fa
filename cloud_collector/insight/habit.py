"""The habit of a channel: how much it uses in each hour of the local week, learnt from its last four weeks.

Integers and fractions only. A week counts the more the younger it is: 4, 3, 2, 1. An hour of the week that was never
seen takes the mean of that hour on days of its kind (Monday to Friday, weekend), else of that hour, else of all hours.
Hours of which nothing is known are no samples: silence is not zero.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cloud_collector.usage.span import Span, SpanKind

HOUR: Final = 3_600
DAY: Final = 86_400
WEEK: Final = 7 * DAY
WEEKS: Final = 4
HISTORY_SECONDS: Final = WEEKS * WEEK
FINE: Final = 10**6
"""Parts of a channel's integer in which a rate an hour is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What is known of one hour of one channel."""

    units: Fraction | int
    """Of usage what it came to; of a level its sum over time, level · hours."""
    seconds: int
    """Of the hour that are known."""
    active: int
    """Of those, seconds in intervals with a quantity above zero."""
    top: int
    """The highest interval in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What an hour of the week comes to."""

    units: int
    """Millionths of the channel's integer an hour; of a level the level itself."""
    active: int
    """Millionths of the time that are active."""
    top: int
    """The mean of its highest intervals."""
    highest: int
    """The highest interval of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """Rates by local weekday and hour."""

    timezone: str
    rates: tuple[Rate, ...]
    """168 of them, from Monday midnight on."""

    def at(self, instant: int) -> Rate:
        """The rate of the hour that an instant lies in."""
        return self.rates[hour_of_week(self.timezone, instant)]


def hours_of(spans: Iterable[Span], start: int, end: int, *, level: bool) -> dict[int, Hour]:
    """What is known of each UTC hour in [start, end), by the hour's start."""
    found: dict[int, _Known] = {}
    for span in spans:
        if _is_whole(span, start, end):
            # The usual line lies in one hour: its intervals are added up as they are.
            found.setdefault(span.start - span.start % HOUR, _Known()).add(
                span.deltas, span.end - span.start, sum(span.deltas), span=span, level=level
            )
            continue
        at, until = max(span.start, start), min(span.end, end)
        while at < until:
            begins = at - at % HOUR
            stop = min(begins + HOUR, until)
            first, last = (at - span.start) // span.step, (stop - span.start - 1) // span.step
            units = span.units_before(stop) - span.units_before(at)
            deltas = span.deltas[first : last + 1]
            found.setdefault(begins, _Known()).add(deltas, stop - at, units, span=span, level=level)
            at = stop
    return {begins: each.hour() for begins, each in found.items()}


def habit_of(hours: Mapping[int, Hour], timezone: str, until: int, *, even: bool = False) -> Habit:
    """The habit of these hours, the weeks counted back from `until`; with `even` all weeks count the same."""
    sums: dict[int, _Sum] = {}
    for begins, hour in hours.items():
        week = max((until - 1 - begins) // WEEK, 0)
        weight = 1 if even else max(WEEKS - week, 1)
        sums.setdefault(hour_of_week(timezone, begins), _Sum()).add(hour, weight)
    kinds: dict[tuple[bool, int], _Sum] = {}
    clock: dict[int, _Sum] = {}
    every = _Sum()
    for index, each in sums.items():
        for wider in (
            kinds.setdefault((index >= 120, index % 24), _Sum()),
            clock.setdefault(index % 24, _Sum()),
            every,
        ):
            wider.join(each)
    return Habit(
        timezone=timezone,
        rates=tuple(
            next(
                (
                    each
                    for each in (sums.get(at), kinds.get((at >= 120, at % 24)), clock.get(at % 24))
                    if each is not None
                ),
                every,
            ).rate()
            for at in range(168)
        ),
    )


@lru_cache(maxsize=65_536)
def hour_of_week(timezone: str, instant: int) -> int:
    """0 is Monday from midnight on, by the local clock."""
    local = datetime.fromtimestamp(instant, ZoneInfo(timezone))
    return local.weekday() * 24 + local.hour


class _Sum:
    """Hours added up, each with its weight."""

    def __init__(self) -> None:
        self.units: Fraction | int = 0
        self.seconds = 0
        self.active = 0
        self.top = 0
        self.weight = 0
        self.highest = 0

    def add(self, hour: Hour, weight: int) -> None:
        self.units += hour.units * weight
        self.seconds += hour.seconds * weight
        self.active += hour.active * weight
        self.top += hour.top * weight
        self.weight += weight
        self.highest = max(self.highest, hour.top)

    def join(self, other: "_Sum") -> None:
        self.units += other.units
        self.seconds += other.seconds
        self.active += other.active
        self.top += other.top
        self.weight += other.weight
        self.highest = max(self.highest, other.highest)

    def rate(self) -> Rate:
        if not self.seconds:
            return Rate(units=0, active=0, top=0, highest=0)
        return Rate(
            units=int(self.units * HOUR * FINE // self.seconds),
            active=self.active * FINE // self.seconds,
            top=self.top // self.weight,
            highest=self.highest,
        )


class _Known:
    """What spans say of one hour, while they are read."""

    def __init__(self) -> None:
        self.units: Fraction | int = 0
        self.seconds = 0
        self.active = 0
        self.top = 0

    def add(self, deltas: tuple[int, ...], seconds: int, units: int, *, span: Span, level: bool) -> None:
        bridged = span.kind is not SpanKind.USAGE
        active = len(deltas) - deltas.count(0)
        if not level:
            self.units += units
        elif not bridged:
            self.units += Fraction(sum(deltas) * seconds, len(deltas) * HOUR)
        self.seconds += seconds
        self.active += seconds * active // len(deltas)
        if not bridged:
            self.top = max(self.top, *deltas)

    def hour(self) -> Hour:
        return Hour(units=self.units, seconds=min(self.seconds, HOUR), active=min(self.active, HOUR), top=self.top)


def _is_whole(span: Span, start: int, end: int) -> bool:
    return start <= span.start and span.end <= end and span.start % HOUR + span.end - span.start <= HOUR
