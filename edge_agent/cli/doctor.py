"""`edge-agent doctor`: one line a check, the clock first; what is not good says what to do next."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from edge_agent.cli.at_hand import settings_at_hand
from edge_agent.cli.exits import Exit
from edge_agent.cli.person import Colour, dyed, wrapped
from edge_agent.cli.show import SpoolMissing, read_rows, spool_backlog
from edge_agent.installer import machine
from edge_agent.installer.way import way_of
from edge_agent.local import ask, door_of
from edge_agent.settings import AgentSettings
from edge_agent.words import count
from shared.effects.clock import SystemClock
from shared.errors import MetersealError
from shared.finding import Finding, Word, bad, good, plain, skipped, whole

_COLOURS: Final = {
    Word.GOOD: Colour.GOOD,
    Word.LOOK: Colour.WARN,
    Word.BAD: Colour.BAD,
    Word.SKIPPED: Colour.DIM,
}


_NAME_CHARS: Final = 12
_INDENT: Final = 21
"""Where a finding's sentence begins: after its word and its name."""


def doctor(config: Path, flags: Sequence[str], *, as_json: bool) -> Exit:
    """Everything that a gateway needs is looked at; 1 where something is bad."""
    settings = settings_at_hand(config, flags)
    found = asyncio.run(_all(settings, quiet=as_json))
    if as_json:
        print(json.dumps({"ok": whole(found), "checks": plain(found)}))
    else:
        wrong = [each.name for each in found if each.word is Word.BAD]
        print()
        print(dyed(f"to do: {', '.join(wrong)}", Colour.BAD) if wrong else dyed("all is well", Colour.GOOD))
    return Exit.OK if whole(found) else Exit.FAILED


def line_of(finding: Finding) -> str:
    """A finding as one line, and below it what to do next."""
    name = f"{finding.name:<12} " if len(finding.name) <= _NAME_CHARS else f"{finding.name}\n{'':{_INDENT}}"
    text = f"{dyed(finding.word.ljust(7), _COLOURS[finding.word])} {name}{wrapped(finding.says, _INDENT)}"
    return f"{text}\n{'':{_INDENT}}→ {wrapped(finding.next, _INDENT + 2)}" if finding.next else text


async def _all(settings: AgentSettings, *, quiet: bool) -> list[Finding]:
    found = []
    async for finding in examined(settings):
        found.append(finding)
        if not quiet:
            print(line_of(finding), flush=True)
    return found


async def examined(settings: AgentSettings) -> AsyncIterator[Finding]:
    """Every finding, in the order in which they rest on one another."""
    clock = SystemClock(trusted=settings.wall_clock == "trusted")
    status = await ask(door_of(settings.spool_path), "status") or {}
    time = machine.clock_of(clock)
    yield time
    for finding in machine.files_of(settings):
        yield finding
    yield machine.disk_of(settings)
    yield machine.agent_of(status)
    yield machine.spool_of(settings, status)
    heard = _collector(settings, status, clock)
    spared = bool(status) and status["link"]["up"] and heard.word is Word.GOOD
    async for finding in way_of(settings, dates_count=time.word is not Word.BAD, spared=spared):
        yield finding
    for finding in machine.ports_of(settings):
        yield finding
    for finding in await _meters(settings):
        yield finding
    yield heard


async def _meters(settings: AgentSettings) -> list[Finding]:
    if not settings.sources:
        return [bad("meters", "no source is configured", "`edge-agent probe` proposes what it finds")]
    try:
        rows = await read_rows(settings)
    except MetersealError as error:
        return [bad("meters", str(error), "mend that source in the configuration")]
    found = []
    for name in dict.fromkeys(row["source"] for row in rows):
        mine = [row for row in rows if row["source"] == name]
        silent = [row for row in mine if row["raw"] is None]
        if not silent:
            found.append(good(f"meter {name}", f"{count(len(mine), 'channel')} read"))
        for why in dict.fromkeys(row["verdict"] for row in silent):
            which = [f"{row['device']}.{row['meter']}" for row in silent if row["verdict"] == why]
            some = f"{', '.join(which[:3])}{' …' if len(which) > 3 else ''}"
            found.append(bad(f"meter {name}", f"{some}: {why}", step_for(why)))
    return found


_STEPS: Final = {
    "no such register": "the address is most often one off: manuals count from 1, here it is from 0",
    "exception 4": "is unit_id the meter's own? `edge-agent probe` shows which addresses answer",
    "exception 10": "is unit_id the meter's own? `edge-agent probe` shows which addresses answer",
    "exception 11": "is unit_id the meter's own, and the meter on? `edge-agent probe` shows which addresses answer",
    "no answer": "is it on, are wires A and B right, and unit_id and speed the meter's own? `edge-agent probe` looks",
    "Connection refused": "is the meter on, and are host and port its own? `edge-agent read` tries again",
    "does not answer": "look at power, network cable and address; `edge-agent read` tries again",
    "pip install": "type that, then `edge-agent read`",
}
"""What to do about what a source says of itself, by words that stand in it."""


def step_for(why: str) -> str:
    """What to do next about a meter that says so."""
    usual = "mend what it says; `edge-agent read` tries again, `edge-agent probe` shows what answers"
    return next((step for words, step in _STEPS.items() if words in why), usual)


def _collector(settings: AgentSettings, status: dict[str, Any], clock: SystemClock) -> Finding:
    backlog = status
    if not status:
        try:
            backlog = spool_backlog(settings)
        except SpoolMissing:
            backlog = {"last_receipt_ms": None, "backlog_lines": 0}
        except MetersealError as error:
            return skipped("collector", f"the spool cannot be asked: {error}")
    return machine.collector_of(status, backlog["last_receipt_ms"], backlog["backlog_lines"], clock.utc_ms())
