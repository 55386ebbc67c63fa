"""What a gateway seals: the eight kinds of MS1 as records, read from bodies and written to them.

Source: docs/reference/wire.md, sections 2, 3 and 8. Constructors validate, so a record that exists
keeps every rule that one line alone can keep; rules between lines are the chain's and intake's.
Quantities are integers times 10^exponent of a UCUM unit; times are whole seconds, Unix time where
the clock is `S` or `I`, seconds since boot where it is `R` or `U`.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeVar

from shared.errors import InvalidRecord, Refused
from shared.key import PublicKey, SigningKey
from shared.limits import (
    AGENT_CHARS_MAX,
    EXPONENT_MAX,
    INTEGER_MAX,
    LINE_INTERVALS_MAX,
    LINE_ROWS_MAX,
    SERIAL_CHARS_MAX,
    STEP_SECONDS_MAX,
    SUMMARY_COVERS_MAX,
    TIME_SECONDS_MAX,
    UNIT_CHARS_MAX,
)
from shared.line import HASH_PATTERN, Body, Line, read_body, seal

GATEWAY_PATTERN: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)
NAME_PATTERN: Final = re.compile(r"[a-z0-9_.-]{1,32}", re.ASCII)
HEX8_PATTERN: Final = re.compile(r"[0-9a-f]{8}", re.ASCII)
KEY_ID_PATTERN: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
SIGNATURE_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{85}[AQgw]", re.ASCII)
NOTE_INDEX_PATTERN: Final = re.compile(r"0|[1-9][0-9]{0,3}", re.ASCII)
PLAIN_TEXT: Final = re.compile(r"[ !#-\[\]-{}~]*", re.ASCII)
"""Printable ASCII without the quotation mark, the backslash and the bar."""


class Clock(StrEnum):
    """How far a line's times are to be trusted (P13)."""

    SYNCHRONISED = "S"
    INFORMED = "I"
    """Was synchronised earlier in this boot."""
    RELATIVE = "R"
    """Seconds since boot."""
    UNSURE = "U"
    """Not even that is sure."""

    @property
    def placed(self) -> bool:
        """Whether the line's times are Unix seconds."""
        return self in (Clock.SYNCHRONISED, Clock.INFORMED)


class Verdict(StrEnum):
    """What metering found out about an interval (P4)."""

    ESTIMATED = "estimated"
    RESET = "reset"
    ROLLOVER = "rollover"
    GLITCH = "glitch"
    ROLLBACK = "rollback"
    EXCHANGE = "exchange"
    MISSING = "missing"


class Cause(StrEnum):
    """Why a birth is sealed."""

    START = "start"
    CONFIG = "config"
    RESET = "reset"
    EPOCH = "epoch"


class GapCause(StrEnum):
    """Why something could not be metered in its window."""

    SOURCE_DOWN = "source_down"
    AGENT_DOWN = "agent_down"
    CLOCK = "clock"
    SPOOL_LOST = "spool_lost"


class Channel(NamedTuple):
    """A channel as a birth states it; `raw` is the reading that `register` stands for."""

    device: str
    meter: str
    unit: str
    exponent: int
    source: str
    serial: str
    register: int
    raw: int | None


class UsageRow(NamedTuple):
    """A channel's usage in a window; `register` is at its start, `deltas` one integer an interval."""

    device: str
    meter: str
    unit: str
    exponent: int
    register: int
    deltas: tuple[int, ...]
    notes: Mapping[int, Verdict]


class GapRow(NamedTuple):
    """What could not be metered in [start, end); with registers it is estimated usage."""

    device: str
    meter: str
    start: int
    end: int
    cause: GapCause
    before: int | None
    after: int | None


class ExchangeRow(NamedTuple):
    """A meter swapped for another; displays in the channel's integers."""

    device: str
    meter: str
    old_serial: str
    old_display: int | None
    new_serial: str
    new_display: int
    register: int


class Position(NamedTuple):
    """Where a line stands in its epoch, and its hash: (epoch, seq, hash)."""

    epoch: str
    seq: int
    hash: str


class Cover(NamedTuple):
    """A range of positions that a summary folds: seq first to last, hash of first−1 and of last."""

    first: int
    last: int
    before: str
    end: str


