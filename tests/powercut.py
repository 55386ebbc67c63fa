"""A machine whose power goes at any write: SQLite on a file system that forgets what was not synced.

Each file has two images: `live`, what SQLite wrote, and `synced`, what a sync has made durable. At a
cut every unsynced sector of 512 bytes is kept, lost or torn, by seeded choice. Creation and deletion
of a file count as durable at once; one disk. Source: ALICE (Pillai et al., OSDI 2014), in miniature.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Final

import apsw

from shared.effects.database import Database, Parameters, Row
from shared.errors import DatabaseCorrupt, DatabaseError, DatabaseFailed, DatabaseFull

SECTOR_BYTES: Final = 512


class PowerCut(Exception):
    """The lights went out."""


class Machine:
    """All files of one machine, and the countdown of writes and syncs to the next cut."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.live: dict[str, bytearray] = {}
        self.synced: dict[str, bytearray] = {}
        self.unsynced: dict[str, set[int]] = {}
        self.dead = False
        self.cuts = 0
        self._left: int | None = None
        self.operations = 0
        """Writes and syncs so far."""
        self._fault: tuple[int, type[apsw.Error], bool] | None = None

    def fail_after(self, operations: int, error: type[apsw.Error], *, lasting: bool) -> None:
        """This operation, counted from now, fails with that error; `lasting`: and every one after it."""
        self._fault = (self.operations + operations, error, lasting)

    def mend(self) -> None:
        """No operation fails any more."""
        self._fault = None

    def cut_after(self, operations: int) -> None:
        """The power goes at this operation, counted from now."""
        self._left = operations

    def spend(self) -> None:
        """One operation on the disk; raises PowerCut when it is the last."""
        if self.dead:
            raise PowerCut
        self.operations += 1
        if self._fault is not None:
            at, error, lasting = self._fault
            if self.operations == at or (lasting and self.operations > at):
                raise error("injected")
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.dead = True
                self.cuts += 1
                raise PowerCut

    def power_on(self) -> None:
        """What the cut left behind is settled, sector by sector, and the machine runs again."""
        for name, unsynced in self.unsynced.items():
            settled = bytearray(self.synced.get(name, b""))
            for sector in sorted(unsynced):
                self._settle(settled, self.live[name], sector * SECTOR_BYTES)
            self.live[name], self.synced[name] = settled, bytearray(settled)
            unsynced.clear()
        self.dead, self._left = False, None

    def image(self) -> dict[str, bytes]:
        """Every file as it is now, with nothing unsynced."""
        return {name: bytes(live) for name, live in self.live.items()}

    def restore(self, image: dict[str, bytes]) -> None:
        """Every file as it was then."""
        self.live = {name: bytearray(content) for name, content in image.items()}
        self.synced = {name: bytearray(content) for name, content in image.items()}
        self.unsynced = {name: set() for name in image}

    def rename(self, old: str, new: str) -> None:
        """A file gets another name."""
        for images in (self.live, self.synced):
            if old in images:
                images[new] = images.pop(old)
        if old in self.unsynced:
            self.unsynced[new] = self.unsynced.pop(old)

    def delete(self, name: str) -> None:
        """A file is gone."""
        self.live.pop(name, None)
        self.synced.pop(name, None)
        self.unsynced.pop(name, None)

    def _settle(self, settled: bytearray, live: bytearray, start: int) -> None:
        fate = self.random.choice(("kept", "lost", "torn"))
        piece = bytes(live[start : start + SECTOR_BYTES])
        if fate == "torn":
            piece = piece[: self.random.randrange(1, SECTOR_BYTES)]
        if fate == "lost" or not piece:
            return
        if len(settled) < start + len(piece):
            settled.extend(bytes(start + len(piece) - len(settled)))
        settled[start : start + len(piece)] = piece


