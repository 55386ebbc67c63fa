"""What metering hands over to be sealed: the content of a line, without its position in the chain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from shared.limits import LINE_BYTES_MAX, LINE_ROWS_MAX
from shared.report import Cause, Channel, Clock, GapRow, UsageRow

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


Content = BirthContent | UsageContent | GapContent | ClockContent


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealable:
    """One line to be sealed: the header's part that metering knows, and the content."""

    log: str
    boot: str
    clock: Clock
    sealed_at: int
    content: Content


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
