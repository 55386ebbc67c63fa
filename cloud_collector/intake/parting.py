"""A batch that fails in a way that nobody foresaw is parted, until what fails alone is found and set apart (P8).

Each part is a transaction of its own, receipted after its own commit (P5, P6). What is set apart has no receipt, so
that its gateway keeps it and sends it again (P7): nothing is lost, and a mended collector takes it. It costs its
neighbours one parting; from then on it is tried alone, after them.

A machine that fails is something else: a full disk, a lost connection, a damaged file end the collector as ever.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from shared.effects.link import Message
from shared.errors import DatabaseRefused, MetersealError

SUSPECTS_MAX: Final = 1_024
"""Payloads that are tried alone, the newest."""
Take = Callable[[Sequence[Message]], Awaitable[None]]
SetApart = Callable[[Message, Exception], Awaitable[None]]


class Parting:
    """Remembers which payloads have failed alone."""

    def __init__(self) -> None:
        self._suspects: dict[bytes, None] = {}

    async def take(self, messages: Sequence[Message], take: Take, set_apart: SetApart) -> None:
        """All of them are taken, but for those that fail alone, which are set apart; raises what ends the collector."""
        alone = [each for each in messages if _digest(each) in self._suspects] if self._suspects else []
        kept = {id(each) for each in alone}
        together = [each for each in messages if id(each) not in kept]
        for part in ([together] if together else []) + [[each] for each in alone]:
            await self._part(part, take, set_apart)

    async def _part(self, messages: Sequence[Message], take: Take, set_apart: SetApart) -> None:
        try:
            await take(messages)
        except Exception as error:
            if not is_of_a_message(error):
                raise
            fault = error
        else:
            if len(messages) == 1 and self._suspects:
                self._suspects.pop(_digest(messages[0]), None)
            return
        if len(messages) == 1:
            await set_apart(messages[0], fault)
            self._suspects[_digest(messages[0])] = None
            while len(self._suspects) > SUSPECTS_MAX:
                del self._suspects[next(iter(self._suspects))]
            return
        middle = len(messages) // 2
        await self._part(messages[:middle], take, set_apart)
        await self._part(messages[middle:], take, set_apart)


def is_of_a_message(error: Exception) -> bool:
    """Whether what is in a message may have caused it; a full disk, a held store, a lost link never are."""
    return isinstance(error, DatabaseRefused) or not isinstance(error, MetersealError | OSError | MemoryError)


def _digest(message: Message) -> bytes:
    return hashlib.sha256(message.topic.encode("utf-8", "surrogatepass") + b"\0" + message.payload).digest()
