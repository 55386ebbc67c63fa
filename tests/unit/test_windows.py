"""Windows of the local week: each unit at the price of the wall time at which it was used."""

from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_collector.contracts.catalog import Window
from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.period import iso
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.week import times_of, window_at
from tests.quoting import catalog_text, quoted

PEAK = """
[[plans.p.charges]]
name = "Energy"
type = "usage"
meter = "energy"
model = "per_unit"
windows = [
    { name = "peak", days = "mon-fri", from = "07:00", to = "22:00", price = 0.5 },
    { name = "off", price = 0.1 },
]
"""


def windowed(windows: str, more: str = "") -> str:
    start = PEAK.index("windows")
    return f"{PEAK[:start]}windows = {windows}\n{more}"


def billed(text: str, *rows: str, period: str = "2026-10", **more: str) -> list[tuple[str | None, str, str]]:
    made = quoted(text, *rows, period=period, **more)  # type: ignore[arg-type]
    return [(line.window, line.to_json()["quantity"], str(line.amount)) for line in made.lines]


def test_each_window_has_its_line_with_the_wall_times_units() -> None:
    # Monday 5 October 2026, 06:00 to 08:00 local: an hour of each; Saturday at noon is off.
    rows = ["gw/a energy 2026-10-05T06:00:00+03:00 2h 4", "gw/a energy 2026-10-10T12:00:00+03:00 1h 10"]
    assert billed(catalog_text(charges=PEAK), *rows) == [("peak", "2", "1.00"), ("off", "12", "1.20")]
    lines = quoted(catalog_text(charges=PEAK), *rows).lines
    assert [line.estimated for line in lines] == [True, True]
    assert [line.to_json()["unit_price"] for line in lines] == ["0.5", "0.1"]


def test_to_is_exclusive_and_may_be_the_end_of_the_day() -> None:
    windows = '[{ name = "late", from = "22:00", to = "24:00", price = 1 }, { name = "rest", price = 0 }]'
    rows = [
        "gw/a energy 2026-10-05T21:45:00+03:00 15m 1",
        "gw/a energy 2026-10-05T22:00:00+03:00 15m 2",
        "gw/a energy 2026-10-05T23:45:00+03:00 15m 4",
        "gw/a energy 2026-10-06T00:00:00+03:00 15m 8",
    ]
    assert billed(catalog_text(charges=windowed(windows)), *rows) == [("late", "6", "6.00"), ("rest", "9", "0.00")]


def test_past_midnight_a_window_belongs_to_the_day_on_which_it_starts() -> None:
    windows = (
        '[{ name = "night", days = "fri", from = "22:00", to = "06:00", price = 1 }, { name = "rest", price = 0 }]'
    )
    rows = [
        "gw/a energy 2026-10-09T23:00:00+03:00 1h 1",  # Friday night
        "gw/a energy 2026-10-10T05:00:00+03:00 1h 2",  # its Saturday morning
        "gw/a energy 2026-10-10T23:00:00+03:00 1h 4",  # Saturday night
        "gw/a energy 2026-10-09T05:00:00+03:00 1h 8",  # Friday morning
    ]
    assert billed(catalog_text(charges=windowed(windows)), *rows)[0] == ("night", "3", "3.00")


def test_a_holiday_counts_as_a_sunday() -> None:
    # Tuesday 6 October as a holiday.
    rows = ["gw/a energy 2026-10-06T12:00:00+03:00 1h 3", "gw/a energy 2026-10-07T12:00:00+03:00 1h 4"]
    text = catalog_text("holidays = [2026-10-06]", charges=PEAK)
    assert billed(text, *rows) == [("peak", "4", "2.00"), ("off", "3", "0.30")]
    sunday = windowed('[{ name = "sun", days = "sun", price = 1 }, { name = "rest", price = 0 }]')
    assert billed(catalog_text("holidays = [2026-10-06]", charges=sunday), *rows)[0] == ("sun", "3", "3.00")


def test_the_hour_that_comes_twice_matches_twice() -> None:
    windows = '[{ name = "three", from = "03:00", to = "04:00", price = 1 }, { name = "rest", price = 0 }]'
    # On 25 October 2026 clocks in Helsinki go from 04:00 summer time back to 03:00; 00:00 to 02:00 UTC are both 3.
    rows = [f"gw/a energy 2026-10-25T0{hour}:00:00Z 1h {2**hour}" for hour in range(4)]
    assert billed(catalog_text(charges=windowed(windows)), *rows)[0] == ("three", "3", "3.00")
    # On 29 March they go from 03:00 to 04:00: that hour does not come.
    rows = [f"gw/a energy 2026-03-29T0{hour}:00:00Z 1h {2**hour}" for hour in range(4)]
    assert billed(catalog_text(charges=windowed(windows)), *rows, period="2026-03")[0] == ("three", "0", "0.00")


