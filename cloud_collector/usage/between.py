"""Usage from one epoch to the next: the meter's own counter went on while the spool was lost (P1, P3).

Pure. For a channel with the same serial, usage = raw at birth − raw at the end of the last accepted
line; a gap of unknown amount where that is negative or faster than its unit can be believed.
Source: docs/reference/wire.md, section 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cloud_collector.usage.derive import RowKind

RATES_MAX: Final[Mapping[str, int]] = {
    "By": 100_000_000_000,
    "bit": 1_000_000_000_000,
    "Wh": 1_000_000,
    "W.h": 1_000_000,
    "kWh": 1_000,
    "J": 4_000_000_000,
    "s": 1_024,
    "m3": 1_000,
    "L": 1_000_000,
    "l": 1_000_000,
}
"""Whole units a second; generous: what is above is no usage but a mistake."""
RATE_MAX: Final = 1_000_000_000
"""For every other unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochEnd:
    """Where a channel stood after the last accepted line of an epoch."""

    raw: int | None
    serial: str | None
    at: int | None
    """None where it is not placed."""
    sure: int | None = None
    """The latest moment before it whose place in time is no estimate: `at` itself, or a reading before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochStart:
    """Where a channel stands at its first reading of the next epoch."""

    seq: int
    register: int
    raw: int | None
    serial: str | None
    at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """Usage between two epochs, in [start, start + seconds); `start` None until both sides are placed."""

    seq: int
    start: int | None
    seconds: int
    register: int
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncarried:
    """Between two epochs nobody knows how much."""

    seq: int
    start: int | None
    until: int | None
    why: str


def surely_before(end: int | None, kind: RowKind | int, step: int) -> int | None:
    """A moment that the meter's last reading does not lie before, from the last row that moved the register.

    A birth states what was read last, however long ago; a summary's last hour may reach beyond the epoch.
    """
    return end if end is None or kind != RowKind.USAGE else end - step


def raw_at_end(*, mark_raw: int | None, mark_register: int, top: int) -> int | None:
    """The meter's own reading at the end: the last raw that a line states and what the register moved since."""
    return None if mark_raw is None else mark_raw + (top - mark_register)


def between_epochs(
    end: EpochEnd, start: EpochStart, *, unit: str, exponent: int, rates_max: Mapping[str, int] = RATES_MAX
) -> Carried | Uncarried | None:
    """What was used between the two; None where nothing was."""
    if end.raw is None or start.raw is None:
        return _unknown(end, start, "the meter's own register is not known on both sides")
    if end.serial != start.serial:
        return _unknown(end, start, "another meter is in its place")
    units = start.raw - end.raw
    if units < 0:
        return _unknown(end, start, "the meter's own register has fallen")
    if units == 0:
        return None
    if end.at is None or start.at is None:
        return Carried(seq=start.seq, start=None, seconds=0, register=start.register - units, units=units)
    since = min(end.at, start.at - 1)
    seconds = start.at - since
    # P13: a boot that was laid where there was room may have ended long before; the rate has all of that time.
    most = max(seconds, start.at - (since if end.sure is None else end.sure))
    rate = rates_max.get(unit, RATE_MAX)
    believed = units * 10**exponent <= rate * most if exponent >= 0 else units <= rate * most * 10**-exponent
    if not believed:
        return _unknown(end, start, f"{units} units in {most} seconds are more than the meter can count")
    return Carried(seq=start.seq, start=since, seconds=seconds, register=start.register - units, units=units)


def _unknown(end: EpochEnd, start: EpochStart, why: str) -> Uncarried:
    placed = end.at is not None and start.at is not None
    since = min(end.at, start.at - 1) if placed else None  # type: ignore[operator, type-var]
    return Uncarried(seq=start.seq, start=since, until=start.at if placed else None, why=why)