class Lost(NamedTuple):
    """Receipted lines that are gone: seq first to last of an epoch."""

    epoch: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What every MS1 body carries: whose line it is, its position, its clock."""

    gateway: str
    log: str
    key: str
    epoch: str
    seq: int
    prev: str
    boot: str
    clock: Clock
    sealed_at: int

    def __post_init__(self) -> None:
        _match(GATEWAY_PATTERN, self.gateway, "gateway")
        _match(NAME_PATTERN, self.log, "log")
        _match(KEY_ID_PATTERN, self.key, "key")
        _match(HEX8_PATTERN, self.epoch, "epoch")
        _integer(self.seq, "seq", 1)
        if self.seq == 1:
            _require(self.prev == "", "prev must be empty at seq 1")
        else:
            _match(HASH_PATTERN, self.prev, "prev")
        _match(HEX8_PATTERN, self.boot, "boot")
        _integer(self.sealed_at, "sealed_at", 0, TIME_SECONDS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """The first line of an epoch and after every start: the channels and where they stand."""

    header: Header
    agent: str
    config: str
    cause: Cause
    previous: Position | None
    channels: tuple[Channel, ...]

    def __post_init__(self) -> None:
        _plain(self.agent, "agent", AGENT_CHARS_MAX)
        _match(HASH_PATTERN, self.config, "config")
        if self.previous is not None:
            _match(HEX8_PATTERN, self.previous.epoch, "previous[0]")
            _integer(self.previous.seq, "previous[1]", 1)
            _match(HASH_PATTERN, self.previous.hash, "previous[2]")
        _rows(self.channels, "channels", least=0)
        for at, row in enumerate(self.channels):
            place = f"channels[{at}]"
            _channel(row.unit, row.exponent, place)
            _match(NAME_PATTERN, row.source, f"{place} source")
            _plain(row.serial, f"{place} serial", SERIAL_CHARS_MAX)
            _integer(row.register, f"{place} register")
            if row.raw is not None:
                _integer(row.raw, f"{place} raw")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What channels used in a window `[start, start + step·count)`; sealed also when that is nothing."""

    header: Header
    start: int
    step: int
    count: int
    rows: tuple[UsageRow, ...]

    def __post_init__(self) -> None:
        _window(self.start, self.step, self.count)
        _usage_rows(self.rows, self.count)

    @property
    def end(self) -> int:
        """The first second after the window."""
        return self.start + self.step * self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What could not be metered in its window."""

    header: Header
    rows: tuple[GapRow, ...]

    def __post_init__(self) -> None:
        _rows(self.rows, "rows")
        for at, row in enumerate(self.rows):
            place = f"rows[{at}]"
            _integer(row.start, f"{place} from", 0, TIME_SECONDS_MAX)
            _integer(row.end, f"{place} to", 0, TIME_SECONDS_MAX)
            _require(row.start < row.end, f"{place}: from must be before to")
            _require((row.before is None) == (row.after is None), f"{place}: one register without the other")
            if row.before is not None and row.after is not None:
                _integer(row.before, f"{place} before")
                _integer(row.after, f"{place} after")
                _require(row.before <= row.after, f"{place}: the register must not fall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Meters that were swapped."""

    header: Header
    rows: tuple[ExchangeRow, ...]

    def __post_init__(self) -> None:
        _rows(self.rows, "rows")
        for at, row in enumerate(self.rows):
            place = f"rows[{at}]"
            _plain(row.old_serial, f"{place} old_serial", SERIAL_CHARS_MAX)
            _plain(row.new_serial, f"{place} new_serial", SERIAL_CHARS_MAX)
            if row.old_display is not None:
                _integer(row.old_display, f"{place} old_display")
            _integer(row.new_display, f"{place} new_display")
            _integer(row.register, f"{place} register")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockLine:
    """Places the R and U lines of its boot: `offset` is UTC minus boot time, in seconds."""

    header: Header
    offset: int

    def __post_init__(self) -> None:
        _integer(self.offset, "offset", -TIME_SECONDS_MAX, TIME_SECONDS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a full spool folded: totals stay exact, detail is given up (P3)."""

    header: Header
    covers: tuple[Cover, ...]
    start: int
    step: int
    count: int
    rows: tuple[UsageRow, ...]

    def __post_init__(self) -> None:
        _require(1 <= len(self.covers) <= SUMMARY_COVERS_MAX, f"covers must have 1 to {SUMMARY_COVERS_MAX} ranges")
        last = 0
        for at, cover in enumerate(self.covers):
            place = f"covers[{at}]"
            _integer(cover.first, f"{place} first", 1)
            _integer(cover.last, f"{place} last", cover.first)
            _require(cover.first > last, f"{place}: ranges must rise and not overlap")
            _require(cover.last < self.header.seq, f"{place}: a summary covers only what stands before it")
            if cover.first == 1:
                _require(cover.before == "", f"{place}: nothing stands before seq 1")
            else:
                _match(HASH_PATTERN, cover.before, f"{place} hash before")
            _match(HASH_PATTERN, cover.end, f"{place} hash of last")
            last = cover.last
        _window(self.start, self.step, self.count)
        _usage_rows(self.rows, self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """Receipted lines that were asked for and are gone; `receipted_at` is the receipt's milliseconds."""

    header: Header
    lost: Lost
    receipted_at: int

    def __post_init__(self) -> None:
        _match(HEX8_PATTERN, self.lost.epoch, "lost[0]")
        _integer(self.lost.first, "lost[1]", 1)
        _integer(self.lost.last, "lost[2]", self.lost.first)
        _integer(self.receipted_at, "receipted_at", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate:
    """The gateway's next key, which proves itself; lines after this one are signed by it."""

    header: Header
    next: str
    proof: str

    def __post_init__(self) -> None:
        key = PublicKey.from_text(self.next)
        _match(SIGNATURE_PATTERN, self.proof, "proof")
        proven = key.verifies(rotation_statement(self.header, self.next), urlsafe_b64decode(self.proof + "=="))
        _require(proven, "proof is not the next key's signature")


Report = Birth | Usage | Gap | Exchange | ClockLine | Summary | Forgotten | Rotate


def rotation_statement(header: Header, next_key: str) -> bytes:
    """The bytes that the next key signs to prove that its holder agrees."""
    return f"MS1-rotate|{header.gateway}|{header.log}|{header.epoch}|{header.seq}|{next_key}".encode()


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


_HEAD_KEYS: Final = ("kind", "gateway", "log", "key", "epoch", "seq", "prev", "boot", "clock", "sealed_at")


def _read(body: Body) -> Report:
    kind = body.get("kind")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise InvalidRecord(f"the kind {str(kind)[:32]!r} is unknown")
    keys, read_kind = reader
    _exact_keys(body, _HEAD_KEYS + keys)
    header = Header(
        gateway=body["gateway"],
        log=body["log"],
        key=body["key"],
        epoch=body["epoch"],
        seq=body["seq"],
        prev=body["prev"],
        boot=body["boot"],
        clock=_one_of(Clock, body["clock"], "clock"),
        sealed_at=body["sealed_at"],
    )
    return read_kind(header, body)


def _read_birth(header: Header, body: Body) -> Report:
    previous = body["previous"]
    return Birth(
        header=header,
        agent=body["agent"],
        config=body["config"],
        cause=_one_of(Cause, body["cause"], "cause"),
        previous=None if previous is None else Position(*_list(previous, "previous", 3)),
        channels=tuple(Channel(*_list(row, f"channels[{at}]", 8)) for at, row in _each(body["channels"], "channels")),
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
        device, meter, start, end, cause, before, after = _list(row, f"rows[{at}]", 7)
        rows.append(GapRow(device, meter, start, end, _one_of(GapCause, cause, f"rows[{at}] cause"), before, after))
    return Gap(header=header, rows=tuple(rows))


def _read_exchange(header: Header, body: Body) -> Report:
    rows = tuple(ExchangeRow(*_list(row, f"rows[{at}]", 7)) for at, row in _each(body["rows"], "rows"))
    return Exchange(header=header, rows=rows)


def _read_clock(header: Header, body: Body) -> Report:
    return ClockLine(header=header, offset=body["offset"])


def _read_summary(header: Header, body: Body) -> Report:
    covers = tuple(Cover(*_list(cover, f"covers[{at}]", 4)) for at, cover in _each(body["covers"], "covers"))
    return Summary(
        header=header,
        covers=covers,
        start=body["start"],
        step=body["step"],
        count=body["count"],
        rows=_read_usage_rows(body["rows"]),
    )


def _read_forgotten(header: Header, body: Body) -> Report:
    return Forgotten(header=header, lost=Lost(*_list(body["lost"], "lost", 3)), receipted_at=body["receipted_at"])


def _read_rotate(header: Header, body: Body) -> Report:
    return Rotate(header=header, next=body["next"], proof=body["proof"])


def _read_usage_rows(value: object) -> tuple[UsageRow, ...]:
    rows = []
    for at, row in _each(value, "rows"):
        if type(row) is not list or not 6 <= len(row) <= 7:
            raise InvalidRecord(f"rows[{at}] must be a list of 6 or 7")
        deltas = row[5]
        if type(deltas) is not list:
            raise InvalidRecord(f"rows[{at}] deltas must be a list")
        notes = _read_notes(row[6], f"rows[{at}] notes") if len(row) == 7 else {}
        rows.append(UsageRow(row[0], row[1], row[2], row[3], row[4], tuple(deltas), notes))
    return tuple(rows)


def _read_notes(value: object, place: str) -> dict[int, Verdict]:
    if type(value) is not dict or not value:
        raise InvalidRecord(f"{place} must be an object that is not empty")
    for index in value:
        _match(NOTE_INDEX_PATTERN, index, f"{place} index")
    return {int(index): _one_of(Verdict, note, place) for index, note in value.items()}


_READERS: Final[dict[str, tuple[tuple[str, ...], Callable[[Header, Body], Report]]]] = {
    "birth": (("agent", "config", "cause", "previous", "channels"), _read_birth),
    "usage": (("start", "step", "count", "rows"), _read_usage),
    "gap": (("rows",), _read_gap),
    "exchange": (("rows",), _read_exchange),
    "clock": (("offset",), _read_clock),
    "summary": (("covers", "start", "step", "count", "rows"), _read_summary),
    "forgotten": (("lost", "receipted_at"), _read_forgotten),
    "rotate": (("next", "proof"), _read_rotate),
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


def _require(holds: bool, reason: str) -> None:  # noqa: FBT001 - an assertion in words.
    if not holds:
        raise InvalidRecord(reason)


def _match(pattern: re.Pattern[str], value: object, place: str) -> None:
    if type(value) is not str or pattern.fullmatch(value) is None:
        raise InvalidRecord(f"{place} is {str(value)[:48]!r}, which does not fit {pattern.pattern}")


def _plain(value: object, place: str, chars_max: int) -> None:
    if type(value) is not str or len(value) > chars_max or PLAIN_TEXT.fullmatch(value) is None:
        raise InvalidRecord(f"{place} must be plain text of at most {chars_max} characters")


def _integer(value: object, place: str, least: int = -INTEGER_MAX, most: int = INTEGER_MAX) -> None:
    # `type(…) is int` on purpose: True is no integer on the wire.
    if type(value) is not int or not least <= value <= most:
        raise InvalidRecord(f"{place} is {str(value)[:48]}, not an integer from {least} to {most}")


_Name = TypeVar("_Name", bound=StrEnum)


def _one_of(kind: type[_Name], value: object, place: str) -> _Name:
    try:
        return kind(value)  # type: ignore[arg-type]
    except ValueError:
        raise InvalidRecord(f"{place} is {str(value)[:48]!r}, not one of {', '.join(kind)}") from None


def _list(value: object, place: str, length: int) -> list[Any]:
    if type(value) is not list or len(value) != length:
        raise InvalidRecord(f"{place} must be a list of {length}")
    return value


def _each(value: object, place: str) -> list[tuple[int, Any]]:
    if type(value) is not list or len(value) > LINE_ROWS_MAX:
        raise InvalidRecord(f"{place} must be a list of at most {LINE_ROWS_MAX}")
    return list(enumerate(value))


def _exact_keys(body: Body, keys: tuple[str, ...]) -> None:
    if body.keys() != set(keys):
        missing = sorted(set(keys) - body.keys())
        unknown = sorted(body.keys() - set(keys))
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has the unknown {', '.join(name[:32] for name in unknown)}"] if unknown else []
        raise InvalidRecord(f"the body {' and '.join(parts)}")


def _rows(rows: Sequence[Channel | UsageRow | GapRow | ExchangeRow], place: str, least: int = 1) -> None:
    if not least <= len(rows) <= LINE_ROWS_MAX:
        raise InvalidRecord(f"{place} must have {least} to {LINE_ROWS_MAX} rows")
    seen = set()
    for at, row in enumerate(rows):
        _match(NAME_PATTERN, row[0], f"{place}[{at}] device")
        _match(NAME_PATTERN, row[1], f"{place}[{at}] meter")
        seen.add((row[0], row[1]))
    if len(seen) != len(rows):
        raise InvalidRecord(f"{place}: a channel may stand once in a line")


def _channel(unit: object, exponent: object, place: str) -> None:
    _plain(unit, f"{place} unit", UNIT_CHARS_MAX)
    _require(unit != "", f"{place} unit must not be empty")
    _integer(exponent, f"{place} exponent", -EXPONENT_MAX, EXPONENT_MAX)


def _window(start: object, step: object, count: object) -> None:
    _integer(start, "start", 0, TIME_SECONDS_MAX)
    _integer(step, "step", 1, STEP_SECONDS_MAX)
    _integer(count, "count", 1, LINE_INTERVALS_MAX)


_INT_ONLY: Final = {int}


def _usage_rows(rows: Sequence[UsageRow], count: int) -> None:
    _rows(rows, "rows", least=0)
    for at, (_, _, unit, exponent, register, deltas, notes) in enumerate(rows):
        place = f"rows[{at}]"
        _channel(unit, exponent, place)
        _integer(register, f"{place} register")
        # One pass in C each instead of a check an interval: this is intake's innermost loop.
        if len(deltas) != count:
            raise InvalidRecord(f"{place} has {len(deltas)} deltas for {count} intervals")
        if set(map(type, deltas)) != _INT_ONLY or min(deltas) < 0:
            raise InvalidRecord(f"{place} deltas must be integers that are not negative")
        if max(deltas) > INTEGER_MAX or register + sum(deltas) > INTEGER_MAX:
            raise InvalidRecord(f"{place}: register and deltas go beyond {INTEGER_MAX}")
        if notes and max(notes) >= count:
            raise InvalidRecord(f"{place}: a note stands at interval {max(notes)} of {count}")