class MachineFiles(apsw.VFS):
    """SQLite's view of a machine's files; `close` before the next of the same name."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.name = name
        super().__init__(name, base="")

    def xOpen(self, name: Any, flags: list[int]) -> "MachineFile":  # type: ignore[override]  # noqa: ARG002, N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else (name or "unnamed")
        return MachineFile(self.machine, path)

    def xAccess(self, path: str, _flags: int) -> bool:  # noqa: N802
        return path in self.machine.live

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name

    def xDelete(self, name: str, _sync: bool) -> None:  # noqa: FBT001, N802
        self.machine.spend()
        self.machine.delete(name)


class MachineFile:
    """One open file."""

    def __init__(self, machine: Machine, name: str) -> None:
        self._machine = machine
        self._name = name
        machine.live.setdefault(name, bytearray())
        machine.unsynced.setdefault(name, set())

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        return bytes(self._machine.live[self._name][offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._machine.spend()
        live = self._machine.live[self._name]
        if len(live) < offset + len(data):
            live.extend(bytes(offset + len(data) - len(live)))
        live[offset : offset + len(data)] = data
        sectors = range(offset // SECTOR_BYTES, (offset + len(data) - 1) // SECTOR_BYTES + 1)
        self._machine.unsynced[self._name].update(sectors)

    def xSync(self, _flags: int) -> None:  # noqa: N802
        self._machine.spend()
        self._machine.synced[self._name] = bytearray(self._machine.live[self._name])
        self._machine.unsynced[self._name].clear()

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._machine.spend()
        del self._machine.live[self._name][size:]

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._machine.live[self._name])

    def xLock(self, _level: int) -> None:  # noqa: N802
        return

    def xUnlock(self, _level: int) -> None:  # noqa: N802
        return

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, _operation: int, _pointer: int) -> bool:  # noqa: N802
        return False

    def xClose(self) -> None:  # noqa: N802
        return

    def xSectorSize(self) -> int:  # noqa: N802
        return SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return 0


class ApswDatabase:
    """Database on apsw, so that the code under test runs on a machine without power."""

    engine = "sqlite"

    def __init__(self, path: str, files: MachineFiles, *, synchronous: str = "full", checkpoint_pages: int = 8) -> None:
        self._machine = files.machine
        self._path = path
        with self._translating():
            self._connection = apsw.Connection(path, vfs=files.name)
        for sql in (
            "pragma locking_mode=exclusive",
            "pragma journal_mode=wal",
            f"pragma synchronous={synchronous}",
            "pragma foreign_keys=on",
            # Checkpoints often: they are where a cut may tear the database itself.
            f"pragma wal_autocheckpoint={checkpoint_pages}",
        ):
            self.execute(sql)

    def execute(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run one statement, return all its rows; raises DatabaseError, PowerCut."""
        with self._translating():
            return list(self._connection.execute(sql, tuple(parameters)))

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> None:
        """Run one statement for each row; raises DatabaseError, PowerCut."""
        with self._translating():
            self._connection.executemany(sql, [tuple(row) for row in rows])

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """A transaction: durable when the block ends, rolled back when it raises."""
        self.execute("begin immediate")
        try:
            yield
        except BaseException:
            if not self._machine.dead and not self._connection.get_autocommit():
                self.execute("rollback")
            raise
        self.execute("commit")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read within is of one instant."""
        self.execute("begin")
        yield
        self.execute("rollback")

    def close(self) -> None:
        """Close the connection; a machine without power writes nothing while doing so."""
        with self._swallowing():
            self._connection.close(True)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            if self._machine.dead:
                raise PowerCut from error
            raise _translated(error, self._path) from error

    @contextmanager
    def _swallowing(self) -> Iterator[None]:
        try:
            yield
        except (PowerCut, apsw.Error):
            if not self._machine.dead:
                raise


class MachineDisk:
    """The agent's Disk on a machine."""

    def __init__(self, files: MachineFiles, *, synchronous: str = "full") -> None:
        self._files = files
        self._synchronous = synchronous
        self._open: list[ApswDatabase] = []

    def open(self) -> Database:
        """Open or create the spool."""
        return self._opened("spool.db")

    def move_aside(self) -> None:
        """Put the damaged spool away."""
        number = len(self._aside()) + 1
        for companion in ("", "-wal"):
            self._files.machine.rename(f"spool.db{companion}", f"spool.db.damaged-{number}{companion}")

    def damaged(self) -> Sequence[Callable[[], Database]]:
        """One opener for each spool put away."""
        return [lambda path=path: self._opened(path) for path in self._aside()]  # type: ignore[misc]

    def release(self) -> None:
        """The process is gone, and with it what it had open."""
        for database in self._open:
            database.close()
        self._open.clear()

    def _opened(self, path: str) -> ApswDatabase:
        database = ApswDatabase(path, self._files, synchronous=self._synchronous)
        self._open.append(database)
        return database

    def _aside(self) -> list[str]:
        return sorted(
            name for name in self._files.machine.live if "damaged-" in name and not name.endswith(("-wal", "-journal"))
        )


def _translated(error: apsw.Error, path: str) -> DatabaseError:
    match error:
        case apsw.FullError():
            return DatabaseFull(f"there is no room left for {path}: free some, then start again")
        case apsw.CorruptError() | apsw.NotADBError():
            return DatabaseCorrupt(f"{path} is damaged: {error}")
        case _:
            return DatabaseFailed(f"{path}: {error}")
