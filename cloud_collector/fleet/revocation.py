"""Revocation of a gateway's key at a position of each log (P10).

What the key signed up to its position stays true, also where it arrives later; nothing beyond it, and no
epoch that was not accepted before, is taken from it any more. Source: docs/reference/wire.md, section 2.
"""

from collections.abc import Iterator, Mapping

from cloud_collector.store.store import Store
from shared.errors import InvalidRecord

Position = tuple[str, int]
"""An epoch and a seq."""


def last_positions(store: Store, gateway: str) -> dict[str, Position]:
    """Of each log, the last position that is accepted."""
    return {log: (epoch, top) for log, epoch, top in store.rows("chain_tops", gateway)}


def revoke_key(store: Store, gateway: str, key_id: str, positions: Mapping[str, Position], at: int) -> None:
    """From now on the key is valid up to these positions, by log, and nowhere else; raises InvalidRecord.

    A log that is not named keeps what is accepted of it. `at` is in milliseconds.
    """
    with store.atomic():
        rows = [row for row in store.rows("gateway_keys", gateway) if row[0] == key_id]
        if not rows:
            return
        allowed = list(_allowed(store, gateway, last_positions(store, gateway) | dict(positions)))
        store.run("gateway_key_drop", gateway, key_id)
        public = rows[0][1]
        # So that the key stays known, and its lines are refused by name; valid nowhere by itself.
        store.run("gateway_key_range", gateway, key_id, public, "", "", 1, 0, at)
        for _, _, log, epoch, first, last, added_at in rows:
            for allowed_log, allowed_epoch, allowed_last in allowed:
                if log in ("", allowed_log) and epoch in ("", allowed_epoch):
                    bounds = [bound for bound in (last, allowed_last) if bound is not None]
                    span = (first, min(bounds) if bounds else None)
                    store.run("gateway_key_range", gateway, key_id, public, allowed_log, allowed_epoch, *span, added_at)


def is_revoked(store: Store, gateway: str, key_id: str) -> bool:
    """Whether the key was revoked, at whatever position."""
    rows = [row for row in store.rows("gateway_keys", gateway) if row[0] == key_id]
    return any((log, epoch, last) == ("", "", 0) for _, _, log, epoch, _, last, _ in rows)


def _allowed(store: Store, gateway: str, positions: Mapping[str, Position]) -> Iterator[tuple[str, str, int | None]]:
    chains = store.rows("chain_tops", gateway)
    for log, (epoch, seq) in positions.items():
        epochs = [name for chain_log, name, _ in chains if chain_log == log]
        if epoch not in epochs:
            known = ", ".join(epochs) or "none"
            raise InvalidRecord(f"{gateway} has no epoch {epoch} in its log {log}: it has {known}")
        for earlier in epochs[: epochs.index(epoch)]:
            yield log, earlier, None
        yield log, epoch, seq
