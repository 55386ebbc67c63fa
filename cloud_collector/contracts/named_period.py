"""Periods as people name them: `2026-10`, `2026-10-05`, `2026-W41`, `2026-Q4`, `2026`, `START/END`."""

import re
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

from cloud_collector.contracts.period import Period

_FORMS: Final = "2026-10, 2026-10-05, 2026-W41, 2026-Q4, 2026 or START/END as dates, END exclusive"
_YEAR: Final = re.compile(r"([0-9]{4})")
_QUARTER: Final = re.compile(r"([0-9]{4})-Q([1-4])")
_MONTH: Final = re.compile(r"([0-9]{4})-([0-9]{2})")
_WEEK: Final = re.compile(r"([0-9]{4})-W([0-9]{2})")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def named_days(name: str) -> tuple[date, date]:
    """The local dates [first, last) that a name stands for; raises ValueError with a sentence."""
    try:
        first, last = _days(name)
    except (ValueError, OverflowError):
        raise ValueError(f"{name!r} names no period: write {_FORMS}") from None
    if last <= first:
        raise ValueError(f"{name!r} ends before it begins")
    return first, last


def find_period(periods: Iterable[Period], first: date, last: date) -> Period | None:
    """The first period that begins in [first, last), else the one that contains it."""
    containing = None
    for period in periods:
        if first <= period.first < last:
            return period
        if period.first <= first and last <= period.last:
            containing = period
    return containing


def _days(name: str) -> tuple[date, date]:
    if "/" in name:
        start, _, end = name.partition("/")
        return _day(start), _day(end)
    if found := _YEAR.fullmatch(name):
        return date(int(found[1]), 1, 1), date(int(found[1]) + 1, 1, 1)
    if found := _QUARTER.fullmatch(name):
        return _month(int(found[1]), 3 * int(found[2]) - 2), _month(int(found[1]), 3 * int(found[2]) + 1)
    if found := _MONTH.fullmatch(name):
        date(int(found[1]), int(found[2]), 1)
        return _month(int(found[1]), int(found[2])), _month(int(found[1]), int(found[2]) + 1)
    if found := _WEEK.fullmatch(name):
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
        return monday, monday + timedelta(days=7)
    day = _day(name)
    return day, day + timedelta(days=1)


def _day(text: str) -> date:
    if _DAY.fullmatch(text) is None:
        raise ValueError(text)
    return date.fromisoformat(text)


def _month(year: int, month: int) -> date:
    return date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)
