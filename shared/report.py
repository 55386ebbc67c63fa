"""What a gateway seals, read from verified lines and sealed into new ones.

Source: docs/reference/wire.md, section 3. The records are in `shared.kinds`, their rows in
`shared.rows`; both are offered here under one roof.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from shared.errors import InvalidRecord, Refused
from shared.grammar import (
    GATEWAY_PATTERN,
    HEX8_PATTERN,
    KEY_ID_PATTERN,
    NAME_PATTERN,
    NOTE_INDEX_PATTERN,
    PLAIN_TEXT,
    SIGNATURE_PATTERN,
    listed,
    one_of,
    require_keys,
    require_match,
    shown,
)
from shared.key import SigningKey
from shared.kinds import (
    Birth,
    ClockLine,
    Exchange,
    Forgotten,
    Gap,
    Header,
    Report,
    Rotate,
    Summary,
    Usage,
    rotate,
    rotation_statement,
)
from shared.limits import LINE_ROWS_MAX
from shared.line import Body, Line, read_body, seal
from shared.rows import Cause, Channel, Clock, Cover, ExchangeRow, GapCause, GapRow, Lost, Position, UsageRow, Verdict

__all__ = [
    "GATEWAY_PATTERN",
    "HEX8_PATTERN",
    "KEY_ID_PATTERN",
    "NAME_PATTERN",
    "PLAIN_TEXT",
    "SIGNATURE_PATTERN",
    "Birth",
    "Cause",
    "Channel",
    "Clock",
    "ClockLine",
    "Cover",
    "Exchange",
    "ExchangeRow",
    "Forgotten",
    "Gap",
    "GapCause",
    "GapRow",
    "Header",
    "Lost",
    "Position",
    "Report",
    "Rotate",
    "Summary",
    "Usage",
    "UsageRow",
    "Verdict",
    "body_of",
    "read",
    "rotate",
    "rotation_statement",
    "seal_report",
]


def read(line: Line) -> Report | Refused:
    """Read a verified MS1 line; what breaks a rule is refused with its place and a plain reason."""
    if line.tag != "MS1":
        return Refused(f"a report begins with MS1, not with {line.tag}")
    body = read_body(line)
    if isinstance(body, Refused):
        return body
    try:
        return _read(body)
    except InvalidRecord as error:
        return Refused(str(error))


def seal_report(report: Report, key: SigningKey) -> bytes:
    """Seal a report under the key that its header names; raises InvalidRecord."""
    if report.header.key != key.public.id:
        raise InvalidRecord("the header names another key than the one that signs")
    return seal("MS1", body_of(report), key)


def body_of(report: Report) -> Body:
    """A report's body, its keys in the wire's order."""
    h = report.header
    head: Body = {
        "kind": _KIND_OF[type(report)],
        "gateway": h.gateway,
        "log": h.log,
        "key": h.key,
        "epoch": h.epoch,
        "seq": h.seq,
        "prev": h.prev,
        "boot": h.boot,
        "clock": h.clock.value,
        "sealed_at": h.sealed_at,
    }
    match report:
        case Birth():
            tail: Body = {
                "agent": report.agent,
                "config": report.config,
                "cause": report.cause.value,
                "previous": None if report.previous is None else list(report.previous),
                "channels": [list(row) for row in report.channels],
            }
        case Usage():
            tail = _window_body(report.start, report.step, report.count, report.rows)
        case Gap() | Exchange():
            tail = {"rows": [list(row) for row in report.rows]}
        case ClockLine():
            tail = {"offset": report.offset}
        case Summary():
            tail = {
                "covers": [list(cover) for cover in report.covers],
                **_window_body(report.start, report.step, report.count, report.rows),
            }
        case Forgotten():
            tail = {"lost": list(report.lost), "receipted_at": report.receipted_at}
        case Rotate():
            tail = {"next": report.next, "proof": report.proof}
    return head | tail


def _window_body(start: int, step: int, count: int, rows: Sequence[UsageRow]) -> Body:
    return {"start": start, "step": step, "count": count, "rows": [_usage_row_body(row) for row in rows]}


def _usage_row_body(row: UsageRow) -> list[Any]:
    spelled: list[Any] = [row.device, row.meter, row.unit, row.exponent, row.register, list(row.deltas)]
    if row.notes:
        spelled.append({str(at): note.value for at, note in sorted(row.notes.items())})
    return spelled


def _read(body: Body) -> Report:
    kind = body.get("kind")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise InvalidRecord(f"the kind {shown(kind)} is unknown")
    keys, read_kind = reader
    require_keys(body, keys)
    header = Header(
        gateway=body["gateway"],
        log=body["log"],
        key=body["key"],
        epoch=body["epoch"],
        seq=body["seq"],
        prev=body["prev"],
        boot=body["boot"],
        clock=one_of(Clock, body["clock"], "clock"),
        sealed_at=body["sealed_at"],
    )
    return read_kind(header, body)


def _read_birth(header: Header, body: Body) -> Report:
    previous = body["previous"]
    return Birth(
        header=header,
        agent=body["agent"],
        config=body["config"],
        cause=one_of(Cause, body["cause"], "cause"),
        previous=None if previous is None else Position(*listed(previous, "previous", 3)),
        channels=tuple(Channel(*listed(row, f"channels[{at}]", 8)) for at, row in _each(body["channels"], "channels")),
    )


def _read_usage(header: Header, body: Body) -> Report:
    return Usage(
        header=header,
        start=body["start"],
        step=body["step"],
        count=body["count"],
        rows=_read_usage_rows(body["rows"]),
    )


def _read_gap(header: Header, body: Body) -> Report:
    rows = []
    for at, row in _each(body["rows"], "rows"):
        device, meter, start, end, cause, before, after = listed(row, f"rows[{at}]", 7)
        rows.append(GapRow(device, meter, start, end, one_of(GapCause, cause, f"rows[{at}] cause"), before, after))
    return Gap(header=header, rows=tuple(rows))


def _read_exchange(header: Header, body: Body) -> Report:
    rows = tuple(ExchangeRow(*listed(row, f"rows[{at}]", 7)) for at, row in _each(body["rows"], "rows"))
    return Exchange(header=header, rows=rows)


def _read_clock(header: Header, body: Body) -> Report:
    return ClockLine(header=header, offset=body["offset"])


def _read_summary(header: Header, body: Body) -> Report:
    covers = tuple(Cover(*listed(cover, f"covers[{at}]", 4)) for at, cover in _each(body["covers"], "covers"))
    return Summary(
        header=header,
        covers=covers,
        start=body["start"],
        step=body["step"],
        count=body["count"],
        rows=_read_usage_rows(body["rows"]),
    )


def _read_forgotten(header: Header, body: Body) -> Report:
    return Forgotten(header=header, lost=Lost(*listed(body["lost"], "lost", 3)), receipted_at=body["receipted_at"])


def _read_rotate(header: Header, body: Body) -> Report:
    return Rotate(header=header, next=body["next"], proof=body["proof"])


def _read_usage_rows(value: object) -> tuple[UsageRow, ...]:
    if type(value) is not list or len(value) > LINE_ROWS_MAX:
        raise InvalidRecord(f"rows must be a list of at most {LINE_ROWS_MAX}")
    rows = []
    for at, row in enumerate(value):
        if type(row) is not list or not 6 <= len(row) <= 7:
            raise InvalidRecord(f"rows[{at}] must be a list of 6 or 7")
        if type(row[5]) is not list:
            raise InvalidRecord(f"rows[{at}] deltas must be a list")
        notes = _read_notes(row[6], f"rows[{at}] notes") if len(row) == 7 else {}
        # As `UsageRow(…)` would, in half the time: this runs twenty times a line.
        rows.append(tuple.__new__(UsageRow, (row[0], row[1], row[2], row[3], row[4], tuple(row[5]), notes)))
    return tuple(rows)


def _read_notes(value: object, place: str) -> dict[int, Verdict]:
    if type(value) is not dict or not value:
        raise InvalidRecord(f"{place} must be an object that is not empty")
    for index in value:
        require_match(NOTE_INDEX_PATTERN, index, f"{place} index")
    return {int(index): one_of(Verdict, note, place) for index, note in value.items()}


_HEAD_KEYS: Final = ("kind", "gateway", "log", "key", "epoch", "seq", "prev", "boot", "clock", "sealed_at")


def _keys(*names: str) -> frozenset[str]:
    return frozenset((*_HEAD_KEYS, *names))


_READERS: Final[dict[str, tuple[frozenset[str], Callable[[Header, Body], Report]]]] = {
    "birth": (_keys("agent", "config", "cause", "previous", "channels"), _read_birth),
    "usage": (_keys("start", "step", "count", "rows"), _read_usage),
    "gap": (_keys("rows"), _read_gap),
    "exchange": (_keys("rows"), _read_exchange),
    "clock": (_keys("offset"), _read_clock),
    "summary": (_keys("covers", "start", "step", "count", "rows"), _read_summary),
    "forgotten": (_keys("lost", "receipted_at"), _read_forgotten),
    "rotate": (_keys("next", "proof"), _read_rotate),
}
_KIND_OF: Final[dict[type, str]] = {
    Birth: "birth",
    Usage: "usage",
    Gap: "gap",
    Exchange: "exchange",
    ClockLine: "clock",
    Summary: "summary",
    Forgotten: "forgotten",
    Rotate: "rotate",
}


def _each(value: object, place: str) -> Iterator[tuple[int, Any]]:
    if type(value) is not list or len(value) > LINE_ROWS_MAX:
        raise InvalidRecord(f"{place} must be a list of at most {LINE_ROWS_MAX}")
    return enumerate(value)
