"""Maximum, demand, average, active time and count: each figure worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_collector.contracts.catalog import Aggregate, Meter
from cloud_collector.contracts.duration import Duration, DurationUnit
from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.read import load_catalog
from cloud_collector.rating.level import pieces_of, rate_peak
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import ChannelName, Span, SpanKind
from tests.quoting import catalog_text, quoted

CHANNEL = ChannelName(gateway="gw", device="a", meter="power")
POWER = """
[meters.power]
unit = "{unit}"
aggregate = "{aggregate}"
{demand}
[[plans.p.charges]]
name = "Power"
type = "usage"
meter = "power"
{charge}
"""


def text(aggregate: str, charge: str = 'model = "per_unit"\nprice = 2', **more: str) -> str:
    unit, demand = more.pop("unit", "kW"), more.pop("demand", "")
    made = POWER.format(unit=unit, aggregate=aggregate, demand=demand and f'demand = "{demand}"', charge=charge)
    return catalog_text(charges=made, zone=more.pop("zone", "Europe/Helsinki"), **more)


def row(clock: str, length: str, quantity: str, device: str = "gw/a") -> str:
    return f"{device} power 2026-10-{clock}:00Z {length} {quantity}"


def line(made: str, *rows: str, period: str = "2026-10") -> tuple[str, str, bool]:
    found = quoted(made, *rows, period=period).lines[0]
    return found.to_json()["quantity"], str(found.amount), found.estimated


def test_a_maximum_is_the_highest_level() -> None:
    assert line(text("max"), row("05T10:00", "15m", "3.5"), row("06T10:00", "1h", "4.25")) == ("4.25", "8.50", False)
    assert line(text("max")) == ("0", "0.00", False)


def test_a_maximum_of_devices_is_the_peak_of_their_simultaneous_sum() -> None:
    devices = '["gw/a", "gw/b"]'
    rows = [
        row("05T10:00", "1h", "3"),
        row("05T10:30", "1h", "2", "gw/b"),
        row("05T11:30", "1h", "4", "gw/b"),
        row("05T11:00", "30m", "2.5"),
    ]
    # 10:30 to 11:00: 3 + 2; 11:00 to 11:30: 2.5 + 2; 11:30 on: 4. What ends at an instant does not meet what begins.
    assert line(text("max", devices=devices), *rows) == ("5", "10.00", False)


def test_a_level_that_a_boundary_cuts_holds_on_both_sides() -> None:
    rows = [row("31T21:30", "1h", "7")]  # until 00:30 on 1 November in Helsinki
    assert line(text("max"), *rows) == ("7", "14.00", True)
    assert line(text("max"), *rows, period="2026-11") == ("7", "14.00", True)


def test_demand_is_the_highest_average_rate_over_aligned_windows() -> None:
    made = text("max", unit="kWh", demand="15m")
    # 10:05 to 10:10 0.5 and 10:10 to 10:15 0.25 in one window: 0.75 kWh in a quarter is 3 kW; 0.6 after it 2.4.
    rows = [row("05T10:05", "5m", "0.5"), row("05T10:10", "5m", "0.25"), row("05T10:15", "15m", "0.6")]
    assert line(made, *rows) == ("3", "6.00", False)
    assert quoted(made, *rows).lines[0].unit == "kWh/h"


def test_demand_spreads_a_longer_interval_and_says_so() -> None:
    made = text("max", unit="kWh", demand="15m")
    assert line(made, row("05T10:00", "1h", "2")) == ("2", "4.00", True)


def test_demand_of_devices_is_simultaneous() -> None:
    made = text("max", unit="kWh", demand="30m", devices='["gw/a", "gw/b"]')
    rows = [row("05T10:00", "30m", "2"), row("05T10:00", "30m", "1", "gw/b"), row("05T11:00", "30m", "2.5", "gw/b")]
    assert line(made, *rows) == ("6", "12.00", False)


def test_demand_windows_count_in_exact_time_from_local_midnight() -> None:
    # Kathmandu is 5:45 ahead: local hours begin at a quarter past in UTC.
    made = text("max", unit="kWh", demand="1h", zone="Asia/Kathmandu")
    rows = [row("05T10:00", "15m", "3"), row("05T10:15", "15m", "1"), row("05T11:00", "15m", "1")]
    assert line(made, *rows)[0] == "3"


def test_a_demand_window_that_is_billed_in_part_divides_by_its_full_length() -> None:
    made = text("max", unit="kWh", demand="1h") + '[plans.p.activation]\nrule = "first_use"\n'
    assert line(made, row("05T10:30", "30m", "4"))[0] == "4"


def test_an_average_is_level_by_time_over_the_whole_period() -> None:
    # 31 days and an hour are 745 hours: 10 kW for 74.5 hours are 1 kW on average.
    rows = [row("05T00:00", "74h", "10"), row("10T00:00", "30m", "10")]
    assert line(text("average"), *rows) == ("1", "2.00", False)
    assert "were not measured and count as zero" in quoted(text("average"), *rows).lines[0].why
    # A contract from the 22nd on divides by its whole short period: 10 days and an hour are 241 hours.
    short = text("average", start="2026-10-22")
    assert line(short, row("25T00:00", "24h", "10"), row("27T00:00", "6m", "10"))[0] == "1"


def test_an_average_divides_by_the_whole_period_also_where_an_amendment_cuts_it() -> None:
    made = text("average") + "[[contracts.c.amendments]]\nfrom = 2026-10-16\n"
    made += "[contracts.c.amendments.overrides.charges.Power]\nprice = 4\n"
    rows = [row("05T00:00", "74h", "10"), row("10T00:00", "30m", "10"), row("20T00:00", "149h", "10")]
    assert [str(each.amount) for each in quoted(made, *rows).lines] == ["2.00", "8.00"]


def test_active_time_is_the_time_of_intervals_with_use_in_the_meters_unit() -> None:
    rows = [row("05T10:00", "90m", "0.1"), row("05T12:00", "1h", "0"), row("06T12:00", "15m", "9")]
    assert line(text("active_time", unit="h"), *rows) == ("1.75", "3.50", False)
    assert line(text("active_time", unit="min"), *rows)[0] == "105"


def test_active_time_is_cut_at_the_boundary() -> None:
    rows = [row("31T21:30", "1h", "1")]
    assert line(text("active_time", unit="min"), *rows) == ("30", "60.00", True)
    assert line(text("active_time", unit="min"), *rows, period="2026-11")[0] == "30"


def test_a_count_is_of_intervals_with_use_where_they_begin() -> None:
    rows = [row("05T10:00", "1h", "3"), row("05T11:00", "1h", "0"), row("31T21:30", "1h", "1")]
    assert line(text("count", unit="1"), *rows) == ("2", "4.00", False)
    assert line(text("count", unit="1"), *rows, period="2026-11") == ("0", "0.00", False)


CAPACITY = 'model = "capacity"\ntiers = [{ up_to = 5, flat = 10 }, { up_to = 20, flat = 30 }]'


@pytest.mark.parametrize(
    ("level", "amount"), [("0", "10.00"), ("5", "10.00"), ("5.000001", "30.00"), ("20", "30.00"), ("99", "30.00")]
)
def test_capacity_costs_the_flat_of_the_tier_of_the_maximum(level: str, amount: str) -> None:
    found = quoted(text("max", CAPACITY), row("05T10:00", "1h", level)).lines[0]
    assert (str(found.amount), found.unit_price) == (amount, None)


def test_a_maximum_in_windows_is_each_windows_own() -> None:
    windows = '[{ name = "day", from = "07:00", to = "22:00", price = 2 }, { name = "night", price = 1 }]'
    made = text("max", f'model = "per_unit"\nwindows = {windows}', zone="UTC")
    found = quoted(made, row("05T10:00", "1h", "3"), row("05T23:00", "1h", "5")).lines
    assert [(each.window, str(each.amount)) for each in found] == [("day", "6.00"), ("night", "5.00")]


@given(
    deltas=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    start=st.integers(1_790_000_000, 1_790_003_600),
    asked=st.tuples(st.integers(1_789_999_000, 1_790_004_000), st.integers(1, 9_000)),
)
def test_a_line_of_many_intervals_says_what_as_many_lines_of_one_say(
    deltas: list[int], start: int, asked: tuple[int, int]
) -> None:
    def span(at: int, some: list[int], seq: int) -> Span:
        return Span(
            channel=CHANNEL,
            log="main",
            unit="kWh",
            exponent=0,
            kind=SpanKind.USAGE,
            epoch="00000001",
            seq=seq,
            start=at,
            step=700,
            deltas=tuple(some),
            register=0,
            estimated=frozenset(),
            received_at=0,
        )

    packed = Ledger([span(start, deltas, 1)])
    single = Ledger([span(start + 700 * index, [delta], index + 1) for index, delta in enumerate(deltas)])
    times = ((asked[0], asked[0] + asked[1]),)
    meter = Meter(
        name="power", unit="kWh", aggregate=Aggregate.MAX, demand=Duration(count=15, unit=DurationUnit.MINUTE)
    )
    levels = [list(pieces_of(view, CHANNEL, meter, times)) for view in (packed, single)]
    assert levels[0] == levels[1]
    rates = [rate_peak([(CHANNEL, times)], view, meter, "Asia/Kathmandu") for view in (packed, single)]
    assert rates[0] == rates[1]


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (text("sum", CAPACITY), "goes by a maximum"),
        (text("max", CAPACITY.replace("flat = 10", "price = 10")), "a tier costs its flat"),
        (text("average", demand="15m"), 'needs aggregate = "max"'),
        (text("max", demand="2d"), "minutes or hours"),
        (text("active_time"), "a unit of time"),
    ],
)
def test_what_does_not_fit_the_aggregate_is_refused(made: str, sentence: str) -> None:
    with pytest.raises(CatalogError) as caught:
        load_catalog(made)
    assert sentence in str(caught.value)
