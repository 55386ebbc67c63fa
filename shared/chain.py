"""A log's chain: whether lines follow one another, and where not, what happened there (P11).

Source: docs/reference/wire.md, section 2. What a hole means, and which of two lines at one position
counts, is decided elsewhere; here lines alone are compared.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from shared.kinds import Header


class Fault(StrEnum):
    """What two neighbouring lines say about the chain between them."""

    FOREIGN = "foreign"
    """Another gateway, log or epoch."""
    REORDERED = "reordered"
    """It stands before the one that it follows here, or at the same position."""
    HOLE = "hole"
    """Positions between the two are absent."""
    CHANGED = "changed"
    """It follows another line than the one that stands here."""


class Linked(NamedTuple):
    """A line's header and its hash: all that a chain looks at."""

    header: Header
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Between these two lines the chain does not hold."""

    fault: Fault
    before: Linked | None
    after: Linked


def fault_between(before: Linked | None, after: Linked) -> Fault | None:
    """What is wrong between two neighbours, or None; `before` is None at a log's beginning."""
    if before is None:
        return None if after.header.seq == 1 else Fault.HOLE
    old, new = before.header, after.header
    if (old.gateway, old.log, old.epoch) != (new.gateway, new.log, new.epoch):
        return Fault.FOREIGN
    if new.seq <= old.seq:
        return Fault.REORDERED
    if new.seq > old.seq + 1:
        return Fault.HOLE
    return None if new.prev == before.hash else Fault.CHANGED


def breaks_in(lines: Iterable[Linked], *, after: Linked | None = None) -> list[Break]:
    """Every place where the lines of one epoch, in the order given, do not follow one another.

    An edit shows as `changed` behind it, a removal as a `hole`, an insertion and an exchange of places
    as `reordered`. `after` is the line that the first one should follow, None for an epoch's start.
    """
    found = []
    before = after
    for line in lines:
        fault = fault_between(before, line)
        if fault is not None:
            found.append(Break(fault=fault, before=before, after=line))
        before = line
    return found
