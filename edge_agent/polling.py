"""The sources while they are polled: each in a task of its own, so that none waits for another."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from edge_agent.limits import (
    BACKLOG_WAIT_SECONDS,
    READ_SECONDS_MAX,
    READINGS_CHUNK_MAX,
    ROUND_GRACE_SECONDS,
    STOP_SECONDS_MAX,
)
from edge_agent.metering import Metering
from edge_agent.reading import HistoricSource, Reading, RememberingSource, Source, SourceDown, taken_once
from shared.effects.clock import Clock
from shared.liveness import Pulse

_LOG: Final = logging.getLogger(__name__)


class Polling:
    """Which sources are read, how often each was, and which are down and why."""

    def __init__(
        self,
        clock: Clock,
        *,
        take: Callable[[Source, Sequence[Reading]], None],
        failed: Callable[[Source], None],
        caught_up: Callable[[Source], None],
        has_room: Callable[[], bool],
    ) -> None:
        self.down: dict[str, str] = {}
        """Why a source cannot be read, by its name."""
        self._clock = clock
        self._take = take
        self._failed = failed
        self._caught_up = caught_up
        self._has_room = has_room
        self._rounds: Counter[str] = Counter()
        self._polls: dict[str, _Poll] = {}

    def begin(self, source: Source, group: asyncio.TaskGroup) -> None:
        """Read the source from now on; what its metering raises ends the group."""
        ending = asyncio.Event()
        self._polls[source.name] = _Poll(source, ending, group.create_task(self._poll(source, ending)))

    async def end(self, sources: Iterable[Source]) -> None:
        """Read these no more; what they have counted since the last reading is taken a last time."""
        await _ended([self._polls.pop(source.name) for source in sources])
        self.down = {name: why for name, why in self.down.items() if name in self._polls}

    async def read_all(self) -> list[str]:
        """Read every live source once, now; returns the names of those that could not be."""
        polled = [poll.source for poll in self._polls.values() if not isinstance(poll.source, HistoricSource)]
        read = await asyncio.gather(*(self._read(source) for source in polled))
        return [source.name for source, good in zip(polled, read, strict=True) if not good]

    def pulses(self) -> Mapping[str, Pulse]:
        """Each source's rounds, and how long one may take."""
        return {
            f"source {name}": Pulse(
                self._rounds[name], poll.source.poll_seconds + READ_SECONDS_MAX + ROUND_GRACE_SECONDS
            )
            for name, poll in self._polls.items()
        }

    async def _poll(self, source: Source, ending: asyncio.Event) -> None:
        historic = source if isinstance(source, HistoricSource) else None
        caught_up = False
        last = False
        while not last:
            last = ending.is_set()
            self._rounds[source.name] += 1
            began_ms = self._clock.boot_ms()
            if historic is not None:
                await self._room_for_history(source)
            read = await self._read(source)
            if historic is None or historic.caught_up or not read:
                if historic is not None and historic.caught_up and not caught_up:
                    caught_up = True
                    self._caught_up(source)
                    _LOG.info("event=caught_up source=%s", source.name)
                spent = (self._clock.boot_ms() - began_ms) / 1_000
                await self._rest(max(0.0, source.poll_seconds - spent), ending if taken_once(source) else None)

    async def _rest(self, seconds: float, ending: asyncio.Event | None) -> None:
        """Wait for the next reading; who is to be asked a last time is woken by the end."""
        if ending is None:
            await self._clock.sleep(seconds)
            return
        waits = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(ending.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _room_for_history(self, source: Source) -> None:
        """P9: history waits while the collector has much to confirm, or the spool is all but full."""
        while not self._has_room():
            self._rounds[source.name] += 1
            await self._clock.sleep(BACKLOG_WAIT_SECONDS)
        await asyncio.sleep(0)

    async def _read(self, source: Source) -> bool:
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                readings = await source.read()
        except (SourceDown, TimeoutError) as error:
            self._is_down(source, str(error) or f"no answer within {READ_SECONDS_MAX:.0f} seconds")
            return False
        except Exception as error:  # noqa: BLE001 - a source may break in any way and must not stop the others.
            _LOG.exception("event=source_broken source=%s", source.name)
            self._is_down(source, f"{type(error).__name__}: {error}")
            return False
        if source.name in self.down:
            del self.down[source.name]
            _LOG.info("event=source_up source=%s", source.name)
        for at in range(0, max(1, len(readings)), READINGS_CHUNK_MAX):
            self._take(source, readings[at : at + READINGS_CHUNK_MAX])
        return True

    def _is_down(self, source: Source, why: str) -> None:
        if source.name not in self.down:
            _LOG.warning('event=source_down source=%s why="%s"', source.name, why)
        self.down[source.name] = why
        self._failed(source)


class _Poll(NamedTuple):
    source: Source
    ending: asyncio.Event
    task: asyncio.Task[None]


async def _ended(polls: Sequence[_Poll]) -> None:
    """They have ended; what was counted since the last reading has been taken a last time.

    P1: it would be lost with its source.
    """
    for poll in polls:
        if taken_once(poll.source):
            poll.ending.set()
        else:
            poll.task.cancel()
    if polls:
        await asyncio.wait([poll.task for poll in polls], timeout=STOP_SECONDS_MAX)
    for poll in polls:
        poll.task.cancel()


def remind(sources: Iterable[Source], metering: Metering) -> None:
    """Sources go on from what is metered already: history after its last reading, counters in the life they were in."""
    for source in sources:
        if isinstance(source, RememberingSource):
            source.remember(metering.generations())
        if isinstance(source, HistoricSource):
            known = [metering.resume_at(log) for log in sorted({spec.log for spec in source.channels})]
            seen = [utc for utc in known if utc is not None]
            if seen and len(seen) == len(known):
                source.resume(min(seen))
