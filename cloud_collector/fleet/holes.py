"""Holes of chains: what to ask for again, and up to when a gateway's account is provably complete."""

from cloud_collector.fleet.positions import Chain
from cloud_collector.store.store import Store
from shared.limits import RECEIPT_MISSING_MAX
from shared.line import Line
from shared.report import Summary, Usage, read

Range = tuple[int, int]


def missing(store: Store, chain: Chain, most: int = RECEIPT_MISSING_MAX) -> tuple[Range, ...]:
    """Positions above `through` that are not held and not known to be gone, the lowest ranges first."""
    first = store.row("line_next", chain.id, chain.through)
    holes: list[Range] = []
    if first is not None and first[0] is not None and first[0] > chain.through + 1:
        holes.append((chain.through + 1, first[0] - 1))
    holes += [(seq + 1, after - 1) for seq, after in store.rows("line_holes", chain.id, chain.through, most)]
    if chain.gone:
        # Positions that are gone are no longer missing once their successor is held.
        for first_gone, last_gone in store.rows("gone_of", chain.id):
            if store.row("line_at", chain.id, last_gone + 1) is not None:
                holes = [part for hole in holes for part in _without(hole, (first_gone, last_gone))]
        for covered in store.rows("covers_of", chain.id, chain.through):
            holes = [part for hole in holes for part in _without(hole, (covered[0], covered[1]))]
    return tuple(holes[:most])


def complete_until(store: Store, gateway: str) -> int | None:
    """The UTC second up to which every log of the gateway is whole, linked and placed; None where nothing is."""
    if store.rows("chains_not_linked", gateway)[0][0]:
        return None
    untils: dict[str, int | None] = {}
    ended: dict[str, tuple[str, int, int]] = {}
    stopped: set[str] = set()
    for row in store.rows("chains_for_completeness", gateway):
        log, last = row[1], ended.get(row[1])
        if log in stopped or (last is not None and not _followed(last, row[6], row[7])):
            # A hole in an earlier epoch: what is complete ends before it.
            stopped.add(log)
            continue
        reached = _reached(store, gateway, log, row[0], row[3])
        untils[log] = untils.get(log) if reached is None else reached
        ended[log] = (row[9], row[3], row[4])
    known = [until for until in untils.values() if until is not None]
    return min(known) if known and len(known) == len(untils) else None


def _followed(last: tuple[str, int, int], previous: str | None, previous_seq: int | None) -> bool:
    """Whether nothing of the epoch before is missing, as far as its successor's birth can tell."""
    epoch, through, top = last
    return through >= previous_seq if previous == epoch and previous_seq is not None else through == top


def _reached(store: Store, gateway: str, log: str, chain: int, through: int) -> int | None:
    unplaced = store.row("first_unplaced", gateway, log, chain)
    last = through if unplaced is None or unplaced[0] is None else min(through, unplaced[0] - 1)
    row = store.row("usage_lines_through", chain, last)
    folded = store.row("summary_covering_after", chain, 0 if row is None else row[4], last)
    if folded is not None:
        raw, clock, boot, received_at = folded
    elif row is not None:
        _, clock, boot, raw, _, received_at = row
    else:
        return None
    report = read(Line("MS1", bytes(raw)))
    if isinstance(report, Usage):
        end = report.end
    elif isinstance(report, Summary):
        # Its last hour or day need not be over: what it folds reached into it, no more is known.
        end = report.start + report.step * (report.count - 1)
    else:
        return None
    shift = 0
    if clock in ("R", "U"):
        placed = store.row("boot_one", gateway, log, boot)
        shift = placed[0] if placed and placed[0] is not None else 0
    return min(end + int(shift), int(received_at) // 1000)


def _without(hole: Range, gone: Range) -> list[Range]:
    parts = [(hole[0], min(hole[1], gone[0] - 1)), (max(hole[0], gone[1] + 1), hole[1])]
    return [(first, last) for first, last in parts if first <= last]
