"""The append-only folder of issued invoices, outside the database (P16, P22).

An invoice is in it, synced, before anyone is handed a copy; so a database restored from an older
backup cannot give a number out a second time.
"""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote

from shared.errors import MetersealError

SUFFIX = ".ms"
CATALOGS = "catalogs"
"""Where the folder keeps every revision of the catalog that invoices were rated by."""
CHECKPOINTS = "checkpoints"
"""Where it keeps every checkpoint."""


class ArchiveConflict(MetersealError):
    """The folder of issued invoices holds other bytes under this number."""


class ArchiveFailed(MetersealError):
    """The folder of issued invoices cannot be written."""


class Archive(Protocol):
    """Sealed lines of issued invoices by number; what is in it stays."""

    def put(self, number: str, line: bytes) -> None:
        """Durable when it returns; the same bytes again are no change; other bytes raise ArchiveConflict."""

    def put_all(self, lines: Iterable[tuple[str, bytes]]) -> None:
        """As `put`, each by its number; all of them durable when it returns."""

    def get(self, number: str) -> bytes | None:
        """The line of this number, or None."""

    def numbers(self) -> frozenset[str]:
        """Every number in the archive."""

    def beside(self, name: str) -> "Archive":
        """What is kept beside the invoices, by names of its own: `CATALOGS` or `CHECKPOINTS`."""


class FolderArchive:
    """One file an invoice, written beside, synced, linked to its name, the folder synced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, number: str, line: bytes) -> None:
        """Durable when it returns; the same bytes again are no change; other bytes raise ArchiveConflict."""
        self.put_all([(number, line)])

    def put_all(self, lines: Iterable[tuple[str, bytes]]) -> None:
        """As `put`, each by its number; the folder itself is synced once."""
        path = self._folder
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for number, line in lines:
                path = self._path(number)
                self._write(path, number, line)
            _sync_folder(self._folder)
        except OSError as error:
            raise ArchiveFailed(f"{path} cannot be written: {error.strerror}") from error

    def get(self, number: str) -> bytes | None:
        """The line of this number, or None."""
        try:
            return self._path(number).read_bytes()
        except FileNotFoundError:
            return None

    def numbers(self) -> frozenset[str]:
        """Every number in the archive."""
        if not self._folder.exists():
            return frozenset()
        return frozenset(_number(path) for path in self._folder.iterdir() if path.name.endswith(SUFFIX))

    def beside(self, name: str) -> "FolderArchive":
        """A folder in the folder."""
        return FolderArchive(self._folder / name)

    def _path(self, number: str) -> Path:
        return self._folder / f"{quote(number, safe='')}{SUFFIX}"

    def _write(self, path: Path, number: str, line: bytes) -> None:
        if path.exists():
            return _require_same(path, number, line)
        # A name that nobody else has: other runs, on whatever machine, write into the same folder.
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(handle, left) :]
            os.fchmod(handle, 0o444)
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            # A link, unlike a rename, never replaces what another run has put there meanwhile.
            os.link(beside, path)
        except FileExistsError:
            _require_same(path, number, line)
        finally:
            Path(beside).unlink()


class MemoryArchive:
    """The same promises for as long as the object lives: for tests and the simulator's disk."""

    def __init__(self) -> None:
        self.lines: dict[str, bytes] = {}
        self.others: dict[str, MemoryArchive] = {}

    def put(self, number: str, line: bytes) -> None:
        """Kept when it returns; the same bytes again are no change; other bytes raise ArchiveConflict."""
        if self.lines.setdefault(number, line) != line:
            raise ArchiveConflict(f"the archive holds another invoice {number}: nothing was overwritten")

    def put_all(self, lines: Iterable[tuple[str, bytes]]) -> None:
        """As `put`, each by its number."""
        for number, line in lines:
            self.put(number, line)

    def get(self, number: str) -> bytes | None:
        """The line of this number, or None."""
        return self.lines.get(number)

    def numbers(self) -> frozenset[str]:
        """Every number in the archive."""
        return frozenset(self.lines)

    def beside(self, name: str) -> "MemoryArchive":
        """One in the same object."""
        return self.others.setdefault(name, MemoryArchive())


def _number(path: Path) -> str:
    return unquote(path.name.removesuffix(SUFFIX))


def _require_same(path: Path, number: str, line: bytes) -> None:
    if path.read_bytes() != line:
        raise ArchiveConflict(f"{path} holds another invoice {number}: nothing was overwritten")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
