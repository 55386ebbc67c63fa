"""Everything that an account has used and was billed, as files to take along."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from cloud_collector.access.viewer import Deed, Viewer
from cloud_collector.activity.holding import holdings
from cloud_collector.billing.books import COLUMNS, rows
from cloud_collector.web.api.files import BATCH_ROWS, TYPES, Column, FileForm, Kind, Rows, parts, require
from cloud_collector.web.api.problem import documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, instant, seen
from cloud_collector.web.api.usage import Want, Wanted, stretches
from cloud_collector.web.gate import Asking, must, record
from cloud_collector.web.site import Site

router = APIRouter(route_class=ApiRoute, tags=["exports"])
USAGE: Final = (
    Column(name="device"),
    Column(name="meter"),
    Column(name="start", kind=Kind.INSTANT),
    Column(name="end", kind=Kind.INSTANT),
    Column(name="quantity", kind=Kind.DECIMAL),
    Column(name="unit"),
    Column(name="estimated", kind=Kind.TRUTH),
    Column(name="gap"),
)
_KINDS: Final = (
    dict.fromkeys(("net", "tax", "total", "quantity", "unit_price", "amount"), Kind.DECIMAL)
    | dict.fromkeys(("issued_at", "service_start", "service_end"), Kind.INSTANT)
    | dict.fromkeys(("revision", "line"), Kind.INTEGER)
    | {"due": Kind.DAY, "estimated": Kind.TRUTH}
)
LINES: Final = tuple(Column(name=name, kind=_KINDS.get(name, Kind.TEXT)) for name in COLUMNS)
INVOICES_AT_ONCE: Final = 100
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The file, made while it is sent.",
        "content": {each: {"schema": {"type": "string", "format": "binary"}} for each in sorted(TYPES.values())},
    }
}


@router.get("/accounts/{account}/usage.{form}", response_class=StreamingResponse, responses=documented(409) | ANSWERS)
def usage_file(
    request: Request, site: Here, viewer: Asking, account: str, form: FileForm, want: Want
) -> StreamingResponse:
    """What every device of the account used, by device, meter and time, as CSV or Parquet."""
    with seen(site, viewer) as sight:
        sight.account(account)
        fixed = Wanted(
            step=want.step, meter=want.meter, **dict(zip(("start", "end"), want.within(sight.now), strict=True))
        )
        every = holdings(sight.known[-1].catalog)
        devices = sorted(name for name, held in every.items() if any(each.account == account for each in held))
    return _file(
        request, viewer, account, "usage", form, parts(USAGE, _usage(site, viewer, account, devices, fixed), form)
    )


@router.get("/accounts/{account}/lines.{form}", response_class=StreamingResponse, responses=ANSWERS)
def lines_file(request: Request, site: Here, viewer: Asking, account: str, form: FileForm) -> StreamingResponse:
    """Every line of every document that was issued to the account, in order of issue, as CSV or Parquet."""
    with seen(site, viewer) as sight:
        sight.account(account)
    return _file(request, viewer, account, "lines", form, parts(LINES, _lines(site, viewer, account), form))


def _file(
    request: Request, viewer: Viewer, account: str, what: str, form: FileForm, made: Iterator[bytes]
) -> StreamingResponse:
    must(viewer, Deed.EXPORT)
    require(form)
    record(request, Deed.EXPORT, f"{what} as {form.value}", account=account)
    headers = {"Content-Disposition": f'attachment; filename="{account}-{what}.{form.value}"'}
    return StreamingResponse(made, media_type=TYPES[form], headers=headers)


def _usage(site: Site, viewer: Viewer, account: str, devices: list[str], want: Wanted) -> Iterator[Rows]:
    """A look at the store a batch: a reader who takes his time holds up nobody."""
    for device in devices:
        after = ("", -(2**62))
        while True:
            with seen(site, viewer) as sight:
                found = list(islice(stretches(sight, device, want, after=after, account=account), BATCH_ROWS))
            yield [
                (
                    device,
                    channel.meter,
                    instant(each.start),
                    instant(each.end),
                    each.quantity,
                    each.unit,
                    each.estimated,
                    each.gap,
                )
                for channel, each in found
            ]
            if len(found) < BATCH_ROWS:
                break
            after = (found[-1][0].meter, found[-1][1].start)


def _lines(site: Site, viewer: Viewer, account: str) -> Iterator[Rows]:
    after = 0
    while True:
        with seen(site, viewer) as sight:
            found = sight.store.rows("api_sealed_of", account, after, INVOICES_AT_ONCE)
        bodies = [json.loads(text[4 : text.rindex("|")]) for text in (bytes(row[1]).decode("ascii") for row in found)]
        yield [[_value(name, row[name]) for name in COLUMNS] for row in rows(bodies)]
        if len(found) < INVOICES_AT_ONCE:
            return
        after = found[-1][0]


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    match _KINDS.get(name):
        case Kind.DECIMAL:
            return Decimal(value)
        case Kind.INSTANT:
            return datetime.fromisoformat(value).astimezone(UTC)
        case Kind.DAY:
            return date.fromisoformat(value)
        case _:
            return value
