"""A meter's own display, as people type it, beside what the agent has read. Pure, and exact.

A display shows so many digits, so two numbers agree where they differ by no more than its last one: it
may round or cut, and the meter goes on counting while somebody types.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from shared.errors import Refused
from shared.unit import ratio

DIGITS_MAX: Final = 18
_SEPARATORS: Final = re.compile(r"[\s'’_\u00a0\u2009\u202f]")
_TYPED: Final = re.compile(r"([\d\s'’_.,\u00a0\u2009\u202f]*\d)\s*([A-Za-z³.]*[A-Za-z³0-9]*)", re.ASCII)
_SPOKEN: Final = {"kwh": "kW.h", "wh": "W.h", "mwh": "MW.h", "m³": "m3", "m3": "m3", "l": "L", "gj": "GJ", "mj": "MJ"}
_SHOWN: Final = {"kW.h": "kWh", "W.h": "Wh", "MW.h": "MWh", "m3": "m³", "kvar.h": "kvarh"}
_DISPLAYS: Final = ("kW.h", "kvar.h", "kVA.h", "m3")
"""In what meters mostly show what is counted in smaller units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A number as somebody typed it off a display."""

    value: Decimal
    unit: str
    text: str

    @property
    def digit(self) -> Decimal:
        """What one step of the display's last digit is."""
        exponent = self.value.as_tuple().exponent
        assert isinstance(exponent, int), "a finite number"
        return Decimal(1).scaleb(exponent)

    @property
    def shown(self) -> str:
        """As it was understood."""
        return f"{grouped(self.value)} {_SHOWN.get(self.unit, self.unit)}"


def display_unit(unit: str) -> str:
    """In which unit a meter's display mostly shows what a channel counts in `unit`."""
    return next((each for each in _DISPLAYS if ratio(unit, each) is not None), unit)


def on_display(steps: int, unit: str, exponent: int) -> str:
    """What a display shows, to a tenth, where the channel has been read at so many steps."""
    shown = display_unit(unit)
    into = ratio(unit, shown)
    assert into is not None, "display_unit converts"
    exact = steps * Fraction(10) ** exponent * into
    tenths = exact.numerator * 10 // exact.denominator
    return f"{grouped(Decimal(tenths).scaleb(-1))} {_SHOWN.get(shown, shown)}"


def typed(text: str, unit: str) -> Typed | Refused:
    """The number that was typed, in the unit that was typed with it, or else in that of a display of `unit`."""
    found = _TYPED.fullmatch(text.strip())
    if found is None:
        return Refused(f"{text.strip()[:32]!r} is no number as a display shows it, such as 12345.6 or 12 345,6 kWh")
    shown = _SPOKEN.get(found[2].lower(), found[2]) if found[2] else display_unit(unit)
    if ratio(shown, unit) is None:
        return Refused(f"{found[2]} is no unit of this channel, which counts in {unit}")
    number = _SEPARATORS.sub("", found[1])
    digits = _digits(number)
    if digits is None:
        return Refused(f"{number[:32]} can be read in two ways: type it with a point before the decimals alone")
    if len(digits) > DIGITS_MAX:
        return Refused(f"{number[:32]} has more digits than a display")
    return Typed(value=Decimal(digits), unit=shown, text=text.strip())


def steps_of(read_off: Typed, unit: str, exponent: int) -> int:
    """The typed number in the channel's steps; what is less than a step is cut off."""
    steps = _in_steps(read_off.value, read_off.unit, unit, exponent)
    return steps.numerator // steps.denominator


def agree(read_off: Typed, steps: int, unit: str, exponent: int) -> bool:
    """Whether the display and what was read differ by no more than the display's last digit, or one step."""
    value = _in_steps(read_off.value, read_off.unit, unit, exponent)
    digit = _in_steps(read_off.digit, read_off.unit, unit, exponent)
    return abs(value - steps) <= max(digit, Fraction(1))


def finer(read_off: Typed, steps: int | None, unit: str, exponent: int) -> int:
    """What was read, where the display agrees with it: it has more digits. Else what was typed."""
    if steps is not None and agree(read_off, steps, unit, exponent):
        return steps
    return steps_of(read_off, unit, exponent)


def advice(read_off: Typed, steps: int, unit: str, exponent: int) -> str:
    """What most probably lies behind a display that shows something else."""
    value = _in_steps(read_off.value, read_off.unit, unit, exponent)
    digit = _in_steps(read_off.digit, read_off.unit, unit, exponent)
    for ten in (*range(1, 7), *range(-1, -7, -1)):
        factor = Fraction(10) ** ten
        if abs(value - steps * factor) <= max(digit, factor):
            return f"the display is {_times(factor)} what is read: multiply the channel's scale by {_scale(ten)}"
    if steps > 0 and value > 0 and Fraction(1, 2) < value / steps < 2:
        return (
            "the two are near each other: is it the display of another tariff or direction (1.8.0 is import, 2.8.0 is "
            "export), or has the meter counted on in between? Look again, and type what it shows then"
        )
    return (
        "the two have nothing to do with each other: it may be another register, another device on the line, or the "
        "order of words and bytes; compare address and type with the meter's manual"
    )


def grouped(value: Decimal) -> str:
    """A number with thin groups of three, as displays and bills have it."""
    return f"{value:,f}".replace(",", " ")


def _digits(number: str) -> str | None:
    """The number with a decimal point; None where it may mean two things."""
    points, commas = number.count("."), number.count(",")
    if points and commas:
        decimal = max(".", ",", key=number.rfind)
        other = "." if decimal == "," else ","
        return None if number.count(decimal) > 1 else number.replace(other, "").replace(decimal, ".")
    if points > 1 or commas > 1:
        parts = re.split(r"[.,]", number)
        return "".join(parts) if all(len(part) == 3 for part in parts[1:]) else None
    if commas:
        # 12,345 is twelve thousand to some, and twelve and a third to others.
        return None if len(number.partition(",")[2]) == 3 else number.replace(",", ".")
    return number


def _in_steps(value: Decimal, unit: str, into: str, exponent: int) -> Fraction:
    worth = ratio(unit, into)
    assert worth is not None, "typed() checks it"
    return Fraction(value) * worth / Fraction(10) ** exponent


def _times(factor: Fraction) -> str:
    if factor > 1:
        return f"{factor} times"
    return f"1/{factor.denominator} of"


def _scale(ten: int) -> str:
    return f'"{Decimal(1).scaleb(ten):f}"'
