"""Tables of any length as CSV or Parquet, made while they are sent: what is in memory is one batch (P9)."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from importlib.util import find_spec
from typing import Any, Final

from cloud_collector.web.api.problem import Refusal
from shared.inert import inert

BATCH_ROWS: Final = 5_000
"""Rows that are read at once; in Parquet they are a row group."""
DECIMAL_PLACES: Final = 12
DECIMAL_DIGITS: Final = 38


class FileForm(StrEnum):
    """How a table is written."""

    CSV = "csv"
    PARQUET = "parquet"


TYPES: Final = {
    FileForm.CSV: "text/csv; charset=utf-8; header=present",
    FileForm.PARQUET: "application/vnd.apache.parquet",
}


class Kind(StrEnum):
    """What stands in a column."""

    TEXT = "text"
    DECIMAL = "decimal"
    INSTANT = "instant"
    DAY = "day"
    INTEGER = "integer"
    TRUTH = "truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table."""

    name: str
    kind: Kind = Kind.TEXT


Rows = Sequence[Sequence[Any]]


def require(form: FileForm) -> None:
    """The form can be written here; raises Refusal (503)."""
    if form is FileForm.PARQUET and find_spec("pyarrow") is None:
        raise Refusal(503, "the extra `parquet` is not installed here: pip install 'meterseal[parquet]'; CSV is there")


def parts(columns: Sequence[Column], batches: Iterable[Rows], form: FileForm) -> Iterator[bytes]:
    """The file in the order of its bytes."""
    return _csv(columns, batches) if form is FileForm.CSV else _parquet(columns, batches)


def _csv(columns: Sequence[Column], batches: Iterable[Rows]) -> Iterator[bytes]:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([column.name for column in columns])
    for batch in batches:
        writer.writerows([[_text(value) for value in row] for row in batch])
        yield out.getvalue().encode()
        out.seek(0)
        out.truncate()
    yield out.getvalue().encode()


def _text(value: Any) -> Any:
    match value:
        case bool():
            return str(value).lower()
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
        case date():
            return value.isoformat()
        case _:
            return inert(value)


def _parquet(columns: Sequence[Column], batches: Iterable[Rows]) -> Iterator[bytes]:
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import parquet  # noqa: PLC0415 - an extra

    kinds = {
        Kind.TEXT: pa.string(),
        Kind.DECIMAL: pa.decimal128(DECIMAL_DIGITS, DECIMAL_PLACES),
        Kind.INSTANT: pa.timestamp("s", tz="UTC"),
        Kind.DAY: pa.date32(),
        Kind.INTEGER: pa.int64(),
        Kind.TRUTH: pa.bool_(),
    }
    schema = pa.schema([(column.name, kinds[column.kind]) for column in columns])
    sink = _Sink()
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in batches:
            if batch:
                held = zip(*batch, strict=True)
                arrays = [pa.array(column, field.type) for column, field in zip(held, schema, strict=True)]
                writer.write_table(pa.table(arrays, schema=schema))
            yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """Where a Parquet file is written to: it hands on what it got, and knows how much that was."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()
        self._passed = 0

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        self._held += bytes(part)
        return len(part)

    def tell(self) -> int:
        return self._passed + len(self._held)

    def taken(self) -> bytes:
        """What was written since the last time."""
        found = bytes(self._held)
        self._passed += len(found)
        self._held.clear()
        return found
