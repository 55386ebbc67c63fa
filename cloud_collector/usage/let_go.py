"""What is kept of lines whose detail was deleted as agreed: over the whole stretch, each channel's registers.

Pure. Nobody has signed it; the lines on both sides of a stretch are signed and kept, and state the same registers.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cloud_collector.usage.span import Measured, Span, SpanKind
from shared.errors import MetersealError
from shared.kinds import Header
from shared.rows import UsageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class LetGo:
    """A stretch [start, start + step) of one line or many; of a line that is not the last of its stretch no row."""

    header: Header
    start: int
    step: int
    rows: tuple[UsageRow, ...]
    count: int = 1


class DetailDeleted(MetersealError):
    """It would rest on detail that was deleted as agreed: only the total over all of it is known any more."""


def told(measured: Measured | None) -> Measured | None:
    """The same; raises DetailDeleted where nobody knows any more how much of it lies in the time."""
    if measured is not None and measured.deleted:
        raise DetailDeleted
    return measured


def all_told(spans: Iterable[Span]) -> Iterator[Span]:
    """The same spans; raises DetailDeleted at one of which only the total is left."""
    for span in spans:
        if span.kind is SpanKind.LET_GO:
            raise DetailDeleted
        yield span
