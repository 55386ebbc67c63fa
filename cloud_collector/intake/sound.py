"""Whether every stored line is still, to the bit, what a key of its gateway has signed (P11)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cloud_collector.intake.fact import report_of
from cloud_collector.store.store import Store
from shared.effects.database import Row
from shared.errors import Refused
from shared.key import PublicKey
from shared.line import hash_of, parse
from shared.report import Usage

LINES_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Unsound:
    """A stored line that is not what was received."""

    gateway: str
    log: str
    epoch: str
    seq: int
    reason: str


def unsound_lines(store: Store, progress: Callable[[int], None] = lambda _: None) -> Iterator[Unsound]:
    """Every stored line that was changed since it was taken; `progress` hears of lines looked at."""
    keys: dict[str, dict[str, PublicKey]] = {}
    last = 0
    while rows := store.rows("facts", last, LINES_AT_ONCE):
        for row in rows:
            gateway = row[1]
            if gateway not in keys:
                known = store.rows("evidence_keys", gateway)
                keys[gateway] = {name: PublicKey(bytes(public)) for name, public in known}
            reason = _fault(row, keys[gateway])
            if reason is not None:
                yield Unsound(gateway=gateway, log=row[2], epoch=row[3], seq=row[4], reason=reason)
        progress(len(rows))
        last = rows[-1][0]


def unsound_remains(store: Store) -> Iterator[Unsound]:
    """What is left of deleted detail and is not what the signed lines on both of its sides say (P11, P12)."""
    last = 0
    while rows := store.rows("let_go_stretches", last, LINES_AT_ONCE):
        for line, gateway, log, epoch, seq, start, until, count, *neighbours in rows:
            left = {
                (device, meter): (low, low + units)
                for device, meter, _, _, low, units in store.rows("let_go_rows", line)
            }
            before, after = (None if raw is None else report_of(bytes(raw)) for raw in neighbours)
            if not (
                isinstance(before, Usage)
                and isinstance(after, Usage)
                and (before.end, after.start) == (start, until)
                and {row[:2]: row.register + sum(row.deltas) for row in before.rows} == _ends(left, 0)
                and {row[:2]: row.register for row in after.rows} == _ends(left, 1)
            ):
                reason = f"what is kept of the {count} lines up to it is not what the signed lines beside them say"
                yield Unsound(gateway=gateway, log=log, epoch=epoch, seq=seq, reason=reason)
        last = rows[-1][0]


def _ends(left: Mapping[tuple[str, str], tuple[int, int]], end: int) -> dict[tuple[str, str], int]:
    return {channel: registers[end] for channel, registers in left.items()}


def _fault(row: Row, keys: dict[str, PublicKey]) -> str | None:
    raw, key = bytes(row[13]), keys.get(row[7])
    if row[14] is not None:
        return None if not raw else "it was deleted as agreed, and has bytes all the same"
    line = parse(raw)
    if isinstance(line, Refused):
        return f"it is no sealed line any more: {line.reason}"
    if key is None:
        return f"it names the key {row[7]}, which its gateway never had"
    if not line.verified_by(key):
        return "it was changed after its gateway signed it"
    return None if hash_of(raw) == row[5] else "it is another line than the one that was received"
