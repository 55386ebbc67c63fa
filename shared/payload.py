"""A payload: 1–32 lines joined by LF, plain or deflated; never more in memory than its bound (P9)."""

import zlib
from collections.abc import Sequence
from typing import Final

from shared.errors import InvalidRecord, Refused
from shared.limits import PAYLOAD_BYTES_MAX, PAYLOAD_DEFLATED_BYTES_MAX, PAYLOAD_LINES_MAX

ZLIB_FIRST_BYTE: Final = 0x78
THOROUGH_BYTES_MAX: Final = 16 * 1024
"""What is larger is a backlog's: a twentieth smaller would take four times as long."""


def pack(lines: Sequence[bytes], *, deflate: bool = True) -> bytes:
    """Join lines into one payload; raises InvalidRecord beyond a bound.

    Deflated where that is asked for and fits; a deflated payload above its bound goes plain.
    """
    plain = b"\n".join(lines)
    if not 1 <= len(lines) <= PAYLOAD_LINES_MAX:
        raise InvalidRecord(f"a payload has 1 to {PAYLOAD_LINES_MAX} lines, not {len(lines)}")
    if len(plain) > PAYLOAD_BYTES_MAX:
        raise InvalidRecord(f"a payload has at most {PAYLOAD_BYTES_MAX} bytes, not {len(plain)}")
    if not deflate:
        return plain
    packed = zlib.compress(plain, 9 if len(plain) <= THOROUGH_BYTES_MAX else 6)
    return packed if len(packed) <= min(len(plain), PAYLOAD_DEFLATED_BYTES_MAX) else plain


def unpack(payload: bytes) -> list[bytes] | Refused:
    """Part a payload into raw lines: size, then bounded inflation, then count."""
    if payload[:1] == bytes([ZLIB_FIRST_BYTE]):
        plain = _inflate(payload)
    elif len(payload) > PAYLOAD_BYTES_MAX:
        plain = Refused(f"the payload has {len(payload)} bytes, more than {PAYLOAD_BYTES_MAX}")
    else:
        plain = payload
    if isinstance(plain, Refused):
        return plain
    if not plain:
        return Refused("the payload is empty")
    if plain.count(b"\n") >= PAYLOAD_LINES_MAX:
        return Refused(f"the payload has more than {PAYLOAD_LINES_MAX} lines")
    return plain.split(b"\n")


def _inflate(payload: bytes) -> bytes | Refused:
    if len(payload) > PAYLOAD_DEFLATED_BYTES_MAX:
        return Refused(f"the deflated payload has {len(payload)} bytes, more than {PAYLOAD_DEFLATED_BYTES_MAX}")
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(payload, PAYLOAD_BYTES_MAX + 1)
    except zlib.error as error:
        return Refused(f"the payload does not inflate: {error}")
    if len(plain) > PAYLOAD_BYTES_MAX:
        return Refused(f"the payload inflates to more than {PAYLOAD_BYTES_MAX} bytes")
    if not stream.eof or stream.unconsumed_tail:
        return Refused("the deflated payload ends too early")
    if stream.unused_data:
        return Refused("bytes follow the end of the deflated payload")
    return plain
