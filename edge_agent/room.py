"""Room in a bounded spool: what is receipted may go, then the oldest is folded; both are still told of (P3, P7, P9)."""

from collections.abc import Iterable, Mapping
from typing import Final

from edge_agent import kept
from edge_agent.folding import LINE_OVERHEAD_BYTES, Folding
from edge_agent.limits import FOLD_PATIENCE_SEALS, FORGOTTEN_AT_ONCE_MAX, SPOOL_FORGET_LINES, SPOOL_ROOM_SHARE
from edge_agent.receipts import Chain, absent
from edge_agent.sealable import ForgottenContent
from edge_agent.sealed import Place, SealedLine
from edge_agent.statements import statements
from edge_agent.tellers import Tellers
from shared.effects.database import Database
from shared.errors import Refused
from shared.key import SigningKey
from shared.line import parse
from shared.report import Lost, Usage, read


class Room:
    """How much of a spool's bound is taken, and how it becomes less."""

    def __init__(self, database: Database, *, bytes_max: int) -> None:
        self._database = database
        self._sql = statements()
        self.bytes_max: Final = bytes_max
        self._page_bytes = int(database.execute(self._sql["page_size"])[0][0])
        self._folding = Folding(database, bytes_max=bytes_max)
        self._patience = 0
        self._tellers = Tellers()
        for (raw,) in database.execute(self._sql["telling"]):
            self._tellers.add(raw)

    @property
    def bytes_used(self) -> int:
        """What the spool's pages take that are not free."""
        pages, free = (int(self._database.execute(self._sql[name])[0][0]) for name in ("page_count", "freelist_count"))
        return (pages - free) * self._page_bytes

    def is_left(self, *, keep_after: int, epoch: str) -> bool:
        """Whether a good many more lines fit, after what may be forgotten is."""
        short = self.bytes_used + self.bytes_max // SPOOL_ROOM_SHARE - self.bytes_max
        if short <= 0:
            return True
        return int(self._database.execute(self._sql["forgettable_bytes"], (keep_after, epoch))[0][0]) >= short

    def is_short(self, needed_bytes: int, *, epoch: str) -> bool:
        """Whether a day's lines would no longer fit once everything that waits is receipted, and kept for a day (P7).

        Not asked for a while where nothing could be folded.
        """
        self._patience = max(0, self._patience - 1)
        if self._patience or self.bytes_used * 2 < self.bytes_max:
            return False
        receipted = int(self._database.execute(self._sql["receipted_bytes"], (LINE_OVERHEAD_BYTES,))[0][0])
        day = min(self._day_bytes(epoch), self.bytes_max // 2)
        return self.bytes_used - receipted + needed_bytes + day > self.bytes_max

    def _day_bytes(self, epoch: str) -> int:
        """What a day of windows like the last ones takes."""
        total = 0
        for (raw,) in self._database.execute(self._sql["newest_usage"], (epoch,)):
            line = parse(raw)
            report = line if isinstance(line, Refused) else read(line)
            if isinstance(report, Usage):
                total += (len(raw) + LINE_OVERHEAD_BYTES) * 86_400 // (report.end - report.start)
        return total

    def forget(self, *, keep_after: int, epoch: str) -> bool:
        """Delete some of the oldest lines receipted up to `keep_after` (P7); whether there were any."""
        forgettable = self._database.execute(self._sql["forgettable"], (keep_after, epoch, SPOOL_FORGET_LINES))
        if not forgettable:
            return False
        gone = kept.get(self._database, kept.GONE) or {}
        for _, log, old, seq, receipted_at in forgettable:
            through, at = gone.get(f"{log} {old}", (0, 0))
            gone[f"{log} {old}"] = (max(through, seq), max(at, receipted_at))
        with self._database.atomic():
            self._database.executemany(self._sql["forget"], [row[:1] for row in forgettable])
            self._database.execute(self._sql["put_kept"], kept.put_row(kept.GONE, gone))
        return True

    def fold(
        self,
        epochs: Iterable[str],
        chains: Mapping[tuple[str, str], Chain],
        key: SigningKey,
        *,
        receipted: bool = False,
    ) -> Chain | None:
        """Fold some of the oldest lines; the chain that goes on from their summary, None where nothing is gained."""
        folds = (self._folding.next(epoch, chains, key, receipted=receipted) for epoch in epochs)
        folded = next((found for found in folds if found is not None), None)
        if folded is None:
            self._patience = FOLD_PATIENCE_SEALS
            return None
        with self._database.atomic():
            self._folding.replace(folded)
        self._tellers.drop(folded.replaced)
        self._tellers.add(folded.line.raw)
        return folded.chain

    def note(self, lines: Iterable[SealedLine]) -> None:
        """These were sealed, and wait."""
        for line in lines:
            if line.kind == "forgotten":
                self._tellers.add(line.raw)

    def telling_within(self, log: str, epoch: str, first: int, last: int, limit: int) -> list[Place]:
        """What waits and tells of a range: its lines, then summaries, and what was said to be forgotten."""
        rows = self._database.execute(self._sql["waiting_within"], (log, epoch, first, last, limit))
        places = [Place(*row) for row in rows]
        for place in list(self._tellers.of(log, epoch, first, last)) if len(places) < limit else ():
            at = (place.log, place.epoch, place.seq, place.seq, 1)
            if self._database.execute(self._sql["waiting_within"], at):
                places.append(place)
            else:
                self._tellers.drop([place])
        return list(dict.fromkeys(places))[:limit]

    def hash_at(self, log: str, epoch: str, seq: int) -> str | None:
        """The hash of this gateway's own line there, where a summary that waits ends with it."""
        return self._tellers.hash_at(log, epoch, seq)

    def lost(self, log: str, epoch: str, missing: Iterable[tuple[int, int]]) -> list[ForgottenContent]:
        """Of the positions that the collector asks for those that were receipted and are gone, and not yet said so."""
        through, receipted_at = (kept.get(self._database, kept.GONE) or {}).get(f"{log} {epoch}", (0, 0))
        if not through:
            return []
        told = self._tellers.ranges(log, epoch)
        found: list[ForgottenContent] = []
        for first, last in missing:
            held = [row[0] for row in self._database.execute(self._sql["held_within"], (log, epoch, first, last))]
            for low, high in absent((first, min(last, through)), held, told):
                found.append(ForgottenContent(lost=Lost(epoch, low, high), receipted_at=receipted_at))
        return found[:FORGOTTEN_AT_ONCE_MAX]
