"""Facts out of CSV: usage and states as `quote` takes them, every refusal with file, line and what is wrong."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, NoReturn

from cloud_collector.activity.activation import StateChange
from cloud_collector.contracts.catalog import Meter, State
from cloud_collector.contracts.node import nearest
from cloud_collector.rating.measure import channel_of
from cloud_collector.usage.span import Span, SpanKind
from shared.errors import MetersealError
from shared.limits import TIME_SECONDS_MAX

USAGE_COLUMNS: Final = ("device", "meter", "start", "end", "quantity")
RECEIVED: Final = "received_at"
STATE_COLUMNS: Final = ("device", "state", "at")
EXPONENT: Final = -6
"""The meter's integer is a millionth of the catalog's unit."""
ROW_CHARS_MAX: Final = 1_024
_EPOCH: Final = "00000000"
_INSTANT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_QUANTITY: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")


class BadRow(MetersealError):
    """A row of a CSV file is wrong; the message begins with file and line. Exit code 2."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A row's cells by column, and where they stand."""

    cells: Mapping[str, str]
    file: str
    line: int

    def refuse(self, why: str) -> NoReturn:
        raise BadRow(f"{self.file}:{self.line}: {why}")

    def text(self, column: str) -> str:
        text = self.cells[column].strip()
        if not text:
            self.refuse(f"{column} is empty")
        return text

    def instant_ms(self, column: str) -> int:
        """Milliseconds since 1970; raises BadRow for what is no RFC 3339 instant."""
        try:
            return instant_ms_of(self.text(column))
        except ValueError as error:
            self.refuse(f"{column} is {error}")

    def instant(self, column: str) -> int:
        """Whole seconds since 1970."""
        seconds, milliseconds = divmod(self.instant_ms(column), 1_000)
        if milliseconds:
            self.refuse(f"{column} is {self.cells[column].strip()!r}: intervals begin and end at whole seconds")
        return seconds


def instant_ms_of(text: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 instant; raises ValueError with a sentence."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:48]!r}, not an instant such as 2026-10-01T00:00:00+03:00")
    day, clock, seconds, fraction, zone = found.groups()
    try:
        instant = datetime.fromisoformat(f"{day}T{clock}{seconds or ':00'}{zone.upper()}")
    except ValueError:
        raise ValueError(f"{text[:48]!r}, which no calendar has") from None
    at = int(instant.timestamp()) * 1_000 + int((fraction or ".0")[1:4].ljust(3, "0"))
    if not 0 <= at <= TIME_SECONDS_MAX * 1_000:
        raise ValueError(f"{text[:48]!r}, before 1970 or too far ahead")
    return at


def read_usage(text: str, file: str, meters: Mapping[str, Meter]) -> list[Span]:
    """Each row as a span of one interval, in millionths of the meter's unit; raises BadRow.

    A row without `received_at` is received at its end.
    """
    spans = [_span(row, index, meters) for index, row in enumerate(_rows(text, file, USAGE_COLUMNS, (RECEIVED,)), 1)]
    return list(_registered(spans))


def read_states(text: str, file: str) -> list[StateChange]:
    """Each row as a change of state, in order of time; raises BadRow."""
    return sorted((_change(row) for row in _rows(text, file, STATE_COLUMNS)), key=lambda change: change.at)


def _span(row: _Row, seq: int, meters: Mapping[str, Meter]) -> Span:
    meter = row.text("meter")
    if meter not in meters:
        row.refuse(f'"{meter}" is no meter of the catalog{nearest(meter, meters)}')
    start, end = row.instant("start"), row.instant("end")
    if end <= start:
        row.refuse(f"end {row.text('end')} is not after start {row.text('start')}")
    received = row.cells.get(RECEIVED, "").strip()
    return Span(
        channel=channel_of(row.text("device"), meter),
        log="main",
        unit=meters[meter].unit,
        exponent=EXPONENT,
        kind=SpanKind.USAGE,
        epoch=_EPOCH,
        seq=seq,
        start=start,
        step=end - start,
        deltas=(_integer(row),),
        register=0,
        estimated=frozenset(),
        received_at=row.instant_ms(RECEIVED) if received else end * 1_000,
    )


def _integer(row: _Row) -> int:
    text = row.text("quantity")
    if _QUANTITY.fullmatch(text) is None:
        row.refuse(f"quantity is {text[:48]!r}, not a decimal number that is zero or more")
    scaled = Decimal(text).scaleb(-EXPONENT)
    if scaled != int(scaled):
        row.refuse(f"quantity is {text}: a meter counts in steps of 0.000001, so at most 6 decimals")
    return int(scaled)


def _change(row: _Row) -> StateChange:
    state = row.text("state")
    names = [each.value for each in State]
    if state not in names:
        row.refuse(f'"{state}" is no state{nearest(state, names)}')
    return StateChange(device=row.text("device"), state=State(state), at=row.instant("at"))


def _registered(spans: Iterable[Span]) -> Iterator[Span]:
    """The same spans with registers that count up through each channel's time, from zero."""
    registers: dict[object, int] = {}
    for span in sorted(spans, key=lambda each: (each.start, each.end, each.seq)):
        register = registers.get(span.channel, 0)
        registers[span.channel] = register + span.units
        yield span._replace(register=register)


def _rows(text: str, file: str, columns: tuple[str, ...], optional: tuple[str, ...] = ()) -> Iterator[_Row]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = _header(cells, file, reader.line_num, columns, optional)
                continue
            row = _Row(dict(zip(header, cells, strict=False)), file, reader.line_num)
            if len(cells) != len(header):
                row.refuse(f"has {len(cells)} cells, and the header names {len(header)}")
            if sum(map(len, cells)) > ROW_CHARS_MAX:
                row.refuse(f"is longer than {ROW_CHARS_MAX} characters")
            yield row
    except csv.Error as error:
        raise BadRow(f"{file}:{reader.line_num}: this is no CSV: {error}") from None


def _header(cells: list[str], file: str, line: int, columns: tuple[str, ...], optional: tuple[str, ...]) -> list[str]:
    names = [cell.strip() for cell in cells]
    place = f"{file}:{line}"
    for name in names:
        if name not in (*columns, *optional):
            raise BadRow(f'{place}: unknown column "{name[:48]}"{nearest(name, (*columns, *optional))}')
    for name in columns:
        if name not in names:
            raise BadRow(f'{place}: the header lacks "{name}"; it is {",".join(columns)}')
    if len(set(names)) != len(names):
        raise BadRow(f"{place}: the header names a column twice")
    return names
