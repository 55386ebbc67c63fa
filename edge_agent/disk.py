"""Where the spool lies: one database file, and the damaged ones that were moved aside.

DatabaseFull     no room              → the agent ends with exit code 75
DatabaseBusy     a second agent       → refused with a sentence
DatabaseCorrupt  a damaged file       → `move_aside`, then salvage from `damaged`
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from edge_agent.limits import SPOOL_DAMAGED_FILES_MAX
from shared.effects.database import Database
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseFailed

_COMPANIONS: Final = ("", "-wal")
"""A database and its write-ahead log belong together; in exclusive mode there is no index file."""


class Disk(Protocol):
    """The place of one spool."""

    def open(self) -> Database:
        """Open or create the spool, held against every other process; raises DatabaseError."""

    def move_aside(self) -> None:
        """Put the damaged spool away, so that the next `open` creates a new one; raises DatabaseError."""

    def damaged(self) -> Sequence[Callable[[], Database]]:
        """One opener for each spool put away, the oldest first; each may raise DatabaseError."""


class FileDisk:
    """A file on this machine; the damaged are `<name>.damaged-1`, `-2` … beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> Database:
        """Open or create the file, held against every other process; raises DatabaseError."""
        return SqliteDatabase(self._path, exclusive=True)

    def move_aside(self) -> None:
        """Rename the file and its log to the next number; raises DatabaseFailed."""
        kept = self._damaged_numbers()
        number = max(kept, default=0) + 1
        try:
            for companion in _COMPANIONS:
                source = self._path.with_name(f"{self._path.name}{companion}")
                if source.exists():
                    source.rename(self._path.with_name(f"{self._path.name}.damaged-{number}{companion}"))
            for old in kept[: max(0, len(kept) + 1 - SPOOL_DAMAGED_FILES_MAX)]:
                for companion in _COMPANIONS:
                    self._path.with_name(f"{self._path.name}.damaged-{old}{companion}").unlink(missing_ok=True)
        except OSError as error:
            raise DatabaseFailed(f"{self._path} is damaged and cannot be moved aside: {error}") from error

    def damaged(self) -> Sequence[Callable[[], Database]]:
        """One opener for each file put away, the oldest first."""
        return [self._opener(number) for number in self._damaged_numbers()]

    def _opener(self, number: int) -> Callable[[], Database]:
        path = self._path.with_name(f"{self._path.name}.damaged-{number}")
        return lambda: SqliteDatabase(path, exclusive=True)

    def _damaged_numbers(self) -> list[int]:
        prefix = f"{self._path.name}.damaged-"
        suffixes = [file.name.removeprefix(prefix) for file in self._path.parent.glob(f"{prefix}*")]
        return sorted(int(suffix) for suffix in suffixes if suffix.isdecimal())
