"""The settings by which a command finds the running agent and its spool."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_agent.config import load
from edge_agent.invalid import ConfigInvalid
from edge_agent.last_good import LastGood
from edge_agent.settings import AgentSettings


def settings_at_hand(config: Path, flags: Sequence[str]) -> AgentSettings:
    """The configured settings, or with a broken file the last good ones, said on stderr; raises ConfigInvalid."""
    try:
        return load(config, environment=os.environ, flags=flags).settings
    except ConfigInvalid as error:
        kept = LastGood(config).read()
        if kept is None:
            raise
        sys.stderr.write(f"{error}\n(what follows is by the last good configuration)\n")
        return kept
