"""Databases on real SQLite files that fail, fill up, get lost, or come back as they once were.

A crash closes the connection without a commit, as the end of a process does; what was committed
stays. A power cut's unsynced sectors are the business of `tests/crash`.
"""

import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from shared.effects.database import Database, Parameters, Row
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseFailed, DatabaseFull
from tests.simulation.simloop import Power, PowerLost

_COMPANIONS: Final = ("", "-wal", "-shm")
_READS: Final = frozenset({"select", "pragma", "rollback", "with", "explain"})
_WORD: Final = re.compile(r"\s*([A-Za-z]+)")
_HARMLESS: Final = _READS | {"begin", "open"}


@cache
def _opening(sql: str) -> str:
    """The statement's first word."""
    found = _WORD.match(sql)
    return found[1].lower() if found else ""


class Drive:
    """One party's storage: survives its processes; faults are set on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.image = path.with_name(path.name + ".image")
        self.full = False
        self.fail_in: int | None = None
        """The operation, counted from now, that meets an I/O error."""
        self.failed: Power | None = None
        """The process that met an I/O error: everything it asks for fails from then on."""
        self.on_failed: Callable[[], None] = lambda: None
        self.on_full: Callable[[], None] = lambda: None
        self.on_commit: Callable[[SimDatabase], None] = lambda _: None
        self.before: Callable[[SimDatabase, str, Parameters], None] = lambda *_: None
        self.commits = 0
        self._open: list[SimDatabase] = []

    def connect(self, power: Power, path: Path | None = None, *, exclusive: bool) -> "SimDatabase":
        """Open a file of this drive for a process."""
        self.check(power, "open")
        database = SimDatabase(self, power, SqliteDatabase(path or self.path, exclusive=exclusive))
        self._open.append(database)
        return database

    def check(self, power: Power, sql: str) -> None:
        """Raise what this operation meets: no power, an I/O error, no room."""
        if not power.step():
            raise PowerLost(power.name)
        if self.failed is power:
            raise DatabaseFailed("input or output error (injected, again)")
        if self.fail_in is not None:
            self.fail_in -= 1
            if self.fail_in <= 0:
                self.fail_in, self.failed = None, power
                self.on_failed()
                raise DatabaseFailed("input or output error (injected)")
        if self.full and _opening(sql) not in _HARMLESS:
            self.on_full()
            raise DatabaseFull("there is no room left (injected)")

    def release(self) -> None:
        """Close what a dead process held; its open transaction rolls back."""
        for database in self._open:
            database.inner.close()
        self._open.clear()

    def lose(self) -> None:
        """The files are gone."""
        for companion in _COMPANIONS:
            Path(f"{self.path}{companion}").unlink(missing_ok=True)

    def take_image(self) -> bool:
        """Keep a copy of what is committed now; False where there is nothing open to copy."""
        for database in self._open:
            if not database.inner._connection.in_transaction:
                self.image.unlink(missing_ok=True)
                copy = sqlite3.connect(self.image)
                database.inner._connection.backup(copy)
                copy.close()
                return True
        return False

    def restore_image(self) -> None:
        """Put the old copy in the files' place."""
        self.lose()
        shutil.copyfile(self.image, self.path)

    def corrupt(self, draw: random.Random) -> None:
        """Flip bytes in some pages of the database file."""
        content = bytearray(self.path.read_bytes()) if self.path.exists() else bytearray()
        if not content:
            return
        for _ in range(draw.randrange(1, 6)):
            start = draw.randrange(len(content))
            for at in range(start, min(start + draw.randrange(1, 200), len(content))):
                content[at] ^= 0x55
        self.path.write_bytes(bytes(content))


class SimDatabase:
    """One connection of one process."""

    engine: Final = "sqlite"

    def __init__(self, drive: Drive, power: Power, inner: SqliteDatabase) -> None:
        self.drive = drive
        self.inner = inner
        self._power = power

    def execute(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run one statement; the power may go before it or after it."""
        self.drive.check(self._power, sql)
        self.drive.before(self, sql, parameters)
        rows = self.inner.execute(sql, parameters)
        self._after(sql)
        return rows

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> None:
        """Run one statement for each row."""
        self.drive.check(self._power, sql)
        rows = list(rows)
        for parameters in rows:
            self.drive.before(self, sql, parameters)
        self.inner.executemany(sql, rows)
        self._after(sql)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """A transaction; a process without power neither commits nor rolls back."""
        self.execute("begin immediate")
        try:
            yield
        except BaseException:
            if self._power.on and self.inner._connection.in_transaction:
                self.inner.execute("rollback")
            raise
        try:
            self.execute("commit")
        except Exception:
            if self._power.on and self.inner._connection.in_transaction:
                self.inner.execute("rollback")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read within is of one instant."""
        with self.inner.snapshot():
            yield

    def close(self) -> None:
        """Close the connection."""
        self._power.use()
        self.inner.close()
        if self in self.drive._open:
            self.drive._open.remove(self)

    def _after(self, sql: str) -> None:
        if not self.inner._connection.in_transaction and _opening(sql) not in _READS:
            self.drive.commits += 1
            self.drive.on_commit(self)
        if not self._power.step():
            raise PowerLost(self._power.name)


class SpoolDisk:
    """The agent's `Disk` on a drive, for one process."""

    def __init__(self, drive: Drive, power: Power) -> None:
        self._drive = drive
        self._power = power

    def open(self) -> Database:
        """Open or create the spool, held against every other process."""
        return self._drive.connect(self._power, exclusive=True)

    def move_aside(self) -> None:
        """Put the damaged spool away."""
        self._power.use()
        number = len(self._aside()) + 1
        for companion in ("", "-wal"):
            source = Path(f"{self._drive.path}{companion}")
            if source.exists():
                source.rename(f"{self._drive.path}.damaged-{number}{companion}")

    def damaged(self) -> Sequence[Callable[[], Database]]:
        """One opener for each spool put away, the oldest first."""
        return [self._opener(path) for path in self._aside()]

    def _opener(self, path: Path) -> Callable[[], Database]:
        return lambda: self._drive.connect(self._power, path, exclusive=True)

    def _aside(self) -> list[Path]:
        pattern = f"{self._drive.path.name}.damaged-*"
        found = [path for path in self._drive.path.parent.glob(pattern) if path.suffix[-1].isdecimal()]
        return sorted((path for path in found if not path.name.endswith("-wal")), key=lambda path: path.name)
