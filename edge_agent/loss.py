"""What a lost spool took with it, declared: nothing is lost in silence (P3)."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from edge_agent.reading import ChannelSpec
from edge_agent.sealable import GapContent, Sealable
from edge_agent.timekeeping import Tick
from shared.errors import Refused
from shared.line import parse
from shared.report import Clock, GapCause, GapRow, Usage, read


def declare_loss(last_usage: Callable[[str], bytes | None], specs: Sequence[ChannelSpec], tick: Tick) -> list[Sealable]:
    """A gap line for each log whose earlier lines were salvaged, from the last one's end to now.

    Only for channels that do not count by themselves: of a cumulative one the births tell the
    amount, so nothing of it is lost. While the clock is not yet known, the gap is this boot's time.
    """
    channels: defaultdict[str, list[ChannelSpec]] = defaultdict(list)
    for spec in specs:
        if not (spec.kind.cumulative or spec.historic):
            channels[spec.log].append(spec)
    gaps = []
    for log, lost in channels.items():
        ended = _end(last_usage(log))
        clock = Clock.SYNCHRONISED if tick.synchronised else Clock.RELATIVE
        now = (tick.utc_ms if tick.synchronised else tick.boot_ms) // 1_000
        start = ended if tick.synchronised else 0
        if start is None or ended is None or start >= now:
            continue
        rows = tuple(GapRow(spec.device, spec.meter, start, now, GapCause.SPOOL_LOST, None, None) for spec in lost)
        gaps.append(Sealable(log=log, boot=tick.boot_id, clock=clock, sealed_at=now, content=GapContent(rows=rows)))
    return gaps


def _end(raw: bytes | None) -> int | None:
    """When the last usage line's window ended; None where there is no line, or none with a known time."""
    if raw is None:
        return None
    line = parse(raw)
    report = line if isinstance(line, Refused) else read(line)
    if not isinstance(report, Usage):
        return None
    return report.end if report.header.clock.placed else None
