"""A log's epochs in the store, ordered as `fleet.epochs` says, and the lines whose standing moved by that."""

from dataclasses import dataclass

from cloud_collector.fleet.epochs import Epoch, Ordered, Standing, order
from cloud_collector.intake.fact import report_of
from cloud_collector.store.store import Store
from shared.effects.database import Row
from shared.report import Birth, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Relinked:
    """What ordering the epochs anew has changed."""

    lines: tuple[int, ...]
    """Lines that became a clone's, or ceased to be one."""
    moved: bool
    """Whether any epoch stands elsewhere than before."""


def relink(store: Store, gateway: str, log: str) -> Relinked:
    """Every epoch of the log stands where its births say."""
    rows = store.rows("chains_of_log", gateway, log)
    known = {row[1]: epoch for row in rows if (epoch := _epoch(store, gateway, log, row)) is not None}
    ordered = order(known.values())
    lines: list[int] = []
    moved = False
    for id_, name, _, _, standing, rank, succeeded, _ in rows:
        now = ordered.get(name)
        if now is None or (standing, rank, succeeded) == (now.standing, now.rank, now.succeeded_at):
            continue
        moved = True
        store.run("chain_order", now.standing.value, now.rank, now.succeeded_at, id_)
        lines += _affected(store, id_, Ordered(standing=Standing(standing), rank=rank, succeeded_at=succeeded), now)
    return Relinked(lines=tuple(lines), moved=moved)


def birth_second(store: Store, gateway: str, log: str, first: Row) -> int:
    """When a chain began: by its first line's own clock, by its boot's clock line, else at its receipt."""
    clock, boot, sealed, received_at, _, _ = first
    if clock in ("S", "I"):
        return int(sealed)
    placed = store.row("boot_one", gateway, log, boot)
    if placed is not None and placed[0] is not None and not placed[1]:
        return int(sealed + placed[0])
    return int(received_at) // 1000


def _epoch(store: Store, gateway: str, log: str, row: Row) -> Epoch | None:
    id_, name, born, previous = row[:4]
    first = store.row("chain_first", id_)
    if first is None:
        return None
    follows = _previous(first)
    birth = first[4] == 1
    if (born, previous) != (int(birth), follows.epoch if follows else None):
        store.run("chain_birth", int(birth), *(follows or (None, None, None)), id_)
    at = birth_second(store, gateway, log, first)
    return Epoch(epoch=name, previous=follows.epoch if follows else None, at=at)


def _previous(first: Row) -> Position | None:
    report = report_of(first[5]) if first[4] == 1 else None
    return report.previous if isinstance(report, Birth) else None


def _affected(store: Store, chain: int, before: Ordered, now: Ordered) -> list[int]:
    if (before.standing is Standing.CLONED) != (now.standing is Standing.CLONED):
        return [row[0] for row in store.rows("chain_lines", chain)]
    ends = [at for at in (before.succeeded_at, now.succeeded_at) if at is not None]
    if before.succeeded_at == now.succeeded_at or not ends:
        return []
    return [row[0] for row in store.rows("chain_lines_sealed_after", chain, min(ends))]
