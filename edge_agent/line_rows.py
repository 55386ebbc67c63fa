"""What channels say in the next lines: where they stand, what could not be metered, what they used.

Each function leaves `cut` where the lines that it makes rows for end.
"""

from collections.abc import Iterable

from edge_agent.open_channel import OpenChannel
from edge_agent.sealable import in_lines
from edge_agent.timekeeping import Moment, TimeState
from edge_agent.window import PendingGap, Window
from shared.report import Channel, GapRow, UsageRow


def birth_rows(channels: Iterable[OpenChannel]) -> list[Channel]:
    """Where every channel stands at the end of the line before; one without a reading stands at 0 from now on."""
    rows = []
    for channel in channels:
        if channel.state.register is None:
            channel.state = channel.state._replace(register=0)
            channel.cut = 0
        spec = channel.spec
        difference, serial = channel.statement
        raw = None if difference is None else channel.cut + difference
        rows.append(
            Channel(spec.device, spec.meter, spec.unit, spec.exponent, spec.source, serial, channel.cut, raw),
        )
    return rows


def gap_rows(channels: Iterable[OpenChannel], window: Window, upto: int, time: TimeState) -> list[tuple[GapRow, ...]]:
    """The gaps that ended in the window's first intervals, line by line: a channel stands once in a line."""
    layers: list[list[GapRow]] = []
    for channel in channels:
        if not channel.row.gaps:
            continue
        limit = window.base + upto
        ended = [gap for gap in channel.row.gaps if gap.ordinal < limit]
        channel.row.gaps = [gap for gap in channel.row.gaps if gap.ordinal >= limit]
        for depth, gap in enumerate(ended):
            if depth == len(layers):
                layers.append([])
            layers[depth].append(_gap_row(channel, gap, window, time))
            channel.cut += gap.amount or 0
    return [part for layer in layers for part in in_lines(layer)]


def usage_rows(channels: Iterable[OpenChannel], upto: int) -> list[UsageRow]:
    """What was used in the window's first intervals."""
    rows = []
    for channel in channels:
        spec, deltas = channel.spec, tuple(channel.row.deltas[:upto])
        notes = channel.row.notes_until(upto)
        rows.append(UsageRow(spec.device, spec.meter, spec.unit, spec.exponent, channel.cut, deltas, notes))
        channel.cut += sum(deltas)
    return rows


def _gap_row(channel: OpenChannel, gap: PendingGap, window: Window, time: TimeState) -> GapRow:
    end = max(1, _label(gap.until, window, time))
    start = min(_label(gap.since, window, time), end - 1)
    before = None if gap.amount is None else channel.cut
    after = None if gap.amount is None else channel.cut + gap.amount
    return GapRow(channel.spec.device, channel.spec.meter, start, end, gap.cause, before, after)


def _label(moment: Moment, window: Window, time: TimeState) -> int:
    """A gap's edge by the window's clock.

    P13: where the moment's boot cannot be related to that clock, the start of the window's boot stands
    for it: the silence lasted at least since then.
    """
    if moment.boot == window.boot:
        return window.label(moment.ms)
    offset_ms = time.offset_of(moment.boot)
    if offset_ms is None or not window.clock.placed:
        return window.label(0)
    return max(0, (moment.ms + offset_ms) // 1_000)
