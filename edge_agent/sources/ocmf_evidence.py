"""The append-only file of charging records: each verbatim, with what it was taken to mean, on disk before it counts.

A line of JSON, then the record as it came, then the next. What was decided is never decided again: the
usage that each record completed stands beside it, and a channel's total is their sum, whatever the
configuration has become. A record that a power cut tore at the end was not yet counted and is cut off;
damage before the end stops the source, for its total would be a guess (P19).
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final

from edge_agent.reading import SourceDown
from edge_agent.sources.ocmf_record import RECORD_BYTES_MAX
from edge_agent.sources.ocmf_sessions import Page

EVIDENCE_VERSION: Final = 1
HEAD_BYTES_MAX: Final = 4_096
"""The line before a record, and the first line of the file."""
_ENTRY: Final = b'{"at":'
"""How an entry begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record that was taken, and what it was taken to mean."""

    at: int
    """Unix seconds."""
    device: str
    meter: str
    watt_hours: Decimal
    """The usage that it completed."""
    page: Page
    text: str

    def to_bytes(self) -> bytes:
        """As it stands in the file."""
        raw = self.text.encode()
        head = {
            "at": self.at,
            "channel": [self.device, self.meter],
            "watt_hours": f"{self.watt_hours:f}",
            "bytes": len(raw),
            "sha256": hashlib.sha256(raw).hexdigest(),
            "page": self.page.to_json(),
        }
        return json.dumps(head, separators=(",", ":")).encode("ascii") + b"\n" + raw + b"\n"


class Evidence:
    """The open file; no other process has it."""

    def __init__(self, path: Path, *, bytes_max: int) -> None:
        self.path = path
        self.bytes_max = bytes_max
        self.bytes_used = 0
        self.identity = ""
        """Drawn when the file was made: another file is another register."""
        self._file: BinaryIO | None = None

    def open(self, note: Callable[[Entry], None]) -> None:
        """Every entry is noted in its order; raises SourceDown where that cannot be."""
        try:
            self._file = _locked(self.path)
            self._read(self._file, note)
        except BlockingIOError as error:
            self.close()
            raise SourceDown(f"{self.path} is in use by another process or source: each needs its own") from error
        except OSError as error:
            self.close()
            raise SourceDown(f"{self.path} cannot be opened: {error.strerror}") from error
        except SourceDown:
            self.close()
            raise

    def has_room(self, record_bytes: int) -> bool:
        """Whether a record of this size is sure to fit."""
        return self.bytes_used + record_bytes + HEAD_BYTES_MAX <= self.bytes_max

    def append(self, entries: Sequence[Entry]) -> None:
        """The entries survive a power cut; raises SourceDown, and then none of them counts."""
        assert self._file is not None, "the file is open"
        try:
            self._file.seek(self.bytes_used)
            raw = b"".join(entry.to_bytes() for entry in entries)
            self._file.write(raw)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self.close()
            raise SourceDown(f"{self.path} cannot be written: {error.strerror}") from error
        self.bytes_used += len(raw)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, file: BinaryIO, note: Callable[[Entry], None]) -> None:
        first = file.readline(HEAD_BYTES_MAX)
        if not first.endswith(b"\n"):
            first = _begun(file, self.path)
        self.identity = _identity(first, self.path)
        self.bytes_used = len(first)
        while (entry := _next(file)) is not None:
            note(entry)
            self.bytes_used = file.tell()
        file.seek(self.bytes_used)
        if b"\n" + _ENTRY in file.read():
            raise SourceDown(
                f"{self.path} is damaged at byte {self.bytes_used}: restore it from a backup, "
                "or move it aside and bill its sessions by hand"
            )
        file.truncate(self.bytes_used)


def _locked(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def _begun(file: BinaryIO, path: Path) -> bytes:
    """A new file, or one whose making was cut short."""
    first = json.dumps({"ocmf_evidence": EVIDENCE_VERSION, "id": os.urandom(8).hex()}).encode("ascii") + b"\n"
    file.seek(0)
    file.truncate()
    file.write(first)
    file.flush()
    os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return first


def _identity(first: bytes, path: Path) -> str:
    try:
        head = json.loads(first)
        if head["ocmf_evidence"] == EVIDENCE_VERSION:
            return str(head["id"])
    except (ValueError, KeyError, TypeError):
        pass
    raise SourceDown(f"{path} is no file of charging records: name another with evidence_path")


def _next(file: BinaryIO) -> Entry | None:
    """The next entry; None at the end, or where no whole one stands."""
    try:
        head = json.loads(file.readline(HEAD_BYTES_MAX))
        size = int(head["bytes"])
        raw = file.read(size + 1) if 0 < size <= RECORD_BYTES_MAX else b""
        if len(raw) != size + 1 or raw[-1:] != b"\n" or hashlib.sha256(raw[:-1]).hexdigest() != head["sha256"]:
            return None
        device, meter = head["channel"]
        return Entry(
            at=head["at"],
            device=device,
            meter=meter,
            watt_hours=Decimal(head["watt_hours"]),
            page=Page.from_json(head["page"]),
            text=raw[:-1].decode(),
        )
    except (ValueError, KeyError, TypeError, ArithmeticError, IndexError):
        return None
