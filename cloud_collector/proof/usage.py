"""Usage from the reports of a bundle alone: placed, settled and bridged by the collector's own rules.

Pure. What a report cannot say of itself comes from the invoice's cutoff, where it is stated and sealed:
which lines had been received, whose clock ran ahead, and how boots that never learned the time were laid.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cloud_collector.invoice.basis import Cutoff
from cloud_collector.proof.evidence import Needed
from cloud_collector.usage.between import Carried, EpochEnd, EpochStart, between_epochs
from cloud_collector.usage.derive import (
    OWN_TIME,
    Placement,
    Row,
    RowKind,
    estimated_indices,
    rows_of,
)
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.settle import Node, Tail, settle
from cloud_collector.usage.span import ChannelName, NamedGap, Span, SpanKind
from shared.limits import TIME_SECONDS_MAX
from shared.report import ClockLine, Report

_NEVER_LATE: Final = TIME_SECONDS_MAX * 1000
"""Of a line that the cutoff does not name as moved: its own time counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """A row in its epoch."""

    seq: int
    row: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """A channel's epoch, walked from its first held row to its last."""

    epoch: str
    first: _Placed
    start: _Placed | None
    """The first row that states the meter's own register."""
    tail: Tail
    raw: int | None
    raw_register: int
    serial: str | None


class _Found:
    """What the walk collects."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.gaps: list[NamedGap] = []


def ledger_of(reports: Iterable[Report], wanted: Needed, cutoff: Cutoff, rates_max: Mapping[str, int]) -> Ledger:
    """A UsageView over exactly these reports."""
    logs: dict[tuple[str, str], list[Report]] = defaultdict(list)
    for report in reports:
        logs[report.header.gateway, report.header.log].append(report)
    found = _Found()
    for (gateway, log), here in sorted(logs.items()):
        _log(gateway, log, here, wanted, cutoff, rates_max, found)
    return Ledger(found.spans, found.gaps)


def _log(
    gateway: str,
    log: str,
    reports: Sequence[Report],
    wanted: Needed,
    cutoff: Cutoff,
    rates_max: Mapping[str, int],
    found: _Found,
) -> None:
    placements = _placements(gateway, log, reports, cutoff)
    moved = {(row[2], row[3]): row[4] for row in cutoff.moved if row[:2] == (gateway, log)}
    channels: dict[tuple[str, str], dict[str, list[_Placed]]] = defaultdict(lambda: defaultdict(list))
    units: dict[tuple[str, str], tuple[str, int]] = {}
    began: dict[str, int] = {}
    for report in sorted(reports, key=lambda each: (each.header.epoch, each.header.seq)):
        head = report.header
        placement = OWN_TIME if head.clock.placed else placements.get(head.boot)
        received_at = moved.get((head.epoch, head.seq), _NEVER_LATE)
        derived = rows_of(report, placement, received_at, cutoff.skew_seconds)
        for row in derived.rows:
            channels[row.device, row.meter][head.epoch].append(_Placed(seq=head.seq, row=row))
            if row.unit is not None and row.exponent is not None:
                units[row.device, row.meter] = (row.unit, row.exponent)
            if row.start is not None:
                began[head.epoch] = min(began.get(head.epoch, row.start), row.start)
        found.gaps += [
            NamedGap(
                channel=ChannelName(gateway=gateway, device=gap.device, meter=gap.meter),
                start=gap.start,
                end=gap.until,
                cause=gap.cause,
            )
            for gap in derived.unknown
            if gap.start is not None and gap.until is not None
        ]
    for (device, meter), epochs in sorted(channels.items()):
        channel = _Channel(
            name=ChannelName(gateway=gateway, device=device, meter=meter),
            log=log,
            unit=units.get((device, meter), ("", 0)),
        )
        before: _Walk | None = None
        for epoch in sorted(epochs, key=lambda each: (began.get(each, 0), each)):
            walk = _walk(channel, epoch, epochs[epoch], wanted, found)
            if walk is not None and before is not None:
                _between(channel, before, walk, rates_max, found)
            before = walk or before


@dataclass(frozen=True, slots=True, kw_only=True)
class _Channel:
    name: ChannelName
    log: str
    unit: tuple[str, int]

    def span(
        self,
        kind: SpanKind,
        epoch: str,
        seq: int,
        start: int,
        step: int,
        deltas: tuple[int, ...],
        register: int,
        estimated: frozenset[int],
    ) -> Span:
        return Span(
            channel=self.name,
            log=self.log,
            unit=self.unit[0],
            exponent=self.unit[1],
            kind=kind,
            epoch=epoch,
            seq=seq,
            start=start,
            step=step,
            deltas=deltas,
            register=register,
            estimated=estimated,
            received_at=0,
        )


def _placements(gateway: str, log: str, reports: Sequence[Report], cutoff: Cutoff) -> dict[str, Placement]:
    """By boot: the first clock line's offset, else how the invoice says that it was laid."""
    placed = {
        boot: Placement(shift, estimated=True)
        for its_gateway, its_log, boot, shift in cutoff.boots
        if (its_gateway, its_log) == (gateway, log)
    }
    clocks = [report for report in reports if isinstance(report, ClockLine)]
    for report in sorted(clocks, key=lambda each: (each.header.epoch, each.header.seq), reverse=True):
        placed[report.header.boot] = Placement(report.offset, estimated=False)
    return placed


