"""`edge-agent run`: the real effects, the signals, the door; no rule."""

import asyncio
import json
import logging
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from edge_agent.agent import Agent
from edge_agent.cli.exits import Exit
from edge_agent.disk import FileDisk
from edge_agent.identity import read_public_key, read_signing_key
from edge_agent.invalid import ConfigInvalid
from edge_agent.local import answering, door_of
from edge_agent.plain import record
from edge_agent.preview import read_sources
from edge_agent.settings import AgentSettings
from edge_agent.sources.choice import source_of
from shared.effects.clock import Clock, SystemClock
from shared.effects.link import Link, Session, Will
from shared.effects.log import log_to_stderr
from shared.effects.mqtt import MqttLink
from shared.errors import LinkError

_LOG: Final = logging.getLogger(__name__)
_OPEN_POLL_SECONDS: Final = 0.05
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def run(config: Path, flags: Sequence[str], *, log_level: str = "info") -> Exit:
    """Meter, seal and send until SIGTERM or SIGINT; raises MetersealError with what ended it."""
    settings = settings_of(config, flags)
    log_to_stderr(log_level)
    asyncio.run(_run(settings))
    return Exit.OK


def settings_of(config: Path, flags: Sequence[str]) -> AgentSettings:
    """The settings as a short-lived child has checked them, so that this process stays small; raises ConfigInvalid."""
    child = subprocess.run(  # noqa: S603 - this very program, on the file and flags that its user named.
        [sys.executable, "-m", "edge_agent.config", str(config), *flags], capture_output=True, text=True, check=False
    )
    if child.returncode:
        raise ConfigInvalid(child.stderr.strip())
    return record(AgentSettings, json.loads(child.stdout))


async def _run(settings: AgentSettings) -> None:
    clock = SystemClock(trusted=settings.wall_clock == "trusted")
    link = WatchedLink(MqttLink(settings.broker, settings.gateway, dates_checked=_dates_checked(clock)), clock)
    sources = [source_of(each, clock) for each in settings.sources]
    agent = Agent(
        settings,
        key=read_signing_key(settings.key_file),
        receipt_keys=[read_public_key(file) for file in settings.receipt_key_files],
        sources=sources,
        clock=clock,
        link=link,
        disk=FileDisk(settings.spool_path),
        random=random.SystemRandom(),
        memory_bytes=memory_bytes,
    )

    async def answer(question: str) -> dict[str, Any]:
        match question:
            case "status":
                return agent.status() | {"link": link.state(), "rss_bytes": memory_bytes(), "pid": os.getpid()}
            case "read":
                return {"rows": await read_sources(sources, agent.preview)}
            case _:
                return {"error": "the questions are status and read"}

    loop = asyncio.get_running_loop()
    ending: list[asyncio.Task[None]] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: ending.append(asyncio.ensure_future(agent.stop())))
    door = asyncio.ensure_future(_keep_door(settings, agent, answer))
    try:
        await agent.run()
    finally:
        door.cancel()
        await asyncio.wait([door])
    _LOG.info("event=agent_stopped")


async def _keep_door(settings: AgentSettings, agent: Agent, answer: Any) -> None:
    """Answer at the door once the spool is held, so that a second agent never takes over the first one's."""
    while not agent.status():  # noqa: ASYNC110 - the agent knows nothing of doors.
        await asyncio.sleep(_OPEN_POLL_SECONDS)
    try:
        async with answering(door_of(settings.spool_path), answer):
            await asyncio.Event().wait()
    except OSError as error:
        _LOG.warning('event=no_door why="%s: `edge-agent status` cannot ask this agent"', error)


class WatchedLink:
    """A link that remembers how it stands, for people who ask."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._since_ms = clock.boot_ms()
        self._up = False
        self._why: str | None = "not tried yet"

    def state(self) -> dict[str, Any]:
        """Whether it is up, for how long, and why not."""
        seconds = (self._clock.boot_ms() - self._since_ms) // 1_000
        return {"up": self._up, "seconds": seconds, "why": self._why}

    @asynccontextmanager
    async def session(self, *, will: Will | None = None) -> AsyncIterator[Session]:
        """Connect."""
        try:
            async with self._link.session(will=will) as session:
                self._became(up=True, why=None)
                yield session
        except LinkError as error:
            self._became(up=False, why=str(error))
            raise
        finally:
            if self._up:
                self._became(up=False, why="the session ended")

    def _became(self, *, up: bool, why: str | None) -> None:
        if up is not self._up:
            self._since_ms = self._clock.boot_ms()
        self._up, self._why = up, why


def memory_bytes() -> int:
    """This process's resident set. Source: proc_pid_statm(5)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES


def _dates_checked(clock: Clock) -> Callable[[], bool]:
    """P13: certificates' dates are checked once the clock has been right in this boot, and never before."""
    been_right = [False]

    def checked() -> bool:
        been_right[0] = been_right[0] or clock.synchronised()
        return been_right[0]

    return checked
