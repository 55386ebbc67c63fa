"""Registers become whole steps exactly, whatever their order, and what stands for no value is refused (P1, P19)."""

import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.sources.modbus_values import (
    Layout,
    Order,
    Unreadable,
    ValueType,
    layout_of,
    scale_of,
    steps_of_registers,
    text_of_registers,
)
from edge_agent.sources.number import steps_of


def layout(type_: ValueType, *, scale: str = "1", exponent: int = 0, **given: object) -> Layout:
    orders: dict[str, Order] = {"byte_order": "big", "word_order": "big"}
    orders |= {key: value for key, value in given.items() if value in ("big", "little")}
    sentinels = given.get("sentinels", ())
    assert isinstance(sentinels, tuple)
    return layout_of(type_, **orders, scale=scale, exponent=exponent, sentinels=sentinels)


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("u16", "fffe", 65_534),
        ("s16", "fffe", -2),
        ("u32", "0001 0002", 65_538),
        ("s32", "ffff fffe", -2),
        ("u64", "0000 0000 0001 0000", 65_536),
        ("s64", "ffff ffff ffff fffe", -2),
        ("f32", "4640 e6b7", 12_345),  # 12345.679
        ("f64", "40c8 1cd6 c8b4 3958", 12_345),  # 12345.678
    ],
)
def test_every_type_is_read(type_: ValueType, text: str, value: int) -> None:
    assert steps_of_registers(words(text), layout(type_)) == value


@pytest.mark.parametrize(
    ("byte_order", "word_order", "text"),
    [
        ("big", "big", "0102 0304"),
        ("little", "big", "0201 0403"),
        ("big", "little", "0304 0102"),
        ("little", "little", "0403 0201"),
    ],
)
def test_bytes_and_words_may_come_in_either_order(byte_order: Order, word_order: Order, text: str) -> None:
    assert steps_of_registers(words(text), layout("u32", byte_order=byte_order, word_order=word_order)) == 0x01020304


def test_the_wrong_word_order_makes_a_number_that_no_rate_allows() -> None:
    """What the how-to says: 1 with its registers swapped is 65536."""
    assert steps_of_registers(words("0000 0001"), layout("u32", word_order="little")) == 65_536


@pytest.mark.parametrize(
    ("scale", "exponent", "raw", "steps"),
    [
        ("1", 0, 1234, 1234),
        ("1000", 0, 1234, 1_234_000),
        ("0.01", 0, 1299, 12),
        ("10", 1, 1299, 1299),
        ("0.1", -3, 7, 700),
        ("1/3", 0, 10, 3),
        ("1/3", -2, 10, 333),
    ],
)
def test_scale_and_exponent_are_exact(scale: str, exponent: int, raw: int, steps: int) -> None:
    assert steps_of_registers([0, raw], layout("u32", scale=scale, exponent=exponent)) == steps


def test_a_float_is_the_decimal_number_that_it_stands_for() -> None:
    assert steps_of_registers(words("42c8 3333"), layout("f32", exponent=-3)) == 100_100  # 100.09999847…
    assert steps_of_registers(words("c2c8 3333"), layout("f32")) == -101
    assert steps_of_registers(words("4c55 3894"), layout("f32")) == 55_894_608  # 5.589461e7 would do as well.


def test_what_is_finer_than_a_step_is_cut_towards_minus_infinity() -> None:
    assert steps_of_registers(words("ffff ffff"), layout("s32", scale="0.5")) == -1


@given(st.integers(0, 16_383_999))
def test_a_meter_that_counts_wh_and_sends_kwh_as_a_float_is_read_to_the_wh(wh: int) -> None:
    """P1: what the display shows is what is billed."""
    raw = struct.unpack(">2H", struct.pack(">f", wh / 1_000))
    assert steps_of_registers(raw, layout("f32", scale="1000")) == wh


@given(st.integers(0, 10**15 - 1), st.integers(-6, 0))
def test_a_double_is_read_to_its_fifteenth_digit(digits: int, exponent: int) -> None:
    text = format(Decimal(digits).scaleb(exponent), "f")
    raw = struct.unpack(">4H", struct.pack(">d", float(text)))
    assert steps_of_registers(raw, layout("f64", exponent=exponent)) == steps_of(text, exponent) == digits


@given(st.integers(0, 0x7F7F_FFFE), st.integers(-6, 6))
def test_floats_in_order_are_steps_in_order(bits: int, exponent: int) -> None:
    """P4: a counter that never falls never falls in steps either."""
    raw = [[each >> 16, each & 0xFFFF] for each in (bits, bits + 1)]
    try:
        first, second = (steps_of_registers(words, layout("f32", exponent=exponent)) for words in raw)
    except Unreadable as error:
        assert "too large" in str(error)  # noqa: PT017
    else:
        assert first <= second


@given(st.integers(0, 2**53 - 1), st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_counter_that_rises_never_falls_in_steps(value: int, above: int, below: int) -> None:
    scaled = layout("u64", scale=f"{above}/{below}", exponent=3)
    raw = [value >> shift & 0xFFFF for shift in (48, 32, 16, 0)]
    after = [value + 1 >> shift & 0xFFFF for shift in (48, 32, 16, 0)]
    try:
        assert steps_of_registers(raw, scaled) <= steps_of_registers(after, scaled)
    except Unreadable as error:
        assert "too large" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("u16", "ffff"),
        ("s16", "8000"),
        ("u32", "ffff ffff"),
        ("s32", "8000 0000"),
        ("u64", "ffff ffff ffff ffff"),
        ("s64", "8000 0000 0000 0000"),
        ("f32", "7fc0 0000"),
        ("f32", "ffc0 0000"),
        ("f32", "7f80 0000"),
        ("f64", "7ff8 0000 0000 0000"),
        ("f64", "fff0 0000 0000 0000"),
        ("u64", "0040 0000 0000 0000"),
        ("f32", "7149 f2ca"),
    ],
)
def test_what_is_no_value_is_refused(type_: ValueType, text: str) -> None:
    """P19: never guess."""
    with pytest.raises(Unreadable):
        steps_of_registers(words(text), layout(type_))


def test_a_device_may_have_its_own_way_to_say_nothing() -> None:
    with pytest.raises(Unreadable, match="0x7fffffff, which stands for no value"):
        steps_of_registers(words("ffff 7fff"), layout("s32", word_order="little", sentinels=(0x7FFF_FFFF,)))


@pytest.mark.parametrize("text", ["", "0", "0.0", "-1", "1e3", "1/0", "/3", "1,5", "1.2.3", "nan", "1 ", "1" * 41])
def test_a_scale_is_a_positive_number(text: str) -> None:
    with pytest.raises(Unreadable, match="is no scale"):
        scale_of(text)


def test_characters_are_read_two_in_a_register() -> None:
    assert text_of_registers(words("6945 4d33 3135 3500 0000")) == "iEM3155"
    assert text_of_registers(words("0000")) == ""
    assert text_of_registers(words("e9e9")) == ""
