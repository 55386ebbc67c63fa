"""From one sealed line to the rows that it says of each channel: the same here, in a rebuild and in a proof.

Pure. A row is what a line says of one channel, placed in time (P13); whether it counts is decided
among its neighbours, in `cloud_collector.usage.settle`. Times are whole UTC seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from cloud_collector.usage.let_go import LetGo
from cloud_collector.usage.span import ChannelName, Span, SpanKind
from shared.report import (
    Birth,
    Exchange,
    Gap,
    Report,
    Usage,
    Verdict,
)

SKEW_SECONDS = 300
"""The default of `clock_skew_seconds`."""
ALL = "*"
"""Every interval is estimated."""


class RowKind(IntEnum):
    """What a row of the projection is; those up to USAGE are said by a line, the others are derived."""

    BIRTH = 1
    EXCHANGE = 2
    GAP = 3
    USAGE = 4
    BRIDGE = 5
    """Within an epoch: a hole between accepted lines."""
    BETWEEN = 6
    """From one epoch to the next."""


class Placement(NamedTuple):
    """How a line's own times become UTC: add `offset`; `estimated` where nobody knows exactly."""

    offset: int
    estimated: bool


OWN_TIME = Placement(0, estimated=False)


class Row(NamedTuple):
    """What a line says of one channel."""

    device: str
    meter: str
    unit: str | None
    """None where the line does not say: gap and exchange rows."""
    exponent: int | None
    kind: RowKind
    start: int | None
    """None until the line is placed."""
    step: int
    deltas: tuple[int, ...]
    register: int
    register_end: int
    estimated: str | None
    """Indices of estimated intervals joined by blanks, or ALL."""
    raw: int | None = None
    serial: str | None = None

    @property
    def until(self) -> int | None:
        """The first second after the row."""
        return None if self.start is None else self.start + self.step * len(self.deltas)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownRow:
    """A stretch of a channel of which the line says that the amount is unknown."""

    device: str
    meter: str
    start: int | None
    until: int | None
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """Everything that one line says."""

    rows: tuple[Row, ...]
    unknown: tuple[UnknownRow, ...] = ()


def rows_of(
    report: Report | LetGo, placement: Placement | None, received_at: int, skew_seconds: int = SKEW_SECONDS
) -> Derived:
    """What the line says of each channel; `received_at` in milliseconds. Kinds without rows say nothing."""
    latest = received_at // 1000
    bound = latest + skew_seconds
    match report:
        case Usage():
            return Derived(rows=_usage_rows(report, placement, latest, bound))
        case Birth(header=header, channels=channels):
            at, estimated = _instant(header.sealed_at, placement, latest, bound)
            return Derived(
                rows=tuple(
                    Row(
                        c.device,
                        c.meter,
                        c.unit,
                        c.exponent,
                        RowKind.BIRTH,
                        at,
                        0,
                        (),
                        c.register,
                        c.register,
                        estimated,
                        c.raw,
                        c.serial,
                    )
                    for c in channels
                )
            )
        case Gap():
            return _gap_rows(report, placement, latest, bound)
        case Exchange(header=header, rows=exchanges):
            at, estimated = _instant(header.sealed_at, placement, latest, bound)
            return Derived(
                rows=tuple(
                    Row(
                        e.device,
                        e.meter,
                        None,
                        None,
                        RowKind.EXCHANGE,
                        at,
                        0,
                        (),
                        e.register,
                        e.register,
                        estimated,
                        e.new_display,
                        e.new_serial,
                    )
                    for e in exchanges
                )
            )
        case LetGo(start=start, step=step, rows=left):
            # Only lines that knew the time are let go: there is nothing to be placed.
            return Derived(
                rows=tuple(
                    Row(row.device, row.meter, row.unit, row.exponent, RowKind.USAGE, start, step, row.deltas,
                        row.register, row.register + sum(row.deltas), None)
                    for row in left
                )
            )  # fmt: skip
        case _:
            return Derived(rows=())


def spans_of(
    report: Report, placement: Placement | None, received_at: int, skew_seconds: int = SKEW_SECONDS
) -> list[Span]:
    """The line's placed quantities as spans; units that the line does not say are empty and 0."""
    header = report.header
    found = []
    for row in rows_of(report, placement, received_at, skew_seconds).rows:
        if row.start is None or row.kind not in (RowKind.USAGE, RowKind.GAP):
            continue
        found.append(
            Span(
                channel=ChannelName(gateway=header.gateway, device=row.device, meter=row.meter),
                log=header.log,
                unit=row.unit or "",
                exponent=row.exponent or 0,
                kind=SpanKind.USAGE if row.kind is RowKind.USAGE else SpanKind.GAP,
                epoch=header.epoch,
                seq=header.seq,
                start=row.start,
                step=row.step,
                deltas=row.deltas,
                register=row.register,
                estimated=estimated_indices(row.estimated, len(row.deltas)),
                received_at=received_at,
            )
        )
    return found


def estimated_indices(text: str | None, count: int) -> frozenset[int]:
    """The indices that `Row.estimated` spells."""
    if text is None:
        return frozenset()
    return frozenset(range(count)) if text == ALL else frozenset(map(int, text.split()))


def _usage_rows(report: Usage, placement: Placement | None, latest: int, bound: int) -> tuple[Row, ...]:
    placed: int | None = None
    everything = None
    if placement is not None:
        placed = report.start + placement.offset
        end = placed + report.step * report.count
        moved = end > bound
        if moved:
            # P13: a clock that runs ahead moves usage to its receipt, never out of existence.
            placed -= end - latest
        everything = ALL if moved or placement.estimated else None
    usage, step = RowKind.USAGE, report.step
    return tuple(
        # As `Row(…)` would, in half the time: this runs twenty times a line.
        tuple.__new__(Row, (device, meter, unit, exponent, usage, placed, step, deltas, register,
                            register + sum(deltas), everything or (_noted(notes) if notes else None), None, None))
        for device, meter, unit, exponent, register, deltas, notes in report.rows
    )  # fmt: skip


def _noted(notes: Mapping[int, Verdict]) -> str | None:
    found = sorted(at for at, note in notes.items() if note in (Verdict.ESTIMATED, Verdict.MISSING))
    return " ".join(map(str, found)) or None


def _gap_rows(report: Gap, placement: Placement | None, latest: int, bound: int) -> Derived:
    rows: list[Row] = []
    unknown: list[UnknownRow] = []
    for gap in report.rows:
        start, until = gap.start, gap.end
        if placement is not None:
            start, until = start + placement.offset, until + placement.offset
            if until > bound:
                start, until = start - (until - latest), latest
        placed = None if placement is None else start
        if gap.before is None or gap.after is None:
            end = None if placement is None else until
            unknown.append(UnknownRow(device=gap.device, meter=gap.meter, start=placed, until=end, cause=gap.cause))
        else:
            rows.append(
                Row(gap.device, gap.meter, None, None, RowKind.GAP, placed, until - start, (gap.after - gap.before,),
                    gap.before, gap.after, ALL)
            )  # fmt: skip
    return Derived(rows=tuple(rows), unknown=tuple(unknown))


def _instant(sealed_at: int, placement: Placement | None, latest: int, bound: int) -> tuple[int | None, str | None]:
    """Where a moment lies, and ALL where that is an estimate."""
    if placement is None:
        return None, ALL
    at = sealed_at + placement.offset
    moved = at > bound
    return latest if moved else at, ALL if moved or placement.estimated else None
