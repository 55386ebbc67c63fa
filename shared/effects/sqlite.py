"""Database on the standard library's sqlite3: WAL, synchronous=FULL, one holder, plain errors (P2)."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from shared.effects.database import Parameters, Row
from shared.errors import DatabaseBusy, DatabaseCorrupt, DatabaseError, DatabaseFailed, DatabaseFull, DatabaseRefused


class SqliteDatabase:
    """One connection to one file.

    `exclusive` keeps every other process off the file for as long as it is open; without it, others
    may read beside this one writer.
    """

    engine: Final = "sqlite"

    def __init__(
        self, path: Path | str, *, exclusive: bool = False, read_only: bool = False, log_pages: int | None = None
    ) -> None:
        """`log_pages`: so long the write-ahead log grows before its pages go to their places; SQLite's own if None."""
        self._path = path
        target = f"file:{Path(path).absolute()}?mode=ro" if read_only else str(path)
        try:
            self._connection = sqlite3.connect(
                target, isolation_level=None, check_same_thread=False, timeout=5.0, uri=read_only
            )
        except sqlite3.Error as error:
            raise _translated(error, path) from error
        try:
            if exclusive:
                # Before the first access, or WAL would already have shared its index.
                self._connection.execute("pragma locking_mode=exclusive")
            if not read_only:
                self._connection.execute("pragma journal_mode=wal")
                # P2: NORMAL loses acknowledged commits on a power cut.
                self._connection.execute("pragma synchronous=full")
                self._connection.execute("pragma foreign_keys=on")
                if log_pages is not None:
                    self._connection.execute(f"pragma wal_autocheckpoint={log_pages:d}")
            if exclusive:
                self._connection.execute("begin immediate")
                self._connection.execute("commit")
        except sqlite3.Error as error:
            # Or its lock would stay for as long as the error is looked at, and keep salvage from the file.
            self._connection.close()
            raise _translated(error, path) from error

    def execute(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run one statement, return all its rows; raises DatabaseError."""
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise _translated(error, self._path) from error

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> None:
        """Run one statement for each row; raises DatabaseError."""
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise _translated(error, self._path) from error

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """A transaction: durable when the block ends, rolled back when it raises. Does not nest."""
        self.execute("begin immediate")
        try:
            yield
            # What a deferred reference refuses here has not ended the transaction.
            self.execute("commit")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("rollback")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read within is of one instant; nothing is written. Does not nest."""
        self.execute("begin")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.execute("rollback")

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
        self._connection.close()


def copy_database(source: Path, target: Path) -> None:
    """A whole copy, as the database is at this moment, is durable at `target`; its writer goes on.

    Raises DatabaseError. `target` is replaced where there is one.
    """
    target.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(f"file:{source.absolute()}?mode=ro", uri=True, timeout=60.0)) as held,
            closing(sqlite3.connect(target)) as copy,
        ):
            held.backup(copy)
            # One file, with nothing beside it.
            copy.execute("pragma journal_mode=delete")
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise _translated(error, source) from error
    sync(target)


def faults(path: Path) -> list[str]:
    """What SQLite itself finds wrong with a database file, one sentence each; nothing where it is whole."""
    try:
        with closing(sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True)) as held:
            found = [str(row[0]) for row in held.execute("pragma integrity_check(8)") if row[0] != "ok"]
            missing = held.execute("pragma foreign_key_check").fetchmany(8)
    except sqlite3.Error as error:
        return [str(_translated(error, path))]
    return found + [f"a row of {row[0]} names a row of {row[2]} that is not there" for row in missing]


def sync(path: Path) -> None:
    """The file, or the folder's list of files, is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _translated(error: sqlite3.Error, path: Path | str) -> DatabaseError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    match primary:
        case sqlite3.SQLITE_FULL:
            return DatabaseFull(f"there is no room left for {path}: free some, then start again")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return DatabaseBusy(f"another process holds {path}: stop it first")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return DatabaseCorrupt(f"{path} is damaged: {error}")
        case sqlite3.SQLITE_CONSTRAINT:
            return DatabaseRefused(f"{path} refuses a row: {error}")
        case sqlite3.SQLITE_ERROR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN if _is_unlike_sqlite(path):
            # A few flipped bytes at the file's head make another version's of it, as SQLite understands them.
            return DatabaseCorrupt(f"{path} is damaged: {error}")
        case sqlite3.SQLITE_ERROR | sqlite3.SQLITE_TOOBIG | sqlite3.SQLITE_MISMATCH | sqlite3.SQLITE_RANGE:
            return DatabaseRefused(f"{path}: {error}")
        case _:
            return DatabaseFailed(f"{path}: {error}")


def _is_unlike_sqlite(path: Path | str) -> bool:
    """Whether the file's head says what no SQLite 3 writes. Source: sqlite.org/fileformat.html, section 1.3."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(100)
    except OSError:
        return False
    if len(head) < 100:
        return False
    schema, encoding = int.from_bytes(head[44:48]), int.from_bytes(head[56:60])
    return head[18] not in (1, 2) or head[19] not in (1, 2) or schema > 4 or encoding > 3
