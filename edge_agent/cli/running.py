"""A running agent with everything around it: signals, the door, the service manager, reload."""

import asyncio
import dataclasses
import logging
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from edge_agent.agent import Agent
from edge_agent.certificate import CertificateKeeper
from edge_agent.cli.exits import Exit
from edge_agent.cli.watched import WatchedLink
from edge_agent.disk import FileDisk
from edge_agent.enrolment import Enrolment
from edge_agent.home_link import HomeLink
from edge_agent.identity import KeyUnusable, read_public_key, read_signing_key
from edge_agent.invalid import ConfigInvalid
from edge_agent.keyring import FileKeyring
from edge_agent.last_good import LastGood
from edge_agent.local import FIT, answering, door_of
from edge_agent.overheard import OverheardLink
from edge_agent.preview import read_sources
from edge_agent.reading import Source
from edge_agent.reload import change
from edge_agent.settings import AgentSettings, SourceSettings
from edge_agent.sources.choice import source_of
from edge_agent.summary import summary
from shared.effects.clock import Clock, SystemClock
from shared.effects.link import Link
from shared.effects.mqtt import MqttLink
from shared.effects.notify import Notifier
from shared.errors import MetersealError, Refused
from shared.key import PublicKey
from shared.liveness import Liveness
from shared.topic import Leaf, topic_of

