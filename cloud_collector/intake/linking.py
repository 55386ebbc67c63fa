"""A log's epochs in the store, ordered as `fleet.epochs` says, and the lines whose standing moved by that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloud_collector.fleet.epochs import Adopted, Epoch, Ordered, Standing, order
from cloud_collector.intake.fact import Fact, report_of
from cloud_collector.store.store import Store
from shared.effects.database import Row
from shared.report import Birth, Position
from shared.validity import Validity


@dataclass(frozen=True, slots=True, kw_only=True)
class Relinked:
    """What ordering the epochs anew has changed."""

    lines: tuple[int, ...]
    """Lines that became a clone's or a stranger's, or ceased to be one."""
    moved: bool
    """Whether any epoch stands elsewhere than before."""


def relink(store: Store, gateway: str, log: str, keys: Validity) -> Relinked:
    """Every epoch of the log stands where its births say, as far as they are signed by keys valid there."""
    rows = store.rows("chains_of_log", gateway, log)
    known = {row[1]: epoch for row in rows if (epoch := _epoch(store, gateway, log, row, keys)) is not None}
    ordered = order(known.values(), adopted_of(store, gateway, rows))
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


def adopted_of(store: Store, gateway: str, rows: Sequence[Row]) -> list[Adopted]:
    """What the operator has decided of these chains (id, epoch …), in order."""
    return [
        Adopted(epoch=epoch, over=frozenset(row[1] for row in rows if row[0] <= chains))
        for epoch, chains in store.rows("adoptions_of", gateway)
    ]


def opens_after_its_end(store: Store, keys: Validity, line: Fact) -> str | None:
    """Why a key opens no epoch behind the one in which it was replaced; None where it may be an earlier one."""
    header = line.content.header
    retiring = keys.retiring(header.log, header.key)
    if not retiring or header.epoch in retiring:
        return None
    chains = {row[1]: row for row in store.rows("chains_of_log", header.gateway, header.log)}
    here = chains.get(header.epoch)
    if here is not None and (here[5] is not None or here[4] != Standing.DISOWNED):
        return None if here[5] is None else _behind(header.key, here[5], retiring, chains)
    report = line.content.report
    follows = report.previous.epoch if isinstance(report, Birth) and header.seq == 1 and report.previous else None
    after = chains.get(follows) if follows is not None else None
    if here is None and (after is None or after[5] is None):
        return None
    rank = after[5] + 1 if after is not None and after[5] is not None else len(chains)
    return _behind(header.key, rank, retiring, chains)


def _behind(key: str, rank: int, retiring: Sequence[str], chains: Mapping[str, Row]) -> str | None:
    ended = [
        epoch for epoch in retiring if epoch in chains and chains[epoch][5] is not None and chains[epoch][5] < rank
    ]
    return f"the key {key} was replaced in the epoch {ended[0]}, before this one" if ended else None


def birth_second(store: Store, gateway: str, log: str, first: Row) -> int:
    """When a chain began: by its first line's own clock, by its boot's clock line, else at its receipt."""
    clock, boot, sealed, received_at = first[:4]
    if clock in ("S", "I"):
        return int(sealed)
    placed = store.row("boot_one", gateway, log, boot)
    if placed is not None and placed[0] is not None and not placed[1]:
        return int(sealed + placed[0])
    return int(received_at) // 1000


def _epoch(store: Store, gateway: str, log: str, row: Row, keys: Validity) -> Epoch | None:
    id_, name, born, previous = row[:4]
    first = store.row("chain_first", id_)
    if first is None:
        return None
    follows = _previous(first)
    birth = first[4] == 1
    if (born, previous) != (int(birth), follows.epoch if follows else None):
        store.run("chain_birth", int(birth), *(follows or (None, None, None)), id_)
    at = birth_second(store, gateway, log, first)
    seq, key = first[4], first[6]
    return Epoch(
        epoch=name,
        previous=follows.epoch if follows else None,
        at=at,
        key=key,
        owned=keys.plain or keys.fault(log, name, seq, key) is None,
        retired=keys.retired(log, name),
    )


def _previous(first: Row) -> Position | None:
    report = report_of(first[5]) if first[4] == 1 else None
    return report.previous if isinstance(report, Birth) else None


def _affected(store: Store, chain: int, before: Ordered, now: Ordered) -> list[int]:
    if any((before.standing is beside) != (now.standing is beside) for beside in (Standing.CLONED, Standing.DISOWNED)):
        return [row[0] for row in store.rows("chain_lines", chain)]
    ends = [at for at in (before.succeeded_at, now.succeeded_at) if at is not None]
    if before.succeeded_at == now.succeeded_at or not ends:
        return []
    return [row[0] for row in store.rows("chain_lines_sealed_after", chain, min(ends))]
