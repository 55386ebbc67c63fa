"""P17: units convert exactly, whatever they are made of; what a meter counts in one unit is billed in another.

What a unit is worth stands here a second time, from the definitions: SI, the Wh as 3600 J, and IEC's binary prefixes.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_collector.rating.quote import Question, quote
from cloud_collector.usage.span import ChannelName, Span, SpanKind
from shared.unit import ratio
from tests.examples import examples
from tests.quoting import ENERGY, catalog_text, terms
from tests.unit.billing_samples import OCTOBER

TENS: Final = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "m": -3, "u": -6, "n": -9, "c": -2, "d": -1, "h": 2}
TWOS: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}
WORTH: Final[dict[str, dict[str, Fraction]]] = {
    "energy": {
        "J": Fraction(1),
        "Wh": Fraction(3_600),
        "W.h": Fraction(3_600),
        "W.s": Fraction(1),
        "cal": Fraction(4_184, 1_000),
    },
    "power": {"W": Fraction(1), "J/s": Fraction(1), "J/h": Fraction(1, 3_600), "V.A": Fraction(1)},
    "volume": {"L": Fraction(1), "l": Fraction(1), "m3": Fraction(1_000)},
    "data": {"bit": Fraction(1), "By": Fraction(8)},
    "length": {"m": Fraction(1)},
    "mass": {"g": Fraction(1), "t": Fraction(10**6)},
    "pressure": {"Pa": Fraction(1), "bar": Fraction(10**5), "N/m2": Fraction(1)},
}
FIXED: Final = {
    "time": {
        "s": Fraction(1),
        "min": Fraction(60),
        "h": Fraction(3_600),
        "d": Fraction(86_400),
        "wk": Fraction(604_800),
    }
}
HALF_A_DIGIT: Final = Fraction(1, 2 * 10**10)
POWERS: Final = {"m3": 3}
"""A prefix is raised with its unit."""


def worth(prefix: str, unit: str, kind: str) -> Fraction:
    """How many of the kind's base one of them is."""
    if kind == "time":
        return FIXED[kind][unit]
    if prefix in TWOS:
        return WORTH[kind][unit] * Fraction(2) ** TWOS[prefix]
    return WORTH[kind][unit] * Fraction(10) ** (TENS[prefix] * POWERS.get(unit, 1))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str, Fraction]:
    """Two units of one kind, and how many of the second one of the first is."""
    kind = draw(st.sampled_from([*WORTH, *FIXED]))
    units = sorted(WORTH.get(kind) or FIXED[kind])
    prefixes = [""] if kind == "time" else [*TENS, *(TWOS if kind == "data" else ())]
    one, other = ((draw(st.sampled_from(prefixes)), draw(st.sampled_from(units))) for _ in range(2))
    return one[0] + one[1], other[0] + other[1], worth(*one, kind) / worth(*other, kind)


@given(pairs())
@settings(max_examples=examples(400))
def test_a_unit_is_worth_what_its_definition_says(pair: tuple[str, str, Fraction]) -> None:
    unit, into, expected = pair
    assert ratio(unit, into) == expected
    assert ratio(into, unit) == 1 / expected


@given(pairs(), pairs())
@settings(max_examples=examples(200))
def test_units_of_two_kinds_multiply_and_divide(
    one: tuple[str, str, Fraction], other: tuple[str, str, Fraction]
) -> None:
    assert ratio(f"{one[0]}.{other[0]}", f"{one[1]}.{other[1]}") == one[2] * other[2]
    if "/" not in one[0] + one[1] + other[0] + other[1] and "." not in other[0] + other[1]:
        assert ratio(f"{one[0]}/{other[0]}", f"{one[1]}/{other[1]}") == one[2] / other[2]


@given(
    pair=pairs(),
    exponent=st.integers(-6, 6),
    deltas=st.lists(st.integers(0, 10**9), min_size=1, max_size=30),
    price=st.decimals(min_value="0.0001", max_value="1000", places=4),
)
@settings(max_examples=examples(60), deadline=None)
def test_what_is_counted_in_one_unit_is_billed_in_another_to_the_last_digit(
    pair: tuple[str, str, Fraction], exponent: int, deltas: list[int], price: Decimal
) -> None:
    unit, into, each = pair
    text = catalog_text(charges=ENERGY.replace("0.30", str(price))).replace('unit = "kWh"', f'unit = "{into}"', 1)
    span = Span(
        channel=ChannelName(gateway="gw", device="a", meter="energy"),
        log="main",
        unit=unit,
        exponent=exponent,
        kind=SpanKind.USAGE,
        epoch="00000001",
        seq=1,
        start=OCTOBER + 86_400,
        step=3_600,
        deltas=tuple(deltas),
        register=7,
        estimated=frozenset(),
        received_at=0,
    )
    draft = quote(terms(text), Question(period="2026-10", spans=[span]))
    (line,) = draft.lines
    used = sum(deltas) * Fraction(10) ** exponent * each
    # Priced exactly; printed to ten decimals only where no finite decimal spells it.
    assert abs(Fraction(line.exact) - used * Fraction(price)) <= HALF_A_DIGIT
    assert line.quantity == used or (not is_finite(used) and abs(line.quantity - used) <= HALF_A_DIGIT)


def is_finite(value: Fraction) -> bool:
    """Whether decimals can spell it."""
    return value.denominator == 1 or 10 ** value.denominator.bit_length() % value.denominator == 0
