"""Edit, removal, insertion and reordering are found in a chain, and named (P11)."""

from dataclasses import replace
from typing import Any

from shared.chain import Fault, Linked, breaks_in
from shared.line import hash_of
from tests.unit.wire_samples import HASH, header


def _chain(length: int) -> list[Linked]:
    lines: list[Linked] = []
    for seq in range(1, length + 1):
        prev = lines[-1].hash if lines else ""
        lines.append(Linked(header(seq=seq, prev=prev), hash_of(f"line {seq}".encode())))
    return lines


def _faults(lines: list[Linked], after: Linked | None = None) -> list[tuple[Fault, int]]:
    return [(found.fault, found.after.header.seq) for found in breaks_in(lines, after=after)]


def test_a_whole_chain_has_no_break() -> None:
    assert _faults(_chain(5)) == []
    assert _faults([]) == []
    assert _faults(_chain(5)[3:], after=_chain(5)[2]) == []


def test_an_edited_line_shows_behind_it() -> None:
    lines = _chain(5)
    lines[2] = lines[2]._replace(hash=HASH)
    assert _faults(lines) == [(Fault.CHANGED, 4)]


def test_a_removed_line_leaves_a_hole() -> None:
    lines = _chain(5)
    del lines[2]
    assert _faults(lines) == [(Fault.HOLE, 4)]
    assert _faults(_chain(5)[1:]) == [(Fault.HOLE, 2)]


def test_an_inserted_line_stands_twice() -> None:
    lines = _chain(5)
    lines.insert(3, lines[2]._replace(hash=HASH))
    assert _faults(lines) == [(Fault.REORDERED, 3), (Fault.CHANGED, 4)]


def test_lines_that_changed_places_are_found() -> None:
    lines = _chain(5)
    lines[2], lines[3] = lines[3], lines[2]
    assert _faults(lines) == [(Fault.HOLE, 4), (Fault.REORDERED, 3), (Fault.HOLE, 5)]


def test_a_line_of_another_log_or_epoch_is_foreign() -> None:
    lines = _chain(3)
    changes: list[dict[str, Any]] = [{"gateway": "gw-2"}, {"log": "flat-2"}, {"epoch": "00000001"}]
    for change in changes:
        foreign = lines[2]._replace(header=replace(lines[2].header, **change))
        assert _faults([*lines[:2], foreign]) == [(Fault.FOREIGN, 3)]
