"""A full spool gives up detail, oldest first: its lines are folded into signed summaries (P3, P7, P9).

What is folded, and in which order: usage and gap lines by hours; where the hours themselves have filled
half of the spool, summaries by days; at last days into longer lines. Lines that are receipted and too young
to be forgotten are folded where nothing else is left. Only lines of the current epoch: of an earlier one
nothing may be sealed any more.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from edge_agent import tables
from edge_agent.fold import DAY, HOUR, Fold, Foldable
from edge_agent.limits import FOLD_AGAIN_SHARE, FOLD_LINES_MAX, FOLD_LOOK_LINES, FOLD_READ_LINES, FOLD_SUMMARIES_MAX
from edge_agent.receipts import Chain
from edge_agent.sealed import Place, SealedLine
from edge_agent.statements import statements
from shared.effects.database import Database
from shared.errors import Refused
from shared.key import SigningKey
from shared.line import hash_of, parse
from shared.report import Gap, Summary, Usage, read, seal_report

_LOG: Final = logging.getLogger(__name__)
LINE_OVERHEAD_BYTES: Final = 512
"""What a line takes beside its raw bytes: columns, index entries, page heads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A summary that is sealed and replaces lines; `ids` are theirs, the lowest becomes its own."""

    line: SealedLine
    chain: Chain
    ids: tuple[int, ...]
    replaced: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the spool that may be folded."""

    id: int
    log: str
    bytes: int
    foldable: Foldable


