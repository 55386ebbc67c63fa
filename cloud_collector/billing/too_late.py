"""The ledger of what came too late: look-back bars it, so it is not billed, and nobody loses sight of it.

It is not booked either, so every run rates it again; it is written down once, and again when it changes.
"""

import json
from collections.abc import Iterable
from typing import Any, TypeAlias

from cloud_collector.contracts.period import iso
from cloud_collector.rating.draft import DraftLine
from cloud_collector.store.store import Store

_Key: TypeAlias = tuple[str, str, str, str, int]


def keep_too_late(store: Store, contract: str, found: Iterable[tuple[int, DraftLine]], *, at: int) -> None:
    """Write down what the ledger does not say yet; call it inside the closing transaction."""
    known: dict[_Key, list[str]] = {}
    for *key, line in store.rows("too_late_known", contract):
        charge, kind, device, part, start = key
        known[charge, kind, device, part, start] = [] if line is None else [line]
    now: dict[_Key, list[str]] = {}
    places: dict[_Key, int] = {}
    for origin, line in found:
        name = line.key
        key_ = (name.charge, name.kind.value, name.device, name.window, name.segment_start)
        now.setdefault(key_, []).append(json.dumps(line.to_json(), separators=(",", ":")))
        places[key_] = origin
    rows = []
    for key_ in sorted(known.keys() | now.keys()):
        # A reversal and the line that replaces it have one key: the latter tells both.
        line_now = now[key_][-1] if key_ in now else None
        line_known = known[key_][-1] if known.get(key_) else None
        if line_now != line_known:
            rows.append((contract, places.get(key_, key_[4]), *key_, line_now, at))
    store.run_many("too_late_add", rows)


def too_late(store: Store) -> list[dict[str, Any]]:
    """Everything that is barred, by contract."""
    return [
        {"contract": contract, "period_start": iso(start), "seen_at": iso(seen_at), "line": json.loads(line)}
        for contract, start, _, line, seen_at in store.rows("too_late_all")
    ]
