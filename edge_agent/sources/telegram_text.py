"""The lines of a telegram that is text: `1-0:1.8.1(000123.456*kWh)`, as P1 ports and IEC 62056-21 meters print them.

Source: IEC 62056-21:2002, 6.3.12 (data block), 6.3.1 (characters have even parity); DSMR P1 5.0.2, 5.2.
"""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from edge_agent.sources.obis import Obis, Telegram, Unreadable, code_of
from shared.grammar import PLAIN_TEXT
from shared.limits import SERIAL_CHARS_MAX

_LINE: Final = re.compile(r"([^()\s/!]{1,24})((?:\([^()]{0,2100}\))+)", re.ASCII)
_GROUP: Final = re.compile(r"\(([^()]*)\)")
_VALUE: Final = re.compile(r"(-?\d{1,15}(?:\.\d{1,9})?)(?:\*([A-Za-z][A-Za-z0-9/^]{0,15}))?", re.ASCII)
_SEVEN: Final = bytes(byte & 0x7F for byte in range(256))
_EVEN: Final = bytes(byte for byte in range(256) if byte.bit_count() % 2 == 0)


class Line(NamedTuple):
    """A code and what stands in the parentheses behind it."""

    code: Obis
    groups: tuple[str, ...]


class SaidTwice:
    """Telegrams that carry no check are believed where the one before named the same meters and registers.

    P4: a digit of a serial number that came over wrongly must not become an exchange.
    """

    def __init__(self) -> None:
        self._last: frozenset[tuple[Obis, str, str]] | None = None

    def believed(self, telegram: Telegram | Unreadable) -> Telegram | Unreadable:
        """The telegram, or why it has to wait for a next one."""
        if isinstance(telegram, Unreadable):
            return telegram
        names = frozenset((register.code, register.unit, register.serial) for register in telegram)
        last, self._last = self._last, names
        return telegram if names == last else Unreadable("it has no check, and the next one must name the same meters")


def without_parity(raw: bytes) -> bytes | None:
    """The text without the parity bits of a 7E1 line that was read as 8N1; None where one of them is wrong.

    On the wire both have eight bits, so devices and networks hand the parity on, and it is checked here.
    """
    if max(raw, default=0) < 0x80:
        return raw
    return None if raw.translate(None, _EVEN) else raw.translate(_SEVEN)


def masked(raw: bytes) -> bytes:
    """The text with its parity bits cut off, unchecked: to find where telegrams begin and end."""
    return raw.translate(_SEVEN)


def lines_of(text: str) -> Iterator[Line | str]:
    """Each line that has a code, those broken in two joined; a line that is none comes as its text.

    Some meters print several lines in one (`1.8.0(1*kWh)2.8.0(2*kWh)`) and DSMR 3 one value in two.
    """
    whole: list[str] = []
    for row in text.replace("\r", "\n").split("\n"):
        line = row.strip()
        if line.startswith("(") and whole:
            whole[-1] += line
        elif line:
            whole.append(line)
    for line in whole:
        if line[0].isdecimal() and _LINE.match(line):
            yield from _several(line)
        else:
            yield from _several(line) if _LINE.fullmatch(line) else (line,)


def value_of(text: str) -> tuple[Fraction, str] | None:
    """A number and its unit as printed (empty where it has none), or None for what is no number."""
    found = _VALUE.fullmatch(text)
    if found is None:
        return None
    return Fraction(found[1]), (found[2] or "").replace("^", "")


def serial_of(text: str) -> str:
    """A serial number for people: P1 ports spell characters as hexadecimal digits."""
    try:
        said = bytes.fromhex(text).decode("ascii").strip() if len(text) % 2 == 0 else ""
    except (ValueError, UnicodeDecodeError):
        said = ""
    name = said if len(said) >= 4 and PLAIN_TEXT.fullmatch(said) else text.strip()
    return name[:SERIAL_CHARS_MAX] if PLAIN_TEXT.fullmatch(name) else ""


def first_group(lines: Sequence[Line], *codes: str) -> str:
    """What the first of these codes that is there and not empty says; empty where none is."""
    for code in codes:
        wanted = code_of(code)
        assert wanted is not None
        for line in lines:
            if line.code.fits(wanted) and len(line.groups) == 1 and line.groups[0].strip():
                return line.groups[0]
    return ""


def _several(line: str) -> Iterator[Line | str]:
    at = 0
    while at < len(line):
        found = _LINE.match(line, at)
        code = None if found is None else code_of(found[1])
        if found is None or code is None:
            yield line[at:]
            return
        yield Line(code, tuple(_GROUP.findall(found[2])))
        at = found.end()