def test_included_units_come_off_in_the_order_listed_and_increments_apply_to_each_window() -> None:
    rows = ["gw/a energy 2026-10-05T12:00:00+03:00 1h 4.5", "gw/a energy 2026-10-05T23:00:00+03:00 1h 2.5"]
    text = catalog_text(charges=PEAK + "included = 6\nincrement = 1\n")
    # 5 and 3; six come off: all five of peak and one of off.
    assert billed(text, *rows) == [("peak", "5", "0.00"), ("off", "3", "0.20")]


def test_one_discount_a_cap_and_a_minimum_stand_beside_all_windows() -> None:
    rows = ["gw/a energy 2026-10-05T12:00:00+03:00 1h 0.03", "gw/a energy 2026-10-05T23:00:00+03:00 1h 0.15"]
    made = quoted(catalog_text(charges=PEAK + "discount_percent = 50\nminimum = 1\n"), *rows)
    # 0.015 → 0.02 and 0.015 → 0.02; half of 0.03 exactly is 0.015 → 0.02; 0.02 are printed.
    assert [(line.kind.value, line.window, str(line.amount)) for line in made.lines] == [
        ("usage", "peak", "0.02"),
        ("usage", "off", "0.02"),
        ("discount", None, "-0.02"),
        ("minimum", None, "0.98"),
    ]


@pytest.mark.parametrize(
    ("windows", "sentence"),
    [
        ("[]", "at least one window"),
        ('[{ name = "a", days = "mon-fri", price = 1 }]', "none holds on sat 00:00"),
        ('[{ name = "a", from = "00:00", to = "23:59", price = 1 }]', "none holds on mon 23:59"),
        ('[{ name = "a", price = 1 }, { name = "a", price = 2 }]', "name of two windows"),
        ('[{ name = "a", days = "mon-fry", price = 1 }]', 'did you mean "fri"?'),
        ('[{ name = "a", from = "24:00", price = 1 }]', "before 24:00"),
        ('[{ name = "a", to = "24:01", price = 1 }]', "up to 24:00"),
        ('[{ name = "a", from = "7", price = 1 }]', 'such as "07:00"'),
        ('[{ name = "a" }]', 'lacks "price"'),
        ('[{ name = "a", price = 1 }]\nprice = 1', "never two"),
    ],
)
def test_windows_that_leave_time_out_or_say_nonsense_are_refused(windows: str, sentence: str) -> None:
    with pytest.raises(CatalogError, match=r"catalog\.toml:\d+: plans\.p") as caught:
        load_catalog(catalog_text(charges=windowed(windows)))
    assert sentence in str(caught.value)


def test_windows_that_miss_a_holidays_night_are_refused() -> None:
    windows = (
        '[{ name = "week", days = "mon-sat", price = 1 }, { name = "sun", days = "sun", from = "06:00", price = 1 },'
        ' { name = "night", days = "sat", from = "22:00", to = "06:00", price = 1 }]'
    )
    load_catalog(catalog_text(charges=windowed(windows)))
    with pytest.raises(CatalogError, match="none holds on tue 00:00"):
        load_catalog(catalog_text("holidays = [2026-10-06]", charges=windowed(windows)))


def test_a_day_is_cut_at_its_wall_times() -> None:
    peak = Window(name="peak", price=Decimal(1), days=frozenset(range(5)), start=420, end=1_320)
    rest = Window(name="rest", price=Decimal(1))
    found = times_of((peak, rest), frozenset(), "Europe/Helsinki", 1_790_974_800, 1_790_974_800 + 86_400)
    assert [[(iso(start), iso(end)) for start, end in each] for each in found] == [
        [],
        [("2026-10-02T21:00:00Z", "2026-10-03T21:00:00Z")],
    ]


@given(
    zone=st.sampled_from(
        ["Europe/Helsinki", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Tehran"]
    ),
    start=st.integers(820_454_400, 2_000_000_000),
    length=st.integers(1, 12 * 86_400),
    first=st.integers(0, 1_439),
    last=st.integers(1, 1_440),
)
@settings(max_examples=60, deadline=None)
def test_windows_cover_every_instant_once(zone: str, start: int, length: int, first: int, last: int) -> None:
    """P17: what windows bill sums to the whole."""
    some = Window(name="some", price=Decimal(1), days=frozenset({0, 2, 5}), start=first, end=last)
    rest = Window(name="rest", price=Decimal(1))
    found = times_of((some, rest), frozenset({date(2012, 5, 1)}), zone, start, start + length)
    times = sorted(stretch for each in found for stretch in each)
    assert (times[0][0], times[-1][1]) == (start, start + length)
    assert all(before[1] == after[0] for before, after in pairwise(times))
    zone_info = ZoneInfo(zone)
    for at in range(start, start + length, max(length // 200, 1)):
        local = datetime.fromtimestamp(at, zone_info)
        wanted = window_at((some, rest), {date(2012, 5, 1)}, local.date(), local.hour * 60 + local.minute)
        (held,) = [index for index, each in enumerate(found) if any(begin <= at < end for begin, end in each)]
        assert held == wanted
