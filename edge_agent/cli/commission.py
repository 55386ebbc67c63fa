"""`edge-agent commission`: does the meter's own display show what the agent reads? Stated by a birth line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_agent.cli.at_meter import AtMeter, not_there
from edge_agent.cli.exits import Exit
from edge_agent.cli.person import Colour, asked, dyed, say
from edge_agent.display import Typed, advice, agree, on_display, typed
from edge_agent.reading import Kind
from shared.errors import Refused

_YES = ("y", "yes", "j", "ja", "o", "oui")
_LATER = ("", "s", "skip")


def commission(config: Path, flags: Sequence[str], *, channel: str | None, display: str | None, as_json: bool) -> Exit:
    """Each channel's display is compared with what is read; 1 where one differs or could not be read."""
    if display is not None and channel is None:
        say("--display is the display of one meter: name its channel too, such as main.energy")
        return Exit.USAGE
    agent = AtMeter(config, flags)
    rows = agent.rows()
    known = [row for row in rows if row["kind"] == Kind.COUNTER]
    chosen = known if channel is None else [row for row in rows if _name(row) == channel]
    if not chosen:
        if channel is not None:
            return not_there(channel, rows)
        say("no configured channel is a meter with a display of its own: there is nothing to compare")
        return Exit.OK
    found = [_compared(agent, row, display, counter=row in known) for row in chosen]
    if as_json:
        print(json.dumps({"rows": found}))
    good = sum(1 for each in found if each["outcome"] == "confirmed")
    later = sum(1 for each in found if each["outcome"] == "skipped")
    rest = {"differ": len(found) - good - later, "left for later": later}
    say(f"{good} of {len(found)} confirmed" + "".join(f", {number} {what}" for what, number in rest.items() if number))
    return Exit.OK if good + later == len(found) else Exit.FAILED


def _compared(agent: AtMeter, row: dict[str, Any], display: str | None, *, counter: bool) -> dict[str, Any]:
    name = _name(row)
    if not counter:
        say(_bad(f"{name} is a {row['kind']}: its meter shows nothing that could be compared"))
        return {"channel": name, "outcome": "no display"}
    if row["raw"] is None:
        say(_bad(f"{name} cannot be read: {row['verdict']}"))
        return {"channel": name, "outcome": "unreadable", "why": row["verdict"]}
    reads = on_display(row["raw"], row["unit"], row["exponent"])
    said = {"channel": name, "raw": row["raw"], "unit": row["unit"], "exponent": row["exponent"], "reads": reads}
    shown = _shown(name, row, reads, display)
    if shown is None:
        return said | {"outcome": "skipped"}
    if isinstance(shown, Refused):
        say(_bad(shown.reason))
        return said | {"outcome": "not understood", "why": shown.reason}
    said |= {"display": shown.shown}
    if not agree(shown, row["raw"], row["unit"], row["exponent"]):
        why = advice(shown, row["raw"], row["unit"], row["exponent"])
        say(_bad(f"{name}: the display shows {shown.shown}, the agent reads {reads}: {why}"))
        return said | {"outcome": "differs", "why": why}
    answer = agent.tell("commission", name, display=shown.shown)
    if not answer["ok"]:
        say(_bad(f"{name}: {answer['why']}"))
        return said | {"outcome": "refused", "why": answer["why"]}
    say(f"{dyed('confirmed', Colour.GOOD, on_stderr=True)} {name}: {shown.shown}, {_place(answer)}")
    return said | {"outcome": "confirmed"} | {key: answer[key] for key in ("log", "epoch", "seq", "serial", "register")}


def _shown(name: str, row: dict[str, Any], reads: str, display: str | None) -> Typed | Refused | None:
    """What the display shows, as the option says or as somebody types it; None: later."""
    if display is not None:
        return typed(display, row["unit"])
    serial = f" (serial number {row['serial']})" if row["serial"] else ""
    while True:
        answer = asked(f"{name}{serial}: the meter's display shows {reads}, is that so? [y, what it shows, or Enter]")
        if answer.lower() in _LATER:
            return None
        if answer.lower() in ("n", "no", "nein", "non"):
            answer = asked("What does it show?")
        shown = typed(reads if answer.lower() in _YES else answer, row["unit"])
        if isinstance(shown, Typed):
            return shown
        say(shown.reason)


def _place(answer: dict[str, Any]) -> str:
    return f"stated by the birth line {answer['seq']} of the log {answer['log']}"


def _bad(text: str) -> str:
    return f"{dyed('not confirmed', Colour.BAD, on_stderr=True)} {text}"


def _name(row: dict[str, Any]) -> str:
    return f"{row['device']}.{row['meter']}"
