"""The folder that charging records are dropped into, and the one where those are kept that cannot be billed.

A file is taken when all its records are safe elsewhere: in the evidence, or in quarantine, each with a
sentence beside it that says why. One that does not read as records may still be being written, and is
left alone until it has rested.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE_BYTES_MAX: Final = 256 * 1024
"""A larger file is no delivery of records and is left where it lies."""
SETTLE_MS: Final = 10_000
"""A file that has not changed for so long is complete."""
QUARANTINE_FILES_MAX: Final = 1_000
"""Records in quarantine; beyond, refused files stay in the inbox."""
_BETWEEN: Final = re.compile(r"(?m)(?<=\S)\s*^\s*(?=OCMF\|)")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file with records."""

    path: Path
    texts: tuple[str, ...]
    settled: bool
    """Whether nobody is writing it any more."""
    too_large: bool = False


class Inbox:
    """Files as they come."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[int, int, int]] = {}
        """Size, time of change and when that was first seen, by name."""

    def deliveries(self, now_ms: int) -> Iterator[Delivery]:
        """Every file there, in the order of names; raises OSError where the folder cannot be read."""
        with os.scandir(self._folder) as found:
            files = sorted((item for item in found if _is_delivery(item)), key=lambda item: item.name)
        seen, self._seen = self._seen, {}
        for item in files:
            with contextlib.suppress(OSError):
                status = item.stat()
                size, changed, since = seen.get(item.name, (-1, -1, now_ms))
                if (size, changed) != (status.st_size, status.st_mtime_ns):
                    since = now_ms
                self._seen[item.name] = (status.st_size, status.st_mtime_ns, since)
                if status.st_size > FILE_BYTES_MAX:
                    yield Delivery(Path(item.path), (), settled=False, too_large=True)
                    continue
                text = Path(item.path).read_bytes().decode("utf-8-sig", "surrogateescape")
                yield Delivery(Path(item.path), split(text), now_ms - since >= SETTLE_MS)

    def clear(self, path: Path) -> None:
        """The file's records are safe; raises OSError."""
        path.unlink(missing_ok=True)


class Quarantine:
    """Records that cannot be billed, each with its reason."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count: int | None = None

    def keep(self, text: str, reason: str) -> Path | None:
        """Where the record and its reason now lie, on disk; None where there is no room; raises OSError."""
        raw = text.encode("utf-8", "surrogateescape")
        path = self._folder / f"{hashlib.sha256(raw).hexdigest()[:16]}.ocmf"
        if path.exists():
            return path
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._count is None:
            self._count = sum(1 for _ in self._folder.glob("*.ocmf"))
        if self._count >= QUARANTINE_FILES_MAX:
            return None
        _write(path.with_suffix(".txt"), f"{reason}\n".encode())
        _write(path, raw + b"\n")
        self._count += 1
        return path


def split(text: str) -> tuple[str, ...]:
    """The records of a delivery: each begins on a line of its own with OCMF|."""
    return tuple(part.strip() for part in _BETWEEN.split(text) if part.strip())


def _is_delivery(item: "os.DirEntry[str]") -> bool:
    return not item.name.startswith(".") and not item.name.endswith((".tmp", ".part")) and item.is_file()


def _write(path: Path, raw: bytes) -> None:
    draft = path.with_name(f".{path.name}.tmp")
    with draft.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
