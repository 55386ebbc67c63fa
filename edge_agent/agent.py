"""The agent: wiring, tasks and shutdown; no rule lives here.

At start: the spool is opened or salvaged, metering restored, the window left open sealed, births
sealed. Then sources are polled, each in a task of its own, what is due is sealed, the rest committed
every `commit_seconds`, and the uplink sends. Nothing relies on an orderly end: a power cut is one.
"""

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from edge_agent import kept
from edge_agent.commands import Commands
from edge_agent.disk import Disk
from edge_agent.failing import one_failure
from edge_agent.fitting import Fitting
from edge_agent.keyring import Keyring, MemoryKeyring
from edge_agent.limits import (
    BACKLOG_LINES_MAX,
    KEEPER_SECONDS_MIN,
    ROUND_GRACE_SECONDS,
    SPOOL_ROOM_LOOK_SECONDS,
    STATE_PROBLEM_CHARS_MAX,
    STOP_SECONDS_MAX,
)
from edge_agent.meter_state import Metered, MeterState
from edge_agent.metering import Metering, SpecChanged
from edge_agent.orders import Orders
from edge_agent.polling import Polling, remind
from edge_agent.reading import CommittedSource, Reading, Source, absent_of
from edge_agent.sealing import AGENT, Sealing
from edge_agent.settings import AgentSettings
from edge_agent.signing import Signing
from edge_agent.spool import Spool
from edge_agent.uplink import ONLINE, Obey, Uplink
from shared.effects.clock import Clock
from shared.effects.link import Link
from shared.errors import InvalidRecord, Refused
from shared.key import PublicKey, SigningKey
from shared.liveness import Pulse

