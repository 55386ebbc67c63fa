"""Telegrams in SML, the language of German meters' optical and wired interfaces. Pure.

Only a frame whose CRC holds is read, and of it what is known: GetList responses. An own parser: smllib
scales by floats, drops a whole frame for one entry that it does not know, and bytes of serial numbers.
Source: BSI TR-03109-1, Anlage IV (SML 1.04): chapters 6 (encoding), 8.1 (transport protocol).
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final, Literal, TypeAlias

from edge_agent.sources.crc import crc16_kermit, crc16_x25
from edge_agent.sources.obis import Obis, Register, Telegram, Unreadable

TELEGRAM_BYTES_MAX: Final = 8 * 1024
DEPTH_MAX: Final = 16
SCALER_MAX: Final = 18
INTEGER_BYTES_MAX: Final = 8
_ESCAPE: Final = b"\x1b" * 4
_BEGIN: Final = b"\x01" * 4
_END: Final = 0x1A
_GET_LIST: Final = 0x0701
_UNITS: Final = {13: "m3", 14: "m3", 19: "L", 25: "J", 26: "J/h", 27: "W", 28: "VA", 29: "var", 30: "W.h", 31: "VAh",
                 32: "varh"}  # fmt: skip
"""DLMS units (IEC 62056-62, table 4) of what can be metered."""
_SERIALS: Final = (Obis("1", "0", "0", "0", "9"), Obis("1", "0", "96", "1", "0"))

Value: TypeAlias = "int | bytes | list[Value]"


class Malformed(Exception):
    """The frame's check holds, but its contents are no SML."""


class SmlTelegrams:
    """Finds frames in a stream of bytes, and believes those whose CRC holds."""

    def __init__(self, crc: Literal["x25", "kermit"] = "x25") -> None:
        self._crc = crc
        self._buffer = b""

    def reset(self) -> None:
        """What has come of a telegram so far is void."""
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Telegram | Unreadable]:
        """Take bytes in, and give each telegram that they complete."""
        self._buffer += data
        while (start := self._buffer.find(_ESCAPE + _BEGIN)) >= 0:
            self._buffer = self._buffer[start:]
            found = self._frame()
            if found is None:
                break
            frame, rest = found
            self._buffer = self._buffer[rest:]
            if frame is not None:
                yield self._judged(frame)
        if len(self._buffer) > TELEGRAM_BYTES_MAX:
            self._buffer = b""
            yield Unreadable(f"{TELEGRAM_BYTES_MAX} bytes without an end of a telegram")

    def pause(self) -> Iterator[Telegram | Unreadable]:
        """Nothing follows from silence: every frame says where it ends."""
        return iter(())

    def _frame(self) -> tuple[bytes | None, int] | None:
        """The frame at the buffer's start and where the rest begins, or None while it is incomplete."""
        buffer = self._buffer
        at = 8
        while (at := buffer.find(_ESCAPE, at)) >= 0:
            code = buffer[at + 4 : at + 8]
            if len(code) < 4:
                return None
            if code[0] == _END:
                return buffer[: at + 8], at + 8
            if code != _ESCAPE:
                # Another beginning, or none of what may follow an escape: the frame was cut off.
                return None, at if code == _BEGIN else at + 4
            at += 8
        if len(buffer) <= TELEGRAM_BYTES_MAX:
            return None
        return None, len(_ESCAPE)

    def _judged(self, frame: bytes) -> Telegram | Unreadable:
        if self._crc == "x25":
            holds = crc16_x25(frame[:-2]) == int.from_bytes(frame[-2:], "little")
        else:
            holds = crc16_kermit(frame[:-2]) == int.from_bytes(frame[-2:], "big")
        padding = frame[-3]
        if not holds or padding > 3:
            return Unreadable("the CRC is wrong")
        body = frame[8:-8].replace(_ESCAPE * 2, _ESCAPE)
        try:
            return sml_registers(body[: len(body) - padding]) or Unreadable("a telegram without a single value")
        except Malformed as error:
            return Unreadable(f"its CRC is right, but {error}")


def sml_registers(body: bytes) -> Telegram:
    """The registers of every GetList response of a frame; raises Malformed."""
    registers: list[Register] = []
    at = 0
    while at < len(body):
        if body[at] == 0:
            at += 1
            continue
        message, at = _value(body, at, 0)
        match message:
            case [_, _, _, [int(tag), [_, bytes(server), _, _, list(entries), *_]], *_] if tag == _GET_LIST:
                registers += _of_list(server, entries)
            case list():
                pass  # An open or close response, or one that says nothing of registers.
            case _:
                raise Malformed("it holds something else than messages")
    return tuple(registers)


def _of_list(server: bytes, entries: Sequence[Value]) -> Iterator[Register]:
    named: dict[Obis, bytes] = {}
    found = []
    for entry in entries:
        match entry:
            case [bytes(name), _, _, unit, scaler, value, *_] if len(name) == 6:
                code = Obis(*map(str, name))
                if isinstance(value, bytes):
                    named[code] = value
                elif isinstance(value, int) and isinstance(unit, int) and unit in _UNITS:
                    ten = scaler if isinstance(scaler, int) else 0
                    if abs(ten) <= SCALER_MAX:
                        found.append((code, value * Fraction(10) ** ten, _UNITS[unit]))
    said = next((named[code] for code in _SERIALS if named.get(code)), server)
    for code, exact, unit_name in found:
        yield Register(code, exact, unit_name, server_serial(said))


def server_serial(raw: bytes) -> str:
    """A server id as the meter's face shows it (DIN 43863-5: `1ISK0080123456`), else in hexadecimal digits."""
    if len(raw) == 10 and raw[0] == 0x0A and raw[2:5].isalpha() and raw[2:5].isupper():
        return f"{raw[1]}{raw[2:5].decode('ascii')}{raw[5]:02d}{int.from_bytes(raw[6:], 'big'):08d}"
    return raw.hex().upper()[:64]


def _value(body: bytes, at: int, depth: int) -> tuple[Value, int]:
    """One value of the type-length-field encoding (chapter 6.3), and where the next begins."""
    if depth > DEPTH_MAX:
        raise Malformed("its lists are too deep")
    start = at
    length = 0
    kind = -1
    more = True
    while more:
        if at >= len(body) or at - start >= 4:
            raise Malformed("it ends in a length")
        field = body[at]
        kind = field & 0x70 if kind < 0 else kind
        length = length << 4 | field & 0x0F
        more = bool(field & 0x80)
        at += 1
    if kind == 0x70:
        items: list[Value] = []
        for _ in range(length):
            item, at = (b"", at + 1) if body[at : at + 1] == b"\x00" else _value(body, at, depth + 1)
            items.append(item)
        return items, at
    end = start + length
    if end < at or end > len(body):
        raise Malformed("a value is longer than the telegram")
    raw = body[at:end]
    match kind:
        case 0x00:
            return raw, end
        case 0x40:
            return int(any(raw)), end
        case 0x50 | 0x60 if 0 < len(raw) <= INTEGER_BYTES_MAX:
            return int.from_bytes(raw, "big", signed=kind == 0x50), end
        case _:
            raise Malformed(f"it holds a value of the unknown type {kind:#04x}")