def _walk(channel: _Channel, epoch: str, rows: Sequence[_Placed], wanted: Needed, found: _Found) -> _Walk | None:
    """Settle the rows of one epoch; those before the stretch that the invoice rests on only tell the meter's raw."""
    name = (channel.name.gateway, channel.log, epoch)
    low, high = wanted.stretches.get(name, (1, 0))
    received = wanted.received.get(name)
    first: _Placed | None = None
    start: _Placed | None = None
    tail: Tail | None = None
    raw, raw_register, serial = None, 0, None
    for placed in rows:
        row = placed.row
        if row.raw is not None:
            raw, raw_register = row.raw, row.register
            start = start or placed
        if row.serial is not None:
            serial = row.serial
        if not low <= placed.seq <= high:
            continue
        node = Node(
            seq=placed.seq,
            kind=row.kind,
            start=row.start,
            until=row.until,
            register=row.register,
            register_end=row.register_end,
            cloned=False,
        )
        hole = tail is not None and received is not None and _has_hole(received.holes, tail.seq, placed.seq)
        settled = settle(tail, node, hole=hole, unreadable=False)
        bridge = settled.bridge
        if bridge is not None and bridge.start is not None:
            found.spans.append(
                channel.span(
                    SpanKind.BRIDGE,
                    epoch,
                    placed.seq,
                    bridge.start,
                    bridge.seconds,
                    (bridge.units,),
                    bridge.register,
                    frozenset({0}),
                )
            )
        if settled.reason is None and row.start is not None and row.kind in (RowKind.USAGE, RowKind.GAP):
            kind = SpanKind.USAGE if row.kind is RowKind.USAGE else SpanKind.GAP
            marks = estimated_indices(row.estimated, len(row.deltas))
            found.spans.append(
                channel.span(kind, epoch, placed.seq, row.start, row.step, row.deltas, row.register, marks)
            )
        tail = settled.tail
        first = first or placed
    if tail is None or first is None:
        return None
    return _Walk(epoch=epoch, first=first, start=start, tail=tail, raw=raw, raw_register=raw_register, serial=serial)


def _has_hole(holes: Sequence[tuple[int, int]], after: int, before: int) -> bool:
    """Whether a position strictly between the two had not been received."""
    return any(first < before and last > after for first, last in holes)


def _between(channel: _Channel, old: _Walk, new: _Walk, rates_max: Mapping[str, int], found: _Found) -> None:
    """What the meter counted between the two epochs, or a gap of unknown amount."""
    start = new.start
    if start is None:
        return
    raw = None if old.raw is None else old.raw + (old.tail.top - old.raw_register)
    carried = between_epochs(
        EpochEnd(raw=raw, serial=old.serial, at=old.tail.until),
        EpochStart(
            seq=start.seq,
            register=start.row.register,
            raw=start.row.raw,
            serial=start.row.serial,
            at=start.row.start,
        ),
        unit=channel.unit[0],
        exponent=channel.unit[1],
        rates_max=rates_max,
    )
    if carried is None or carried.start is None:
        return
    if isinstance(carried, Carried):
        found.spans.append(
            channel.span(
                SpanKind.BRIDGE,
                new.epoch,
                carried.seq,
                carried.start,
                carried.seconds,
                (carried.units,),
                carried.register,
                frozenset({0}),
            )
        )
    elif carried.until is not None:
        found.gaps.append(NamedGap(channel=channel.name, start=carried.start, end=carried.until, cause="spool_lost"))
