"""Roots and proofs after RFC 9162 (P11): small trees by hand, all trees up to 33 leaves by definition."""

import hashlib

import pytest

from shared.errors import InvalidRecord
from shared.merkle import (
    EMPTY_ROOT,
    consistent,
    from_text,
    includes,
    leaf_hash,
    prove_consistency,
    prove_inclusion,
    root_of,
    text_of,
)

LEAVES = [leaf_hash(f"line {at}".encode()) for at in range(33)]
OTHER = leaf_hash(b"another line")


def _defined_root(leaves: list[bytes]) -> bytes:
    """Section 2.1.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + _defined_root(leaves[:split]) + _defined_root(leaves[split:])).digest()


@pytest.mark.parametrize("size", range(len(LEAVES) + 1))
def test_the_root_is_what_the_standard_defines(size: int) -> None:
    assert root_of(LEAVES[:size]) == _defined_root(LEAVES[:size])


def test_the_published_roots_of_the_smallest_trees() -> None:
    """Known from certificate transparency: the empty tree, and the tree of one empty leaf."""
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


@pytest.mark.parametrize("size", range(1, len(LEAVES) + 1))
def test_every_leaf_of_every_tree_is_proven_and_no_other(size: int) -> None:
    root = root_of(LEAVES[:size])
    for index in range(size):
        path = prove_inclusion(LEAVES[:size], index)
        assert includes(root, size, index, LEAVES[index], path)
        assert not includes(root, size, index, OTHER, path)
        assert not includes(OTHER, size, index, LEAVES[index], path)
        assert not includes(root, size, index, LEAVES[index], [*path, OTHER])
        assert not includes(root, size, index, LEAVES[index], [OTHER, *path])
        if path:
            assert not includes(root, size, index, LEAVES[index], path[:-1])
            assert not includes(root, size, index, LEAVES[index], [*path[:-1], OTHER])
        for wrong in {(index + 1) % size, (index - 1) % size} - {index}:
            assert not includes(root, size, wrong, LEAVES[index], path)


@pytest.mark.parametrize(("size", "index"), [(0, 0), (3, 3), (3, -1), (-1, 0)])
def test_a_place_outside_of_the_tree_is_never_proven(size: int, index: int) -> None:
    assert not includes(LEAVES[0], size, index, LEAVES[0], [])


@pytest.mark.parametrize("size", range(1, len(LEAVES) + 1))
def test_every_older_tree_is_proven_a_start_of_this_one_and_no_other(size: int) -> None:
    root = root_of(LEAVES[:size])
    for old in range(1, size + 1):
        old_root, path = root_of(LEAVES[:old]), prove_consistency(LEAVES[:size], old)
        assert consistent(old_root, old, root, size, path)
        assert not consistent(OTHER, old, root, size, path)
        assert not consistent(old_root, old, OTHER, size, path)
        assert not consistent(old_root, old, root, size, [*path, OTHER])
        if path:
            assert not consistent(old_root, old, root, size, path[:-1])
            assert not consistent(old_root, old, root, size, [OTHER, *path[1:]])


def test_a_tree_never_grew_from_a_larger_one_nor_from_nothing() -> None:
    assert not consistent(root_of(LEAVES[:3]), 3, root_of(LEAVES[:2]), 2, [])
    assert not consistent(EMPTY_ROOT, 0, root_of(LEAVES[:2]), 2, [])
    assert not consistent(EMPTY_ROOT, 0, EMPTY_ROOT, 0, [])


def test_a_changed_leaf_in_the_older_part_is_found() -> None:
    """P11: what a checkpoint has stated cannot be rewritten below a later one."""
    changed = [OTHER, *LEAVES[1:]]
    path = prove_consistency(changed, 7)
    assert not consistent(root_of(LEAVES[:7]), 7, root_of(changed), len(changed), path)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_hash_of_another_length_proves_nothing(length: int) -> None:
    node = bytes(length)
    assert not includes(node, 1, 0, node, [])
    assert not consistent(node, 1, node, 2, [node])


def test_a_hash_has_one_spelling() -> None:
    text = text_of(LEAVES[0])
    assert from_text(text) == LEAVES[0]
    for other in (text + "=", text[:-1] + "B", text[:-1], ""):
        with pytest.raises(InvalidRecord):
            from_text(other)
