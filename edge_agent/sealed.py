"""Lines before and after they are sealed: what the metering hands over, and what the spool holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.line import hash_of
from shared.report import (
    Birth,
    Clock,
    ClockLine,
    Exchange,
    Forgotten,
    Gap,
    Header,
    Report,
    Rotate,
    Summary,
    Usage,
)

_KIND_OF: Final[dict[type, str]] = {
    Birth: "birth",
    Usage: "usage",
    Gap: "gap",
    Exchange: "exchange",
    ClockLine: "clock",
    Summary: "summary",
    Forgotten: "forgotten",
    Rotate: "rotate",
}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position within this gateway."""

    log: str
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedLine:
    """A sealed line at its place; `raw` is what is sent."""

    place: Place
    hash: str
    kind: str
    sealed_at: int
    raw: bytes

    @classmethod
    def of(cls, report: Report, raw: bytes) -> "SealedLine":
        """The line that `raw` is, as the report in it tells."""
        header = report.header
        return cls(
            place=Place(header.log, header.epoch, header.seq),
            hash=hash_of(raw),
            kind=_KIND_OF[type(report)],
            sealed_at=header.sealed_at,
            raw=raw,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealed:
    """What is to be sealed next in a log; `report` makes the record once the position is known.

    A birth's `previous` is the spool's to fill in: only the spool knows the line before.
    """

    log: str
    boot: str
    clock: Clock
    sealed_at: int
    report: Callable[[Header], Report]
