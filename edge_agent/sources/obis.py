"""What a smart meter says, by OBIS code: registers with exact values, and how a channel finds its own.

Source: IEC 62056-6-1 (OBIS), A-B:C.D.E*F. A code without A-B fits whatever medium and channel the meter
prints; E is 0 and F is 255 (now, not a stored period) where they are not said.
"""

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from edge_agent.invalid import InvalidSetting

_CODE: Final = re.compile(
    r"(?:(\d{1,3})-(\d{1,3}):)?([0-9A-Z]{1,3})\.([0-9A-Z]{1,3})(?:\.(\d{1,3}))?(?:[*&](\d{1,3}))?", re.ASCII
)
MEDIA: Final = ("gas", "water", "heat")
"""Sub-meters behind a P1 port that a channel may name by what they measure instead of by a code."""


class Obis(NamedTuple):
    """An OBIS code; a and b are None where they are not said."""

    a: str | None
    b: str | None
    c: str
    d: str
    e: str = "0"
    f: str = "255"

    def __str__(self) -> str:
        medium = "" if self.a is None else f"{self.a}-{self.b}:"
        return f"{medium}{self.c}.{self.d}.{self.e}" + ("" if self.f == "255" else f"*{self.f}")

    def fits(self, other: "Obis") -> bool:
        """Whether both mean the same register as far as both say."""
        return self[2:] == other[2:] and (self.a is None or other.a is None or self[:2] == other[:2])


class Register(NamedTuple):
    """One value of a telegram, exact, in the unit that the meter prints."""

    code: Obis
    value: Fraction
    unit: str
    serial: str = ""
    """Of the meter that it belongs to."""
    medium: str = ""
    """What a sub-meter measures, one of MEDIA."""
    late: str = ""
    """Why it is no present value; empty where it is."""


class Unreadable(NamedTuple):
    """Bytes that looked like a telegram and are not believed."""

    why: str


Telegram = tuple[Register, ...]


class Wanted(NamedTuple):
    """What a channel reads: the first of its alternatives that is there whole, each a sum of registers."""

    alternatives: tuple[tuple[str | Obis, ...], ...]
    text: str


def code_of(text: str) -> Obis | None:
    """The OBIS code that a text is, or None."""
    found = _CODE.fullmatch(text)
    if found is None:
        return None
    a, b, c, d, e, f = (None if group is None else _short(group) for group in found.groups())
    assert c is not None
    assert d is not None
    return Obis(a, b, c, d, e or "0", f or "255")


def wanted_of(text: str) -> Wanted:
    """What `1.8.0|1.8.1+1.8.2` asks for; raises InvalidSetting."""
    alternatives = []
    for alternative in text.split("|"):
        terms: list[str | Obis] = []
        for term in alternative.split("+"):
            code = term.strip() if term.strip() in MEDIA else code_of(term.strip())
            if code is None:
                raise InvalidSetting("obis", f"holds {term.strip()[:32]!r}, which is no OBIS code such as 1-0:1.8.0")
            terms.append(code)
        alternatives.append(tuple(terms))
    return Wanted(tuple(alternatives), text)


def find(telegram: Telegram, wanted: Wanted) -> Sequence[Register] | str:
    """The registers that add up to what is wanted, or the sentence that says why there are none (P19)."""
    reason = ""
    for terms in wanted.alternatives:
        found = [_only(telegram, term) for term in terms]
        registers = [each for each in found if isinstance(each, Register)]
        if len(registers) == len(terms):
            return registers
        reason = reason or next(each for each in found if isinstance(each, str))
    return reason


def codes_in(telegram: Iterable[Register]) -> str:
    """The codes of a telegram in one text, for a sentence that helps to choose."""
    codes = list(dict.fromkeys(str(register.code) for register in telegram))
    return ", ".join(codes[:24]) + (", …" if len(codes) > 24 else "") if codes else "nothing"


def _only(telegram: Telegram, term: str | Obis) -> Register | str:
    fitting = [each for each in telegram if (each.medium == term if isinstance(term, str) else each.code.fits(term))]
    present = [each for each in fitting if not each.late]
    if len(present) == 1:
        return present[0]
    if present:
        return f"{term} is there {len(present)} times ({codes_in(present)}): name one by its whole OBIS code"
    return f"{term} {fitting[0].late}" if fitting else f"{term} is not in it; in it are {codes_in(telegram)}"


def _short(group: str) -> str:
    return str(int(group)) if group.isdecimal() else group
