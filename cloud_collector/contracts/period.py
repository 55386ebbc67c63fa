"""Billing periods: half-open stretches between local midnights of the contract's zone.

A boundary is the first instant with that local date; a skipped date is an empty period.
Instants are whole UTC seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cloud_collector.contracts.catalog import AnchorKind, Cycle
from cloud_collector.contracts.duration import Duration, DurationUnit
from cloud_collector.contracts.terms import Terms

_DAY: Final = timedelta(days=1)
_DAY_SECONDS: Final = 86_400
_MONTHS: Final = {Cycle.MONTH: 1, Cycle.QUARTER: 3, Cycle.YEAR: 12}
ANCHOR_DAY_MAX: Final = 28
"""So that every month has the day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The contract's billing period number `number`, and the full aligned period that it is part of."""

    number: int
    timezone: str
    first: date
    last: date
    """Exclusive."""
    full_first: date
    full_last: date
    """Exclusive."""

    @property
    def start(self) -> int:
        """The first instant of it."""
        return boundary(self.timezone, self.first)

    @property
    def end(self) -> int:
        """The first instant after it."""
        return boundary(self.timezone, self.last)

    @property
    def full_start(self) -> int:
        """The first instant of the full aligned period."""
        return boundary(self.timezone, self.full_first)

    @property
    def full_end(self) -> int:
        """The first instant after the full aligned period."""
        return boundary(self.timezone, self.full_last)

    @property
    def full_days(self) -> int:
        """Local days of the full aligned period."""
        return len(local_days(self.timezone, self.full_start, self.full_end))


def periods(terms: Terms, *, until: date, activated: date | None = None) -> Iterator[Period]:
    """The contract's periods in order that begin before `until`, clipped to its start and end.

    `activated` is the local date of the contract's first activation; only the anchor `activation` asks for it.
    """
    first, number = terms.start, 1
    stop = until if terms.end is None else min(until, terms.end)
    while first < stop:
        full_first, full_last, last = _aligned(terms, first, activated)
        if terms.end is not None:
            last = min(last, terms.end)
        yield Period(
            number=number,
            timezone=terms.timezone,
            first=first,
            last=last,
            full_first=full_first,
            full_last=full_last,
        )
        first, number = last, number + 1


@lru_cache(maxsize=65_536)
def boundary(timezone: str, day: date) -> int:
    """The first instant whose local date is `day`, or later where the zone skips it."""
    zone = _zone(timezone)
    instant = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
    if _local_date(zone, instant - 1) < day:
        return instant
    # Midnight lies inside a gap of the clock: the day begins with the transition before.
    before = instant - _DAY_SECONDS
    while instant - before > 1:
        middle = (before + instant) // 2
        if _local_date(zone, middle) < day:
            before = middle
        else:
            instant = middle
    return instant


def local_date(timezone: str, instant: int) -> date:
    """The local date of an instant."""
    return _local_date(_zone(timezone), instant)


@lru_cache(maxsize=4_096)
def local_days(timezone: str, start: int, end: int) -> tuple[tuple[int, int], ...]:
    """The local days that overlap [start, end), each whole, as (start, end); skipped dates are no days."""
    if start >= end:
        return ()
    day = _day_of(timezone, start)
    days = []
    while boundary(timezone, day) < end:
        stretch = (boundary(timezone, day), boundary(timezone, day + _DAY))
        if stretch[0] < stretch[1]:
            days.append(stretch)
        day += _DAY
    return tuple(days)


def later(timezone: str, instant: int, duration: Duration, *, times: int = 1) -> int:
    """The instant that much later (or earlier, `times=-1`): calendar days and months keep the local time of day."""
    count = duration.count * times
    match duration.unit:
        case DurationUnit.MINUTE:
            return instant + count * 60
        case DurationUnit.HOUR:
            return instant + count * 3_600
        case DurationUnit.DAY | DurationUnit.MONTH:
            local = datetime.fromtimestamp(instant, _zone(timezone))
            if duration.unit is DurationUnit.DAY:
                moved = local.date() + timedelta(days=count)
            else:
                moved = _month_later(local.date(), count)
            wall = datetime.combine(moved, local.time(), tzinfo=_zone(timezone)).replace(fold=local.fold)
            # A time of day that the clock skips is the first instant after the gap.
            return max(int(wall.timestamp()), boundary(timezone, moved))


@lru_cache(maxsize=65_536)
def iso(instant: int) -> str:
    """RFC 3339 in UTC."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _aligned(terms: Terms, day: date, activated: date | None) -> tuple[date, date, date]:
    """The full period that holds `day`, and where the billing period ends: sooner where an anchor begins anew."""
    match terms.cycle:
        case Cycle.DAY:
            return day, day + _DAY, day + _DAY
        case Cycle.WEEK:
            monday = day - timedelta(days=day.weekday())
            return monday, monday + 7 * _DAY, monday + 7 * _DAY
        case _:
            months = _MONTHS[terms.cycle]
    if terms.anchor is AnchorKind.CALENDAR:
        first, last = _since(date(day.year, 1, 1), months, day)
        return first, last, last
    if terms.anchor is AnchorKind.ACTIVATION:
        anchor = None if activated is None else activated.replace(day=min(activated.day, ANCHOR_DAY_MAX))
        if anchor is None or day < anchor:
            first, last = _since(date(day.year, 1, 1), 1, day)
            return first, last, last if anchor is None else min(last, anchor)
        first, last = _since(anchor, months, day)
        return first, last, last
    anchor = terms.start.replace(day=int(terms.anchor))
    if anchor > terms.start:
        anchor = _month_later(anchor, -1)
    first, last = _since(anchor, months, day)
    return first, last, last


def _since(anchor: date, months: int, day: date) -> tuple[date, date]:
    """The period of so many months, counted from the anchor, that holds `day` ≥ anchor."""
    count = ((day.year - anchor.year) * 12 + day.month - anchor.month) // months
    if _month_later(anchor, count * months) > day:
        count -= 1
    return _month_later(anchor, count * months), _month_later(anchor, (count + 1) * months)


def _month_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        if last <= day.day:
            try:
                return date(year, month + 1, last)
            except ValueError:
                continue
    raise AssertionError("every month has 28 days")


def _day_of(timezone: str, instant: int) -> date:
    """The day between whose boundaries an instant lies: its local date, but where a clock goes back over midnight."""
    day = local_date(timezone, instant)
    while boundary(timezone, day) > instant:
        day -= _DAY
    while boundary(timezone, day + _DAY) <= instant:
        day += _DAY
    return day


def _local_date(zone: ZoneInfo, instant: int) -> date:
    return datetime.fromtimestamp(instant, zone).date()


@lru_cache(maxsize=1_024)
def _zone(timezone: str) -> ZoneInfo:
    return ZoneInfo(timezone)
