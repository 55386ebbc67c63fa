"""Periods: half-open, between the first instants of local dates, each instant in exactly one."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_collector.contracts.duration import Duration, DurationUnit
from cloud_collector.contracts.named_period import named_days
from cloud_collector.contracts.period import Period, boundary, iso, later, local_days, periods
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.terms import terms_of
from tests.quoting import catalog_text

ZONES = ["Europe/Helsinki", "America/Sao_Paulo", "Pacific/Apia", "Africa/Cairo", "Asia/Tehran", "America/St_Johns"]


def made(
    cycle: str,
    *,
    anchor: str = '"calendar"',
    start: str = "2026-01-15",
    end: str = "",
    zone: str = "Europe/Helsinki",
    until: date = date(2027, 1, 1),
    activated: date | None = None,
) -> list[Period]:
    text = catalog_text(f"anchor = {anchor}", start=start, contract=end, zone=zone)
    text = text.replace('cycle = "month"', f'cycle = "{cycle}"')
    return list(periods(terms_of(load_catalog(text), "c"), until=until, activated=activated))


def firsts(found: list[Period], count: int) -> list[str]:
    return [period.first.isoformat() for period in found[:count]]


@pytest.mark.parametrize(
    ("cycle", "anchor", "expected"),
    [
        ("day", '"calendar"', ["2026-01-15", "2026-01-16"]),
        ("day", "7", ["2026-01-15", "2026-01-16"]),
        ("week", '"calendar"', ["2026-01-15", "2026-01-19", "2026-01-26"]),
        ("week", "7", ["2026-01-15", "2026-01-19", "2026-01-26"]),
        ("month", '"calendar"', ["2026-01-15", "2026-02-01", "2026-03-01"]),
        ("month", "20", ["2026-01-15", "2026-01-20", "2026-02-20"]),
        ("quarter", '"calendar"', ["2026-01-15", "2026-04-01", "2026-07-01"]),
        ("quarter", "20", ["2026-01-15", "2026-03-20", "2026-06-20"]),
        ("quarter", "10", ["2026-01-15", "2026-04-10", "2026-07-10"]),
        ("year", '"calendar"', ["2026-01-15", "2027-01-01"]),
        ("year", "10", ["2026-01-15", "2027-01-10"]),
    ],
)
def test_every_cycle_begins_where_its_anchor_says(cycle: str, anchor: str, expected: list[str]) -> None:
    found = made(cycle, anchor=anchor, until=date(2027, 2, 1))
    assert firsts(found, len(expected)) == expected
    assert [period.number for period in found] == list(range(1, len(found) + 1))


def test_a_short_first_period_knows_the_full_one_it_is_part_of() -> None:
    first = made("month", anchor="20")[0]
    assert (first.full_first, first.full_last, first.full_days) == (date(2025, 12, 20), date(2026, 1, 20), 31)


def test_an_activation_anchors_the_periods_that_follow_it() -> None:
    found = made("month", anchor='"activation"', activated=date(2026, 3, 30))
    assert firsts(found, 6) == ["2026-01-15", "2026-02-01", "2026-03-01", "2026-03-28", "2026-04-28", "2026-05-28"]
    stub = found[2]
    assert (stub.last, stub.full_first, stub.full_last) == (date(2026, 3, 28), date(2026, 3, 1), date(2026, 4, 1))


def test_until_an_activation_periods_are_calendar_months() -> None:
    assert firsts(made("quarter", anchor='"activation"'), 3) == ["2026-01-15", "2026-02-01", "2026-03-01"]
    anchored = made("quarter", anchor='"activation"', activated=date(2026, 2, 10))
    assert firsts(anchored, 4) == ["2026-01-15", "2026-02-01", "2026-02-10", "2026-05-10"]


def test_a_contracts_end_ends_its_last_period() -> None:
    found = made("month", end="end = 2026-02-10")
    assert [(period.first, period.last) for period in found] == [
        (date(2026, 1, 15), date(2026, 2, 1)),
        (date(2026, 2, 1), date(2026, 2, 10)),
    ]


def test_a_month_with_a_change_of_clocks_has_an_hour_more_or_less() -> None:
    march, october = made("month")[2], made("month")[9]
    assert march.end - march.start == 31 * 86_400 - 3_600
    assert october.end - october.start == 31 * 86_400 + 3_600


def test_a_day_whose_midnight_the_clock_skips_begins_with_what_follows() -> None:
    # Brazil, 2018-11-04: clocks went from 00:00 to 01:00.
    assert iso(boundary("America/Sao_Paulo", date(2018, 11, 4))) == "2018-11-04T03:00:00Z"
    # Egypt, 2014-05-16: from 00:00 to 01:00; Newfoundland, 2006-04-02: from 00:01 to 01:01.
    assert iso(boundary("Africa/Cairo", date(2014, 5, 16))) == "2014-05-15T22:00:00Z"
    assert iso(boundary("America/St_Johns", date(2006, 4, 2))) == "2006-04-02T03:30:00Z"


def test_a_skipped_date_is_an_empty_period_and_no_day() -> None:
    # Samoa had no 30 December 2011.
    found = made("day", start="2011-12-29", zone="Pacific/Apia", until=date(2012, 1, 1))
    assert [period.end - period.start for period in found] == [86_400, 0, 86_400]
    month = made("month", start="2011-12-01", zone="Pacific/Apia", until=date(2012, 1, 1))[0]
    assert month.full_days == 30


@given(zone=st.sampled_from(ZONES), day=st.dates(date(1996, 1, 1), date(2036, 12, 31)))
def test_a_boundary_is_the_first_instant_with_its_local_date(zone: str, day: date) -> None:
    at = boundary(zone, day)
    local = datetime.fromtimestamp(at, ZoneInfo(zone)).date()
    assert local >= day
    assert datetime.fromtimestamp(at - 1, ZoneInfo(zone)).date() < day
    following = boundary(zone, day + timedelta(days=1))
    assert (following == at) == (local != day)


@given(zone=st.sampled_from(ZONES), start=st.integers(820_454_400, 2_000_000_000), length=st.integers(1, 40 * 86_400))
def test_local_days_cover_a_time_without_holes(zone: str, start: int, length: int) -> None:
    days = local_days(zone, start, start + length)
    assert days[0][0] <= start < days[0][1]
    assert days[-1][0] < start + length <= days[-1][1]
    assert all(before[1] == after[0] for before, after in pairwise(days))


@given(
    cycle=st.sampled_from(["day", "week", "month", "quarter", "year"]),
    anchor=st.one_of(st.just('"calendar"'), st.just('"activation"'), st.integers(1, 28).map(str)),
    zone=st.sampled_from(ZONES),
    activated=st.none() | st.dates(date(2018, 1, 15), date(2019, 6, 1)),
)
def test_each_instant_lies_in_exactly_one_period(cycle: str, anchor: str, zone: str, activated: date | None) -> None:
    found = made(cycle, anchor=anchor, start="2018-01-15", zone=zone, until=date(2019, 9, 1), activated=activated)
    assert found[0].start == boundary(zone, date(2018, 1, 15))
    assert all(before.end == after.start for before, after in pairwise(found))
    assert all(period.full_first <= period.first < period.last <= period.full_last for period in found)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("2026-10", date(2026, 10, 1), date(2026, 11, 1)),
        ("2026-12", date(2026, 12, 1), date(2027, 1, 1)),
        ("2026-10-05", date(2026, 10, 5), date(2026, 10, 6)),
        ("2026-W41", date(2026, 10, 5), date(2026, 10, 12)),
        ("2026-Q4", date(2026, 10, 1), date(2027, 1, 1)),
        ("2026", date(2026, 1, 1), date(2027, 1, 1)),
        ("2026-10-05/2026-10-09", date(2026, 10, 5), date(2026, 10, 9)),
    ],
)
def test_a_period_has_many_names(name: str, first: date, last: date) -> None:
    assert named_days(name) == (first, last)


@pytest.mark.parametrize(
    "name", ["", "2026-13", "2026-02-30", "2026-W54", "2026-Q5", "26", "2026-10-05/2026-10-05", "x/y"]
)
def test_what_names_no_period_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(ValueError, match=r"names no period|ends before"):
        named_days(name)


@pytest.mark.parametrize(
    ("count", "unit", "expected"),
    [
        (24, DurationUnit.HOUR, "2026-10-25T09:00:00Z"),
        (1, DurationUnit.DAY, "2026-10-25T10:00:00Z"),  # the same time of day, though that day has 25 hours
        (1, DurationUnit.MONTH, "2026-11-24T10:00:00Z"),
        (90, DurationUnit.MINUTE, "2026-10-24T10:30:00Z"),
    ],
)
def test_days_and_months_are_calendar_and_hours_and_minutes_exact(
    count: int, unit: DurationUnit, expected: str
) -> None:
    noon = int(datetime(2026, 10, 24, 9, tzinfo=UTC).timestamp())
    assert iso(later("Europe/Helsinki", noon, Duration(count=count, unit=unit))) == expected
    if unit in {DurationUnit.HOUR, DurationUnit.MINUTE}:
        assert (
            later(
                "Europe/Helsinki",
                noon + count * (3_600 if unit is DurationUnit.HOUR else 60),
                Duration(count=count, unit=unit),
                times=-1,
            )
            == noon
        )


def test_a_month_after_the_31st_is_the_last_day_of_a_shorter_month() -> None:
    start = int(datetime(2026, 1, 31, 10, tzinfo=UTC).timestamp())
    assert iso(later("Europe/Helsinki", start, Duration(count=1, unit=DurationUnit.MONTH))) == "2026-02-28T10:00:00Z"
