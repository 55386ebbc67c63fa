"""Telegrams of a P1 port: DSMR 2.2 to 5, and what Belgium, Luxembourg, Hungary and Sweden made of them. Pure.

Since DSMR 4 a CRC stands behind the exclamation mark; without one a telegram is believed only where it
says nothing that came with version 4, and each of its lines can be read. An own parser: dsmr-parser must
be told the version, and brings cryptography and a DLMS stack into every agent.
Source: DSMR P1 companion standard 2.2, 3.0, 4.2.2, 5.0.2; e-MUCS P1 1.7.1 (Belgium); Branschrekommendation
lokalt kundgränssnitt (Sweden); MBUS device types: EN 13757-3.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from edge_agent.sources.crc import crc16_arc
from edge_agent.sources.obis import Register, Telegram, Unreadable, code_of
from edge_agent.sources.telegram_text import (
    Line,
    SaidTwice,
    first_group,
    lines_of,
    masked,
    serial_of,
    value_of,
    without_parity,
)

TELEGRAM_BYTES_MAX: Final = 16 * 1024
"""What is longer without an end is no telegram."""
STARTS_MAX: Final = 8
"""Where so many telegrams begin before one ends, the first are given up."""
LATE_HOURS: Final = 6
"""A sub-meter is read at least once an hour; a value older than this is no present one."""

_END: Final = re.compile(rb"!([0-9A-F]{4})?\r?\n")
_SINCE_4: Final = ("1-3:0.2.8", "0-0:96.1.4", "0-0:1.0.0")
"""What only versions with a CRC say: the version itself, and the time."""
_TIME: Final = re.compile(r"(\d{12})([SW])", re.ASCII)
_MEDIA: Final[Mapping[int, str]] = {3: "gas", 4: "heat", 6: "water", 7: "water", 12: "heat"}
_EQUIPMENT: Final = ("0-0:96.1.1", "0-0:96.1.0", "0-0:42.0.0")


class P1Telegrams:
    """Finds telegrams in a stream of bytes, and believes those whose check holds."""

    def __init__(self) -> None:
        self._buffer = b""
        self._has_crc = False
        self._again = SaidTwice()

    def reset(self) -> None:
        """What has come of a telegram so far is void."""
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Telegram | Unreadable]:
        """Take bytes in, and give each telegram that they complete."""
        self._buffer += data
        while (end := _END.search(masked(self._buffer))) is not None:
            raw, self._buffer = self._buffer[: end.end()], self._buffer[end.end() :]
            yield self._judged(raw, end.start(), end[1])
        if len(self._buffer) > TELEGRAM_BYTES_MAX:
            self._buffer = b""
            yield Unreadable(f"{TELEGRAM_BYTES_MAX} bytes without an end of a telegram")

    def pause(self) -> Iterator[Telegram | Unreadable]:
        """Nothing follows from silence: every telegram says where it ends."""
        return iter(())

    def _judged(self, raw: bytes, mark: int, crc: bytes | None) -> Telegram | Unreadable:
        starts = [found.start() for found in re.finditer(rb"/", masked(raw[:mark]))][-STARTS_MAX:]
        if not starts:
            return Unreadable("an end without a beginning")
        if crc is None:
            return self._plain(raw[starts[-1] : mark])
        for start in starts if raw[mark:].isascii() else ():
            if crc16_arc(raw[start : mark + 1]) == int(crc, 16):
                self._has_crc = True
                return p1_registers(raw[start:mark].decode("ascii", "replace"))
        return Unreadable("the CRC is wrong")

    def _plain(self, raw: bytes) -> Telegram | Unreadable:
        text = without_parity(raw)
        if text is None:
            return Unreadable("a parity bit is wrong")
        if not text.isascii() or self._has_crc:
            return Unreadable("the CRC is missing")
        lines = list(lines_of(text.decode("ascii").partition("\n")[2]))
        if any(isinstance(line, str) for line in lines):
            return Unreadable("it has no CRC, and a line that cannot be read")
        if any(first_group([line for line in lines if isinstance(line, Line)], code) for code in _SINCE_4):
            return Unreadable("the CRC is missing")
        return self._again.believed(p1_registers(text.decode("ascii")))


def p1_registers(text: str) -> Telegram | Unreadable:
    """The registers of a telegram whose check holds, each with the serial number of its meter."""
    lines = [line for line in lines_of(text.partition("\n")[2]) if isinstance(line, Line)]
    serial = serial_of(first_group(lines, *_EQUIPMENT))
    now = _utc(first_group(lines, "0-0:1.0.0"))
    registers = []
    for line in lines:
        sub = line.code.a == "0" and line.code.b not in ("0", None)
        register = _of_sub_meter(line, lines, now) if sub else _of_meter(line, serial)
        if register is not None:
            registers.append(register)
    return tuple(registers) or Unreadable("a telegram without a single value")


def _of_meter(line: Line, serial: str) -> Register | None:
    value = value_of(line.groups[0]) if len(line.groups) == 1 else None
    return None if value is None or not value[1] else Register(line.code, value[0], value[1], serial)


def _of_sub_meter(line: Line, lines: list[Line], now: datetime | None) -> Register | None:
    """`0-1:24.2.1(time)(value*unit)`, or of DSMR 2.2 and 3 `0-1:24.3.0(time)(00)(60)(1)(code)(unit)(value)`."""
    code, groups = line.code, line.groups
    if (code.c, code.d) != ("24", "2") and (code.c, code.d, code.e) != ("24", "3", "0"):
        return None
    if code.d == "3":
        if len(groups) != 7 or (named := code_of(groups[4])) is None:
            return None
        code, text = named, f"{groups[6]}*{groups[5]}"
    elif len(groups) == 2:
        text = groups[1]
    else:
        return None
    value = value_of(text)
    if value is None or not value[1]:
        return None
    place = f"0-{line.code.b}"
    kind = first_group(lines, f"{place}:24.1.0")
    return Register(
        code,
        value[0],
        value[1],
        serial_of(first_group(lines, f"{place}:96.1.0", f"{place}:96.1.1")),
        _MEDIA.get(int(kind), "") if kind.isdecimal() else "",
        _late(groups[0], now),
    )


def _late(stamp: str, now: datetime | None) -> str:
    """Why a sub-meter's value is no present one: P1 goes on repeating the last one of a meter that fell silent."""
    then = _utc(stamp)
    if now is None or then is None or now - then <= timedelta(hours=LATE_HOURS):
        return ""
    return f"was last read by the electricity meter {now - then} before: look at the sub-meter's battery and radio"


def _utc(stamp: str) -> datetime | None:
    """A time YYMMDDhhmmssX of Central Europe, S for summer; None for what is none."""
    found = _TIME.fullmatch(stamp)
    if found is None:
        return None
    try:
        local = datetime.strptime(found[1], "%y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return local - timedelta(hours=2 if found[2] == "S" else 1)
