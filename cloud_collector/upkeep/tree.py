"""The log that checkpoints sign, as it lies in the store: roots and proofs without reading all leaves (P11).

Hashes of whole subtrees of 256, 65,536 and more leaves are kept; what lies between is put together from a few hundred.
"""

from collections.abc import Iterable
from typing import Final

from cloud_collector.store.store import Store
from shared.merkle import consistency_path, inclusion_path, largest_power_below, leaf_hash, parent, root_of

STEP: Final = 8
"""Subtrees are kept at every eighth level."""
WIDTH: Final = 1 << STEP


class Tree:
    """One log of the store, by its origin."""

    def __init__(self, store: Store, origin: str) -> None:
        self._store = store
        self._origin = origin

    @property
    def size(self) -> int:
        """How many leaves it has."""
        return int(self._store.rows("leaf_count", self._origin)[0][0])

    def append(self, leaves: Iterable[tuple[int | None, int | None, int | None, bytes]]) -> int:
        """The leaves (line, invoice, checkpoint, bytes) stand at its end; call within a transaction. How many."""
        place = first = self.size
        rows = []
        for line, invoice, checkpoint, raw in leaves:
            rows.append((self._origin, place, line, invoice, checkpoint, leaf_hash(raw)))
            place += 1
        self._store.run_many("leaf_put", rows)
        self._keep_subtrees(place)
        return place - first

    def root(self, size: int) -> bytes:
        """The root over the first leaves."""
        return self.between(0, size) if size else root_of(())

    def prove_inclusion(self, size: int, index: int) -> list[bytes]:
        """The path from a leaf to the root over the first `size` leaves."""
        return inclusion_path(self.between, size, index)

    def prove_consistency(self, old_size: int, size: int) -> list[bytes]:
        """The path that proves one size a start of the other."""
        return consistency_path(self.between, old_size, size)

    def between(self, first: int, last: int) -> bytes:
        """The root over the leaves from `first` to below `last`, a range that a proof asks for."""
        size = last - first
        if size & (size - 1) == 0 and first % size == 0:
            return self._whole(size.bit_length() - 1, first // size)
        split = first + largest_power_below(size)
        return parent(self.between(first, split), self.between(split, last))

    def _whole(self, level: int, place: int) -> bytes:
        """The root of a whole subtree of 2^level leaves."""
        below = level - level % STEP
        width = 1 << (level - below)
        hashes = self._hashes(below, place * width, (place + 1) * width)
        if len(hashes) == width:
            return root_of(hashes)
        assert below > 0, "the leaves of a whole subtree are there"
        # Not kept yet: from the level below.
        count = width << STEP
        return root_of(self._hashes_at(below - STEP, place * count, (place + 1) * count))

    def _hashes_at(self, level: int, first: int, last: int) -> list[bytes]:
        return [self._whole(level, place) for place in range(first, last)]

    def _hashes(self, level: int, first: int, last: int) -> list[bytes]:
        if level == 0:
            rows = self._store.rows("leaf_hashes", self._origin, first, last)
        else:
            rows = self._store.rows("subtree_hashes", self._origin, level, first, last)
        return [bytes(row[0]) for row in rows]

    def _keep_subtrees(self, size: int) -> None:
        """Every subtree that is whole now is kept."""
        level = STEP
        while size >> level:
            done = int(self._store.rows("subtree_count", self._origin, level)[0][0])
            rows = []
            for place in range(done, size >> level):
                hashes = self._hashes(level - STEP, place * WIDTH, (place + 1) * WIDTH)
                rows.append((self._origin, level, place, root_of(hashes)))
            self._store.run_many("subtree_put", rows)
            level += STEP
