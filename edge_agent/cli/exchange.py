"""`edge-agent exchange CHANNEL`: one meter takes another's place, and no unit is lost or counted twice (P4)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge_agent.cli.at_meter import AtMeter, not_there
from edge_agent.cli.exits import Exit
from edge_agent.cli.person import Colour, NobodyThere, agreed, asked, dyed, say
from edge_agent.display import finer, on_display, typed
from edge_agent.reading import Kind
from shared.errors import Refused

UNKNOWN: Final = "unknown"
_LESS: Final = "   That is less than what is read now. Is it right, for the new meter was read in its place already?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What options say, so that nobody is asked."""

    old_display: str | None = None
    new_serial: str | None = None
    new_display: str | None = None
    yes: bool = False


class Cancelled(Exception):
    """Somebody has said no."""


def exchange(config: Path, flags: Sequence[str], *, channel: str, told: Told, as_json: bool) -> Exit:
    """The exchange is sealed; 4 where it cannot be as it was said, and then nothing has changed."""
    agent = AtMeter(config, flags)
    rows = agent.rows()
    row = next((each for each in rows if f"{each['device']}.{each['meter']}" == channel), None)
    if row is None:
        return not_there(channel, rows)
    if row["kind"] != Kind.COUNTER:
        say(f"{channel} is a {row['kind']}, which has no display of its own: swap the meter, there is nothing to seal")
        return Exit.REFUSED
    waits = agent.tell("aside", channel)
    if not waits["ok"]:
        say(waits["why"])
        return Exit.REFUSED
    sealed = False
    try:
        asked_for = _asked(agent, channel, row, told)
        answer = agent.tell("exchange", channel, **asked_for)
        sealed = bool(answer["ok"])
    except Cancelled:
        say("nothing was sealed: the channel is metered as before")
        return Exit.REFUSED
    finally:
        if not sealed:
            agent.tell("back", channel)
    if not sealed:
        say(f"{dyed('refused', Colour.BAD, on_stderr=True)} {answer['why']}")
        return Exit.REFUSED
    found = {"channel": channel} | asked_for | {key: answer[key] for key in ("log", "epoch", "seq")}
    if as_json:
        print(json.dumps(found))
    say(f"{dyed('sealed', Colour.GOOD, on_stderr=True)} the exchange is line {found['seq']} of the log {found['log']}")
    say(f"next: `edge-agent commission {channel}` compares the new display with what is read from now on")
    return Exit.OK


def _asked(agent: AtMeter, channel: str, row: dict[str, Any], told: Told) -> dict[str, Any]:
    """What both displays show, in steps, and the new serial number; raises NobodyThere, Cancelled."""
    unit, exponent = row["unit"], row["exponent"]
    if told.old_display is None:
        reads = "is not read now" if row["raw"] is None else f"reads {on_display(row['raw'], unit, exponent)} now"
        serial = f" (serial number {row['serial']})" if row["serial"] else ""
        say(f"{dyed('1', Colour.BOLD, on_stderr=True)}  The old meter{serial} {reads}.")
    old_text, old = _steps(
        told.old_display, f"   What does its display show? [number, or {UNKNOWN}]", row, allow_unknown=True
    )
    if told.new_display is None or told.new_serial is None:
        asked(f"{dyed('2', Colour.BOLD, on_stderr=True)}  Put the new meter in its place. [Enter when it is connected]")
    now = agent.row(channel)
    fresh = now if now is not None and now["raw"] is not None and _another(row, now) else None
    said = "" if fresh is None else str(fresh["serial"])
    serial = told.new_serial or asked(
        f"{dyed('3', Colour.BOLD, on_stderr=True)}  Its serial number?{f' [{said}]' if said else ''}", default=said
    )
    new_text, new = _steps(told.new_display, "   What does its display show?", row, allow_unknown=False, now=fresh)
    assert new is not None, "only the old display may be unknown"
    say()
    say(f"   {channel}:  old {row['serial'] or 'meter'} at {old_text}  →  new {serial} at {new_text}")
    if fresh is None:
        say("   the new meter does not answer yet: what it says later must go on from this display")
    if not told.yes and not agreed("   Seal this? It cannot be taken back."):
        raise Cancelled
    return {"old_display": old, "new_serial": serial, "new_display": new}


def _steps(
    given: str | None, question: str, row: dict[str, Any], *, allow_unknown: bool, now: dict[str, Any] | None = None
) -> tuple[str, int | None]:
    unit, exponent = row["unit"], row["exponent"]
    reading = now if not allow_unknown else row
    while True:
        text = asked(question) if given is None else given
        if allow_unknown and text == UNKNOWN:
            return UNKNOWN, None
        shown = typed(text, unit)
        if not isinstance(shown, Refused):
            steps = finer(shown, None if reading is None else reading["raw"], unit, exponent)
            if given is None and allow_unknown and _less(row, steps) and not agreed(_LESS):
                continue
            return shown.shown, steps
        if given is not None:
            raise NobodyThere(shown.reason)
        say(f"   {shown.reason}")


def _less(row: dict[str, Any], steps: int) -> bool:
    """Whether the old meter was read beyond its display: a slip, unless the new one was read in its place."""
    return row["raw"] is not None and steps < row["raw"]


def _another(old: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether the source says another meter by now; without serial numbers, whether its register goes on elsewhere."""
    if now["serial"] or old["serial"]:
        return bool(now["serial"] != old["serial"])
    return old["raw"] is None or bool(now["raw"] < old["raw"])
