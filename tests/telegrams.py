"""What meters say, encoded by the tests' own reading of the standards: P1, SML, IEC 62056-21, M-Bus."""

from collections.abc import Sequence
from functools import reduce
from operator import xor
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def crc16(data: bytes, polynomial: int, start: int, end: int) -> int:
    """Bit by bit, as the standards draw it."""
    crc = start
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ polynomial if crc & 1 else crc >> 1
    return crc ^ end


# --- P1 -----------------------------------------------------------------------------------------------------


def spelled(serial: str) -> str:
    """A serial number as P1 ports spell it."""
    return serial.encode("ascii").hex().upper()


def p1(lines: Sequence[str], *, crc: bool = True, greeting: str = "TST5\\1-SYNTHETIC") -> bytes:
    """A P1 telegram; without a CRC it is one of DSMR 2.2 or 3."""
    text = "\r\n".join([f"/{greeting}", "", *lines, "!"]).encode("ascii")
    return text + (f"{crc16(text, 0xA001, 0, 0):04X}".encode("ascii") if crc else b"") + b"\r\n"


def dsmr5(
    *, used: str = "000123.456", night: str = "000456.789", gas: str = "00012.345", serial: str = "TEST0001"
) -> bytes:
    """A Dutch meter of DSMR 5 with a gas meter."""
    return p1(
        [
            "1-3:0.2.8(50)",
            "0-0:1.0.0(260401120000S)",
            f"0-0:96.1.1({spelled(serial)})",
            f"1-0:1.8.1({used}*kWh)",
            f"1-0:1.8.2({night}*kWh)",
            "1-0:2.8.1(000001.000*kWh)",
            "1-0:2.8.2(000000.002*kWh)",
            "0-0:96.14.0(0002)",
            "1-0:1.7.0(01.234*kW)",
            "1-0:2.7.0(00.000*kW)",
            "1-0:99.97.0(1)(0-0:96.7.19)(260101010101W)(0000000042*s)",
            "0-0:96.13.0()",
            "1-0:32.7.0(0231.0*V)",
            "0-1:24.1.0(003)",
            f"0-1:96.1.0({spelled('GAS00001')})",
            f"0-1:24.2.1(260401115500S)({gas}*m3)",
            "0-2:24.1.0(003)",
            "0-2:96.1.0()",
        ]
    )


KEY = bytes(range(16))


def sealed_p1(telegram: bytes, *, key: bytes = KEY, counter: int = 7) -> bytes:
    """A telegram as a meter in Luxembourg encrypts it."""
    title, number = b"SAGtest1", counter.to_bytes(4, "big")
    sealing = Cipher(algorithms.AES(key), modes.GCM(title + number)).encryptor()
    sealing.authenticate_additional_data(bytes.fromhex("3000112233445566778899AABBCCDDEEFF"))
    text = sealing.update(telegram) + sealing.finalize()
    body = b"\x30" + number + text + sealing.tag[:12]
    return b"\xdb\x08" + title + b"\x82" + len(body).to_bytes(2, "big") + body


# --- IEC 62056-21 -------------------------------------------------------------------------------------------


def even(raw: bytes) -> bytes:
    """The characters as a 7E1 line has them, read as 8N1."""
    return bytes(byte | byte.bit_count() % 2 << 7 for byte in raw)


def d0_block(lines: Sequence[str]) -> bytes:
    """A data block with its block check character, before parity."""
    block = "\r\n".join([*lines, "!"]).encode("ascii") + b"\r\n\x03"
    return b"\x02" + block + bytes([reduce(xor, block)])


def d0_push(lines: Sequence[str], greeting: str = "TST5SYNTHETIC") -> bytes:
    """What a meter sends by itself."""
    return "\r\n".join([f"/{greeting}", "", *lines, "!", ""]).encode("ascii")


# --- SML ----------------------------------------------------------------------------------------------------


