"""Units after UCUM, converted exactly: how many of one make one of the other, as a fraction.

The part of UCUM (https://ucum.org/ucum) that meters use, plus Wh, VAh and varh, which every energy meter
prints and UCUM spells W.h. A unit in braces, such as {request}, only converts into itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final, TypeAlias

Dimension: TypeAlias = tuple[tuple[str, int], ...]
"""Powers of base quantities, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """So many of a dimension's base unit."""

    factor: Fraction
    dimension: Dimension


_METRIC_PREFIXES: Final = {
    "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
    "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
}  # fmt: skip
_BINARY_PREFIXES: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}
_JOULE: Final = {"g": 1, "m": 2, "s": -2}
_WATT: Final = {"g": 1, "m": 2, "s": -3}

# Each atom in terms of m, g, s, A, K, bit; metric atoms take prefixes (UCUM §4).
_METRIC: Final[Mapping[str, tuple[Fraction, Mapping[str, int]]]] = {
    "m": (Fraction(1), {"m": 1}),
    "g": (Fraction(1), {"g": 1}),
    "t": (Fraction(10**6), {"g": 1}),
    "s": (Fraction(1), {"s": 1}),
    "A": (Fraction(1), {"A": 1}),
    "K": (Fraction(1), {"K": 1}),
    "L": (Fraction(1, 1_000), {"m": 3}),
    "l": (Fraction(1, 1_000), {"m": 3}),
    "J": (Fraction(1_000), _JOULE),
    "W": (Fraction(1_000), _WATT),
    "Wh": (Fraction(3_600_000), _JOULE),
    "VA": (Fraction(1), {"VA": 1}),
    "VAh": (Fraction(3_600), {"VA": 1, "s": 1}),
    "var": (Fraction(1), {"var": 1}),
    "varh": (Fraction(3_600), {"var": 1, "s": 1}),
    "V": (Fraction(1_000), {"g": 1, "m": 2, "s": -3, "A": -1}),
    "C": (Fraction(1), {"A": 1, "s": 1}),
    "Hz": (Fraction(1), {"s": -1}),
    "N": (Fraction(1_000), {"g": 1, "m": 1, "s": -2}),
    "Pa": (Fraction(1_000), {"g": 1, "m": -1, "s": -2}),
    "bar": (Fraction(10**8), {"g": 1, "m": -1, "s": -2}),
    "cal": (Fraction(4_184), _JOULE),
    "bit": (Fraction(1), {"bit": 1}),
    "By": (Fraction(8), {"bit": 1}),
    "Cel": (Fraction(1), {"Cel": 1}),
}
_PLAIN: Final[Mapping[str, tuple[Fraction, Mapping[str, int]]]] = {
    "min": (Fraction(60), {"s": 1}),
    "h": (Fraction(3_600), {"s": 1}),
    "d": (Fraction(86_400), {"s": 1}),
    "wk": (Fraction(604_800), {"s": 1}),
    "a": (Fraction(31_557_600), {"s": 1}),
    "%": (Fraction(1, 100), {}),
    "har": (Fraction(10_000), {"m": 2}),
    "[ft_i]": (Fraction(3_048, 10_000), {"m": 1}),
    "[cft_i]": (Fraction(3_048, 10_000) ** 3, {"m": 3}),
    "[gal_us]": (Fraction(3_785_411_784, 10**12), {"m": 3}),
    "[lb_av]": (Fraction(45_359_237, 100_000), {"g": 1}),
    "[Btu_IT]": (Fraction(105_505_585_262, 10**5), _JOULE),
}
_UNIT: Final = re.compile(r"/?[^./]+(?:[./][^./]+)*")
_TERM: Final = re.compile(r"([./]?)([^./]+)")
_POWER: Final = re.compile(r"(.*?[^0-9+-])([+-]?[1-9])?", re.DOTALL)
_COUNT: Final = re.compile(r"[1-9][0-9]{0,8}")


def ratio(unit: str, into: str) -> Fraction | None:
    """How many of `into` one `unit` is, exactly; None where they do not measure the same."""
    if unit == into:
        return Fraction(1)
    left, right = parse(unit), parse(into)
    if left is None or right is None or left.dimension != right.dimension:
        return None
    return left.factor / right.factor


@lru_cache(maxsize=1_024)
def parse(unit: str) -> Unit | None:
    """A unit's factor and dimension, or None where it is none of those known here."""
    if _UNIT.fullmatch(unit) is None:
        return None
    factor = Fraction(1)
    powers: dict[str, int] = {}
    for found in _TERM.finditer(unit):
        component = _component(found[2])
        if component is None:
            return None
        sign = -1 if found[1] == "/" else 1
        factor *= component.factor**sign
        for name, power in component.dimension:
            powers[name] = powers.get(name, 0) + sign * power
    return Unit(factor=factor, dimension=_dimension(powers))


def _component(text: str) -> Unit | None:
    if _COUNT.fullmatch(text):
        return Unit(factor=Fraction(int(text)), dimension=())
    found = _POWER.fullmatch(text)
    if found is None:
        return None
    atom = _atom(found[1])
    if atom is None:
        return None
    power = int(found[2] or 1)
    return Unit(factor=atom.factor**power, dimension=tuple((name, count * power) for name, count in atom.dimension))


def _atom(text: str) -> Unit | None:
    if text in _PLAIN:
        return _unit(*_PLAIN[text])
    if text in _METRIC:
        return _unit(*_METRIC[text])
    for prefix, ten in _METRIC_PREFIXES.items():
        if text.startswith(prefix) and text[len(prefix) :] in _METRIC:
            factor, powers = _METRIC[text[len(prefix) :]]
            return None if "Cel" in powers else _unit(factor * Fraction(10) ** ten, powers)
    for prefix, two in _BINARY_PREFIXES.items():
        if text.startswith(prefix) and text[len(prefix) :] in {"By", "bit"}:
            factor, powers = _METRIC[text[len(prefix) :]]
            return _unit(factor * 2**two, powers)
    return None


def _unit(factor: Fraction, powers: Mapping[str, int]) -> Unit:
    return Unit(factor=factor, dimension=_dimension(powers))


def _dimension(powers: Mapping[str, int]) -> Dimension:
    return tuple(sorted((name, power) for name, power in powers.items() if power))
