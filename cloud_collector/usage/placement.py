"""Where lines of a boot that knew no time belong in UTC (P13).

Pure. A `clock` line places the R and U lines of its boot; boots that end without one are laid end to
end, the last ending where the log's next placed line starts, never after receipt, and estimated.
Source: docs/reference/wire.md, section 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloud_collector.usage.derive import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """The unplaced lines of one boot, in seconds of its own clock, in order of the log."""

    boot: str
    start: int
    end: int
    room: int
    """The latest offset that lets no line end after its receipt."""
    next_start: int | None
    """UTC second at which the log's next placed line starts; None where there is none yet."""


def lay(extents: Sequence[Extent], clocked: Mapping[str, int]) -> dict[str, Placement]:
    """Each boot's placement that can be known; `clocked` holds the offsets that clock lines state."""
    placed = {boot: Placement(offset, estimated=False) for boot, offset in clocked.items()}
    follows: int | None = None
    for extent in reversed(extents):
        offset = clocked.get(extent.boot)
        if offset is None:
            ends = [at for at in (extent.next_start, follows) if at is not None]
            if not ends:
                continue
            offset = min(min(ends) - extent.end, extent.room)
            placed[extent.boot] = Placement(offset, estimated=True)
        follows = offset + extent.start
    return placed
