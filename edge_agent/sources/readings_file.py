"""A CSV file of readings, read row by row and by byte offset; never as a whole (P9)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edge_agent.reading import SourceDown
from shared.grammar import PLAIN_TEXT
from shared.limits import SERIAL_CHARS_MAX, TIME_SECONDS_MAX

ROW_BYTES_MAX: Final = 1_024
_NEAR_BYTES: Final = 64 * 1_024
"""Closer than this to a time that is sought, rows are left to be read one by one."""
_REQUIRED: Final = ("at", "device", "meter", "value")
_OPTIONAL: Final = ("serial", "generation")
_TIME_CHARS_MAX: Final = 40
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Row:
    """A row with its place and its time; the other fields are read when they are asked for."""

    offset: int
    utc: int
    fields: Sequence[bytes]


class ReadingsFile:
    """An open file; where it is growing, a row is read once its line feed is there."""

    def __init__(self, path: Path, *, growing: bool) -> None:
        """Open it and read its header; raises SourceDown."""
        self._path = path
        self._growing = growing
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise SourceDown(f"{path} cannot be read: {error.strerror or error}") from error
        try:
            self._columns = self._header()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def next(self) -> Row | None:
        """The next row that is not empty, or None at the end; raises SourceDown with its line where it has no time."""
        try:
            offset = self._file.tell()
            while (raw := self._file.readline(ROW_BYTES_MAX)) and not raw.strip():
                offset += len(raw)
            if not raw or (self._growing and not raw.endswith(b"\n") and len(raw) < ROW_BYTES_MAX):
                self._file.seek(offset)
                return None
            return self._row(raw, offset)
        except OSError as error:
            raise SourceDown(f"{self._path} cannot be read: {error.strerror or error}") from error

    def back(self, offset: int) -> None:
        """The next row read is the one at this offset."""
        self._file.seek(offset)

    def approach(self, utc: int) -> None:
        """Stand at the start of a row that is no later than the first one of this time, and near it."""
        low = self._file.tell()
        high = self._file.seek(0, 2)
        while high - low > _NEAR_BYTES:
            middle = (low + high) // 2
            self._file.seek(middle)
            self._file.readline(ROW_BYTES_MAX)
            row = self.next()
            if row is not None and row.offset < high and row.utc < utc:
                low = row.offset
            else:
                high = middle
        self._file.seek(low)

    def text(self, row: Row, name: str) -> str:
        """One field of a row, empty where the file has no such column; raises SourceDown."""
        if len(row.fields) != len(self._columns):
            raise self.wrong(row.offset, f"has {len(row.fields)} fields where the header has {len(self._columns)}")
        place = self._columns.get(name)
        text = "" if place is None else row.fields[place].decode("utf-8", "replace").strip()
        if len(text) > SERIAL_CHARS_MAX or PLAIN_TEXT.fullmatch(text) is None:
            raise self.wrong(
                row.offset, f"has a {name} that is not plain text of at most {SERIAL_CHARS_MAX} characters"
            )
        return text

    def wrong(self, offset: int, reason: str) -> SourceDown:
        """What is wrong with the row at an offset, with its line; that row is the next one read again."""
        self._file.seek(offset)
        number, left = 1, offset
        with self._path.open("rb") as file:
            while left > 0 and (piece := file.read(min(left, 1 << 20))):
                number += piece.count(b"\n")
                left -= len(piece)
        return SourceDown(f"{self._path}:{number}: the row {reason}")

    def _header(self) -> Mapping[str, int]:
        header = self._file.readline(ROW_BYTES_MAX).decode("utf-8-sig", "replace").strip()
        columns = [name.strip() for name in header.split(",")]
        known = {*_REQUIRED, *_OPTIONAL}
        if not set(_REQUIRED) <= set(columns) <= known or len(set(columns)) < len(columns):
            raise self.wrong(0, f"must be the header {','.join(_REQUIRED)}[,serial][,generation]")
        return {name: place for place, name in enumerate(columns)}

    def _row(self, raw: bytes, offset: int) -> Row:
        fields = raw.rstrip(b"\r\n").split(b",")
        place = self._columns["at"]
        text = fields[place].decode("utf-8", "replace").strip() if place < len(fields) else ""
        try:
            at = datetime.fromisoformat(text) if len(text) <= _TIME_CHARS_MAX else None
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise self.wrong(offset, f"has the time {text[:_TIME_CHARS_MAX]!r}, which is not like 2026-01-31T00:00:00Z")
        since = at - _EPOCH
        utc = since.days * 86_400 + since.seconds
        if not 0 <= utc <= TIME_SECONDS_MAX:
            raise self.wrong(offset, f"has the time {text[:_TIME_CHARS_MAX]}, which is out of bounds")
        return Row(offset, utc, fields)
