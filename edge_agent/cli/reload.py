"""`edge-agent reload`: asked of the running agent, which answers what it has taken, or why not."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_agent.cli.exits import Exit
from edge_agent.config import load
from edge_agent.invalid import ConfigInvalid
from edge_agent.last_good import LastGood
from edge_agent.local import ask, door_of


def reload(config: Path, flags: Sequence[str], *, as_json: bool) -> Exit:
    """0 where it is taken; 2 where the file is broken, 4 where it takes a restart: then the running one goes on."""
    found = next((answer for door in _doors(config, flags) if (answer := asyncio.run(ask(door, "reload")))), None)
    if found is None:
        sys.stderr.write("no agent runs with this configuration: `edge-agent run` starts one\n")
        return Exit.NOT_FOUND
    if as_json:
        print(json.dumps(found))
    elif found["ok"]:
        print(f"taken: {found['change']}")
    else:
        sys.stderr.write(f"{found['why']}\nnot taken: what ran goes on\n")
    return Exit.OK if found["ok"] else Exit(found["exit"])


def _doors(config: Path, flags: Sequence[str]) -> list[Path]:
    """Where the agent may listen: by what it last ran with, and by what the file says now."""
    kept = LastGood(config).read()
    doors = [] if kept is None else [door_of(kept.spool_path)]
    try:
        doors.append(door_of(load(config, environment=os.environ, flags=flags).settings.spool_path))
    except ConfigInvalid:
        if not doors:
            raise
    return doors
