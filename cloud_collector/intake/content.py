"""What a verified line says, as far as it can be read: a bad row never takes the good ones with it (P3, P8).

Pure. A line whose signature verifies takes its position whatever its content, so only a header that
cannot be read refuses it.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from cloud_collector.intake.verdict import BadRow
from cloud_collector.usage.let_go import LetGo
from shared.errors import InvalidRecord, Refused
from shared.limits import LINE_ROWS_MAX
from shared.line import SIGNATURE_CHARS, Body, Line, read_body, write_body
from shared.report import (
    NAME_PATTERN,
    Clock,
    Forgotten,
    Header,
    Report,
    read,
)

_LISTS: Final = {"usage": "rows", "gap": "rows", "exchange": "rows", "birth": "channels", "summary": "rows"}

_INTEGER_CHARS_MAX: Final = 17
"""No integer of the wire has more digits, with its sign."""


@dataclass(frozen=True, slots=True)
class Content:
    """A line's header, what can be read of the rest, and what cannot."""

    header: Header
    kind: str
    report: Report | LetGo | None
    bad: tuple[BadRow, ...] = ()


def read_content(line: Line) -> Content | Refused:
    """Read a verified line; refused only where its header cannot be read."""
    report = read(line)
    if not isinstance(report, Refused):
        return Content(report.header, _kind_of(report), report)
    body = read_body(line)
    if isinstance(body, Refused):
        return _read_header_alone(line, body.reason)
    header = _header(body)
    if isinstance(header, Refused):
        return header
    kind = body["kind"] if type(body.get("kind")) is str else ""
    whole, bad = _row_by_row(body, _LISTS.get(kind, ""), report.reason)
    return Content(header, kind[:16], whole, bad)


def _read_header_alone(line: Line, reason: str) -> Content | Refused:
    """The position of a line whose body breaks the wire's grammar: nothing else in it is taken."""
    try:
        body = _LENIENT.decode(line.body.decode("ascii"))
    except (ValueError, RecursionError):
        return Refused(reason)
    # P8: what verifies takes its position, or the chain would stop there; a key that stands twice says nothing.
    header = _header(body) if isinstance(body, dict) else None
    if not isinstance(header, Header):
        return Refused(reason)
    kind = body.get("kind")
    return Content(header, kind[:16] if type(kind) is str else "", None, (BadRow(device="", meter="", reason=reason),))


def _header(body: Body) -> Header | Refused:
    names = Header.__slots__
    if not body.keys() >= set(names):
        return Refused(f"the header lacks {', '.join(sorted(set(names) - body.keys()))}")
    fields: dict[str, Any] = {name: body[name] for name in names}
    try:
        return Header(**(fields | {"clock": Clock(body["clock"])}))
    except (ValueError, InvalidRecord) as error:
        return Refused(f"the header cannot be read: {error}"[:256])


def _row_by_row(body: Body, name: str, reason: str) -> tuple[Report | None, tuple[BadRow, ...]]:
    rows = body.get(name)
    if type(rows) is not list or not 1 <= len(rows) <= LINE_ROWS_MAX:
        return None, (BadRow(device="", meter="", reason=reason),)
    good, bad = [], []
    seen: set[tuple[str, str]] = set()
    for row in rows:
        device, meter = _names(row)
        alone = _retold(body, name, [row])
        if isinstance(alone, Refused):
            bad.append(BadRow(device=device, meter=meter, reason=alone.reason))
        elif (device, meter) in seen:
            bad.append(BadRow(device=device, meter=meter, reason="the channel stands twice in the line"))
        else:
            seen.add((device, meter))
            good.append(row)
    if not good:
        return None, tuple(bad)
    report = _retold(body, name, good)
    if isinstance(report, Refused):
        return None, (*bad, BadRow(device="", meter="", reason=report.reason))
    return report, tuple(bad)


def _retold(body: Body, name: str, rows: list[Any]) -> Report | Refused:
    """The same body with these rows alone, read as a line of its own; nothing signs it, nothing keeps it."""
    text = write_body("MS1", body | {name: rows})
    return read(Line("MS1", f"MS1|{text}|{'A' * SIGNATURE_CHARS}".encode("ascii")))


def _names(row: object) -> tuple[str, str]:
    if type(row) is not list or len(row) < 2:
        return "", ""
    device, meter = (name if type(name) is str and NAME_PATTERN.fullmatch(name) else "" for name in row[:2])
    return device, meter


def _kind_of(report: Report) -> str:
    return "clock" if type(report).__name__ == "ClockLine" else type(report).__name__.lower()


def _said_once(pairs: list[tuple[str, Any]]) -> Body:
    counts = Counter(name for name, _ in pairs)
    return {name: value for name, value in pairs if counts[name] == 1}


_LENIENT: Final = json.JSONDecoder(
    object_pairs_hook=_said_once,
    parse_float=lambda _: None,
    parse_int=lambda text: int(text) if len(text) <= _INTEGER_CHARS_MAX else None,
    parse_constant=lambda _: None,
)


def forgotten_of(report: Report | None) -> Forgotten | None:
    """The report where it says what the gateway has forgotten."""
    return report if isinstance(report, Forgotten) else None
