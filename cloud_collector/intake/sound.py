"""Whether every stored line is still, to the bit, what a key of its gateway has signed (P11)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from cloud_collector.store.store import Store
from shared.effects.database import Row
from shared.errors import Refused
from shared.key import PublicKey
from shared.line import hash_of, parse

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