_LOG: Final = logging.getLogger(__name__)
_OPEN_POLL_SECONDS: Final = 0.05
STATUS_SECONDS: Final = 10.0
"""How often the service manager is told how it stands; its watchdog's beat comes at least three times in its time."""
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Running:
    """One agent of this process, from its start to its end."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        problem: str,
        read: Callable[[], AgentSettings],
        last_good: LastGood,
        notifier: Notifier,
        interval_pinned: bool = False,
    ) -> None:
        self._settings = settings
        self._read = read
        self._last_good = last_good
        self._notifier = notifier
        self._turn = asyncio.Lock()
        self._clock = SystemClock(trusted=settings.wall_clock == "trusted")
        self._dates_checked = _dates_checked(self._clock)
        self._certificate = CertificateKeeper(
            clock=self._clock,
            random=random.SystemRandom(),
            read=lambda: Enrolment.read(self._settings.enrolment_file),
            key_id=lambda: read_signing_key(self._settings.key_file).public.id,
            renew=self._renew,
        )
        self._link = self._new_link(settings)
        self._receipt_keys = _receipt_keys(settings)
        self._sources = {each.name: _source(each, self._clock) for each in settings.sources}
        self._agent = Agent(
            settings,
            key=read_signing_key(settings.key_file),
            receipt_keys=self._receipt_keys,
            sources=tuple(self._sources.values()),
            clock=self._clock,
            link=self._link,
            disk=FileDisk(settings.spool_path),
            random=random.SystemRandom(),
            memory_bytes=memory_bytes,
            config_problem=problem,
            recovery_keys=[read_public_key(file) for file in settings.recovery_key_files],
            keyring=FileKeyring(settings.key_file, settings.spool_path),
            interval_pinned=interval_pinned,
        )
        self._safe_mode = bool(problem)
        self._asides: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Run the agent until SIGTERM or SIGINT; raises MetersealError with what ended it."""
        loop = asyncio.get_running_loop()
        asked: list[asyncio.Task[Any]] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: asked.append(asyncio.ensure_future(self._stop())))
        loop.add_signal_handler(signal.SIGHUP, lambda: asked.append(asyncio.ensure_future(self.reload())))
        beside = [
            asyncio.ensure_future(work) for work in (self._keep_door(), self._tell_manager(), self._keep_certificate())
        ]
        self._begin_asides("status", "home_assistant")
        try:
            await self._agent.run()
        finally:
            beside += self._asides.values()
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)
        _LOG.info("event=agent_stopped")

    def status(self) -> dict[str, Any]:
        """How it stands, as plain JSON data; empty until the spool is open."""
        found = self._agent.status()
        return found and found | {"link": self._link.state(), "rss_bytes": memory_bytes(), "pid": os.getpid()}

    async def reload(self) -> dict[str, Any]:
        """Take the configuration as it is on disk now, or say why not and go on as before."""
        async with self._turn:
            self._notifier.reloading()
            answer = await self._reloaded()
            if answer["ok"]:
                _LOG.info('event=reloaded change="%s"', answer["change"])
            else:
                self._agent.note_config(answer["why"])
                _LOG.error('event=reload_refused why="%s"', answer["why"])
            self._notifier.ready(summary(self.status(), self._clock.utc_ms()) if self.status() else "")
            return answer

    async def _reloaded(self) -> dict[str, Any]:
        try:
            settings = await asyncio.to_thread(self._read)
            difference = change(self._settings, settings)
            if difference.takes_restart:
                return _refused(f"{', '.join(difference.takes_restart)}: only a restart takes this", Exit.REFUSED)
            sources = {
                each.name: self._sources[each.name]
                if each.name not in (*difference.added, *difference.changed)
                else _source(each, self._clock)
                for each in settings.sources
            }
            keys = _receipt_keys(settings)
        except (ConfigInvalid, KeyUnusable) as error:
            return _refused(str(error), Exit.USAGE)
        link = self._new_link(settings) if difference.of_link else None
        refused = await self._agent.reconfigure(
            settings,
            tuple(sources.values()),
            link=link,
            receipt_keys=keys if keys != self._receipt_keys else None,
        )
        if isinstance(refused, Refused):
            return _refused(refused.reason, Exit.USAGE)
        self._settings, self._sources, self._receipt_keys = settings, sources, keys
        self._link = link or self._link
        self._safe_mode = False
        self._last_good.keep(settings)
        # A new link hands warnings to a new way home.
        self._begin_asides(*difference.options, *(["home_assistant"] if link is not None else []))
        return {"ok": True, "change": str(difference)}

    async def _answer(self, question: str) -> dict[str, Any]:
        match question:
            case "status":
                return self.status()
            case "read":
                return {"rows": await read_sources(list(self._sources.values()), self._agent.preview)}
            case "reload":
                return await self.reload()
            case "rotate":
                return {"key": await self._agent.rotate_key()} if self._agent.status() else {}
            case _ if question.startswith(FIT):
                return await self._agent.fit(question.removeprefix(FIT))
            case _:
                return {"error": "the questions are status, read, reload and rotate"}

    async def _stop(self) -> None:
        self._notifier.stopping("stopping: what is metered is committed, and the collector told")
        await self._agent.stop()

    async def _keep_door(self) -> None:
        """Answer at the door once the spool is held, so that a second agent never takes over the first one's."""
        while not self._agent.status():  # noqa: ASYNC110 - the agent knows nothing of doors.
            await asyncio.sleep(_OPEN_POLL_SECONDS)
        if not self._safe_mode and not self._last_good.keep(self._settings):
            _LOG.info("event=last_good_not_kept file=%s", self._last_good.files[-1])
        try:
            async with answering(door_of(self._settings.spool_path), self._answer):
                await asyncio.Event().wait()
        except OSError as error:
            _LOG.warning('event=no_door why="%s: `edge-agent status` cannot ask this agent"', error)

    def _begin_asides(self, *options: str) -> None:
        """What people may want besides goes on as these options say now; metering depends on none of it."""
        known = {"status": self._keep_page, "home_assistant": self._keep_home}
        for name in known.keys() & set(options):
            if name in self._asides:
                self._asides[name].cancel()
            self._asides[name] = asyncio.ensure_future(known[name]())

    async def _keep_home(self) -> None:
        if self._home is not None:
            await self._home.run()

    async def _keep_page(self) -> None:
        where = self._settings.status
        if not where.listen:
            return
        from edge_agent.status_server import serving  # noqa: PLC0415 - few gateways serve a page.

        try:
            async with serving(where.host, where.port, self.status, self._clock.utc_ms):
                _LOG.info("event=page_served listen=%s", where.listen)
                await asyncio.Event().wait()
        except OSError as error:
            _LOG.warning('event=no_page listen=%s why="%s"', where.listen, error)

    async def _tell_manager(self) -> None:
        """READY once the spool is held, then how it stands; the watchdog's beat while every loop turns."""
        if not self._notifier.listened_to:
            return
        while not self._agent.status():  # noqa: ASYNC110 - as above.
            await asyncio.sleep(_OPEN_POLL_SECONDS)
        self._notifier.ready(summary(self.status(), self._clock.utc_ms()))
        liveness = Liveness()
        watched = self._notifier.watchdog_seconds
        pause = STATUS_SECONDS if watched is None else min(STATUS_SECONDS, watched / 3)
        loop = asyncio.get_running_loop()
        while True:
            stuck = liveness.stuck(self._agent.pulses(), loop.time())
            if stuck:
                # Without a beat the manager ends this process and starts it anew; what is committed is safe (P2).
                _LOG.error('event=stuck loops="%s"', ", ".join(stuck))
            else:
                self._notifier.beat()
            found = self.status()
            if found:
                self._notifier.status(summary(found, self._clock.utc_ms()))
            await asyncio.sleep(pause)

    async def _keep_certificate(self) -> None:
        if self._settings.enrolment_file is not None:
            await self._certificate.keep()

    async def _renew(self) -> str:
        """Renew in a child that is gone afterwards; why not, or nothing."""
        arguments = ("-m", "edge_agent.renewal", str(self._settings.enrolment_file), str(self._settings.key_file))
        child = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        said = (await child.communicate())[1].decode("utf-8", "replace").strip()
        return said.rpartition("\n")[2] or f"it ended with {child.returncode}" if child.returncode else ""

    def _new_link(self, settings: AgentSettings) -> WatchedLink:
        broker = settings.broker
        if broker.cert_file is not None and broker.key_file is None:
            # The key that signs is the key that the certificate is for.
            broker = dataclasses.replace(broker, key_file=settings.key_file)
        real: Link = MqttLink(broker, settings.gateway, dates_checked=self._dates_checked)
        self._home = self._new_home(settings)
        if self._home is not None:
            alerts = topic_of(settings.gateway, Leaf.ALERT, settings.prefix)
            real = OverheardLink(real, alerts, self._home.pass_on)
        return WatchedLink(real, self._clock, self._certificate.refused)

    def _new_home(self, settings: AgentSettings) -> HomeLink | None:
        home = settings.home_assistant
        if not home.host:
            return None
        link = MqttLink(home.broker(), f"meterseal-{settings.gateway}", durable=False)
        return HomeLink(home, link, self._clock, self.status)


def memory_bytes() -> int:
    """This process's resident set. Source: proc_pid_statm(5)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES


def _source(settings: SourceSettings, clock: Clock) -> Source:
    try:
        return source_of(settings, clock)
    except MetersealError as error:
        raise ConfigInvalid(f"the source {settings.name}: {error}") from error


def _receipt_keys(settings: AgentSettings) -> Sequence[PublicKey]:
    return [read_public_key(file) for file in settings.receipt_key_files]


def _refused(why: str, code: Exit) -> dict[str, Any]:
    return {"ok": False, "why": why, "exit": int(code)}


def _dates_checked(clock: Clock) -> Callable[[], bool]:
    """P13: certificates' dates are checked once the clock has been right in this boot, and never before."""
    been_right = [False]

    def checked() -> bool:
        been_right[0] = been_right[0] or clock.synchronised()
        return been_right[0]

    return checked
