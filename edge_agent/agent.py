"""The agent: wiring, tasks and shutdown; no rule lives here.

At start: the spool is opened or salvaged, metering restored, the window left open sealed, births
sealed. Then sources are polled, each in a task of its own, what is due is sealed, the rest committed
every `commit_seconds`, and the uplink sends. Nothing relies on an orderly end: a power cut is one.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from edge_agent.disk import Disk
from edge_agent.limits import (
    BACKLOG_LINES_MAX,
    BACKLOG_WAIT_SECONDS,
    KEEPER_SECONDS_MIN,
    READ_SECONDS_MAX,
    READINGS_CHUNK_MAX,
    SPOOL_ROOM_LOOK_SECONDS,
    STOP_SECONDS_MAX,
)
from edge_agent.loss import declare_loss
from edge_agent.meter_state import Metered, MeterState
from edge_agent.metering import Metering
from edge_agent.reading import CommittedSource, HistoricSource, Reading, Source, SourceDown, taken_once
from edge_agent.sealed import Author
from edge_agent.settings import AgentSettings
from edge_agent.spool import Spool
from edge_agent.timekeeping import Tick
from edge_agent.uplink import Uplink
from shared.effects.clock import Clock
from shared.effects.link import Link
from shared.key import PublicKey, SigningKey
from shared.line import hash_of

_LOG: Final = logging.getLogger(__name__)
AGENT: Final = "meterseal 0.1.0"


class Agent:
    """One gateway's agent, everything it touches handed in."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        key: SigningKey,
        receipt_keys: Sequence[PublicKey],
        sources: Sequence[Source],
        clock: Clock,
        link: Link,
        disk: Disk,
        random: random.Random,
        memory_bytes: Callable[[], int] | None = None,
    ) -> None:
        self._settings = settings
        self._key = key
        self._receipt_keys = tuple(receipt_keys)
        self._sources = tuple(sources)
        self._specs = tuple(spec for source in self._sources for spec in source.channels)
        self._clock = clock
        self._link = link
        self._disk = disk
        self._random = random
        self._memory_bytes = memory_bytes
        self._down: dict[str, str] = {}
        self._stopping = asyncio.Event()
        self._finished = asyncio.Event()
        self._committed_ms = 0
        self._opened = False
        self._spool: Spool
        self._metering: Metering
        self._uplink: Uplink

    async def run(self) -> None:
        """Meter, seal and send until `stop`; raises DatabaseError, SpoolFull when the disk fails or is full."""
        try:
            self._open_spool()
            try:
                if not self._spool.has_room():
                    await self._make_room()
                if not self._stopping.is_set():
                    self._start()
                    await self._serve()
            finally:
                self._opened = False
                self._spool.close()
        finally:
            self._finished.set()

    async def stop(self) -> None:
        """Ask `run` to commit, say farewell and return; returns when it has."""
        self._stopping.set()
        await self._finished.wait()

    def status(self) -> dict[str, Any]:
        """What people ask of a running agent, as plain JSON data; empty until the spool is open."""
        if not self._opened:
            return {}
        registers = self._metering.registers()
        return {
            "agent": AGENT,
            "gateway": self._settings.gateway,
            "epoch": self._spool.epoch,
            "synchronised": self._clock.synchronised(),
            "backlog_lines": self._spool.waiting_count,
            "backlog_oldest": self._spool.waiting_oldest_sealed_at(),
            "spool_bytes": self._spool.bytes_used,
            "spool_bytes_max": self._spool.bytes_max,
            "last_receipt_ms": self._spool.last_receipt_at,
            "sources": [{"name": source.name, "down": self._down.get(source.name)} for source in self._sources],
            "channels": [
                [spec.device, spec.meter, spec.unit, spec.exponent, spec.log, *registers.get(spec.name, (None, None))]
                for spec in self._specs
            ],
        }

    def preview(self, reading: Reading) -> tuple[MeterState, Metered] | None:
        """What a live reading would turn out to be; nothing is changed."""
        return self._metering.preview(reading, self._tick()) if self._opened else None

    async def _serve(self) -> None:
        async with _one_failure(), asyncio.TaskGroup() as group:
            sending = group.create_task(self._uplink.run())
            polls = [(source, group.create_task(self._poll(source))) for source in self._sources]
            ending = [poll for source, poll in polls if not taken_once(source)]
            ending.append(group.create_task(self._keep()))
            counting = [poll for source, poll in polls if taken_once(source)]
            group.create_task(self._end_when_asked(ending, counting, sending))

    def _open_spool(self) -> None:
        settings = self._settings
        self._spool = Spool.open(
            self._disk,
            gateway=settings.gateway,
            key=self._key,
            author=Author(agent=AGENT, config=_config_hash(settings, self._sources)),
            random=self._random,
            bytes_max=settings.spool_bytes_max,
        )

    def _start(self) -> None:
        settings, tick = self._settings, self._tick()
        snapshot = self._spool.snapshot()
        step, count = settings.step_seconds, settings.interval_count
        if snapshot is None:
            self._metering = Metering(self._specs, step=step, count=count, tick=tick)
        else:
            self._metering = Metering.restore(snapshot, self._specs, step=step, count=count, tick=tick)
        self._uplink = self._new_uplink(self._begin_epoch)
        if self._spool.contradicted:
            self._begin_epoch()
        else:
            if snapshot is None:
                self._metering.declare(declare_loss(self._spool.last_usage, self._specs, tick))
            self._spool.seal(self._metering.due(tick), self._metering.snapshot())
        self._committed_ms = tick.boot_ms
        self._resume_historic()
        self._opened = True
        _LOG.info(
            "event=agent_started gateway=%s epoch=%s origin=%s waiting_lines=%d",
            settings.gateway,
            self._spool.epoch,
            self._spool.origin,
            self._spool.waiting_count,
        )

    def _new_uplink(self, on_contradicted: Callable[[], None]) -> Uplink:
        return Uplink(
            spool=self._spool,
            receipt_keys=self._receipt_keys,
            clock=self._clock,
            link=self._link,
            random=self._random,
            on_contradicted=on_contradicted,
            health=self._health,
            prefix=self._settings.prefix,
            drain_delay_seconds=self._settings.drain_delay_seconds,
            reconnect_seconds_max=self._settings.reconnect_seconds_max,
        )

    async def _make_room(self) -> None:
        """Send what a full spool holds before anything is metered; ending at once would leave it full for ever."""
        _LOG.error("event=spool_full waiting_lines=%d", self._spool.waiting_count)
        # A contradiction is remembered by the spool; the new epoch begins with the metering.
        uplink = self._new_uplink(lambda: None)
        async with _one_failure(), asyncio.TaskGroup() as group:
            sending = group.create_task(uplink.run())
            while not self._spool.has_room() and not self._stopping.is_set():
                await self._clock.sleep(SPOOL_ROOM_LOOK_SECONDS)
            uplink.close()
            await asyncio.wait([sending], timeout=STOP_SECONDS_MAX)
            sending.cancel()

    def _resume_historic(self) -> None:
        for source in self._sources:
            if isinstance(source, HistoricSource):
                known = [self._metering.resume_at(log) for log in sorted({spec.log for spec in source.channels})]
                seen = [utc for utc in known if utc is not None]
                if seen and len(seen) == len(known):
                    source.resume(min(seen))

    async def _poll(self, source: Source) -> None:
        historic = source if isinstance(source, HistoricSource) else None
        caught_up = False
        last = False
        while not last:
            last = self._stopping.is_set()
            began_ms = self._clock.boot_ms()
            if historic is not None:
                await self._room_for_history()
            read = await self._read(source)
            if historic is None or historic.caught_up or not read:
                if historic is not None and historic.caught_up and not caught_up:
                    caught_up = True
                    self._end_history(source)
                spent = (self._clock.boot_ms() - began_ms) / 1_000
                await self._rest(max(0.0, source.poll_seconds - spent), woken=taken_once(source))

    async def _rest(self, seconds: float, *, woken: bool) -> None:
        """Wait for the next reading; who is to be asked a last time is woken by the end."""
        if not woken:
            await self._clock.sleep(seconds)
            return
        waits = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._stopping.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _room_for_history(self) -> None:
        """P9: history waits while the collector has much to confirm, or the spool is all but full."""
        while self._spool.waiting_count >= BACKLOG_LINES_MAX or not self._spool.has_room():
            await self._clock.sleep(BACKLOG_WAIT_SECONDS)
        await asyncio.sleep(0)

    async def _read(self, source: Source) -> bool:
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                readings = await source.read()
        except (SourceDown, TimeoutError) as error:
            self._source_failed(source, str(error) or f"no answer within {READ_SECONDS_MAX:.0f} seconds")
            return False
        except Exception as error:  # noqa: BLE001 - a source may break in any way and must not stop the others.
            _LOG.exception("event=source_broken source=%s", source.name)
            self._source_failed(source, f"{type(error).__name__}: {error}")
            return False
        if source.name in self._down:
            del self._down[source.name]
            _LOG.info("event=source_up source=%s", source.name)
        for at in range(0, max(1, len(readings)), READINGS_CHUNK_MAX):
            self._observe(source, readings[at : at + READINGS_CHUNK_MAX])
        return True

    def _observe(self, source: Source, readings: Sequence[Reading]) -> None:
        refused = self._metering.observe(readings, self._tick())
        for reading in refused[:1]:
            _LOG.warning(
                "event=readings_refused source=%s count=%d first=%s.%s",
                source.name,
                len(refused),
                reading.device,
                reading.meter,
            )
        if not self._seal_due() and any(reading.utc is not None for reading in readings):
            self._commit()

    def _source_failed(self, source: Source, why: str) -> None:
        self._metering.source_failed(source.channels, self._tick())
        if source.name not in self._down:
            _LOG.warning('event=source_down source=%s why="%s"', source.name, why)
        self._down[source.name] = why
        self._seal_due()

    def _end_history(self, source: Source) -> None:
        for log in sorted({spec.log for spec in source.channels}):
            self._metering.caught_up(log)
        _LOG.info("event=caught_up source=%s", source.name)
        self._seal_due()

    async def _keep(self) -> None:
        """Seal every window when it ends, and commit in between."""
        commit_ms = self._settings.commit_seconds * 1_000
        while True:
            now_ms = self._clock.boot_ms()
            until_ms = min(self._metering.next_due_ms(), self._committed_ms + commit_ms)
            await self._clock.sleep(max(KEEPER_SECONDS_MIN, (until_ms - now_ms) / 1_000))
            sealed = self._seal_due()
            if not sealed and self._clock.boot_ms() >= self._committed_ms + commit_ms:
                self._commit()

    def _seal_due(self) -> bool:
        due = self._metering.due(self._tick())
        if due:
            self._spool.seal(due, self._metering.snapshot())
            self._is_committed()
            self._uplink.wake()
        return bool(due)

    def _commit(self) -> None:
        self._spool.commit(self._metering.snapshot())
        self._is_committed()

    def _is_committed(self) -> None:
        self._committed_ms = self._clock.boot_ms()
        for source in self._sources:
            if isinstance(source, CommittedSource):
                source.committed()

    def _begin_epoch(self) -> None:
        self._metering.new_epoch()
        births = self._metering.due(self._tick())
        self._spool.begin_epoch(births, self._metering.snapshot(), random=self._random)
        self._committed_ms = self._clock.boot_ms()
        self._uplink.wake()
        _LOG.error("event=epoch_begun epoch=%s", self._spool.epoch)

    async def _end_when_asked(
        self,
        tasks: Sequence[asyncio.Task[None]],
        counting: Sequence[asyncio.Task[None]],
        sending: asyncio.Task[None],
    ) -> None:
        await self._stopping.wait()
        for task in tasks:
            task.cancel()
        # P1: what was counted since the last reading would be lost with this process: it is taken a last time.
        if counting:
            await asyncio.wait(counting, timeout=STOP_SECONDS_MAX)
        for task in counting:
            task.cancel()
        self._commit()
        self._uplink.close()
        # A link that hangs must not keep the process: the will says offline in its place.
        await asyncio.wait([sending], timeout=STOP_SECONDS_MAX)
        sending.cancel()
        for source in self._sources:
            await source.close()

    def _tick(self) -> Tick:
        clock = self._clock
        return Tick(
            boot_ms=clock.boot_ms(),
            utc_ms=clock.utc_ms(),
            synchronised=clock.synchronised(),
            boot_id=clock.boot_id(),
        )

    def _health(self) -> Mapping[str, Any]:
        return {
            "rss_bytes": None if self._memory_bytes is None else self._memory_bytes(),
            "sources_down": sorted(self._down),
        }


@asynccontextmanager
async def _one_failure() -> AsyncIterator[None]:
    """One failure ends the agent; what else fell in the same moment followed from it."""
    try:
        yield
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _config_hash(settings: AgentSettings, sources: Sequence[Source]) -> str:
    """The hash of what decides how this agent meters."""
    channels = [
        [spec.device, spec.meter, spec.unit, spec.exponent, spec.kind.value, spec.source, spec.log, spec.rate_max]
        for source in sources
        for spec in source.channels
    ]
    text = json.dumps([settings.step_seconds, settings.interval_count, channels], separators=(",", ":"))
    return hash_of(text.encode())
