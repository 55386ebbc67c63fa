"""The rows that summaries say, in the store: made anew wherever a line or a summary came or went.

Source: docs/reference/wire.md, section 3. What a summary is worth is decided in `usage.unfold`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cloud_collector.fleet.positions import Chain
from cloud_collector.intake.channels import Channels, Known
from cloud_collector.intake.fact import Fact, fact
from cloud_collector.intake.spans import Dirty, Tails, spoken_of
from cloud_collector.store.store import Store
from cloud_collector.usage.derive import Placement
from cloud_collector.usage.packing import pack_deltas, unpack_deltas
from cloud_collector.usage.unfold import Folded, Range, Told, Unfolded, absent, folded_of, placed_start, unfold
from shared.report import Header, Summary, UsageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extent:
    """A summary that holds a position, and from where to where it covers."""

    line: int
    seq: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfolding:
    """What the rows of summaries follow from, handed in by the projection."""

    store: Store
    channels: Channels
    tails: Tails
    skew_seconds: int
    placement: Callable[[Header], Placement | None]
    beside: Callable[[Chain, Fact], int]


def reach(each: Fact) -> Range:
    """Which positions a line speaks of."""
    report = each.content.report
    if isinstance(report, Summary):
        return report.covers[0].first, report.covers[-1].last
    return each.content.header.seq, each.content.header.seq


def make_way(unfolding: Unfolding, chain: Chain, facts: Iterable[Fact], dirty: Dirty) -> None:
    """No row of a summary stands at the position of a line that is there."""
    top = unfolding.store.rows("cover_top", chain.id)[0][0]
    for each in facts:
        seq = each.content.header.seq
        for channel in spoken_of(each, unfolding.channels.of(chain.gateway)) if top is not None and seq <= top else ():
            if unfolding.store.rows("folded_drop", channel.id, chain.id, seq):
                _stir(unfolding, channel, chain, seq, dirty)


def unfold_chain(unfolding: Unfolding, chain: Chain, touched: Sequence[Range], dirty: Dirty) -> None:
    """The rows of every summary whose lines or neighbours have changed are what `usage.unfold` says."""
    top = unfolding.store.rows("cover_top", chain.id)[0][0]
    if top is None or min(first for first, _ in touched) > top:
        return
    unfolding.tails.flush()
    for group in _groups(unfolding.store, chain.id):
        first, last = min(each.first for each in group), max(each.last for each in group)
        if any(low <= last and high >= first for low, high in touched):
            _unfold_group(unfolding, chain, group, (first, last), dirty)


def _groups(store: Store, chain: int) -> list[list[_Extent]]:
    """Summaries that may cover the same positions, together."""
    groups: list[list[_Extent]] = []
    end = 0
    for line, seq, first, last in store.rows("cover_extents", chain):
        if not groups or first > end:
            groups.append([])
        groups[-1].append(_Extent(line=line, seq=seq, first=first, last=last))
        end = max(end, last)
    return groups


def _unfold_group(unfolding: Unfolding, chain: Chain, group: Sequence[_Extent], extent: Range, dirty: Dirty) -> None:
    known = unfolding.channels.of(chain.gateway)
    said: dict[tuple[str, str], list[Folded]] = defaultdict(list)
    lines: dict[int, int] = {}
    lacking: dict[int, tuple[Range, ...]] = {}
    for each in group:
        summary = fact(unfolding.store, each.line)
        report = summary.content.report
        if not isinstance(report, Summary):
            continue
        lines[each.seq] = each.line
        lacking[each.seq] = _lacking(unfolding.store, chain.id, report)
        for row, folded in _folded(unfolding, chain, summary, report):
            if _is_of(known.get(row[:2]), row):
                said[row[:2]].append(folded)
    # A channel of which no summary speaks any more keeps no row: those that it had went with their summary.
    for name, folded_rows in said.items():
        _unfold_channel(unfolding, chain, known[name], folded_rows, lacking, lines, extent, dirty)


def _folded(unfolding: Unfolding, chain: Chain, summary: Fact, report: Summary) -> list[tuple[UsageRow, Folded]]:
    placement, cloned = unfolding.placement(report.header), unfolding.beside(chain, summary)
    start, moved = placed_start(report, placement, summary.received_at, unfolding.skew_seconds)
    return [(row, folded_of(report, row, placement, start, moved=moved, cloned=cloned)) for row in report.rows]


def _is_of(known: Known | None, row: UsageRow) -> bool:
    """Whether the row is in the channel's unit; one that is not stands among the bad rows."""
    return known is not None and (known.unit, known.exponent) == (row.unit, row.exponent)


def _lacking(store: Store, chain: int, report: Summary) -> tuple[Range, ...]:
    found: list[Range] = []
    for cover in report.covers:
        held = [row[0] for row in store.rows("lines_held_within", chain, cover.first, cover.last)]
        found += absent([(cover.first, cover.last)], held)
    return tuple(found)


def _unfold_channel(
    unfolding: Unfolding,
    chain: Chain,
    channel: Known,
    folded: Sequence[Folded],
    lacking: Mapping[int, tuple[Range, ...]],
    lines: Mapping[int, int],
    extent: Range,
    dirty: Dirty,
) -> None:
    store = unfolding.store
    told: set[Told] = set()
    for first, last in {stretch for each in folded for stretch in lacking[each.seq]}:
        told |= {Told(*row) for row in store.rows("told_before", channel.id, chain.id, first, extent[0])}
        told |= {Told(*row) for row in store.rows("told_after", channel.id, chain.id, last, extent[1])}
    now = {each.seq: each for each in unfold(folded, lacking, told)}
    held = {row[0]: row for row in store.rows("folded_rows", channel.id, chain.id, *extent)}
    for seq, row in held.items():
        if seq not in now or _unfolded(row) != now[seq] or row[9] != lines[now[seq].folded]:
            store.rows("folded_drop", channel.id, chain.id, seq)
            _stir(unfolding, channel, chain, seq, dirty)
        else:
            del now[seq]
    for each in now.values():
        _put(store, channel, chain, lines[each.folded], each)
        _stir(unfolding, channel, chain, each.seq, dirty)


def _unfolded(row: Sequence[object]) -> Unfolded:
    seq, start, step, count, deltas, register, register_end, estimated, cloned, _, folded = row
    return Unfolded(
        seq,  # type: ignore[arg-type]
        folded,  # type: ignore[arg-type]
        start,  # type: ignore[arg-type]
        step,  # type: ignore[arg-type]
        unpack_deltas(deltas, count),  # type: ignore[arg-type]
        register,  # type: ignore[arg-type]
        register_end,  # type: ignore[arg-type]
        estimated,  # type: ignore[arg-type]
        cloned,  # type: ignore[arg-type]
    )


def _put(store: Store, channel: Known, chain: Chain, line: int, each: Unfolded) -> None:
    count = len(each.deltas)
    until = None if each.start is None else each.start + each.step * count
    store.run(
        "folded_put", channel.id, chain.id, each.seq, line, each.start, each.step, count, until, each.register,
        each.register_end, pack_deltas(each.deltas), each.estimated, each.cloned, each.register_end, each.folded,
    )  # fmt: skip


def _stir(unfolding: Unfolding, channel: Known, chain: Chain, seq: int, dirty: Dirty) -> None:
    unfolding.store.run("bridge_drop", channel.id, chain.id, seq)
    unfolding.tails.drop(channel.id, chain.id)
    dirty.row(channel.id, chain.id, seq)
