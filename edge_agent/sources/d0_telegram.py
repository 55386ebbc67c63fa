"""Telegrams of D0 interfaces and other meters that print text after IEC 62056-21. Pure.

A telegram that is asked for stands between STX and ETX and ends with a block check character; one that
a meter sends by itself often has neither, and then every line of it must be one that can be read.
Source: IEC 62056-21:2002, 5 (modes), 6.3 (messages), 5.8 and ISO/IEC 1155 (block check).
"""

import re
from collections.abc import Iterator
from functools import reduce
from operator import xor
from typing import Final, NamedTuple

from edge_agent.sources.obis import Register, Telegram, Unreadable
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
_END: Final = re.compile(rb"!\r?\n")
_HEAD: Final = re.compile(rb"/[A-Za-z]{3}[^\r\n]{1,28}\r?\n")
_GREETING: Final = re.compile(rb"/[A-Za-z]{3}([^\r\n])[^\r\n]*\r?\n")
_BAUD: Final = {str(power): 300 * 2**power for power in range(7)}
"""Mode C: 300 to 19,200."""
_BAUD_B: Final = {letter: 600 * 2**power for power, letter in enumerate("ABCDEF")}
_UNCHECKED: Final = "the block check character is wrong"
_SERIALS: Final = ("1-0:0.0.9", "1-0:96.1.0", "1-0:96.1.255", "0-0:96.1.255", "C.1.0", "1-0:0.0.0", "C.1.1")


class D0Telegrams:
    """Finds telegrams in a stream of bytes; `asked`: each must have its block check character."""

    def __init__(self, *, asked: bool = False) -> None:
        self._buffer = b""
        self._checked = asked
        self._again = SaidTwice()

    def reset(self) -> None:
        """What has come of a telegram so far is void."""
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Telegram | Unreadable]:
        """Take bytes in, and give each telegram that they complete."""
        self._buffer += data
        while (end := _END.search(masked(self._buffer))) is not None:
            tail = masked(self._buffer[end.end() : end.end() + 2])
            # Whether a block check follows shows with the next byte; without one, with the silence (`pause`).
            if len(tail) < 2 and tail in (b"", b"\x03"):
                return
            yield self._taken(end.start(), end.end(), checked=tail.startswith(b"\x03"))
        if len(self._buffer) > TELEGRAM_BYTES_MAX:
            self._buffer = b""
            yield Unreadable(f"{TELEGRAM_BYTES_MAX} bytes without an end of a telegram")

    def pause(self) -> Iterator[Telegram | Unreadable]:
        """Nothing has come for a while: a telegram that could have gone on has ended."""
        end = _END.search(masked(self._buffer))
        if end is not None and not self._buffer[end.end() :]:
            yield self._taken(end.start(), end.end(), checked=False)

    def _taken(self, mark: int, end: int, *, checked: bool) -> Telegram | Unreadable:
        raw, block = self._buffer[:mark], self._buffer[: end + 2]
        self._buffer = self._buffer[end + 2 if checked else end :]
        text = masked(raw)
        heads = list(_HEAD.finditer(text))
        # P19: the first STX, as a flipped bit may make another of a letter, and the rest may pass the check.
        start = text.find(b"\x02", heads[-1].end() if heads else 0)
        if checked:
            return self._checked_block(block[start:], mark - start) if start >= 0 else Unreadable(_UNCHECKED)
        if not heads:
            return Unreadable("an end without a beginning")
        if self._checked or start >= 0:
            return Unreadable("the block check character is missing")
        body = without_parity(raw[heads[-1].start() :])
        if body is None:
            return Unreadable("a parity bit is wrong")
        rest = body.partition(b"\n")[2]
        if any(isinstance(line, str) for line in lines_of(rest.decode("ascii"))):
            return Unreadable("it has no block check, and a line that cannot be read")
        return self._again.believed(d0_registers(rest))

    def _checked_block(self, block: bytes, mark: int) -> Telegram | Unreadable:
        """P19: the block check proves a telegram only together with the byte at which it begins to count."""
        clean = without_parity(block)
        if clean is None:
            return Unreadable("a parity bit is wrong")
        if reduce(xor, clean[1:]):
            return Unreadable(_UNCHECKED)
        self._checked = True
        return d0_registers(clean[1:mark])


def d0_registers(body: bytes) -> Telegram | Unreadable:
    """The registers of a data block."""
    lines = [line for line in lines_of(body.decode("ascii", "replace")) if isinstance(line, Line)]
    serial = serial_of(first_group(lines, *_SERIALS))
    registers = []
    for line in lines:
        value = value_of(line.groups[0]) if len(line.groups) == 1 else None
        if value is not None:
            registers.append(Register(line.code, value[0], value[1], serial))
    return tuple(registers) or Unreadable("a telegram without a single value")


class Greeting(NamedTuple):
    """What a meter answers when it is asked: `/XXXZ…`, Z the speed that it can do."""

    letter: str
    baud: int | None
    """The speed that it offers; None where it stays at the first."""
    acknowledged: bool
    """Whether it waits for an acknowledgement (mode C); modes A and B do not."""


def greeting_in(heard: bytes) -> Greeting | None:
    """The greeting among what was heard, if it is whole; an echo of the question is none."""
    found = _GREETING.search(masked(heard))
    if found is None:
        return None
    letter = found[1].decode("ascii")
    if letter in _BAUD:
        return Greeting(letter, _BAUD[letter], acknowledged=True)
    return Greeting(letter, _BAUD_B.get(letter), acknowledged=False)
