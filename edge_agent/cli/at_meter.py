"""The agent as somebody at the meter reaches it: at its door where it runs, else on its spool."""

import asyncio
import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from edge_agent.cli.at_hand import settings_at_hand
from edge_agent.cli.exits import Exit
from edge_agent.cli.person import say
from edge_agent.cli.run import interval_pinned
from edge_agent.cli.show import SpoolMissing, read_rows
from edge_agent.disk import FileDisk
from edge_agent.fitting import Fitting
from edge_agent.identity import read_public_key
from edge_agent.keyring import FileKeyring
from edge_agent.local import FIT, ask, door_of
from edge_agent.reading import ChannelSpec
from edge_agent.sealing import Sealing
from edge_agent.settings import AgentSettings
from edge_agent.signing import Signing
from edge_agent.sources.choice import source_of
from shared.effects.clock import Clock, SystemClock

_LIST: Final = "`edge-agent status` lists the channels"


class AtMeter:
    """One gateway's agent, running or not."""

    def __init__(self, config: Path, flags: Sequence[str]) -> None:
        self.settings: Final[AgentSettings] = settings_at_hand(config, flags)
        self._pinned = interval_pinned(flags, os.environ)
        self._clock = SystemClock(trusted=self.settings.wall_clock == "trusted")

    def rows(self) -> list[dict[str, Any]]:
        """Every channel as its source says it now."""
        return asyncio.run(read_rows(self.settings))

    def row(self, channel: str) -> dict[str, Any] | None:
        """One channel as its source says it now; None where it is not configured."""
        return next((row for row in self.rows() if f"{row['device']}.{row['meter']}" == channel), None)

    @property
    def runs(self) -> bool:
        """Whether the agent runs."""
        return bool(asyncio.run(ask(door_of(self.settings.spool_path), "status")))

    def tell(self, do: str, channel: str, **more: object) -> dict[str, Any]:
        """Have the agent do it, or do it on its spool; raises DatabaseError, SpoolMissing, KeyUnusable."""
        question = json.dumps({"do": do, "channel": channel} | more)
        answer = asyncio.run(ask(door_of(self.settings.spool_path), f"{FIT}{question}"))
        if answer is not None:
            return answer if "ok" in answer else {"ok": False, "why": "the agent is not metering at this moment"}
        if do in ("aside", "back"):
            return {"ok": True}
        return self._on_spool(question)

    def _on_spool(self, question: str) -> dict[str, Any]:
        settings = self.settings
        if not settings.spool_path.exists():
            raise SpoolMissing
        chance = random.SystemRandom()
        keys = [read_public_key(file) for file in settings.receipt_key_files]
        sealing = Sealing(
            settings,
            _specs(settings, self._clock),
            signing=Signing(FileKeyring(settings.key_file, settings.spool_path), chance, keys),
            clock=self._clock,
            random=chance,
            interval_pinned=self._pinned,
            committed=lambda: None,
            sealed=lambda: None,
        )
        sealing.open(FileDisk(settings.spool_path))
        try:
            sealing.start()
            return Fitting(sealing, self._clock).answer(question)
        finally:
            sealing.spool.close()


def not_there(channel: str, rows: Sequence[dict[str, Any]]) -> Exit:
    """The channel is not configured: said with those that are."""
    names = [f"{row['device']}.{row['meter']}" for row in rows]
    say(f"there is no channel {channel}; there are {', '.join(names[:12]) or 'none'}: {_LIST}")
    return Exit.NOT_FOUND


def _specs(settings: AgentSettings, clock: Clock) -> tuple[ChannelSpec, ...]:
    return tuple(spec for each in settings.sources for spec in source_of(each, clock).channels)
