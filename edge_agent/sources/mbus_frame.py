"""Frames of a wired M-Bus: requests, acknowledgements, answers. Pure.

Source: EN 13757-2:2018, 5 (link layer: FT 1.2, short, long and control frames, FCB); EN 13757-7, 5 (secondary
addresses).
"""

import re
from typing import Final, NamedTuple

ACK: Final = b"\xe5"
STOP: Final = 0x16
NETWORK: Final = 0xFD
"""The primary address of the meter that was selected by its secondary one."""
PRIMARY_MAX: Final = 250
SND_NKE: Final = 0x40
REQ_UD2: Final = 0x5B
SND_UD: Final = 0x53
RSP_UD: Final = 0x08
FCB: Final = 0x20
SELECT: Final = 0x52
_SHORT_START: Final = 0x10
_LONG_START: Final = 0x68
_PRIMARY: Final = re.compile(r"\d{1,3}", re.ASCII)
_SECONDARY: Final = re.compile(r"[0-9Ff]{8}(?:[0-9A-Fa-f]{8})?", re.ASCII)


class LongFrame(NamedTuple):
    """An answer with data."""

    address: int
    control_information: int
    data: bytes


class Address(NamedTuple):
    """How a meter is reached: by a number of its own, or by what is printed on it."""

    primary: int
    selection: bytes = b""
    """The eight bytes of a secondary address as they are sent; empty for a primary one."""


def address_of(text: str) -> Address | None:
    """`5` is a primary address; `12345678`, or with manufacturer, version and medium 16 digits, a secondary one.

    A digit F fits every digit of the identification number, FF every version and medium.
    """
    if _SECONDARY.fullmatch(text):
        number, rest = bytes.fromhex(text[:8])[::-1], bytes.fromhex(text[8:] or "FFFFFFFF")
        return Address(NETWORK, number + rest)
    if _PRIMARY.fullmatch(text) and int(text) <= PRIMARY_MAX:
        return Address(int(text))
    return None


def short_frame(control: int, address: int) -> bytes:
    """A frame without data."""
    return bytes([_SHORT_START, control, address, (control + address) & 0xFF, STOP])


def long_frame(control: int, address: int, control_information: int, data: bytes = b"") -> bytes:
    """A frame with data."""
    body = bytes([control, address, control_information]) + data
    return bytes([_LONG_START, len(body), len(body), _LONG_START]) + body + bytes([sum(body) & 0xFF, STOP])


def acknowledged(heard: bytes, sent: bytes) -> bool:
    """Whether what was heard is an acknowledgement; level converters may echo what was sent."""
    return ACK in heard.replace(sent, b"")


def answer_in(heard: bytes) -> LongFrame | None:
    """The first whole frame with data among what was heard, its checksum right; noise and echoes are passed over."""
    at = -1
    while (at := heard.find(_LONG_START, at + 1)) >= 0:
        head = heard[at : at + 4]
        if len(head) < 4 or head[1] != head[2] or head[1] < 3 or head[3] != _LONG_START:
            continue
        end = at + 6 + head[1]
        body = heard[at + 4 : end - 2]
        if (
            len(heard) >= end
            and heard[end - 1] == STOP
            and heard[end - 2] == sum(body) & 0xFF
            and body[0] & 0x4F == RSP_UD
        ):
            return LongFrame(body[1], body[2], body[3:])
    return None
