"""What a meter answers on the M-Bus: who it is, and its data records with exact values. Pure.

An own parser: pymeterbus scales by floats and brings four libraries; its decimals show the float's error.
Source: EN 13757-3:2018, 5.7 (header), 6.3 and 6.4 (DIF, DIFE, VIF, VIFE; tables 4 to 16), annex A (types A, B, H).
"""

import math
import struct
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final, NamedTuple

from edge_agent.sources.modbus_values import digits_of

VARIABLE: Final = 0x72
"""A header of 12 bytes, then records."""
_HEADER_BYTES: Final = 12
_EXTENSIONS_MAX: Final = 10
_SIZES: Final[Mapping[int, int]] = {
    0: 0,
    1: 1,
    2: 2,
    3: 3,
    4: 4,
    5: 4,
    6: 6,
    7: 8,
    8: 0,
    9: 1,
    10: 2,
    11: 3,
    12: 4,
    14: 6,
}
_REAL: Final = 5
_BCD: Final = range(9, 15)
_LVAR: Final = 13
_FILLER: Final = 0x2F
_MORE: Final = 0x1F
_SPECIAL: Final = 0x0F


class Malformed(Exception):
    """The frame's checksum holds, but its records cannot be read."""


class Meter(NamedTuple):
    """Who answers."""

    number: str
    """Eight digits, as printed on the meter."""
    manufacturer: str
    """Three letters."""
    version: int
    medium: int
    selection: bytes
    """The secondary address as it is sent."""

    @property
    def serial(self) -> str:
        """Who it is, in one word: no two meters of a maker share a number."""
        return f"{self.manufacturer}{self.number}"


class Record(NamedTuple):
    """One data record."""

    quantity: str
    """energy, volume, mass, power, flow, hca; empty for what is not metered."""
    unit: str
    """UCUM."""
    value: Fraction | None
    """None: the meter says that it has no value, or it is no number."""
    storage: int
    """0: now; above: kept on a due date."""
    tariff: int
    subunit: int
    function: int
    """0: present value; 1, 2: highest, lowest; 3: value in an error state."""
    vife: str
    """Value information extensions that change the meaning, in hexadecimal digits; empty where there are none."""


class Answer(NamedTuple):
    """One frame's contents."""

    meter: Meter
    records: tuple[Record, ...]
    more: bool
    """Whether the meter has further frames to be asked for."""


def answer_of(control_information: int, data: bytes) -> Answer:
    """The meter and its records; raises Malformed with what is not understood."""
    if control_information != VARIABLE:
        raise Malformed(f"the meter answers in the form {control_information:02X}h, and only 72h is understood")
    if len(data) < _HEADER_BYTES:
        raise Malformed("its header is cut off")
    if data[11] & 0x1F:
        raise Malformed("the meter encrypts; switch that off for the wired interface")
    packed = int.from_bytes(data[4:6], "little")
    letters = "".join(chr(64 + (packed >> shift & 0x1F)) for shift in (10, 5, 0))
    number = data[3::-1].hex().upper()
    maker = letters if letters.isalpha() and letters.isupper() else f"{packed:04X}"
    records, more = _records(data[_HEADER_BYTES:])
    return Answer(Meter(number, maker, data[6], data[7], data[:8]), records, more)


def _records(data: bytes) -> tuple[tuple[Record, ...], bool]:
    records: list[Record] = []
    stream = _Stream(data)
    while not stream.ended:
        dif = stream.byte()
        if dif == _FILLER:
            continue
        if dif in {_SPECIAL, _MORE}:
            return tuple(records), dif == _MORE
        if dif & 0x0F == _SPECIAL:
            raise Malformed(f"a record begins with {dif:02X}h, which means nothing")
        records.append(_record(dif, stream))
    return tuple(records), False


def _record(dif: int, stream: "_Stream") -> Record:
    storage, tariff, subunit = dif >> 6 & 1, 0, 0
    for place, extension in enumerate(stream.extensions(dif)):
        storage |= (extension & 0x0F) << (1 + 4 * place)
        tariff |= (extension >> 4 & 3) << (2 * place)
        subunit |= (extension >> 6 & 1) << place
    vif = stream.byte()
    text = stream.take(stream.byte()) if vif & 0x7F == 0x7C else b""
    vifes = [extension & 0x7F for extension in stream.extensions(vif)]
    quantity, unit, scale = _meaning(vif, vifes) if not text else ("", "", Fraction(1))
    meaning = []
    for vife in vifes[1:] if vif in {0xFB, 0xFD} else vifes:
        if 0x70 <= vife <= 0x77:
            scale *= Fraction(10) ** ((vife & 7) - 6)
        elif vife == 0x7D:
            scale *= 1000
        else:
            meaning.append(vife)
    number = _number(dif & 0x0F, stream)
    value = None if number is None else number * scale
    return Record(quantity, unit, value, storage, tariff, subunit, dif >> 4 & 3, bytes(meaning).hex())