def sml_value(value: Any) -> bytes:
    """Lists, octet strings, None, and integers as (bits, value), the bits below 0 where they are signed."""
    match value:
        case None:
            return b"\x01"
        case list():
            return _length(0x70, len(value), own=False) + b"".join(map(sml_value, value))
        case bytes():
            return _length(0x00, len(value), own=True) + value
        case (int(bits), int(number)):
            kind = 0x50 if bits < 0 else 0x60
            return bytes([kind | abs(bits) // 8 + 1]) + number.to_bytes(abs(bits) // 8, "big", signed=bits < 0)
    raise TypeError(value)


def _length(kind: int, length: int, *, own: bool) -> bytes:
    if length + own <= 15:
        return bytes([kind | length + own])
    whole = length + 2 * own
    return bytes([0x80 | kind | whole >> 4, whole & 0x0F])


def sml_message(tag: int, body: list[Any]) -> bytes:
    """One message with its CRC and end."""
    head = b"\x76" + b"".join(map(sml_value, [b"\x01\x02", (8, 0), (8, 0), [(16, tag), body]]))
    return head + sml_value((16, int.from_bytes(x25(head), "big"))) + b"\x00"


def x25(data: bytes) -> bytes:
    """The CRC as it is sent, the lower byte first."""
    return crc16(data, 0x8408, 0xFFFF, 0xFFFF).to_bytes(2, "little")


def obis(text: str) -> bytes:
    """`1-0:1.8.0*255` in six bytes."""
    return bytes(map(int, text.replace("-", ".").replace(":", ".").replace("*", ".").split(".")))


SERVER = bytes([0x0A, 1, *b"TST", 0, 0x00, 0xBC, 0x61, 0x4E])


def sml(
    entries: Sequence[tuple[str, int | None, int | None, Any]], *, server: bytes = SERVER, kermit: bool = False
) -> bytes:
    """A frame with open, list and close; an entry is code, DLMS unit, scaler, value."""
    rows = [
        [obis(code), None, None, None if unit is None else (8, unit), None if ten is None else (-8, ten), value, None]
        for code, unit, ten, value in entries
    ]
    body = (
        sml_message(0x0101, [None, None, b"\x05", server, None, None])
        + sml_message(0x0701, [None, server, obis("1-0:98.10.255*255"), [(8, 1), (32, 4711)], rows, None, None])
        + sml_message(0x0201, [None])
    )
    padding = -len(body) % 4
    escaped = body.replace(b"\x1b" * 4, b"\x1b" * 8)
    frame = b"\x1b" * 4 + b"\x01" * 4 + escaped + bytes(padding) + b"\x1b" * 4 + b"\x1a" + bytes([padding])
    check = crc16(frame, 0x8408, 0, 0).to_bytes(2, "big") if kermit else x25(frame)
    return frame + check


def sml_meter(*, used: int = 12_345_678, power: int = -250, server: bytes = SERVER) -> bytes:
    """A two-way meter: tenths of a watt hour, signed power."""
    return sml(
        [
            ("1-0:96.50.1*1", None, None, b"TST"),
            ("1-0:96.1.0*255", None, None, server),
            ("1-0:1.8.0*255", 30, -1, (64, used)),
            ("1-0:2.8.0*255", 30, -1, (64, 27)),
            ("1-0:16.7.0*255", 27, 0, (-32, power)),
        ],
        server=server,
    )


# --- M-Bus --------------------------------------------------------------------------------------------------


def mbus_id(number: str = "12345678", maker: str = "TST", version: int = 1, medium: int = 4) -> bytes:
    """A meter's secondary address as it is sent."""
    packed = reduce(lambda word, letter: word << 5 | ord(letter) - 64, maker, 0)
    return bytes.fromhex(number)[::-1] + packed.to_bytes(2, "little") + bytes([version, medium])


def mbus_answer(address: int, identity: bytes, records: bytes, *, control: int = 0x08, access: int = 1) -> bytes:
    """An answer with the variable data structure."""
    body = bytes([control, address, 0x72]) + identity + bytes([access, 0, 0, 0]) + records
    return bytes([0x68, len(body), len(body), 0x68]) + body + bytes([sum(body) & 0xFF, 0x16])


def bcd(number: int, size: int) -> bytes:
    """Decimal digits, the lowest byte first."""
    return bytes.fromhex(f"{number:0{2 * size}d}")[::-1]
