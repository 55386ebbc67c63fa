"""Lines of the spool that hand over from key to key, and those of former keys that may never be taken any more."""

from collections.abc import Sequence
from typing import Any

from edge_agent.sealed import Place, SealedLine
from edge_agent.statements import statements
from shared.effects.database import Database
from shared.errors import Refused
from shared.key import PublicKey
from shared.line import parse
from shared.report import Report, Rotate, read


class Handover:
    """What a spool's database says of rotations, and of what waits behind everything else."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements()
        self.behind = self._count_behind()
        """How many lines wait behind everything else."""
        self._announcing: list[Place] = []
        self.look()

    def look(self) -> None:
        """Lines that announce keys may have come."""
        self._announcing = [Place(*row) for row in self._database.execute(self._sql["waiting_rotations"])]

    def announcing(self, key: PublicKey) -> list[bytes]:
        """The held lines that announce this key."""
        lines = [held_line(raw) for (raw,) in self._database.execute(self._sql["rotations"])]
        return [line.raw for line, report in lines if isinstance(report, Rotate) and report.next == key.text]

    def waiting(self, heard: str | None) -> list[Place]:
        """Waiting lines that announce keys: without them nothing after them is taken.

        `heard` is the present epoch once the collector has taken a line of it: it knows the key that signs there,
        and lines of earlier epochs that rest need not announce it any more.
        """
        if self._announcing:
            self._announcing = [place for place in self._announcing if self._waits(place, heard)]
        return self._announcing

    def waiting_behind(self, limit: int) -> Sequence[tuple[Any, ...]]:
        """The oldest of what is sent only where nothing else needs its place."""
        return self._database.execute(self._sql["waiting_behind"], (limit,)) if self.behind else ()

    def is_done(self, line: SealedLine, heard: str | None) -> bool:
        """Whether the collector has confirmed the line, or it is not held any more, or rests and is not needed."""
        return not self._waits(line.place, heard, line.hash)

    def is_aside(self, line: SealedLine) -> bool:
        """Whether the collector has set the line aside: another one has its position."""
        place = line.place
        return bool(self._database.execute(self._sql["is_aside"], (place.log, place.epoch, place.seq, line.hash)))

    def put_behind(self, epoch: str) -> None:
        """Send what waits of other epochs than this one only where nothing else needs its place."""
        with self._database.atomic():
            self._database.execute(self._sql["create_line_behind"])
            self._database.execute(self._sql["put_behind"], (epoch,))
        self.behind = self._count_behind()
        self.look()

    def held_from(self, log: str, epoch: str, first: int, last: int, limit: int) -> list[Place]:
        """The held places of a range, receipted or not."""
        rows = self._database.execute(self._sql["held_from"], (log, epoch, first, last, limit))
        return [Place(*row) for row in rows]

    def _waits(self, place: Place, heard: str | None, name: str | None = None) -> bool:
        rows = self._database.execute(self._sql["unreceipted"], (place.log, place.epoch, place.seq))
        needless = heard not in (None, place.epoch)
        return any(name in (None, held) and not (rested and needless) for held, rested in rows)

    def _count_behind(self) -> int:
        return int(self._database.execute(self._sql["behind_count"])[0][0])


def held_line(raw: bytes) -> tuple[SealedLine, Report]:
    """A line that this gateway has sealed, and what it says."""
    line = parse(bytes(raw))
    report = line if isinstance(line, Refused) else read(line)
    assert not isinstance(report, Refused), "sealed by this gateway"
    return SealedLine.of(report, bytes(raw)), report
