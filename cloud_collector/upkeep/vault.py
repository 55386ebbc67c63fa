"""Where the store lies, seen from outside: copied while it works, checked, put back. One class an engine."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase, copy_database, faults, sync
from shared.errors import DatabaseCorrupt


class Vault(Protocol):
    """The place of one store. A copy of it is one file that the same engine reads."""

    @property
    def engine(self) -> str:
        """The engine's name; a backup of one engine is not put into another."""

    @property
    def where(self) -> str:
        """The place, in words for people."""

    @property
    def beside(self) -> Path:
        """A folder on the same disk as the store, or as near to it as there is one."""

    def exists(self) -> bool:
        """Whether there is a store."""

    def copy(self, target: Path) -> None:
        """A whole copy, as the store is at this moment, is durable at `target`; the collector goes on."""

    def faults(self, copy: Path) -> list[str]:
        """What is wrong with a copy; nothing where it is whole."""

    def look(self, copy: Path | None = None) -> AbstractContextManager[Store]:
        """A copy, or the store itself, to read."""

    def change(self, copy: Path) -> AbstractContextManager[Store]:
        """A copy to write to, its schema brought forward."""

    def require_idle(self) -> None:
        """Raises DatabaseBusy while a collector runs on the store."""

    def put(self, copy: Path, stamp: str) -> Path | None:
        """The copy is the store; what was there is kept under a name with the stamp, which is returned."""


class SqliteVault:
    """A file, and the two that SQLite keeps beside it."""

    engine = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def where(self) -> str:
        """The file's path."""
        return str(self._path)

    @property
    def beside(self) -> Path:
        """The file's folder."""
        return self._path.parent

    def exists(self) -> bool:
        """Whether there is a file."""
        return self._path.exists()

    def copy(self, target: Path) -> None:
        """SQLite's own online backup: it reads beside the writer and holds nobody up."""
        copy_database(self._path, target)

    def faults(self, copy: Path) -> list[str]:
        """SQLite's integrity check, and its check of references."""
        return faults(copy)

    @contextmanager
    def look(self, copy: Path | None = None) -> Iterator[Store]:
        """Opened for reading alone."""
        store = Store(SqliteDatabase(copy or self._path, read_only=True), migrated=True)
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def change(self, copy: Path) -> Iterator[Store]:
        """Opened as the collector opens it; afterwards it is one file again."""
        database = SqliteDatabase(copy)
        store = Store(database)
        try:
            yield store
            database.execute("pragma journal_mode=delete")
        finally:
            store.close()
        sync(copy)

    def require_idle(self) -> None:
        """Nobody else has the file open, as far as its locks tell; a damaged file tells nothing."""
        try:
            SqliteDatabase(self._path, exclusive=True).close()
        except DatabaseCorrupt:
            return

    def put(self, copy: Path, stamp: str) -> Path | None:
        """Renamed into place; the old file goes aside with what SQLite keeps beside it."""
        kept = None
        for suffix in ("-wal", "-shm", ""):
            old = self._path.with_name(self._path.name + suffix)
            if old.exists():
                kept = self._path.with_name(f"{self._path.name}.replaced-{stamp}{suffix}")
                old.rename(kept)
        copy.rename(self._path)
        sync(self._path.parent)
        return kept
