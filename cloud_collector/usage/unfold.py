"""What summaries say of the positions that nobody holds, channel by channel: their share, told by registers (P1, P3).

Pure. A summary counts only where its lines are absent, and a line that is there tells its own part. So
between the lines that are there, each stretch of absent positions is worth what the registers beside it
leave: from where the line before it ended to where the one after it starts, never beyond what the summary
itself says. The summary's hours tell when. Registers decide, never the sum of both, and the outcome depends on
which lines and summaries there are, not on their order of arrival. Source: docs/reference/wire.md, section 3.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from cloud_collector.usage.derive import ALL, Placement
from shared.report import Summary, UsageRow, Verdict

Range = tuple[int, int]
"""First to last position, both included."""


class Folded(NamedTuple):
    """What a summary says of one channel."""

    seq: int
    """The summary's own position."""
    ranges: tuple[Range, ...]
    """The positions that it covers."""
    start: int | None
    """None until its boot is placed."""
    step: int
    register: int
    deltas: tuple[int, ...]
    estimated: frozenset[int]
    everything: bool
    """Whether all of it is estimated, because of where it was placed."""
    cloned: int = 0


class Told(NamedTuple):
    """A row that a line which is there says of the channel."""

    seq: int
    register: int
    register_end: int
    start: int | None
    until: int | None


class Unfolded(NamedTuple):
    """A row that stands at an absent position for it and those after it."""

    seq: int
    folded: int
    """The position of the summary that says it."""
    start: int | None
    step: int
    deltas: tuple[int, ...]
    register: int
    register_end: int
    estimated: str | None
    cloned: int


def placed_start(
    report: Summary, placement: Placement | None, received_at: int, skew_seconds: int
) -> tuple[int | None, bool]:
    """Where the summary's hours begin in UTC, and whether they were moved; `received_at` in milliseconds."""
    if placement is None:
        return None, False
    start = report.start + placement.offset
    latest = received_at // 1000
    # P13: its last hour may reach beyond its receipt, for it is cut at whole ones; it may not begin there.
    moved = start + report.step * (report.count - 1) > latest + skew_seconds
    return (latest - report.step * report.count if moved else start), moved


def folded_of(
    report: Summary, row: UsageRow, placement: Placement | None, start: int | None, *, moved: bool, cloned: int = 0
) -> Folded:
    """What one row of a summary says."""
    return Folded(
        seq=report.header.seq,
        ranges=tuple((cover.first, cover.last) for cover in report.covers),
        start=start,
        step=report.step,
        register=row.register,
        deltas=row.deltas,
        estimated=frozenset(at for at, note in row.notes.items() if note in (Verdict.ESTIMATED, Verdict.MISSING)),
        everything=moved or (placement is not None and placement.estimated),
        cloned=cloned,
    )


def absent(ranges: Iterable[Range], held: Sequence[int]) -> tuple[Range, ...]:
    """Of the ranges what is not held; `held` in order."""
    found: list[Range] = []
    for first, last in ranges:
        at = first
        for seq in held[bisect_left(held, first) :]:
            if seq > last:
                break
            if seq > at:
                found.append((at, seq - 1))
            at = seq + 1
        if at <= last:
            found.append((at, last))
    return tuple(found)


def finest_first(folded: Iterable[Folded]) -> list[Folded]:
    """Hours before days, and of the same the one that was sealed first: what it tells, others need not."""
    return sorted(folded, key=lambda each: (bool(each.cloned), each.step, each.seq))


def unfold(folded: Iterable[Folded], lacking: Mapping[int, Sequence[Range]], told: Iterable[Told]) -> list[Unfolded]:
    """The rows that summaries say of one channel of one chain.

    `lacking` by a summary's seq: of what it covers, what is not held. `told`: at least the nearest row on
    either side of each such stretch, as far as the summaries reach.
    """
    nodes = sorted(told)
    taken: list[Range] = []
    found: list[Unfolded] = []
    for each in finest_first(folded):
        stretches = _without(lacking[each.seq], taken)
        seqs = [node.seq for node in nodes]
        for run in _runs(stretches, seqs):
            at = bisect_left(seqs, run[0][0])
            before = nodes[at - 1] if at and nodes[at - 1].seq >= each.ranges[0][0] else None
            after = nodes[at] if at < len(nodes) and nodes[at].seq <= each.ranges[-1][1] else None
            share = _share(each, run[0][0], before, after)
            if share is not None:
                found.append(share)
                taken += run
        nodes = sorted([*nodes, *(_as_told(share) for share in found if share.folded == each.seq)])
    return sorted(found)


def _as_told(share: Unfolded) -> Told:
    until = None if share.start is None else share.start + share.step * len(share.deltas)
    return Told(share.seq, share.register, share.register_end, share.start, until)


def _runs(stretches: Sequence[Range], seqs: Sequence[int]) -> list[list[Range]]:
    """Stretches that no row of the channel parts, together."""
    runs: list[list[Range]] = []
    for stretch in stretches:
        if runs and bisect_left(seqs, runs[-1][-1][1]) == bisect_left(seqs, stretch[0]):
            runs[-1].append(stretch)
        else:
            runs.append([stretch])
    return runs


def _share(each: Folded, seq: int, before: Told | None, after: Told | None) -> Unfolded | None:
    levels = list(accumulate(each.deltas, initial=each.register))
    low = each.register if before is None else max(each.register, before.register_end)
    high = levels[-1] if after is None else min(levels[-1], after.register)
    if low > high:
        return None
    count, start, step = len(each.deltas), each.start, each.step
    shares = [max(0, min(high, levels[at + 1]) - max(low, levels[at])) for at in range(count)]
    moving = [at for at, share in enumerate(shares) if share]
    since = 0
    if start is not None and before is not None and before.until is not None:
        since = (before.until - start) // step
    until = count
    if start is not None and after is not None and after.start is not None:
        until = -((start - after.start) // step)
    if not moving and (since >= count or until <= 0):
        # The register stands still there, and the time is another's.
        return None
    first, last = min([since, *moving, count - 1]), max([until, *(at + 1 for at in moving[-1:])])
    first = max(0, first)
    last = min(count, max(last, first + 1))
    cut = slice(first, last)
    if not moving and all(each.deltas[cut]):
        # Others have told all of these intervals. A row that stands still here would only bound what is told between.
        return None
    unsure = [at - first for at in range(first, last) if at in each.estimated or shares[at] != each.deltas[at]]
    return Unfolded(
        seq=seq,
        folded=each.seq,
        start=None if start is None else start + first * step,
        step=step,
        deltas=tuple(shares[cut]),
        register=low,
        register_end=high,
        estimated=ALL if each.everything else " ".join(map(str, unsure)) or None,
        cloned=each.cloned,
    )


def _without(stretches: Iterable[Range], others: Sequence[Range]) -> list[Range]:
    left = list(stretches)
    for first, last in others:
        cut = [part for low, high in left for part in ((low, min(high, first - 1)), (max(low, last + 1), high))]
        left = [(low, high) for low, high in cut if low <= high]
    return left
