"""Lines that tell of other positions than their own, while they wait: summaries, and what is said to be forgotten."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from edge_agent.sealed import Place
from shared.errors import Refused
from shared.line import parse
from shared.report import Forgotten, Report, Summary, read

Range = tuple[int, int]
"""First to last position, both included."""


@dataclass(frozen=True, slots=True)
class _Told:
    epoch: str
    ranges: tuple[Range, ...]
    ends: dict[int, str]
    """Of a summary the hashes of the last lines that it covers."""


@dataclass(slots=True)
class Tellers:
    """By the place of the line that tells; what no longer waits may still be in it."""

    _told: dict[Place, _Told] = field(default_factory=dict)

    def add(self, raw: bytes) -> None:
        """Take note of a line, whatever its kind."""
        line = parse(raw)
        report: Report | Refused = line if isinstance(line, Refused) else read(line)
        if isinstance(report, Summary):
            ranges = tuple((cover.first, cover.last) for cover in report.covers)
            told = _Told(report.header.epoch, ranges, {cover.last: cover.end for cover in report.covers})
        elif isinstance(report, Forgotten):
            told = _Told(report.lost.epoch, ((report.lost.first, report.lost.last),), {})
        else:
            return
        header = report.header
        self._told[Place(header.log, header.epoch, header.seq)] = told

    def drop(self, places: Iterable[Place]) -> None:
        """These wait no more."""
        for place in places:
            self._told.pop(place, None)

    def of(self, log: str, epoch: str, first: int, last: int) -> Iterator[Place]:
        """The places whose lines tell of positions in this range, the oldest positions first."""
        found = [
            (min(ranges), place)
            for place, told in self._told.items()
            if place.log == log and told.epoch == epoch
            if (ranges := [each for each in told.ranges if each[0] <= last and each[1] >= first])
        ]
        return (place for _, place in sorted(found))

    def ranges(self, log: str, epoch: str) -> list[Range]:
        """All positions that are told of."""
        return [
            each
            for place, told in self._told.items()
            if place.log == log and told.epoch == epoch
            for each in told.ranges
        ]

    def hash_at(self, log: str, epoch: str, seq: int) -> str | None:
        """The hash of this gateway's own line there, where a summary ends with it."""
        for place, told in self._told.items():
            if place.log == log and told.epoch == epoch and seq in told.ends:
                return told.ends[seq]
        return None
