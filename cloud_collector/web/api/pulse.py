"""Live values for whoever listens: one look at the store for all of them, a bounded queue for each.

    store ── a look every quarter of a second, while anybody listens ──> history ──> a queue a listener

An event's id names this process, its place and the newest warning. Who comes back with it gets what he missed: from
history where that reaches back, else a `reset` (read the pages anew) and the warnings that are facts in the store.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Final

from fastapi.concurrency import run_in_threadpool

from cloud_collector.access.viewer import Viewer
from cloud_collector.web.api.news import FACTS_A_ROUND_MAX, Happening, News, warned
from cloud_collector.web.site import Site

LOOK_SECONDS: Final = 0.25
"""Between two looks; where the last one left something to be rated, a quarter of what it took."""
HEARTBEAT_SECONDS: Final = 15
"""A comment after so much silence, so that proxies and people see that the line stands."""
STREAM_SECONDS: Final = 600
"""How long one stream lasts: who comes back shows anew who he is, so that a revoked token hears no more after that."""
LISTENERS_MAX: Final = 200
QUEUE_MAX: Final = 256
"""Events that wait for one listener; who is slower is let go, and comes back for the rest."""
HISTORY_MAX: Final = 1_024
FIRST_CONTRACTS_MAX: Final = 20
"""Contracts whose cost a new listener is told at once."""
_log: Final = logging.getLogger(__name__)


class TooMany(Exception):
    """There are as many listeners as there may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A happening with its place in history."""

    place: int
    warning: int
    happening: Happening


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Somebody who listens, and to what."""

    viewer: Viewer
    account: str | None
    """Only what concerns this account; None: all that is in sight."""
    queue: asyncio.Queue[Told | None] = field(default_factory=lambda: asyncio.Queue(QUEUE_MAX))
    """None ends it."""

    def hears(self, happening: Happening) -> bool:
        """Whether it may be told (P20), and was asked for."""
        if happening.accounts is None:
            return self.viewer.accounts is None and self.account is None
        wanted = happening.accounts if self.account is None else happening.accounts & {self.account}
        return any(self.viewer.sees(account) for account in wanted)


class Pulse:
    """Looks for all, tells each."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._news = News(self._site.kept)
        self._boot = site.clock.utc_ms()
        self._place = 0
        self._history: deque[Told] = deque(maxlen=HISTORY_MAX)
        self._listeners: list[Listener] = []
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    async def listen(
        self, viewer: Viewer, *, account: str | None, contracts: Collection[str], last: str | None
    ) -> AsyncIterator[bytes]:
        """The stream of one listener; raises TooMany before it begins."""
        if len(self._listeners) >= LISTENERS_MAX or self._closed:
            raise TooMany
        listener = Listener(viewer=viewer, account=account)
        missed = await self._missed(listener, last)
        self._listeners.append(listener)
        if missed is None:
            self._news.want(list(contracts)[:FIRST_CONTRACTS_MAX])
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return self._stream(listener, missed, came_back=last is not None)

    def close(self) -> None:
        """Every stream ends."""
        self._closed = True
        for listener in list(self._listeners):
            self._let_go(listener)

    async def _stream(self, listener: Listener, missed: list[Told] | None, *, came_back: bool) -> AsyncIterator[bytes]:
        clock = self._site.clock
        ends = clock.boot_ms() + STREAM_SECONDS * 1_000
        try:
            yield b"retry: 1000\n\n"
            if missed is None and came_back:
                yield self._event("reset", {}, place=self._place, warning=self._news.warning)
            for told in missed or ():
                yield self._written(told)
            while clock.boot_ms() < ends:
                try:
                    told_now = await asyncio.wait_for(listener.queue.get(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if told_now is None:
                    return
                yield self._written(told_now)
        finally:
            if listener in self._listeners:
                self._listeners.remove(listener)

    async def _missed(self, listener: Listener, last: str | None) -> list[Told] | None:
        """What somebody who comes back has missed; None where history does not reach back so far."""
        boot, place, warning = _read(last)
        if boot == self._boot and (place == self._place or (self._history and self._history[0].place <= place + 1)):
            return [each for each in self._history if each.place > place and listener.hears(each.happening)]
        if warning is not None:
            for each in await run_in_threadpool(self._warnings, warning):
                if listener.hears(each):
                    listener.queue.put_nowait(Told(place=self._place, warning=each.warning, happening=each))
                    if listener.queue.full():
                        break
        return None

    def _warnings(self, after: int) -> list[Happening]:
        with self._site.open_store() as store:
            return [warned(row) for row in store.rows("live_warnings", after, FACTS_A_ROUND_MAX)]

    async def _look(self) -> None:
        """One look after the other, for as long as anybody listens."""
        while self._listeners:
            began = self._site.clock.boot_ms()
            try:
                found = await run_in_threadpool(self._round)
            except Exception:  # noqa: BLE001
                # The one broad except of this task: whoever listens must not be left without a word.
                _log.exception("event=live_failed")
                found = []
            for each in found:
                self._tell(each)
            # However much moves, a fifth of the time is others' alone; a hundred contracts are told within a second.
            took = (self._site.clock.boot_ms() - began) / 1_000
            await self._site.clock.sleep(min(took / 4, LOOK_SECONDS) if self._news.owes else LOOK_SECONDS)
        # Whoever listens next hears of what moves from then on; who comes back has missed something.
        self._news = News(self._site.kept)
        self._place += 2
        self._history.clear()

    def _round(self) -> list[Happening]:
        def wanted(account: str) -> bool:
            return any(each.viewer.sees(account) and each.account in (None, account) for each in self._listeners)

        with self._site.open_store() as store:
            return self._news.round(store, self._site.clock.utc_ms(), wanted)

    def _tell(self, happening: Happening) -> None:
        self._place += 1
        told = Told(place=self._place, warning=self._news.warning, happening=happening)
        self._history.append(told)
        for listener in list(self._listeners):
            if not listener.hears(happening):
                continue
            if listener.queue.full():
                self._let_go(listener)
            else:
                listener.queue.put_nowait(told)

    def _let_go(self, listener: Listener) -> None:
        """P9: nobody's slowness fills the memory."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        if listener.queue.full():
            listener.queue.get_nowait()
        listener.queue.put_nowait(None)

    def _written(self, told: Told) -> bytes:
        return self._event(told.happening.kind, told.happening.data, place=told.place, warning=told.warning)

    def _event(self, kind: str, data: object, *, place: int, warning: int) -> bytes:
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        return f"id: {self._boot}-{place}-{warning}\nevent: {kind}\ndata: {text}\n\n".encode()


def _read(last: str | None) -> tuple[int | None, int, int | None]:
    """Process, place and warning of an id; what is no id of ours is none."""
    parts = (last or "").split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in parts):
        return None, 0, None
    return int(parts[0]), int(parts[1]), int(parts[2])
