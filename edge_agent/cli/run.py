"""`edge-agent run`: the real effects, the signals, the door; no rule."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from edge_agent.cli.exits import Exit
from edge_agent.cli.running import Running
from edge_agent.identity import KeyUnusable
from edge_agent.invalid import ConfigInvalid
from edge_agent.last_good import LastGood
from edge_agent.metering import SpecChanged
from edge_agent.plain import record
from edge_agent.settings import AgentSettings
from shared.effects.log import log_to_stderr
from shared.effects.notify import Notifier

_LOG: Final = logging.getLogger(__name__)
_ENVIRONMENT: Final = "METERSEAL_AGENT__"
"""As `edge_agent.config` has it, which the running agent never loads."""


def run(config: Path, flags: Sequence[str], *, log_level: str = "info") -> Exit:
    """Meter, seal and send until SIGTERM or SIGINT; raises MetersealError with what ended it.

    A configuration that cannot be used, where the last good one can, is safe mode: known channels go on
    being metered, and whoever asks is told what is wrong.
    """
    log_to_stderr(log_level)
    last_good = LastGood(config, os.environ)
    notifier = Notifier()

    def running(settings: AgentSettings, problem: str) -> Running:
        return Running(
            settings,
            problem=problem,
            read=lambda: settings_of(config, flags),
            last_good=last_good,
            notifier=notifier,
            interval_pinned=interval_pinned(flags, os.environ),
        )

    settings = None
    try:
        settings = settings_of(config, flags)
        asyncio.run(running(settings, "").run())
    except (ConfigInvalid, KeyUnusable, SpecChanged) as error:
        kept = last_good.read()
        if kept is None or kept == settings:
            raise
        _LOG.error('event=safe_mode why="%s"', error)
        asyncio.run(running(kept, str(error)).run())
    return Exit.OK


def interval_pinned(flags: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a flag or the environment sets the interval, so that no command changes it."""
    names = ("step_seconds", "interval_count")
    set_here = {flag.partition("=")[0] for flag in flags} | {
        name.removeprefix(_ENVIRONMENT).lower() for name in environment if name.startswith(_ENVIRONMENT)
    }
    return any(name in set_here for name in names)


def settings_of(config: Path, flags: Sequence[str]) -> AgentSettings:
    """The settings as a short-lived child has checked them, so that this process stays small; raises ConfigInvalid."""
    child = subprocess.run(  # noqa: S603 - this very program, on the file and flags that its user named.
        [sys.executable, "-m", "edge_agent.config", str(config), *flags], capture_output=True, text=True, check=False
    )
    if child.returncode:
        raise ConfigInvalid(child.stderr.strip())
    return record(AgentSettings, json.loads(child.stdout))
