"""Daily signed checkpoints over accepted lines and issued invoices: nothing in them is taken out unseen (P11).

Each names the one before it, and is kept in the folder of issued invoices as well. A restored store begins a new log,
whose first leaf is the last checkpoint that is known. Source: docs/reference/wire.md, section 7.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cloud_collector.billing.archive import CHECKPOINTS, Archive
from cloud_collector.store.store import Store
from cloud_collector.upkeep.tree import Tree
from shared.checkpoint import Checkpoint, read_checkpoint, seal_checkpoint
from shared.errors import MetersealError, Refused
from shared.key import PublicKey, SigningKey
from shared.line import hash_of, parse
from shared.merkle import consistent, from_text, leaf_hash, text_of

LEAVES_AT_ONCE: Final = 8_192
"""Leaves that one tick adds, so that reports are taken in between."""
RECENT_LINES: Final = 100_000
"""Of several collectors each commits ids of its own: so far back it is looked for lines that came later."""
DAY_SECONDS: Final = 86_400


class NotProven(MetersealError):
    """There is nothing that could be proved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A checkpoint as the store has it."""

    id: int
    checkpoint: Checkpoint
    hash: str
    line: bytes


class Checkpointer:
    """A chore of the collector's tick: a checkpoint a day, once everything received before it is a leaf."""

    def __init__(self, key: SigningKey, archive: Archive) -> None:
        self._key = key
        self._archive = archive

    def __call__(self, store: Store, now_ms: int) -> None:
        """Add leaves and sign, where a day has begun since the last checkpoint."""
        now = now_ms // 1000
        newest = newest_of(store, origin_of(store, self._key.public))
        if newest is not None and newest.checkpoint.at // DAY_SECONDS >= now // DAY_SECONDS:
            return
        make(store, self._key, self._archive, now)


def make(store: Store, key: SigningKey, archive: Archive, now: int) -> Kept | None:
    """The next checkpoint is signed and kept; None while leaves wait for the next turn, or where nothing is new."""
    origin = origin_of(store, key.public)
    with store.atomic():
        tree = Tree(store, origin)
        if tree.size == 0:
            _begin(store, tree, archive)
        if _extend(store, tree, origin) == LEAVES_AT_ONCE:
            return None
        size, newest = tree.size, newest_of(store, origin)
        if size == 0 or (newest is not None and newest.checkpoint.size == size):
            return None
        told = Checkpoint(
            key=key.public.id,
            origin=origin,
            size=size,
            root=text_of(tree.root(size)),
            at=now,
            previous="" if newest is None else newest.hash,
        )
        line = seal_checkpoint(told, key)
        store.run("checkpoint_put", origin, size, told.root, now, hash_of(line), line)
    archive.beside(CHECKPOINTS).put(f"{origin}-{size}", line)
    return newest_of(store, origin)


def origin_of(store: Store, key: PublicKey) -> str:
    """The name of the log that is written now: another after each restore."""
    return f"meterseal/{key.id}/{store.rows('restorations_count')[0][0] + 1}"


def newest_of(store: Store, origin: str) -> Kept | None:
    """The newest checkpoint of a log."""
    row = store.row("checkpoint_newest", origin)
    return None if row is None else _kept(row)


def all_checkpoints(store: Store) -> list[Kept]:
    """Every checkpoint, in order."""
    return [_kept(row) for row in store.rows("checkpoints")]


def _begin(store: Store, tree: Tree, archive: Archive) -> None:
    """The log begins with the last checkpoint of the one before it, wherever that is known."""
    beside = archive.beside(CHECKPOINTS)
    lines = [beside.get(name) or b"" for name in beside.numbers()]
    row = store.row("checkpoint_newest_of_all")
    lines += [] if row is None else [bytes(row[6])]
    known = [(told, line) for line in lines if (told := _read(line)) is not None]
    if not known:
        return
    last, line = max(known, key=lambda each: (each[0].at, each[0].size))
    store.run("checkpoint_put", last.origin, last.size, last.root, last.at, hash_of(line), line)
    tree.append([(None, None, store.rows("checkpoint_by_hash", hash_of(line))[0][0], line)])


def _extend(store: Store, tree: Tree, origin: str) -> int:
    """What was accepted and issued since is at the log's end; how many leaves, LEAVES_AT_ONCE at most."""
    added = 0
    last = store.rows("leaf_last_line", origin)[0][0]
    looks = (
        ("lines_without_leaf", max(last - RECENT_LINES, 0)),
        # What was set aside and has taken its position since.
        ("lines_without_leaf_late", max(last - RECENT_LINES, 0)),
        ("invoices_without_leaf", max(store.rows("leaf_last_invoice", origin)[0][0] - RECENT_LINES, 0)),
    )
    for query, after in looks:
        rows = store.rows(query, after, origin, LEAVES_AT_ONCE - added)
        invoices = query == "invoices_without_leaf"
        added += tree.append(
            (None if invoices else id_, id_ if invoices else None, None, bytes(raw)) for id_, raw in rows
        )
        if added == LEAVES_AT_ONCE:
            break
    return added


def faults(store: Store, key: PublicKey) -> Iterator[str]:
    """What is wrong with the logs and their checkpoints, one sentence each; nothing where nobody changed anything."""
    before: dict[str, Kept] = {}
    for each in all_checkpoints(store):
        told = each.checkpoint
        name = f"the checkpoint of {told.origin} at {told.size}"
        line = parse(each.line)
        if isinstance(line, Refused) or (told.key == key.id and not line.verified_by(key)):
            yield f"{name}: its seal is broken"
            continue
        tree, earlier = Tree(store, told.origin), before.get(told.origin)
        if tree.size < told.size:
            # Of a log before a restore only the last checkpoint is known here.
            if tree.size:
                yield f"{name}: the log has {tree.size} leaves only"
            continue
        root = tree.root(told.size)
        if text_of(root) != told.root:
            yield f"{name}: the leaves give another root"
        if earlier is not None:
            old = earlier.checkpoint
            path = tree.prove_consistency(old.size, told.size)
            if told.previous != earlier.hash:
                yield f"{name}: it does not name the checkpoint before it"
            if not consistent(from_text(old.root), old.size, from_text(told.root), told.size, path):
                yield f"{name}: it did not grow from the one at {old.size}"
        before[told.origin] = each
    for origin in before:
        yield from _changed_leaves(store, origin)


def _changed_leaves(store: Store, origin: str) -> Iterator[str]:
    place = 0
    while rows := store.rows("leaves_with_bytes", origin, place, 1_024):
        for at, hash_, let_go, *contents in rows:
            if let_go is not None:
                # Its bytes were deleted as agreed; the leaf stays, and with it every root and proof.
                continue
            raw = next((bytes(each) for each in contents if each is not None), None)
            if raw is None:
                yield f"leaf {at} of {origin} is gone"
            elif leaf_hash(raw) != bytes(hash_):
                yield f"leaf {at} of {origin} was changed"
        place = rows[-1][0] + 1


def _read(line: bytes) -> Checkpoint | None:
    parsed = parse(line)
    found = parsed if isinstance(parsed, Refused) else read_checkpoint(parsed)
    return None if isinstance(found, Refused) else found


def _kept(row: tuple[object, ...]) -> Kept:
    line = row[6]
    assert isinstance(line, bytes), "a checkpoint's line is bytes"
    told = _read(line)
    assert told is not None, "the store holds sealed checkpoints"
    return Kept(id=int(str(row[0])), checkpoint=told, hash=str(row[5]), line=line)