class Folding:
    """Finds what is folded next in one spool, and puts it in place."""

    def __init__(self, database: Database, *, bytes_max: int) -> None:
        self._database = database
        self._bytes_max = bytes_max
        self._sql = statements()

    def next(
        self, epoch: str, chains: Mapping[tuple[str, str], Chain], key: SigningKey, *, receipted: bool = False
    ) -> Folded | None:
        """The summary that frees most of what is oldest, sealed and not yet stored; None where nothing is gained."""
        hours = int(self._database.execute(self._sql["summary_bytes"], (epoch,))[0][0])
        ways = (
            (self._lines, self._summaries)
            if hours * FOLD_AGAIN_SHARE < self._bytes_max
            else (self._summaries, self._lines)
        )
        for way in (self._receipted,) if receipted else (*ways, self._anything):
            for rows, fold in way(epoch):
                found = self._gained(rows, fold, chains, key)
                if found is not None:
                    return found
        return None

    def replace(self, folded: Folded) -> None:
        """Put the summary in the place of its lines; call within one transaction."""
        place = folded.line.place
        # P7: lines go only after the summary that covers them, and within its transaction.
        self._database.execute(self._sql["put_line"], tables.line_row(folded.line))
        self._database.executemany(self._sql["forget"], [(id_,) for id_ in folded.ids])
        # It is sent when the oldest of them would have been.
        self._database.execute(self._sql["move_line"], (min(folded.ids), place.log, place.epoch, place.seq))
        self._database.execute(self._sql["put_chain"], tables.chain_row(folded.chain))
        _LOG.info(
            "event=folded log=%s epoch=%s seq=%d lines=%d",
            folded.line.place.log,
            folded.line.place.epoch,
            folded.line.place.seq,
            len(folded.ids),
        )

    def _gained(
        self, rows: list[_Row], fold: Fold, chains: Mapping[tuple[str, str], Chain], key: SigningKey
    ) -> Folded | None:
        whole = fold.whole()
        taken = rows[: len(whole.taken)]
        if len(taken) < 2:
            return None
        first = taken[0].foldable.report.header
        chain = chains[first.log, first.epoch]
        summary = whole.summary(key=key.public.id, seq=chain.seq + 1, prev=chain.head)
        line = SealedLine.of(summary, seal_report(summary, key))
        freed = sum(row.bytes + LINE_OVERHEAD_BYTES for row in taken)
        if len(line.raw) + LINE_OVERHEAD_BYTES >= freed:
            return None
        replaced = tuple(Place(first.log, first.epoch, row.foldable.report.header.seq) for row in taken)
        after = replace(chain, seq=summary.header.seq, head=line.hash)
        return Folded(line=line, chain=after, ids=tuple(row.id for row in taken), replaced=replaced)

    def _lines(self, epoch: str) -> Iterator[tuple[list[_Row], Fold]]:
        """Usage and gap lines, a log and a day at a time."""
        for log in self._logs("foldable_logs", epoch):
            yield from self._by_hours("foldable_lines", log, epoch)

    def _receipted(self, epoch: str) -> Iterator[tuple[list[_Row], Fold]]:
        """What the collector holds already: its detail is safe there, and metering goes on."""
        logs = self._logs("receipted_logs", epoch)
        for log in logs:
            yield from self._by_hours("foldable_receipted", log, epoch)
        for log in logs:
            yield from _by_days(self._rows("foldable_receipted_anything", log, epoch, 0, FOLD_LOOK_LINES))

    def _by_hours(self, name: str, log: str, epoch: str) -> Iterator[tuple[list[_Row], Fold]]:
        group: list[_Row] = []
        fold = Fold(HOUR)
        for row in self._one_by_one(name, log, epoch):
            alike = not group or (_day(row) == _day(group[0]) and len(group) < FOLD_LINES_MAX)
            if not (alike and fold.take(row.foldable)):
                yield group, fold
                group, fold = [], Fold(HOUR)
                fold.take(row.foldable)
            group.append(row)
        yield group, fold

    def _summaries(self, epoch: str) -> Iterator[tuple[list[_Row], Fold]]:
        """Summaries of one log: hours become days, days longer lines."""
        for log in self._logs("summary_logs", epoch):
            yield from _by_days(self._rows("foldable_summaries", log, epoch, 0, FOLD_LOOK_LINES))

    def _anything(self, epoch: str) -> Iterator[tuple[list[_Row], Fold]]:
        """At last whatever stands side by side, by days: windows of a day, or a day that is not over."""
        for log in self._logs("foldable_logs", epoch):
            yield from _by_days(self._rows("foldable_anything", log, epoch, 0, FOLD_LOOK_LINES))

    def _logs(self, name: str, epoch: str) -> list[str]:
        return [row[0] for row in self._database.execute(self._sql[name], (epoch,))]

    def _one_by_one(self, name: str, log: str, epoch: str) -> Iterator[_Row]:
        after = 0
        while rows := self._rows(name, log, epoch, after, FOLD_READ_LINES):
            yield from rows
            after = rows[-1].foldable.report.header.seq

    def _rows(self, name: str, log: str, epoch: str, after: int, limit: int) -> list[_Row]:
        found = []
        for id_, hash_, raw in self._database.execute(self._sql[name], (log, epoch, after, limit)):
            line = parse(raw)
            report = line if isinstance(line, Refused) else read(line)
            assert isinstance(report, Usage | Gap | Summary), "the spool holds what it has sealed"
            assert hash_of(raw) == hash_, "the spool was checked when it was opened"
            found.append(_Row(id_, log, len(raw), Foldable(report, hash_)))
        return found


def _by_days(rows: list[_Row]) -> Iterator[tuple[list[_Row], Fold]]:
    group: list[_Row] = []
    fold = Fold(DAY)
    for row in sorted(rows, key=lambda row: row.foldable.at):
        if len(group) == FOLD_SUMMARIES_MAX or not fold.take(row.foldable):
            yield group, fold
            group, fold = [], Fold(DAY)
            fold.take(row.foldable)
        group.append(row)
    yield group, fold


def _day(row: _Row) -> tuple[str, int]:
    """Which day of which boot it begins in, by its own clock: so much is folded at a time."""
    report = row.foldable.report
    start = min(gap.start for gap in report.rows) if isinstance(report, Gap) else report.start
    return report.header.boot, start // DAY
