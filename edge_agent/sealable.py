"""What metering hands over to be sealed: the content of a line, without its position in the chain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from shared.key import SigningKey
from shared.limits import LINE_BYTES_MAX, LINE_ROWS_MAX
from shared.report import Cause, Channel, Clock, ExchangeRow, GapCause, GapRow, Lost, UsageRow

_LINE_ROOM_BYTES: Final = LINE_BYTES_MAX - 2_048
"""What a line has for rows beside header, hashes and signature."""
_ROW_BYTES_MAX: Final = 320
"""A row of a birth or a gap: four names and texts, five integers, punctuation."""
_NAMES_BYTES_MAX: Final = 160
"""A usage row's names, unit, exponent and register."""
_NOTE_BYTES_MAX: Final = 20

Row = TypeVar("Row", Channel, GapRow, UsageRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class BirthContent:
    """Where the log's channels stand; the spool adds agent, config and previous."""

    cause: Cause
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageContent:
    """A closed window."""

    start: int
    step: int
    count: int
    rows: tuple[UsageRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GapContent:
    """What could not be metered."""

    rows: tuple[GapRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockContent:
    """UTC minus boot time, in seconds."""

    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateContent:
    """The gateway's next key, which signs what comes after."""

    next: SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgottenContent:
    """Receipted lines that were asked for and are gone; `receipted_at` in the collector's milliseconds."""

    lost: Lost
    receipted_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeContent:
    """Meters that were swapped."""

    rows: tuple[ExchangeRow, ...]


Content = BirthContent | UsageContent | GapContent | ClockContent | RotateContent | ForgottenContent | ExchangeContent


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealable:
    """One line to be sealed: the header's part that metering knows, and the content."""

    log: str
    boot: str
    clock: Clock
    sealed_at: int
    content: Content


def declared_to_json(line: Sealable) -> list[Any]:
    """A gap that waits for its log's birth, as plain data."""
    assert isinstance(line.content, GapContent), "only gaps are declared beforehand"
    return [line.boot, str(line.clock), line.sealed_at, [list(row) for row in line.content.rows]]


def declared_from_json(log: str, data: Sequence[Any]) -> Sealable:
    """The line that `declared_to_json` wrote."""
    boot, clock, sealed_at, rows = data
    gaps = (
        GapRow(device, meter, start, end, GapCause(cause), before, after)
        for device, meter, start, end, cause, before, after in rows
    )
    return Sealable(log=log, boot=boot, clock=Clock(clock), sealed_at=sealed_at, content=GapContent(rows=tuple(gaps)))


def in_lines(rows: Sequence[Row]) -> Iterator[tuple[Row, ...]]:
    """Share rows out to as many lines as the wire's bounds ask for (P9), in their order."""
    part: list[Row] = []
    room = _LINE_ROOM_BYTES
    for row in rows:
        size = _bytes_max(row)
        if part and (size > room or len(part) == LINE_ROWS_MAX):
            yield tuple(part)
            part, room = [], _LINE_ROOM_BYTES
        part.append(row)
        room -= size
    if part:
        yield tuple(part)


def _bytes_max(row: Channel | GapRow | UsageRow) -> int:
    if not isinstance(row, UsageRow):
        return _ROW_BYTES_MAX
    return _NAMES_BYTES_MAX + sum(len(str(delta)) + 1 for delta in row.deltas) + _NOTE_BYTES_MAX * len(row.notes)
