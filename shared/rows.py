"""The rows of sealed lines and the words that stand in them, with the rules that a row alone can keep.

Source: docs/reference/wire.md, sections 3 and 8. Quantities are integers times 10^exponent of a UCUM
unit. Rows are tuples in the wire's order; the kinds that hold them call the checks below.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from shared.errors import InvalidRecord
from shared.grammar import NAME_PATTERN, PLAIN_TEXT, require, require_integer, require_match, require_plain
from shared.limits import (
    EXPONENT_MAX,
    INTEGER_MAX,
    LINE_INTERVALS_MAX,
    LINE_ROWS_MAX,
    SERIAL_CHARS_MAX,
    STEP_SECONDS_MAX,
    TIME_SECONDS_MAX,
    UNIT_CHARS_MAX,
)


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


def check_window(start: object, step: object, count: object) -> None:
    """A window `[start, start + step·count)` lies within the wire's bounds."""
    require_integer(start, "start", 0, TIME_SECONDS_MAX)
    require_integer(step, "step", 1, STEP_SECONDS_MAX)
    require_integer(count, "count", 1, LINE_INTERVALS_MAX)


def check_channels(channels: Sequence[Channel]) -> None:
    """A birth's channels: each stands once, in one unit, with its register and what it stands for."""
    _check_names(channels, "channels", least=0)
    for at, row in enumerate(channels):
        place = f"channels[{at}]"
        _check_unit(row.unit, row.exponent, place)
        require_match(NAME_PATTERN, row.source, f"{place} source")
        require_plain(row.serial, f"{place} serial", SERIAL_CHARS_MAX)
        require_integer(row.register, f"{place} register")
        if row.raw is not None:
            require_integer(row.raw, f"{place} raw")


def check_gap_rows(rows: Sequence[GapRow]) -> None:
    """Gaps: each with a length, and with both registers or none."""
    _check_names(rows, "rows")
    for at, row in enumerate(rows):
        place = f"rows[{at}]"
        require_integer(row.start, f"{place} from", 0, TIME_SECONDS_MAX)
        require_integer(row.end, f"{place} to", 0, TIME_SECONDS_MAX)
        require(isinstance(row.cause, GapCause), f"{place} cause is not one of {', '.join(GapCause)}")
        require(row.start < row.end, f"{place}: from must be before to")
        require((row.before is None) == (row.after is None), f"{place}: one register without the other")
        if row.before is not None and row.after is not None:
            require_integer(row.before, f"{place} before")
            require_integer(row.after, f"{place} after")
            require(row.before <= row.after, f"{place}: the register must not fall")


def check_exchange_rows(rows: Sequence[ExchangeRow]) -> None:
    """Exchanges: both serials, the new display, and the old one where it could be read."""
    _check_names(rows, "rows")
    for at, row in enumerate(rows):
        place = f"rows[{at}]"
        require_plain(row.old_serial, f"{place} old_serial", SERIAL_CHARS_MAX)
        require_plain(row.new_serial, f"{place} new_serial", SERIAL_CHARS_MAX)
        if row.old_display is not None:
            require_integer(row.old_display, f"{place} old_display")
        require_integer(row.new_display, f"{place} new_display")
        require_integer(row.register, f"{place} register")


CHANNEL_NAMES_KEPT: Final = 65_536
"""Channels whose names are known to be sound, or not; the least recent are forgotten."""
_INT_ONLY: Final = {int}
# One match for three names: none of the three alphabets holds a line feed.
_CHANNEL_NAMES: Final = re.compile(
    rf"{NAME_PATTERN.pattern}\n{NAME_PATTERN.pattern}\n{PLAIN_TEXT.pattern[:-1]}{{1,{UNIT_CHARS_MAX}}}", re.ASCII
)


def check_usage_rows(rows: Sequence[UsageRow], count: int) -> None:
    """Usage: `count` deltas a row that are not negative, and a register that stays in bounds with them."""
    if len(rows) > LINE_ROWS_MAX:
        raise InvalidRecord(f"rows must have 0 to {LINE_ROWS_MAX} rows")
    sound = _are_sound
    # Intake's innermost loop: a row is judged at once, and one that is not plainly sound, slowly.
    for at, (device, meter, unit, exponent, register, deltas, notes) in enumerate(rows):
        if (
            not (type(device) is type(meter) is type(unit) is str)
            or not sound(device, meter, unit)
            or not (type(exponent) is type(register) is int)
            or not -EXPONENT_MAX <= exponent <= EXPONENT_MAX
            or not 0 <= register <= INTEGER_MAX
            or len(deltas) != count
            or set(map(type, deltas)) != _INT_ONLY
            or min(deltas) < 0
            or register + sum(deltas) > INTEGER_MAX
            or notes
        ):
            _check_usage_row(rows[at], count, f"rows[{at}]")
    if len({row[:2] for row in rows}) != len(rows):
        raise InvalidRecord("rows: a channel may stand once in a line")


@lru_cache(maxsize=CHANNEL_NAMES_KEPT)
def _are_sound(device: str, meter: str, unit: str) -> bool:
    """Whether a channel's names keep the grammar; the same ones come with every line."""
    return _CHANNEL_NAMES.fullmatch(f"{device}\n{meter}\n{unit}") is not None


def _check_usage_row(row: UsageRow, count: int, place: str) -> None:
    require_match(NAME_PATTERN, row.device, f"{place} device")
    require_match(NAME_PATTERN, row.meter, f"{place} meter")
    _check_unit(row.unit, row.exponent, place)
    require_integer(row.register, f"{place} register")
    require(len(row.deltas) == count, f"{place} has {len(row.deltas)} deltas for {count} intervals")
    for delta in row.deltas:
        require_integer(delta, f"{place}: a delta", 0)
    require(row.register + sum(row.deltas) <= INTEGER_MAX, f"{place}: register and deltas go beyond {INTEGER_MAX}")
    for index, note in row.notes.items():
        require_integer(index, f"{place}: a note's interval", 0, count - 1)
        require(isinstance(note, Verdict), f"{place}: a note is no verdict")


def _check_unit(unit: object, exponent: object, place: str) -> None:
    require_plain(unit, f"{place} unit", UNIT_CHARS_MAX)
    require(unit != "", f"{place} unit must not be empty")
    require_integer(exponent, f"{place} exponent", -EXPONENT_MAX, EXPONENT_MAX)


def _check_names(rows: Sequence[Channel | GapRow | ExchangeRow], place: str, least: int = 1) -> None:
    require(least <= len(rows) <= LINE_ROWS_MAX, f"{place} must have {least} to {LINE_ROWS_MAX} rows")
    for at, row in enumerate(rows):
        require_match(NAME_PATTERN, row.device, f"{place}[{at}] device")
        require_match(NAME_PATTERN, row.meter, f"{place}[{at}] meter")
    require(len({row[:2] for row in rows}) == len(rows), f"{place}: a channel may stand once in a line")
