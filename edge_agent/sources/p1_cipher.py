"""P1 telegrams that the meter encrypts, as in Luxembourg: unsealed with the key that the grid operator hands out.

AES-128-GCM through the library cryptography, which is imported with the first such telegram.
Source: Smarty P1 specification 1.1.3 (Luxmetering), 3.2.5; IEC 62056-5-3, general-glo-ciphering.
"""

from collections.abc import Callable, Iterator
from typing import Final

from edge_agent.reading import SourceDown
from edge_agent.sources.obis import Telegram, Unreadable
from edge_agent.sources.p1_telegram import TELEGRAM_BYTES_MAX, P1Telegrams
from edge_agent.words import to_install

KEY_BYTES: Final = 16
_HEAD: Final = b"\xdb\x08"
_HEAD_BYTES: Final = 18
_TAG_BYTES: Final = 12
_SECURITY: Final = 0x30
"""Authenticated and encrypted."""
_AUTHENTICATION: Final = bytes([_SECURITY]) + bytes.fromhex("00112233445566778899AABBCCDDEEFF")
"""The specification prints this key: it keeps nothing secret and shows damage."""


class SealedTelegrams:
    """Finds sealed frames in a stream of bytes, and believes those that the key opens and whose CRC holds."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key = key
        self._buffer = b""

    def reset(self) -> None:
        """What has come of a telegram so far is void."""
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Telegram | Unreadable]:
        """Take bytes in, and give each telegram that they complete; raises SourceDown where there is no key."""
        self._buffer += data
        while (start := self._buffer.find(_HEAD)) >= 0:
            self._buffer = self._buffer[start:]
            if len(self._buffer) < _HEAD_BYTES:
                return
            size = int.from_bytes(self._buffer[11:13], "big")
            if self._buffer[10] != 0x82 or self._buffer[13] != _SECURITY or not 17 < size <= TELEGRAM_BYTES_MAX:
                self._buffer = self._buffer[1:]
                continue
            if len(self._buffer) < 13 + size:
                return
            plain = _opened(self._buffer[: 13 + size], self._key())
            if plain is None:
                self._buffer = self._buffer[1:]
                yield Unreadable("the key does not open it")
                continue
            self._buffer = self._buffer[13 + size :]
            found = list(P1Telegrams().feed(plain))
            yield from found or (Unreadable("the key opens it, but no telegram is in it"),)
        self._buffer = self._buffer[-1:]

    def pause(self) -> Iterator[Telegram | Unreadable]:
        """After a silence, what was begun is no frame: its length came over wrongly."""
        self._buffer = self._buffer[1:]
        yield from self.feed(b"")


def _opened(frame: bytes, key: bytes) -> bytes | None:
    try:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - only meters that encrypt need it.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415
    except ImportError as error:
        raise SourceDown(f"an encrypted telegram needs cryptography: {to_install('dsmr')}") from error
    title, counter, sealed, tag = frame[2:10], frame[14:18], frame[18:-_TAG_BYTES], frame[-_TAG_BYTES:]
    mode = modes.GCM(title + counter, tag, min_tag_length=_TAG_BYTES)
    opening = Cipher(algorithms.AES(key), mode).decryptor()
    opening.authenticate_additional_data(_AUTHENTICATION)
    try:
        return bytes(opening.update(sealed) + opening.finalize())
    except InvalidTag:
        return None
