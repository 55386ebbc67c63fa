"""The newest telegram of a meter: listened for in the background, and handed out once.

P4: once, because a repeated telegram would bear out a glitch that only a second reading may.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from edge_agent.reading import SourceDown
from edge_agent.sources.obis import Telegram, Unreadable
from edge_agent.sources.wire_stream import WireStream
from shared.effects.clock import Clock

PAUSE_SECONDS: Final = 1.0
"""A silence after which a telegram without a mark for its end has ended."""
TELEGRAM_SECONDS_MAX: Final = 10.0
"""The slowest meters that speak by themselves (DSMR 2 to 4) do so this often."""
STALE_POLLS: Final = 3
WAIT_SECONDS_MAX: Final = 20.0
"""How long a reading waits for a telegram; below the time after which the agent itself takes a source for down."""
REOPEN_SECONDS_MIN: Final = 1.0
REOPEN_SECONDS_MAX: Final = 30.0
ANSWER_SECONDS_MAX: Final = 3.0
"""A meter that was asked and falls silent for so long has ended, or will not answer."""


class Framer(Protocol):
    """Finds telegrams in a stream of bytes."""

    def reset(self) -> None:
        """Forget what has come of a telegram so far."""

    def feed(self, data: bytes) -> Iterator[Telegram | Unreadable]:
        """Take bytes in, and give each telegram that they complete."""

    def pause(self) -> Iterator[Telegram | Unreadable]:
        """Give what a silence completes."""


class Arrived(NamedTuple):
    """A telegram and when its last byte came, in milliseconds since boot."""

    telegram: Telegram
    at_ms: int


Ask = Callable[[WireStream], Awaitable[None]]
"""Brings a meter to send its telegram: greets it and sets the speed; raises SourceDown."""


class NewestTelegram:
    """Listens as long as it is open; begins with the first `next`."""

    def __init__(
        self, wire: WireStream, framer: Framer, clock: Clock, *, poll_seconds: float, ask: Ask | None = None
    ) -> None:
        self._wire = wire
        self._framer = framer
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._ask = ask
        self._stale_ms = round(STALE_POLLS * max(poll_seconds, TELEGRAM_SECONDS_MAX) * 1_000)
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._newest: Arrived | None = None
        self._last_ms = clock.boot_ms()
        """When the last telegram came, or the listening began."""
        self._heard_bytes = 0
        """Since then."""
        self._unreadable = ""
        """Why what came since then is no telegram."""
        self._down = ""
        """Why the wire is not open."""
        self._spoken = False
        """Whether there has been a telegram: then a short interruption is none of the meter."""

    async def next(self) -> Arrived | None:
        """A telegram that has not been handed out; None while a late one may still come; raises SourceDown."""
        if self._task is None or self._task.done():
            self._begin()
        left_ms = self._last_ms + self._stale_ms - self._clock.boot_ms()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(WAIT_SECONDS_MAX, max(PAUSE_SECONDS, left_ms / 1_000))):
                while self._newest is None and not self._never:
                    self._news.clear()
                    await self._news.wait()
        if self._newest is not None:
            arrived, self._newest = self._newest, None
            return arrived
        if self._never or self._clock.boot_ms() >= self._last_ms + self._stale_ms:
            raise SourceDown(self._why())
        return None

    @property
    def _never(self) -> bool:
        """Whether the meter cannot be reached and never was: then there is nothing to wait for."""
        return bool(self._down) and not self._spoken

    async def close(self) -> None:
        """No longer listens."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._wire.close()

    def _begin(self) -> None:
        if self._task is None:
            self._last_ms = self._clock.boot_ms()
        else:
            self._task.result()  # A bug is raised where people see it; the next reading listens anew.
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        reopen_seconds = REOPEN_SECONDS_MIN
        while True:
            before_ms = self._last_ms
            try:
                await self._wire.open()
                self._framer.reset()
                await self._converse()
            except SourceDown as error:
                self._down = str(error)
                self._news.set()
            self._wire.close()
            if self._last_ms != before_ms:
                reopen_seconds = REOPEN_SECONDS_MIN
            await self._clock.sleep(reopen_seconds)
            reopen_seconds = min(REOPEN_SECONDS_MAX, reopen_seconds * 2)

    async def _converse(self) -> None:
        """Telegrams come until the wire falls silent for too long; then it is worth opening it anew."""
        if self._ask is None:
            self._down = ""
            await self._hear(self._stale_ms / 1_000, once=False)
            return
        while True:
            began_ms = self._clock.boot_ms()
            self._framer.reset()
            await self._ask(self._wire)
            self._down = ""
            await self._hear(ANSWER_SECONDS_MAX, once=True)
            spent = (self._clock.boot_ms() - began_ms) / 1_000
            await self._clock.sleep(max(PAUSE_SECONDS, self._poll_seconds - spent))

    async def _hear(self, silence_seconds: float, *, once: bool) -> None:
        """Hand what comes to the framer until nothing has come for so long, or with `once` until a telegram has."""
        silent = 0.0
        while silent < silence_seconds:
            try:
                async with asyncio.timeout(PAUSE_SECONDS):
                    data = await self._wire.read()
            except TimeoutError:
                silent += PAUSE_SECONDS
                found = list(self._framer.pause())
            else:
                silent = 0.0
                self._heard_bytes += len(data)
                found = list(self._framer.feed(data))
            for each in found:
                self._take(each)
            if once and found:
                return

    def _take(self, found: Telegram | Unreadable) -> None:
        if isinstance(found, Unreadable):
            self._unreadable = found.why
            return
        self._last_ms = self._clock.boot_ms()
        self._newest = Arrived(found, self._last_ms)
        self._spoken = True
        self._heard_bytes = 0
        self._unreadable = ""
        self._news.set()

    def _why(self) -> str:
        """What is wrong with a meter from which no telegram comes, and where to look."""
        name, seconds = self._wire.name, (self._clock.boot_ms() - self._last_ms) // 1_000
        if self._down:
            return self._down
        if not self._heard_bytes:
            return f"{name}: no bytes for {seconds} s: check the cable, and whether the meter's port is enabled"
        told = f" ({self._unreadable})" if self._unreadable else ""
        return (
            f"{name}: {self._heard_bytes} bytes in {seconds} s, but no telegram with a right check{told}: "
            "check baud rate and inversion"
        )
