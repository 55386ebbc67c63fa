"""A printed number as whole steps, without a float in between (P1)."""

import math
import re
from decimal import ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from typing import Any, Final

from shared.errors import InvalidRecord
from shared.limits import INTEGER_MAX

NUMBER_CHARS_MAX: Final = 40
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
_EXACT: Final = Context(prec=160, rounding=ROUND_FLOOR)


def steps_of(text: str, exponent: int, scale: Fraction | None = None) -> int:
    """How many steps of 10^exponent units a printed number of units holds; raises InvalidRecord.

    With a scale, the number times that is in units. Finer digits are cut off towards minus infinity: a
    counter shows them again as soon as they fill a step.
    """
    if len(text) > NUMBER_CHARS_MAX or _NUMBER.fullmatch(text) is None:
        raise InvalidRecord(f"{text[:NUMBER_CHARS_MAX]!r} is no number")
    if scale is None:
        steps = int(_EXACT.scaleb(Decimal(text), Decimal(-exponent)).to_integral_value(ROUND_FLOOR))
    else:
        steps = math.floor(Fraction(text) * scale / Fraction(10) ** exponent)
    if abs(steps) > INTEGER_MAX:
        raise InvalidRecord(f"{text} is too large for steps of 10^{exponent}")
    return steps


def switch_of(said: Any) -> Any:
    """What a state is said with as "1" or "0" where it is said with words; anything else as it is."""
    word = str(said).lower() if isinstance(said, bool | str) else ""
    return {"on": "1", "true": "1", "off": "0", "false": "0"}.get(word, said)
