"""P14, P17: in every time zone there is, days begin once, end where the next begins, and leave no instant out.

What a zone's offset is at an instant is taken from the time zone database; where its days begin is found here by
another way than the product's: stretch by stretch of one offset, in order of time. A change is judged by every day
near a change of a clock, and some others, in one zone of six; HYPOTHESIS_PROFILE=search takes every day of thirty
years in each.
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from cloud_collector.contracts.catalog import Cycle
from cloud_collector.contracts.period import boundary, local_days, periods
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.terms import Terms, terms_of
from tests.examples import COMPLETE
from tests.quoting import catalog_text

FIRST: Final = date(1996, 1, 1)
LAST: Final = date(2027, 1, 1)
DAY: Final = 86_400
EPOCH: Final = date(1970, 1, 1)
GROUPS: Final = 8
STRIDE: Final = 1 if COMPLETE else 6
"""The zones are judged in so many tests, which may run beside one another; of every so many zones one."""
LOOK_SECONDS: Final = DAY // 4 if COMPLETE else DAY
"""No clock is changed twice within it."""
NEAR: Final = range(-2, 3)
SOME_DAYS: Final = 25
WITHOUT_A_DATE: Final = {"Pacific/Apia": 1, "Pacific/Fakaofo": 1}
"""Zones that crossed the date line in these years, and what they skipped."""


class Stretch(NamedTuple):
    """One offset from UTC holds in [start, end)."""

    start: int
    end: int
    offset: int


def zones() -> list[list[str]]:
    """The names of the time zone database that are judged, names of the same zone together."""
    names = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    found: dict[str, list[str]] = {}
    for name in names:
        content = resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
        found.setdefault(sha256(content).hexdigest(), []).append(name)
    return [
        names for number, names in enumerate(found.values()) if number % STRIDE == 0 or {*names} & {*WITHOUT_A_DATE}
    ]


def offset(zone: ZoneInfo, instant: int) -> int:
    shift = datetime.fromtimestamp(instant, zone).utcoffset()
    assert shift is not None
    return int(shift.total_seconds())


def stretches(name: str) -> list[Stretch]:
    """Every stretch of one offset, a little beyond the years on both sides."""
    zone = ZoneInfo(name)
    start, end = midnight(FIRST) - 3 * DAY, midnight(LAST) + 3 * DAY
    found: list[Stretch] = []
    since, now = start, offset(zone, start)
    for at in range(start + LOOK_SECONDS, end + LOOK_SECONDS, LOOK_SECONDS):
        if (then := offset(zone, at)) != now:
            before, after = at - LOOK_SECONDS, at
            while after - before > 1:
                middle = (before + after) // 2
                before, after = (middle, after) if offset(zone, middle) == now else (before, middle)
            found.append(Stretch(since, after, now))
            since, now = after, then
    return [*found, Stretch(since, end, now)]


def midnight(day: date) -> int:
    """As if it were in UTC."""
    return (day - EPOCH).days * DAY


def begins(found: Iterable[Stretch], day: date) -> int:
    """The first instant at which a clock there shows this date, or a later one."""
    wall = midnight(day)
    return next(max(each.start, wall - each.offset) for each in found if each.end + each.offset > wall)


def judged(found: list[Stretch], seed: str) -> Iterator[date]:
    """The days to look at, in order."""
    every = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days)]
    if COMPLETE:
        yield from every
        return
    changes = {EPOCH + timedelta(days=(each.end + each.offset) // DAY + near) for each in found for near in NEAR}
    some = random.Random(seed).sample(every, SOME_DAYS)
    yield from sorted({day for day in {*changes, *some} if FIRST <= day < LAST})


def judge(names: list[str]) -> None:
    """All that is said of one zone, under each of its names."""
    found = stretches(names[0])
    zone = ZoneInfo(names[0])
    skipped = 0
    for day in judged(found, names[0]):
        start, end = (begins(found, each) for each in (day, day + timedelta(days=1)))
        assert {boundary(name, day) for name in names} == {start}, f"{names[0]} {day}"
        # Half-open: the day before holds the instant before, and the day holds its own first instant.
        assert datetime.fromtimestamp(start - 1, zone).date() < day, f"{names[0]} {day}"
        if start == end:
            skipped += 1
            continue
        assert start < end, f"{names[0]} {day}"
        for instant in (start, (start + end) // 2, end - 1):
            assert local_days(names[0], instant, instant + 1) == ((start, end),), f"{names[0]} {day}"
    assert skipped == WITHOUT_A_DATE.get(next(iter({*names} & WITHOUT_A_DATE.keys()), ""), 0), names[0]


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_day_of_every_zone_is_half_open_and_begins_where_the_last_one_ends(group: int) -> None:
    for names in zones()[group::GROUPS]:
        judge(names)


def agreed(cycle: Cycle, anchor: str, zone: str) -> Terms:
    text = catalog_text(f"anchor = {anchor}", start=FIRST.isoformat(), zone=zone)
    return terms_of(load_catalog(text.replace('cycle = "month"', f'cycle = "{cycle.value}"')), "c")


@pytest.mark.parametrize("group", range(GROUPS))
def test_the_periods_of_every_zone_cover_each_instant_of_thirty_years_once(group: int) -> None:
    """And their days are all the days."""
    cycles = [(Cycle.MONTH, '"calendar"'), (Cycle.WEEK, '"calendar"'), (Cycle.QUARTER, "28"), (Cycle.YEAR, "13")]
    for number, names in list(enumerate(zones()))[group::GROUPS]:
        kinds = cycles if COMPLETE else [cycles[number % len(cycles)]]
        for cycle, anchor in kinds:
            found = list(periods(agreed(cycle, anchor, names[0]), until=LAST))
            assert found[0].start == boundary(names[0], FIRST)
            assert all(before.end == after.start for before, after in pairwise(found)), names[0]
            assert found[-1].end >= boundary(names[0], LAST)
            days = [day for each in found for day in local_days(names[0], each.start, each.end)]
            assert (days[0][0], days[-1][1]) == (found[0].start, found[-1].end), names[0]
            assert all(before[1] == after[0] for before, after in pairwise(days)), names[0]


def test_the_zones_are_the_wheels_whatever_the_machine_has(tmp_path: Path) -> None:
    """P12, P15: an invoice names the version of its time zones, so it is cut by no others."""
    (tmp_path / "Europe").mkdir()
    utc = resources.files("tzdata").joinpath("zoneinfo", "UTC").read_bytes()
    (tmp_path / "Europe" / "Helsinki").write_bytes(utc)
    program = (
        "from datetime import date; from cloud_collector.contracts.period import boundary;"
        "print(boundary('Europe/Helsinki', date(2026, 10, 1)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONTZPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert int(said) == int(datetime(2026, 9, 30, 21, tzinfo=UTC).timestamp())
