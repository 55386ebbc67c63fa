"""Issued invoices on their way into other books: rows of a table, a journal, a DATEV batch; all from sealed bodies.

Machines read these: numbers have a point, dates are ISO, nothing is in anyone's locale; DATEV has rules of its own.
Each is a function from bodies, in order of issue, to text or rows: the same invoices, the same bytes (P15).
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from cloud_collector.store.store import Store
from shared.errors import Refused
from shared.inert import inert
from shared.line import Body, parse, read_body

COLUMNS: Final = (
    "number kind revision issued_at due contract account account_name currency net tax total "
    "line charge line_kind device window service_start service_end quantity unit unit_price amount estimated"
).split()
"""Of the table, one row an invoice line; the figures of the whole invoice stand in each of its rows."""


def issued(store: Store, start: int, end: int) -> Iterator[Body]:
    """The body of every invoice that was issued in [start, end), Unix seconds, in order of issue."""
    for (line,) in store.rows("invoices_between", start, end):
        parsed = parse(bytes(line))
        assert not isinstance(parsed, Refused), "an issued invoice is a sealed line"
        body = read_body(parsed)
        assert not isinstance(body, Refused), "an issued invoice has a body"
        yield body


def issue_day(body: Body) -> date:
    """The local day of issue, as it is printed."""
    return datetime.fromisoformat(body["issued_at"]).astimezone(ZoneInfo(body["period"]["timezone"])).date()


def rows(bodies: Iterable[Body]) -> Iterator[dict[str, str | int | bool | None]]:
    """One row an invoice line, by `COLUMNS`."""
    for body in bodies:
        head = {name: body[name] for name in ("number", "kind", "revision", "issued_at", "due", "contract", "currency")}
        head |= {"account": body["account"]["id"], "account_name": body["account"]["name"]}
        head |= {"net": body["net"], "tax": _less(body["total"], body["net"]), "total": body["total"]}
        for place, line in enumerate(body["lines"], start=1):
            told = head | {"line": place, "line_kind": line["kind"]}
            yield {name: told[name] if name in told else line[name] for name in COLUMNS}


def as_csv(bodies: Iterable[Body]) -> str:
    """RFC 4180: a header, a row an invoice line; what a spreadsheet would run as a formula is quoted as text."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    for row in rows(bodies):
        # A truth is written as JSON writes it, and what is not there as nothing.
        told = row | {"estimated": str(row["estimated"]).lower()}
        writer.writerow({name: inert(value) for name, value in told.items()})
    return out.getvalue()


def as_json_lines(bodies: Iterable[Body]) -> str:
    """The sealed body of each invoice, one a line."""
    return "".join(json.dumps(body, separators=(",", ":"), ensure_ascii=False) + "\n" for body in bodies)


def _less(total: str, net: str) -> str:
    return format(Decimal(total) - Decimal(net), "f")
