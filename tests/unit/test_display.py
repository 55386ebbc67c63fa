"""P4: a display that somebody types agrees with what was read, or it is said why not; never a float."""

from decimal import Decimal

import pytest

from edge_agent.display import Typed, advice, agree, display_unit, finer, on_display, steps_of, typed
from shared.errors import Refused


def read_off(text: str, unit: str = "W.h") -> Typed:
    found = typed(text, unit)
    assert isinstance(found, Typed), found
    return found


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("12345.6", "12345.6", "kW.h"),
        ("12 345,6", "12345.6", "kW.h"),
        ("0012345.6 kWh", "12345.6", "kW.h"),
        ("12'345.60", "12345.60", "kW.h"),
        ("12.345,6", "12345.6", "kW.h"),
        ("12,345.6", "12345.6", "kW.h"),
        ("1,234,567", "1234567", "kW.h"),
        ("12345678 Wh", "12345678", "W.h"),
        ("1.2 MWh", "1.2", "MW.h"),
    ],
)
def test_a_display_is_understood_as_people_write_numbers(text: str, value: str, unit: str) -> None:
    found = read_off(text)
    assert (found.value, found.unit) == (Decimal(value), unit)


@pytest.mark.parametrize("text", ["", "abc", "12,345", "1.2.3", "12 m³", "-5", "9" * 30, "1e5"])
def test_what_may_mean_two_things_or_nothing_is_not_guessed(text: str) -> None:
    """P19: never guess."""
    assert isinstance(typed(text, "W.h"), Refused)


@pytest.mark.parametrize(
    ("text", "steps", "same"),
    [
        ("12345.6", 12_345_640, True),
        ("12345.6", 12_345_700, True),
        ("12345.6", 12_345_701, False),
        ("12345.6", 12_345_499, False),
        ("12345", 12_345_999, True),
        ("12345", 12_346_001, False),
        ("12345.640", 12_345_640, True),
    ],
)
def test_they_agree_within_the_displays_last_digit(text: str, steps: int, same: object) -> None:
    assert agree(read_off(text), steps, "W.h", 0) is same


def test_what_was_read_is_finer_than_the_display_and_stands_where_both_agree() -> None:
    assert finer(read_off("12345.6"), 12_345_640, "W.h", 0) == 12_345_640
    assert finer(read_off("12345.6"), 99, "W.h", 0) == 12_345_600
    assert finer(read_off("12345.6"), None, "W.h", -1) == 123_456_000
    assert steps_of(read_off("0.0015", "kW.h"), "kW.h", -3) == 1


@pytest.mark.parametrize(
    ("text", "steps", "said"),
    [
        ("12345.6", 12_346, 'scale by "1000"'),
        ("12345.6", 123_456_400, 'scale by "0.1"'),
        ("12345.6", 11_000_000, "tariff"),
        ("12345.6", 4_294_900_000_000, "order of words"),
    ],
)
def test_what_lies_behind_a_difference_is_said(text: str, steps: int, said: str) -> None:
    assert not agree(read_off(text), steps, "W.h", 0)
    assert said in advice(read_off(text), steps, "W.h", 0)


def test_what_a_display_will_show_is_said_in_its_own_unit() -> None:
    assert on_display(12_345_640, "W.h", 0) == "12 345.6 kWh"
    assert on_display(99, "m3", -3) == "0.0 m³"
    assert on_display(7, "{request}", 0) == "7.0 {request}"
    assert display_unit("J") == "kW.h"
