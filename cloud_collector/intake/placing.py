"""Boots without UTC, placed in the store as `usage.placement` says (P13)."""

from collections.abc import Iterable
from dataclasses import dataclass

from cloud_collector.intake.fact import report_of
from cloud_collector.store.store import Store
from cloud_collector.usage.derive import Placement
from cloud_collector.usage.placement import Extent, lay
from shared.report import ClockLine, Gap, Report, Summary, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A log's chains in the order of its line; those that are not linked come last."""

    gateway: str
    log: str
    chains: tuple[tuple[int, int, bool], ...]
    """Chain id, `through`, and whether another epoch has followed it."""


def clock_boots(store: Store, log: Log, boots: Iterable[str]) -> set[str]:
    """Boots with a clock line are placed by it, and those that lost theirs are no longer; which of them moved by that.

    What follows, the order of epochs first, rests on no clock line that does not count any more (P15).
    """
    moved = set()
    for boot in sorted(boots):
        offset = _clocked(store, log, boot)
        told = offset is not None or _is_placed(store, log, boot, by_clock=True)
        if told and _put(store, log, boot, offset, estimated=False):
            moved.add(boot)
    return moved


def lay_boots(store: Store, log: Log, boots: Iterable[str], *, touched: bool) -> set[str]:
    """Boots that end without a clock line are laid end to end; which of them moved by that.

    `touched`: lines or epochs have changed that placed boots may rest on.
    """
    rest = [boot for boot in sorted(boots) if _clocked(store, log, boot) is None]
    lasts = {boot: last for boot in rest if (last := _last(store, log, boot)) is not None}
    nexts = {boot: _next_start(store, log, *last) for boot, last in lasts.items()}
    open_now = [boot for boot in rest if not _is_placed(store, log, boot)]
    placed: dict[str, Placement] = {}
    if any(nexts.get(boot) is not None for boot in (rest if touched else open_now)):
        found = [_extent(store, log, boot, nexts[boot]) for boot in lasts]
        placed = lay([extent for _, extent in sorted(found, key=lambda each: each[0])], {})
    elif not touched:
        rest = open_now
    moved = set()
    for boot in rest:
        placement = placed.get(boot)
        if _put(store, log, boot, None if placement is None else placement.offset, estimated=placement is not None):
            moved.add(boot)
    return moved


def drop_boots(store: Store, log: Log, boots: Iterable[str]) -> None:
    """Boots of which no line without UTC holds a position any more are not known: call where lines lost theirs."""
    for boot in sorted(boots):
        if _last(store, log, boot) is None:
            store.run("boot_drop", log.gateway, log.log, boot)


def stretch(report: Report) -> tuple[int, int]:
    """From when to when a line reaches, by its own clock."""
    match report:
        case Usage(start=start, end=end):
            return start, end
        case Summary(header=header, start=start, step=step, count=count):
            # Its last hour is a whole one: what it folds ended before it was sealed.
            end = start + step * count
            return start, min(end, max(header.sealed_at, end - step + 1))
        case Gap(rows=rows):
            return min(row.start for row in rows), max(row.end for row in rows)
        case _:
            return report.header.sealed_at, report.header.sealed_at


def _put(store: Store, log: Log, boot: str, shift: int | None, *, estimated: bool) -> bool:
    row = store.row("boot_one", log.gateway, log.log, boot)
    if row is not None and row == (shift, int(estimated)):
        return False
    store.run("boot_put", log.gateway, log.log, boot, shift, int(estimated))
    return True


def _clocked(store: Store, log: Log, boot: str) -> int | None:
    """The offset that the boot's first clock line states; within a chain the first by position is it."""
    firsts: list[tuple[int, int]] = []
    for chain, _, _ in log.chains:
        row = store.row("boot_clock", chain, boot)
        report = None if row is None else report_of(row[0])
        if isinstance(report, ClockLine):
            firsts.append((report.header.sealed_at, report.offset))
    return min(firsts)[1] if firsts else None


def _is_placed(store: Store, log: Log, boot: str, *, by_clock: bool = False) -> bool:
    row = store.row("boot_one", log.gateway, log.log, boot)
    return row is not None and row[0] is not None and not (by_clock and row[1])


def _last(store: Store, log: Log, boot: str) -> tuple[int, int] | None:
    """The rank of the chain and the seq of the boot's last line without UTC."""
    for rank in reversed(range(len(log.chains))):
        row = store.row("boot_last", log.chains[rank][0], boot)
        if row is not None and row[0] is not None:
            return rank, row[0]
    return None


def _extent(store: Store, log: Log, boot: str, next_start: int | None) -> tuple[tuple[int, int], Extent]:
    begins, ends, rooms = [], [], []
    places: list[tuple[int, int]] = []
    for rank, (chain, _, _) in enumerate(log.chains):
        for _, raw, received_at, seq in store.rows("boot_lines", chain, boot):
            report = report_of(raw)
            if report is not None:
                begin, end = stretch(report)
                begins.append(begin)
                ends.append(end)
                rooms.append(received_at // 1000 - end)
            # A summary stands where the lines stood that it covers.
            places.append((rank, report.covers[0].first if isinstance(report, Summary) else seq))
    extent = Extent(
        boot=boot,
        start=min(begins, default=0),
        end=max(ends, default=0),
        room=min(rooms, default=0),
        next_start=next_start,
    )
    return min(places), extent


def _next_start(store: Store, log: Log, rank: int, seq: int) -> int | None:
    """Where the log's next placed line starts; while positions before it may still be filled, nobody knows."""
    for chain, through, followed in log.chains[rank:]:
        rows = [store.row(name, log.gateway, log.log, chain, seq) for name in ("placed_after", "placed_summary_after")]
        row = min((found for found in rows if found is not None), key=lambda found: found[1], default=None)
        if row is not None:
            report = report_of(row[0])
            if report is None or not (row[1] <= through or followed):
                return None
            return stretch(report)[0] + (0 if report.header.clock.placed else row[2])
        if not followed:
            return None
        seq = 0
    return None