_LOG: Final = logging.getLogger(__name__)


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
        config_problem: str = "",
        recovery_keys: Sequence[PublicKey] = (),
        keyring: Keyring | None = None,
        interval_pinned: bool = False,
    ) -> None:
        """Without a keyring, later keys than `key` end with the process."""
        self._settings = settings
        self._signing = Signing(keyring or MemoryKeyring(key), random, receipt_keys)
        self._recovery_keys = tuple(recovery_keys)
        self._sources = tuple(sources)
        self._specs = tuple(spec for source in self._sources for spec in source.channels)
        self._clock = clock
        self._link = link
        self._disk = disk
        self._random = random
        self._memory_bytes = memory_bytes
        self._config_problem = config_problem
        self._safe_mode = bool(config_problem)
        self._rounds: Counter[str] = Counter()
        self._polling = Polling(
            clock,
            take=self._observe,
            failed=self._source_failed,
            caught_up=self._end_history,
            has_room=lambda: self._spool.waiting_count < BACKLOG_LINES_MAX and self._spool.has_room(),
        )
        self._sealing = Sealing(
            settings,
            self._specs,
            signing=self._signing,
            clock=clock,
            random=random,
            interval_pinned=interval_pinned,
            committed=self._is_committed,
            sealed=self._is_sealed,
        )
        self._interval_pinned = interval_pinned
        self._stopping = asyncio.Event()
        self._finished = asyncio.Event()
        self._opened = self._making_room = False
        self._group: asyncio.TaskGroup
        self._sending: asyncio.Task[None]
        self._commands: Commands
        self._uplink: Uplink

    async def run(self) -> None:
        """Meter, seal and send until `stop`; raises DatabaseError, SpoolFull when the disk fails or is full."""
        try:
            self._sealing.open(self._disk)
            try:
                if not self._spool.relieve():
                    await self._make_room()
                if not self._stopping.is_set():
                    self._start()
                    await self._serve()
            finally:
                self._opened = self._making_room = False
                self._spool.close()
        finally:
            self._finished.set()

    async def stop(self) -> None:
        """Ask `run` to commit, say farewell and return; returns when it has."""
        self._stopping.set()
        await self._finished.wait()

    def status(self) -> dict[str, Any]:
        """What people ask of a running agent, as plain JSON data; empty until the spool is open."""
        if not self._opened and not self._making_room:
            return {}
        registers = {} if self._making_room else self._metering.registers()
        return {
            "agent": AGENT,
            "config_problem": self._config_problem or None,
            "safe_mode": self._safe_mode,
            "making_room": self._making_room,
            "gateway": self._settings.gateway,
            "epoch": self._spool.epoch,
            "key": self._signing.current.public.id,
            "rotating": self._signing.rotating,
            "interval": [*self._sealing.interval],
            "interval_asked": self._spool.kept(kept.INTERVAL),
            "synchronised": self._clock.synchronised(),
            "backlog_lines": self._spool.waiting_count,
            "backlog_oldest": self._spool.waiting_oldest_sealed_at(),
            "spool_bytes": self._spool.bytes_used,
            "spool_bytes_max": self._spool.bytes_max,
            "last_receipt_ms": self._spool.last_receipt_at,
            "commissioned": self._spool.kept(kept.COMMISSIONED) or {},
            "sources": [
                {"name": source.name, "down": self._polling.down.get(source.name), "absent": dict(absent_of(source))}
                for source in self._sources
            ],
            "channels": [
                [spec.device, spec.meter, spec.unit, spec.exponent, spec.log, *registers.get(spec.name, (None, None))]
                for spec in self._specs
            ],
        }

    def preview(self, reading: Reading) -> tuple[MeterState, Metered] | None:
        """What a live reading would turn out to be; nothing is changed."""
        return self._metering.preview(reading, self._sealing.tick()) if self._opened else None

    async def rotate_key(self) -> str:
        """Go on with a new key from now on; returns its id. What it raises ends the agent as well."""

        async def rotated() -> str:
            return self._sealing.rotate_key()

        # In the agent's own group: a disk that fails ends the process, not whoever asked.
        return await self._group.create_task(rotated())

    async def fit(self, question: str) -> dict[str, Any]:
        """Do what people at the meter ask, in the agent's own group as well; see `edge_agent.fitting`."""
        fitting = Fitting(self._sealing, self._clock)
        return await self._group.create_task(fitting.asked(question)) if self._opened else {}

    @property
    def _spool(self) -> Spool:
        return self._sealing.spool

    @property
    def _metering(self) -> Metering:
        return self._sealing.metering

    def pulses(self) -> Mapping[str, Pulse]:
        """What must go on turning while this agent lives: making room, else committing and reading each source."""
        if self._making_room:
            return {"making room": Pulse(self._rounds["room"], SPOOL_ROOM_LOOK_SECONDS + ROUND_GRACE_SECONDS)}
        if not self._opened:
            return {}
        kept = {"committing": Pulse(self._rounds["commit"], self._settings.commit_seconds + ROUND_GRACE_SECONDS)}
        return {**kept, **self._polling.pulses()}

    def note_config(self, problem: str) -> None:
        """A new configuration could not be taken, or is again the one that runs: say so wherever it is asked."""
        self._config_problem = problem
        if self._opened:
            self._uplink.announce()

    async def reconfigure(
        self,
        settings: AgentSettings,
        sources: Sequence[Source],
        *,
        link: Link | None = None,
        receipt_keys: Sequence[PublicKey] | None = None,
    ) -> Refused | None:
        """Go on with other settings and without losing an interval; or say why not, and nothing has changed.

        Sources that stay are the same objects. A link is given where the way to the broker has changed.
        """
        if not self._opened or self._stopping.is_set():
            return Refused("the agent is not metering at this moment")
        try:
            self._metering.check([spec for source in sources for spec in source.channels])
        except (SpecChanged, InvalidRecord) as error:
            return Refused(str(error))
        # The rest runs in the agent's own group: what it raises ends the process, not whoever asked.
        await self._group.create_task(self._change_over(settings, tuple(sources), link, receipt_keys))
        return None

    async def _change_over(
        self, settings: AgentSettings, sources: tuple[Source, ...], link: Link | None, keys: Sequence[PublicKey] | None
    ) -> None:
        gone = [source for source in self._sources if source not in sources]
        new = [source for source in sources if source not in self._sources]
        await self._polling.end(gone)
        if not self._sealing.seal_due():
            self._sealing.commit()
        for source in gone:
            await source.close()
        self._settings, self._sources = settings, sources
        self._specs = tuple(spec for source in sources for spec in source.channels)
        self._sealing.reconfigure(settings, self._specs)
        self._config_problem, self._safe_mode = "", False
        remind(new, self._metering)
        for source in new:
            self._polling.begin(source, self._group)
        self._link = link or self._link
        if keys is not None:
            self._signing.configure(keys)
        if link is None and keys is None:
            self._uplink.announce()
        else:
            await self._end_sending()
            self._uplink = self._new_uplink(self._sealing.begin_epoch, self._commands.obey)
            self._sending = self._group.create_task(self._uplink.run())

    async def _end_sending(self) -> None:
        self._uplink.close()
        # A link that hangs must not keep the process: the will says offline in its place.
        await asyncio.wait([self._sending], timeout=STOP_SECONDS_MAX)
        self._sending.cancel()

    async def _serve(self) -> None:
        async with one_failure(), asyncio.TaskGroup() as self._group:
            self._sending = self._group.create_task(self._uplink.run())
            for source in self._sources:
                self._polling.begin(source, self._group)
            keeping = self._group.create_task(self._keep())
            self._group.create_task(self._end_when_asked(keeping))

    def _start(self) -> None:
        # Before anything is sealed: what it wakes is there.
        self._commands = self._new_commands()
        self._uplink = self._new_uplink(self._sealing.begin_epoch, self._commands.obey)
        self._sealing.start()
        remind(self._sources, self._metering)
        self._opened = True
        _LOG.info(
            "event=agent_started gateway=%s epoch=%s origin=%s waiting_lines=%d",
            self._settings.gateway,
            self._spool.epoch,
            self._spool.origin,
            self._spool.waiting_count,
        )

    def _new_commands(self) -> Commands:
        orders = Orders(
            settings=lambda: self._settings,
            pinned=self._interval_pinned,
            spool=self._spool,
            signing=self._signing,
            polling=self._polling,
            uplink=lambda: self._uplink,
            rotate=self._sealing.rotate_key,
            cut=self._sealing.cut,
            say_lost=self._sealing.say_lost,
        )
        return Commands(
            spool=self._spool,
            signing=self._signing,
            recovery_keys=self._recovery_keys,
            clock=self._clock,
            do=orders.do,
        )

    def _new_uplink(self, on_contradicted: Callable[[], None], obey: Obey | None = None) -> Uplink:
        return Uplink(
            spool=self._spool,
            receipt_keys=self._signing.receipt_keys,
            obey=obey,
            clock=self._clock,
            link=self._link,
            random=self._random,
            on_contradicted=on_contradicted,
            on_lost=self._sealing.say_forgotten,
            health=self._health,
            state=self._state,
            prefix=self._settings.prefix,
            drain_delay_seconds=self._settings.drain_delay_seconds,
            reconnect_seconds_max=self._settings.reconnect_seconds_max,
        )

    async def _make_room(self) -> None:
        """Send what a full spool holds before anything is metered; ending at once would leave it full for ever."""
        _LOG.error("event=spool_full waiting_lines=%d", self._spool.waiting_count)
        # A contradiction is remembered by the spool; the new epoch begins with the metering.
        uplink = self._new_uplink(lambda: None)
        self._making_room = True
        async with one_failure(), asyncio.TaskGroup() as group:
            sending = group.create_task(uplink.run())
            while not self._spool.relieve() and not self._stopping.is_set():
                self._rounds["room"] += 1
                await self._clock.sleep(SPOOL_ROOM_LOOK_SECONDS)
            self._making_room = False
            uplink.close()
            await asyncio.wait([sending], timeout=STOP_SECONDS_MAX)
            sending.cancel()

    def _observe(self, source: Source, readings: Sequence[Reading]) -> None:
        refused = self._metering.observe(readings, self._sealing.tick())
        for reading in refused[:1]:
            _LOG.warning(
                "event=readings_refused source=%s count=%d first=%s.%s",
                source.name,
                len(refused),
                reading.device,
                reading.meter,
            )
        if not self._sealing.seal_due() and any(reading.utc is not None for reading in readings):
            self._sealing.commit()

    def _source_failed(self, source: Source) -> None:
        self._metering.source_failed(source.channels, self._sealing.tick())
        self._sealing.seal_due()

    def _end_history(self, source: Source) -> None:
        for log in sorted({spec.log for spec in source.channels}):
            self._metering.caught_up(log)
        self._sealing.seal_due()

    async def _keep(self) -> None:
        """Seal every window when it ends, and commit in between."""
        commit_ms = self._settings.commit_seconds * 1_000
        while True:
            now_ms = self._clock.boot_ms()
            until_ms = min(self._metering.next_due_ms(), self._sealing.committed_ms + commit_ms)
            await self._clock.sleep(max(KEEPER_SECONDS_MIN, (until_ms - now_ms) / 1_000))
            sealed = self._sealing.seal_due()
            if not sealed and self._clock.boot_ms() >= self._sealing.committed_ms + commit_ms:
                self._sealing.commit()
            self._sealing.follow_rotation()

    def _is_sealed(self) -> None:
        self._uplink.wake()

    def _is_committed(self) -> None:
        self._rounds["commit"] += 1
        for source in self._sources:
            if isinstance(source, CommittedSource):
                source.committed()

    async def _end_when_asked(self, keeping: asyncio.Task[None]) -> None:
        await self._stopping.wait()
        keeping.cancel()
        await self._polling.end(self._sources)
        self._sealing.commit()
        await self._end_sending()
        for source in self._sources:
            await source.close()

    def _health(self) -> Mapping[str, Any]:
        return {
            "rss_bytes": None if self._memory_bytes is None else self._memory_bytes(),
            "sources_down": sorted(self._polling.down),
            "config_problem": self._config_problem or None,
        }

    def _state(self) -> bytes:
        """What the state topic says: that it lives, and what is wrong with its configuration."""
        if not self._config_problem:
            return ONLINE
        problem = self._config_problem[:STATE_PROBLEM_CHARS_MAX]
        return json.dumps({"state": "online", "config": problem}, separators=(",", ":")).encode()
