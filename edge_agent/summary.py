"""What a running agent says of itself in one line, for `systemctl status`."""

import textwrap
from collections.abc import Mapping
from typing import Any, Final

from edge_agent.words import count, span

PROBLEM_CHARS_MAX: Final = 160
"""So much of a broken configuration's first problem is said, that the rest of the line is seen too."""


def summary(status: Mapping[str, Any], now_ms: int) -> str:
    """How the agent stands, what matters most first."""
    parts = []
    if status["config_problem"]:
        first = textwrap.shorten(str(status["config_problem"]).splitlines()[0], PROBLEM_CHARS_MAX, placeholder=" …")
        parts.append(f"safe mode: {first}" if status["safe_mode"] else f"configuration not taken: {first}")
    if status["making_room"]:
        parts.append("the spool is full: nothing is metered until the collector has confirmed lines")
    else:
        parts.append(f"metering {count(len(status['channels']), 'channel')}")
    down = [source["name"] for source in status["sources"] if source["down"]]
    if down:
        parts.append(f"{count(len(down), 'source')} down: {', '.join(down[:4])}{' …' if len(down) > 4 else ''}")
    if not status["link"]["up"]:
        parts.append(f"no link for {span(status['link']['seconds'])}")
    if not status["synchronised"]:
        parts.append("clock not synchronised")
    waiting = status["backlog_lines"]
    parts.append(f"{count(waiting, 'line')} {'waits' if waiting == 1 else 'wait'}")
    receipt = status["last_receipt_ms"]
    parts.append("no receipt yet" if receipt is None else f"last receipt {span((now_ms - receipt) // 1_000)} ago")
    return "; ".join(parts)
