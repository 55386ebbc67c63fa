"""The table of invoice lines as Parquet: money and quantities as exact decimals, instants with their zone.

Needs the extra `parquet`, and only when called.
"""

import io
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from cloud_collector.billing.books import COLUMNS, rows
from shared.errors import MetersealError
from shared.line import Body

_DECIMALS: Final = frozenset({"net", "tax", "total", "quantity", "unit_price", "amount"})
_INSTANTS: Final = frozenset({"issued_at", "service_start", "service_end"})
_INTEGERS: Final = frozenset({"revision", "line"})
_PLACES: Final = 12


class ParquetNotInstalled(MetersealError):
    """The extra `parquet` is not installed: pip install 'meterseal[parquet]'."""


def as_parquet(bodies: Iterable[Body]) -> bytes:
    """One row an invoice line, by the columns of the table; raises ParquetNotInstalled."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ParquetNotInstalled(ParquetNotInstalled.__doc__) from error
    types: dict[str, Any] = dict.fromkeys(COLUMNS, pa.string())
    types |= dict.fromkeys(_DECIMALS, pa.decimal128(38, _PLACES)) | dict.fromkeys(_INTEGERS, pa.int64())
    types |= dict.fromkeys(_INSTANTS, pa.timestamp("s", tz="UTC")) | {"due": pa.date32(), "estimated": pa.bool_()}
    schema = pa.schema([(name, types[name]) for name in COLUMNS])
    told = list(rows(bodies))
    columns = [[_value(name, row[name]) for row in told] for name in COLUMNS]
    table = pa.table(
        [pa.array(column, types[name]) for name, column in zip(COLUMNS, columns, strict=True)], schema=schema
    )
    out = io.BytesIO()
    parquet.write_table(table, out, compression="zstd")
    return out.getvalue()


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _DECIMALS:
        return Decimal(value)
    if name in _INSTANTS:
        return datetime.fromisoformat(value).astimezone(UTC)
    return date.fromisoformat(value) if name == "due" else value
