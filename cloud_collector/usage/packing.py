"""Deltas as bytes: the narrowest fixed width that holds them, nothing at all where all are zero."""

import struct
from functools import cache


def pack_deltas(deltas: tuple[int, ...]) -> bytes:
    """Little-endian integers of one width, after its letter; empty where all are zero."""
    largest = max(deltas, default=0)
    if largest < 256:
        return b"B" + bytes(deltas) if largest else b""
    letter = "H" if largest < 1 << 16 else "I" if largest < 1 << 32 else "Q"
    return letter.encode() + _format(letter, len(deltas)).pack(*deltas)


def unpack_deltas(packed: bytes, count: int) -> tuple[int, ...]:
    """What `pack_deltas` was given, `count` of them."""
    if not packed:
        return (0,) * count
    return _format(chr(packed[0]), count).unpack_from(packed, 1)


@cache
def _format(letter: str, count: int) -> struct.Struct:
    return struct.Struct(f"<{count}{letter}")
