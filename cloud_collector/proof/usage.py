"""Usage from the reports of a bundle alone: placed, settled and bridged by the collector's own rules.

Pure. What a report cannot say of itself comes from the invoice's cutoff, where it is stated and sealed:
which lines had been received, whose clock ran ahead, and how boots that never learned the time were laid.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from cloud_collector.invoice.basis import Cutoff
from cloud_collector.proof.bundle import LogName
from cloud_collector.proof.channel import Channel, EpochRows, PlacedRow
from cloud_collector.proof.evidence import Needed
from cloud_collector.usage.derive import OWN_TIME, Derived, Placement, Row, RowKind, rows_of
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import ChannelName, NamedGap, Span
from cloud_collector.usage.unfold import Folded, Told, absent, folded_of, placed_start, unfold
from shared.limits import TIME_SECONDS_MAX
from shared.report import ClockLine, Report, Summary

_NEVER_LATE: Final = TIME_SECONDS_MAX * 1000
"""Of a line that the cutoff does not name as moved: its own time counts."""


def ledger_of(reports: Iterable[Report], wanted: Needed, cutoff: Cutoff) -> Ledger:
    """A UsageView over exactly these reports."""
    logs: dict[LogName, list[Report]] = defaultdict(list)
    for report in reports:
        logs[report.header.gateway, report.header.log].append(report)
    spans: list[Span] = []
    gaps: list[NamedGap] = []
    for name, here in sorted(logs.items()):
        derived = _derived(name, here, cutoff)
        gaps += _unknown(name[0], derived)
        for channel, epochs in _channels(name, derived, wanted, cutoff):
            channel.take(epochs)
            spans += channel.spans
            gaps += channel.gaps
    return Ledger(spans, gaps)


_Said = list[tuple[Report, Derived, tuple[Folded, ...]]]
"""Each report, the rows that it says at its own position, and what a summary says of others', row by row."""


def _derived(name: LogName, reports: Sequence[Report], cutoff: Cutoff) -> _Said:
    """What each report says, placed in time, in order of the log's epochs."""
    placements = _placements(name, reports, cutoff)
    moved = {row[2:4]: row[4] for row in cutoff.moved if row[:2] == name}
    order = {row.epoch: rank for rank, row in enumerate(cutoff.received) if (row.gateway, row.log) == name}
    found: _Said = []
    for report in sorted(reports, key=lambda each: (order.get(each.header.epoch, len(order)), each.header.seq)):
        head = report.header
        placement = OWN_TIME if head.clock.placed else placements.get(head.boot)
        received_at = moved.get((head.epoch, head.seq), _NEVER_LATE)
        folded = _folded(report, placement, received_at, cutoff) if isinstance(report, Summary) else ()
        found.append((report, rows_of(report, placement, received_at, cutoff.skew_seconds), folded))
    return found


def _folded(report: Summary, placement: Placement | None, received_at: int, cutoff: Cutoff) -> tuple[Folded, ...]:
    start, moved = placed_start(report, placement, received_at, cutoff.skew_seconds)
    return tuple(folded_of(report, row, placement, start, moved=moved) for row in report.rows)


def _placements(name: LogName, reports: Sequence[Report], cutoff: Cutoff) -> dict[str, Placement]:
    """By boot: the first clock line's offset, else how the invoice says that it was laid."""
    placed = {boot: Placement(shift, estimated=True) for *log, boot, shift in cutoff.boots if tuple(log) == name}
    firsts: dict[tuple[str, str], ClockLine] = {}
    for report in sorted(reports, key=lambda each: each.header.seq):
        if isinstance(report, ClockLine):
            firsts.setdefault((report.header.boot, report.header.epoch), report)
    for (boot, _), clock in sorted(firsts.items(), key=lambda each: (-each[1].header.sealed_at, -each[1].offset)):
        placed[boot] = Placement(clock.offset, estimated=False)
    return placed


def _unknown(gateway: str, derived: _Said) -> list[NamedGap]:
    return [
        NamedGap(
            channel=ChannelName(gateway=gateway, device=gap.device, meter=gap.meter),
            start=gap.start,
            end=gap.until,
            cause=str(gap.cause),
        )
        for _, said, _ in derived
        for gap in said.unknown
        if gap.start is not None and gap.until is not None
    ]


def _channels(
    name: LogName, derived: _Said, wanted: Needed, cutoff: Cutoff
) -> Iterable[tuple[Channel, list[EpochRows]]]:
    """Each channel of the log with its rows, epoch by epoch in the log's order."""
    rows: dict[tuple[str, str], dict[str, list[PlacedRow]]] = defaultdict(lambda: defaultdict(list))
    units: dict[tuple[str, str], tuple[str, int]] = {}
    folded: dict[tuple[str, str], dict[str, list[Folded]]] = defaultdict(lambda: defaultdict(list))
    for report, said, summary in derived:
        for row in said.rows:
            rows[row.device, row.meter][report.header.epoch].append(PlacedRow(seq=report.header.seq, row=row))
            if row.unit is not None and row.exponent is not None:
                units.setdefault((row.device, row.meter), (row.unit, row.exponent))
        if isinstance(report, Summary):
            for told, each in zip(report.rows, summary, strict=True):
                if units.setdefault(told[:2], told[2:4]) == told[2:4]:
                    folded[told[:2]][report.header.epoch].append(each)
    for channel, by_epoch in folded.items():
        for epoch, some in by_epoch.items():
            strangers = {seq for *log, seq in cutoff.strangers if tuple(log) == (*name, epoch)}
            _unfold((*name, epoch), rows[channel][epoch], some, (*channel, *units[channel]), wanted, strangers)
    for (device, meter), epochs in sorted(rows.items()):
        unit, exponent = units.get((device, meter), ("", 0))
        found = Channel(
            name=ChannelName(gateway=name[0], device=device, meter=meter),
            log=name[1],
            unit=unit,
            exponent=exponent,
            rates_max=cutoff.rates_max,
        )
        yield found, [_epoch((*name, epoch), here, wanted, cutoff) for epoch, here in epochs.items()]


def _unfold(
    name: tuple[str, str, str],
    rows: list[PlacedRow],
    folded: Sequence[Folded],
    channel: tuple[str, str, str, int],
    wanted: Needed,
    strangers: Collection[int],
) -> None:
    """The rows that summaries say of positions which had not been received stand among the others."""
    received = wanted.received.get(name)
    holes = () if received is None else received.holes
    lacking = {
        each.seq: [
            free
            for a, b in each.ranges
            for c, d in holes
            if c <= b and d >= a
            for free in absent([(max(a, c), min(b, d))], sorted(strangers))
        ]
        for each in folded
    }
    told = [Told(at.seq, at.row.register, at.row.register_end, at.row.start, at.row.until) for at in rows]
    for each in unfold(folded, lacking, told):
        row = Row(*channel, RowKind.USAGE, each.start, each.step, each.deltas, each.register, each.register_end,
                  each.estimated)  # fmt: skip
        rows.append(PlacedRow(seq=each.seq, row=row))
    rows.sort(key=lambda each: each.seq)


def _epoch(name: tuple[str, str, str], rows: Sequence[PlacedRow], wanted: Needed, cutoff: Cutoff) -> EpochRows:
    received = wanted.received.get(name)
    return EpochRows(
        epoch=name[2],
        rows=tuple(rows),
        counted=wanted.stretches.get(name, ()),
        ends=name in cutoff.carried,
        holes=() if received is None else received.holes,
    )
