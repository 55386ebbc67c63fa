"""Which rows of a channel count in one epoch, and what bridges the holes between them (P1, P3).

Pure. Rows are walked in order of position, and the outcome depends on nothing else: not on the order
of arrival. Within an epoch registers never fall and never jump:

- a row that starts where the one before ended counts;
- one that starts higher counts where lines are missing between the two, and the difference becomes a
  bridge, estimated; where no line is missing, nothing explains the jump, and the row is quarantined;
- one that starts lower overlaps what was said before, and is quarantined.

What a quarantined row spans is neither bridged nor billed until it is released; but what is signed by a key that
is not valid there says nothing at all, and what valid keys say beside it decides (P10).
"""

from typing import NamedTuple

from cloud_collector.usage.derive import RowKind


class Node(NamedTuple):
    """A row as its neighbours see it."""

    seq: int
    kind: int
    start: int | None
    until: int | None
    register: int
    register_end: int
    cloned: int
    """Its line is a clone's (1), or signed by a key that is not valid there (2); else 0."""


class Tail(NamedTuple):
    """What a row leaves to the next one."""

    seq: int
    top: int
    """The highest register said so far, counted or not."""
    until: int | None
    """Where the row ends in time; None where it is not placed."""
    reach: int | None
    """Where the usage rows so far end in time."""


class BridgeUnits(NamedTuple):
    """The registers' difference across a hole, spread over [start, start + seconds)."""

    start: int | None
    seconds: int
    register: int
    units: int


class Settled(NamedTuple):
    """What becomes of a row."""

    reason: str | None
    """Why it is quarantined; None where it counts."""
    withheld: int
    """Units before the row that are set apart with a quarantined neighbour."""
    bridge: BridgeUnits | None
    ragged: bool
    """Whether register look-ups must not step over it: not counted, not placed, or out of order in time."""
    tail: Tail


CLONED = "cloned: the epoch has another successor, or the line was sealed after it"
DISOWNED = "disowned: signed by a key that is not valid at this position"
DISOWNED_LINE = 2
"""`cloned` of a line whose key is not valid there: as if nobody held it, others bridge its position."""
_BESIDE = {1: CLONED, DISOWNED_LINE: DISOWNED}


def settle(before: Tail | None, node: Node, *, hole: bool, unreadable: bool) -> Settled:
    """Decide a row by the row before it.

    `hole`: a position between the two is not held. `unreadable`: a line between the two says something
    of the channel that cannot be read. Both matter only where the registers do not meet.
    """
    top = node.register if before is None else before.top
    reason: str | None = None
    withheld = 0
    bridge = None
    if node.register > top:
        missing = node.register - top
        if node.cloned == DISOWNED_LINE:
            pass
        elif unreadable or node.cloned:
            withheld = missing
        elif hole or node.kind == RowKind.EXCHANGE:
            assert before is not None
            bridge = _bridge(before, node, missing)
        else:
            reason, withheld = f"the register jumps by {missing} without a line that says why", missing
    elif node.register < top:
        reason = f"the register overlaps what earlier lines say, by {top - node.register}"
    if node.cloned:
        reason = _BESIDE[node.cloned]
    reach = None if before is None else before.reach
    ragged = reason is not None or node.start is None or withheld > 0
    if node.kind == RowKind.USAGE and node.start is not None and node.until is not None:
        ragged = ragged or (reach is not None and node.start < reach)
        reach = node.until if reach is None else max(reach, node.until)
    return Settled(reason, withheld, bridge, ragged, Tail(node.seq, max(top, node.register_end), node.until, reach))


def _bridge(before: Tail, node: Node, units: int) -> BridgeUnits:
    if before.until is None or node.start is None:
        return BridgeUnits(None, 0, before.top, units)
    # A bridge takes time even where the two sides leave none.
    start = min(before.until, node.start - 1)
    return BridgeUnits(start, node.start - start, before.top, units)
