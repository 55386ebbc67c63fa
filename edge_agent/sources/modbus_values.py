"""What the registers of a meter say, exactly: integers and floats in any order of bytes, as whole steps (P1).

A float is taken for the shortest decimal number that it stands for: 100.1 kWh travel as 100.09999847, and a
meter that counts Wh is read to the Wh up to 16 MWh. It is scaled in integers and cut towards minus infinity,
as printed numbers are: a counter shows what was cut as soon as it fills a step. Modbus itself knows
registers of 16 bits and nothing of what lies in several; high word first, high byte first is what most do.
"""

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal, TypeAlias

from shared.errors import MetersealError
from shared.limits import INTEGER_MAX

ValueType: TypeAlias = Literal["u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64"]
Order: TypeAlias = Literal["big", "little"]
F32_DIGITS: Final = 6
F32_DIGITS_MAX: Final = 9
"""Every decimal number of so many digits survives an f32; and so many tell any two of them apart."""
SCALE_CHARS_MAX: Final = 40
_SCALE: Final = re.compile(r"\d{1,18}(\.\d{1,18})?(/[1-9]\d{0,17})?", re.ASCII)
_BITS: Final = 16


class Unreadable(MetersealError):
    """What was read is no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a value lies in registers, and how many steps it makes."""

    type: ValueType
    byte_order: Order = "big"
    """The first byte of a register is the high one, or the low one."""
    word_order: Order = "big"
    """The first register is the high one, or the low one."""
    numerator: int = 1
    denominator: int = 1
    """A raw value times this fraction is a number of steps."""
    sentinels: tuple[int, ...] = ()
    """Raw bits, as an unsigned number, that mean: no value; beside those that every type has."""

    @property
    def count(self) -> int:
        """How many registers it takes."""
        return int(self.type[1:]) // _BITS


def layout_of(
    type_: ValueType, *, byte_order: Order, word_order: Order, scale: str, exponent: int, sentinels: tuple[int, ...]
) -> Layout:
    """The layout of a value whose raw number times `scale` is in units; steps are 10^exponent units."""
    ratio = scale_of(scale) / Fraction(10) ** exponent
    return Layout(
        type=type_,
        byte_order=byte_order,
        word_order=word_order,
        numerator=ratio.numerator,
        denominator=ratio.denominator,
        sentinels=sentinels,
    )


def scale_of(text: str) -> Fraction:
    """The positive number that a scale spells, such as 1000, 0.01 or 1/3; raises Unreadable."""
    if len(text) > SCALE_CHARS_MAX or _SCALE.fullmatch(text) is None or (scale := _fraction(text)) <= 0:
        raise Unreadable(f'{text[:SCALE_CHARS_MAX]!r} is no scale: a positive number such as "1000", "0.01" or "1/3"')
    return scale


def _fraction(text: str) -> Fraction:
    number, _, divisor = text.partition("/")
    return Fraction(number) / int(divisor or 1)


def steps_of_registers(words: Sequence[int], layout: Layout) -> int:
    """How many steps the registers hold; raises Unreadable for what stands for no value."""
    raw = _bytes(words, layout)
    bits = int.from_bytes(raw)
    if bits in layout.sentinels or _means_nothing(bits, layout.type):
        raise Unreadable(f"holds {bits:#0{2 + 2 * len(raw)}x}, which stands for no value")
    if layout.type[0] == "f":
        number = float(struct.unpack(">f" if layout.type == "f32" else ">d", raw)[0])
        if not math.isfinite(number):
            raise Unreadable(f"holds {number}, which is no number")
        above, below = Decimal(digits_of(number, layout.type)).as_integer_ratio()
        steps = above * layout.numerator // (below * layout.denominator)
    else:
        steps = int.from_bytes(raw, signed=layout.type[0] == "s") * layout.numerator // layout.denominator
    if abs(steps) > INTEGER_MAX:
        raise Unreadable("holds a number that is too large for its exponent")
    return steps


def digits_of(number: float, type_: ValueType) -> str:
    """The shortest decimal number that becomes this float; a whole number is itself."""
    if number.is_integer():
        return str(int(number))
    if type_ == "f32":
        packed = struct.pack(">f", number)
        for digits in range(F32_DIGITS, F32_DIGITS_MAX):
            text = f"{number:.{digits}g}"
            if struct.pack(">f", float(text)) == packed:
                return text
        return f"{number:.{F32_DIGITS_MAX}g}"
    return repr(number)


def _bytes(words: Sequence[int], layout: Layout) -> bytes:
    assert len(words) == layout.count, "the line has counted them"
    ordered = words if layout.word_order == "big" else reversed(words)
    return b"".join(word.to_bytes(2, layout.byte_order) for word in ordered)


def _means_nothing(bits: int, type_: ValueType) -> bool:
    """The bits that devices send for a value they do not have: all ones, or the sign bit alone (SunSpec's choice)."""
    width = int(type_[1:])
    match type_[0]:
        case "u":
            return bits == (1 << width) - 1
        case "s":
            return bits == 1 << (width - 1)
        case _:
            return False


def text_of_registers(words: Sequence[int]) -> str:
    """The printable ASCII that registers hold, two characters in each; blanks and zeros around it are dropped."""
    raw = b"".join(word.to_bytes(2) for word in words)
    text = raw.replace(b"\0", b" ").decode("ascii", "replace").strip()
    return text if text.isascii() and text.isprintable() else ""
