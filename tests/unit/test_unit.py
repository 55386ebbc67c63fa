"""Units convert exactly, or not at all."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.unit import parse, ratio


@pytest.mark.parametrize(
    ("unit", "into", "expected"),
    [
        ("Wh", "kWh", Fraction(1, 1_000)),
        ("W.h", "kWh", Fraction(1, 1_000)),
        ("kW.h", "kWh", Fraction(1)),
        ("J", "kWh", Fraction(1, 3_600_000)),
        ("MWh", "Wh", Fraction(1_000_000)),
        ("By", "kBy", Fraction(1, 1_000)),
        ("By", "MBy", Fraction(1, 10**6)),
        ("By", "GBy", Fraction(1, 10**9)),
        ("By", "KiBy", Fraction(1, 1_024)),
        ("GiBy", "By", Fraction(2**30)),
        ("By", "bit", Fraction(8)),
        ("s", "h", Fraction(1, 3_600)),
        ("ms", "min", Fraction(1, 60_000)),
        ("h", "d", Fraction(1, 24)),
        ("m3", "L", Fraction(1_000)),
        ("dm3", "l", Fraction(1)),
        ("m3/h", "L/s", Fraction(5, 18)),
        ("cm2", "m2", Fraction(1, 10_000)),
        ("kvarh", "var.h", Fraction(1_000)),
        ("/s", "Hz", Fraction(1)),
        ("%", "1", Fraction(1, 100)),
        ("{request}", "{request}", Fraction(1)),
        ("EUR", "EUR", Fraction(1)),
    ],
)
def test_like_units_convert_exactly(unit: str, into: str, expected: Fraction) -> None:
    assert ratio(unit, into) == expected


@pytest.mark.parametrize(
    ("unit", "into"),
    [
        ("kWh", "kW"),
        ("m", "m3"),
        ("{request}", "1"),
        ("VA", "W"),
        ("var", "W"),
        ("Cel", "K"),
        ("bogus", "m"),
        ("", "1"),
    ],
)
def test_unlike_units_do_not_convert(unit: str, into: str) -> None:
    assert ratio(unit, into) is None


@pytest.mark.parametrize("text", ["", ".", "/", "m//s", "m.", "x", "kmin", "Kih", "mCel", "m3.", "3m"])
def test_what_is_no_unit_is_none(text: str) -> None:
    assert parse(text) is None


@given(st.text(alphabet="kmMGWhsByLJ./0123", max_size=8), st.text(alphabet="kmMGWhsByLJ./0123", max_size=8))
def test_there_and_back_is_the_same(unit: str, into: str) -> None:
    there, back = ratio(unit, into), ratio(into, unit)
    assert (there is None) == (back is None)
    if there is not None and back is not None:
        assert there * back == 1
