"""The local week: which window holds at a time of day, and from when until when each does in a stretch of time."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from cloud_collector.contracts.catalog import Window
from cloud_collector.contracts.period import boundary, local_date

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES: Final = 1_440
Times: TypeAlias = tuple[tuple[int, int], ...]
"""Stretches of time as (start, end), in order, without overlap."""

_SUNDAY: Final = 6
_DAY: Final = timedelta(days=1)
_PROBE_SECONDS: Final = 900
"""No clock changes twice within it."""


def window_at(windows: Sequence[Window], holidays: Collection[date], day: date, minute: int) -> int | None:
    """The index of the first window that matches a local date and minute; None where none does."""
    for index, window in enumerate(windows):
        today = _weekday(day, holidays) in window.days
        if window.start < window.end:
            holds = today and window.start <= minute < window.end
        else:
            # Past midnight it belongs to the day on which it starts.
            yesterday = _weekday(day - _DAY, holidays) in window.days
            holds = (today and minute >= window.start) or (yesterday and minute < window.end)
        if holds:
            return index
    return None


@lru_cache(maxsize=256)
def times_of(
    windows: tuple[Window, ...], holidays: frozenset[date], timezone: str, start: int, end: int
) -> tuple[Times, ...]:
    """For each window when it holds in [start, end) by local wall time; together they are all of it.

    Where a clock goes back, the hour that comes twice matches twice.
    """
    zone = ZoneInfo(timezone)
    found: list[list[tuple[int, int]]] = [[] for _ in windows]
    for begin, until in pairwise(_cuts(windows, zone, timezone, start, end)):
        local = datetime.fromtimestamp(begin, zone)
        index = window_at(windows, holidays, local.date(), local.hour * 60 + local.minute)
        assert index is not None, "the catalog's windows cover all time"
        mine = found[index]
        before = mine.pop()[0] if mine and mine[-1][1] == begin else begin
        mine.append((before, until))
    return tuple(tuple(each) for each in found)


def _cuts(windows: Sequence[Window], zone: ZoneInfo, timezone: str, start: int, end: int) -> list[int]:
    """Every instant of the time at which another window may begin to hold: edges, midnights, changes of the clock."""
    edges = {0, *(edge % DAY_MINUTES for window in windows for edge in (window.start, window.end))}
    cuts = {start, end, *_changes(zone, start, end)}
    day, last = local_date(timezone, start) - _DAY, local_date(timezone, end)
    while day <= last:
        for edge in edges:
            wall = datetime(day.year, day.month, day.day, edge // 60, edge % 60, tzinfo=zone)
            cuts |= {int(wall.timestamp()), int(wall.replace(fold=1).timestamp())}
        cuts.add(boundary(timezone, day))
        day += _DAY
    return sorted(cut for cut in cuts if start <= cut <= end)


def _changes(zone: ZoneInfo, start: int, end: int) -> list[int]:
    """The instants of the time at which the zone's offset changes."""
    day = 86_400
    return [at for begin in range(start, end, day) for at in _changes_within(zone, begin, min(begin + day, end))]


def _changes_within(zone: ZoneInfo, start: int, end: int) -> list[int]:
    if end - start > _PROBE_SECONDS:
        middle = (start + end) // 2
        if _offset(zone, start) == _offset(zone, middle) == _offset(zone, end):
            return []
        return _changes_within(zone, start, middle) + _changes_within(zone, middle, end)
    if _offset(zone, start) == _offset(zone, end):
        return []
    while end - start > 1:
        middle = (start + end) // 2
        if _offset(zone, middle) == _offset(zone, start):
            start = middle
        else:
            end = middle
    return [end]


def _offset(zone: ZoneInfo, instant: int) -> timedelta | None:
    return datetime.fromtimestamp(instant, zone).utcoffset()


def _weekday(day: date, holidays: Collection[date]) -> int:
    return _SUNDAY if day in holidays else day.weekday()
