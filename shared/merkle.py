"""Merkle trees: roots, inclusion proofs and consistency proofs over whole lines (P11).

Source: RFC 9162, section 2.1. A leaf is hashed with the prefix 0, a node with the prefix 1, so that
neither can stand for the other. A proof is a list of 32-byte hashes, from the leaf's side upwards.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from shared.grammar import HASH_PATTERN, require_match

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
RootBetween = Callable[[int, int], bytes]
"""The root over the leaf hashes from the first number to below the second."""


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of one leaf, a whole line's bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes, 32 bytes; every leaf is looked at once."""
    peaks: list[tuple[int, bytes]] = []
    for leaf in leaves:
        size, node = 1, leaf
        while peaks and peaks[-1][0] == size:
            node = parent(peaks.pop()[1], node)
            size *= 2
        peaks.append((size, node))
    if not peaks:
        return EMPTY_ROOT
    root = peaks.pop()[1]
    while peaks:
        root = parent(peaks.pop()[1], root)
    return root


def prove_inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The path that proves leaf `index` under the root of these leaf hashes (section 2.1.3.1)."""
    return inclusion_path(lambda first, last: root_of(leaves[first:last]), len(leaves), index)


def inclusion_path(root_between: RootBetween, size: int, index: int) -> list[bytes]:
    """The same of a tree that is not at hand as a whole."""
    assert 0 <= index < size, "a proof is made for a leaf that is there"
    path: list[bytes] = []
    first, last = 0, size
    while last - first > 1:
        split = first + largest_power_below(last - first)
        if index < split:
            path.append(root_between(split, last))
            last = split
        else:
            path.append(root_between(first, split))
            first = split
    return path[::-1]


def includes(root: bytes, size: int, index: int, leaf: bytes, path: Sequence[bytes]) -> bool:
    """Whether the path proves the leaf hash at `index` of `size` under `root` (section 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes(root, leaf, *path):
        return False
    node, at, last = leaf, index, size - 1
    for sibling in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = parent(sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = parent(node, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def prove_consistency(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """The path that proves the tree of the first `size` leaves a start of this one (section 2.1.4.1)."""
    return consistency_path(lambda first, last: root_of(leaves[first:last]), size, len(leaves))


def consistency_path(root_between: RootBetween, old_size: int, size: int) -> list[bytes]:
    """The same of a tree that is not at hand as a whole."""
    assert 0 < old_size <= size, "a proof is made for a tree that this one grew from"
    path: list[bytes] = []
    first, last = 0, size
    whole = True
    while last != old_size:
        split = first + largest_power_below(last - first)
        if old_size <= split:
            path.append(root_between(split, last))
            last = split
        else:
            path.append(root_between(first, split))
            first, whole = split, False
    if not whole:
        path.append(root_between(first, last))
    return path[::-1]


def consistent(old_root: bytes, old_size: int, root: bytes, size: int, path: Sequence[bytes]) -> bool:
    """Whether the path proves that the newer tree only grew from the older (section 2.1.4.2)."""
    if old_size == size:
        return size > 0 and old_root == root and not path
    if not 0 < old_size < size or not _are_hashes(old_root, root, *path):
        return False
    # An older tree that is a whole power of two is itself a node of the newer one, and left out.
    trail = [old_root, *path] if old_size & (old_size - 1) == 0 else list(path)
    if len(trail) < 2:
        return False
    at, last = old_size - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = trail[0]
    for sibling in trail[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = parent(sibling, old), parent(sibling, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = parent(new, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old == old_root and new == root


def text_of(node: bytes) -> str:
    """A hash as the wire spells it: 43 characters of base64url."""
    return urlsafe_b64encode(node).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The 32 bytes that the one spelling of a hash stands for; raises InvalidRecord."""
    require_match(HASH_PATTERN, text, "hash")
    return urlsafe_b64decode(text + "=")


def parent(left: bytes, right: bytes) -> bytes:
    """The hash of a node over two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _are_hashes(*nodes: bytes) -> bool:
    return all(len(node) == HASH_BYTES for node in nodes)


def largest_power_below(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