def _meaning(vif: int, vifes: list[int]) -> tuple[str, str, Fraction]:
    """Quantity, unit, and what the number is multiplied by (tables 10, 12, 14)."""
    if vif == 0xFB and vifes:
        table, code = _EXTENDED, vifes[0]
    elif vif == 0xFD:
        return "", "", Fraction(1)
    else:
        table, code = _PRIMARY, vif & 0x7F
    for first, last, quantity, unit, exponent in table:
        if first <= code <= last:
            return quantity, unit, Fraction(10) ** (exponent + code - first)
    return "", "", Fraction(1)


_Table = tuple[tuple[int, int, str, str, int], ...]
"""First and last code, quantity, unit, and the first code's power of ten."""
_PRIMARY: Final[_Table] = (
    (0x00, 0x07, "energy", "W.h", -3),
    (0x08, 0x0F, "energy", "J", 0),
    (0x10, 0x17, "volume", "m3", -6),
    (0x18, 0x1F, "mass", "kg", -3),
    (0x28, 0x2F, "power", "W", -3),
    (0x30, 0x37, "power", "J/h", 0),
    (0x38, 0x3F, "flow", "m3/h", -6),
    (0x40, 0x47, "flow", "m3/min", -7),
    (0x48, 0x4F, "flow", "m3/s", -9),
    (0x50, 0x57, "mass_flow", "kg/h", -3),
    (0x6E, 0x6E, "hca", "1", 0),
)
_EXTENDED: Final[_Table] = (
    (0x00, 0x01, "energy", "MWh", -1),
    (0x02, 0x03, "reactive_energy", "kvarh", 0),
    (0x08, 0x09, "energy", "GJ", -1),
    (0x10, 0x11, "volume", "m3", 2),
    (0x18, 0x19, "mass", "t", 2),
    (0x21, 0x21, "volume", "[cft_i]", -1),
    (0x28, 0x29, "power", "MW", -1),
    (0x30, 0x31, "power", "GJ/h", -1),
)


def _number(kind: int, stream: "_Stream") -> Fraction | None:
    if kind == _LVAR:
        return _variable(stream)
    raw = stream.take(_SIZES[kind])
    if kind == _REAL:
        (real,) = struct.unpack("<f", raw)
        return Fraction(digits_of(real, "f32")) if math.isfinite(real) else None
    if kind in _BCD:
        return _bcd(raw)
    return Fraction(int.from_bytes(raw, "little", signed=True)) if raw else None


def _bcd(raw: bytes) -> Fraction | None:
    """Type A: decimal digits, the lowest first; F as the highest is a minus sign, other letters say "no value"."""
    digits = raw[::-1].hex()
    if digits.startswith("f") and digits[1:].isdecimal():
        return Fraction(-int(digits[1:]))
    return Fraction(int(digits)) if digits.isdecimal() else None


def _variable(stream: "_Stream") -> Fraction | None:
    """Text up to BFh, decimal numbers from C0h, binary ones from E0h (table 5)."""
    length = stream.byte()
    if length <= 0xBF:
        stream.take(length)
        return None
    if length <= 0xC9:
        return _bcd(stream.take(length - 0xC0))
    if 0xD0 <= length <= 0xD9:
        value = _bcd(stream.take(length - 0xD0))
        return None if value is None else -value
    if 0xE0 <= length <= 0xEF:
        raw = stream.take(length - 0xE0)
        return Fraction(int.from_bytes(raw, "little", signed=True)) if raw else None
    raise Malformed(f"a record has the length {length:02X}h, which means nothing")


class _Stream:
    """Bytes that are taken one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at >= len(self._data)

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        self._at += count
        if self._at > len(self._data):
            raise Malformed("its last record is cut off")
        return self._data[self._at - count : self._at]

    def extensions(self, field: int) -> Iterator[int]:
        """The bytes that follow while the highest bit says so."""
        for _ in range(_EXTENSIONS_MAX):
            if not field & 0x80:
                return
            field = self.byte()
            yield field
        if field & 0x80:
            raise Malformed("a record has too many extensions")
