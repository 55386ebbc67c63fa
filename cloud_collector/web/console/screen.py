"""One page of the console: the same facts for people, for programs as JSON, for spreadsheets as CSV."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from cloud_collector.web.shell import page
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Table

NAV: Final = (
    ("Overview", "/"),
    ("Gateways", "/gateways"),
    ("Subscriptions", "/subscriptions"),
    ("Invoices", "/invoices"),
    ("Unmatched", "/unmatched"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What a page says; `data` is its JSON, `table` its CSV, `told` what its template needs beside them."""

    title: str
    data: object
    table: Table
    template: str = "console/table.html"
    told: Mapping[str, Any] = field(default_factory=dict)


Build = Callable[[Look, Request], Screen]


def serve(router: APIRouter, site: Site, path: str, build: Build) -> None:
    """The page at `path`, its JSON at `path.json` and its CSV at `path.csv`."""

    def made(request: Request) -> tuple[Screen, Moment]:
        with site.look() as look:
            return build(look, request), look.moment

    def as_json(request: Request) -> Response:
        return JSONResponse(plain(made(request)[0].data))

    def as_csv(request: Request) -> Response:
        return Response(made(request)[0].table.csv(), media_type="text/csv; charset=utf-8")

    def as_page(request: Request) -> Response:
        screen, moment = made(request)
        return show(request, screen, moment)

    # These first: `/gateways/{name}` would take `x.json` for a name.
    router.add_api_route(f"{path}.json", as_json, methods=["GET"], include_in_schema=False)
    router.add_api_route(f"{path}.csv", as_csv, methods=["GET"], include_in_schema=False)
    router.add_api_route(path, as_page, methods=["GET"], include_in_schema=False)


def show(request: Request, screen: Screen, moment: Moment, status: int = 200) -> Response:
    """The screen as a page of the console."""
    told = {"screen": screen, "table": screen.table, **screen.told}
    return page(request, screen.template, title=screen.title, nav=NAV, moment=moment, told=told, status=status)


def plain(value: Any) -> Any:
    """The value as JSON has it: money as decimal text, instants as RFC 3339 in UTC, records as objects."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    match value:
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case set() | frozenset():
            return sorted(plain(each) for each in value)
        case _:
            return value
