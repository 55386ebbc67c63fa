"""CRC-16 in the reflected forms that meters use; the standard library only has the other kind."""

from typing import Final


def _table(polynomial: int) -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (polynomial if crc & 1 else 0)
        rows.append(crc)
    return tuple(rows)


_ARC: Final = _table(0xA001)
_CCITT: Final = _table(0x8408)


def crc16_arc(data: bytes) -> int:
    """CRC-16/ARC, as P1 telegrams have it (and Modbus, with another start)."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _ARC[(crc ^ byte) & 0xFF]
    return crc


def crc16_x25(data: bytes) -> int:
    """CRC-16/X-25 (DIN EN 62056-46), as SML has it."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CCITT[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFF


def crc16_kermit(data: bytes) -> int:
    """CRC-16/KERMIT, which some SML meters (Holley DTZ541) compute in its place."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _CCITT[(crc ^ byte) & 0xFF]
    return crc
