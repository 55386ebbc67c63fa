"""The HTTP side: pages that read, health, readiness, metrics. Nothing here writes.

`create_app` is handed what it needs; it opens no socket and reads no clock of its own.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from importlib import resources
from typing import Final

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, PackageLoader, select_autoescape
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from cloud_collector.invoice import html
from cloud_collector.store.store import Store
from cloud_collector.web import pages
from cloud_collector.web.pages import Moment, Subscriptions
from cloud_collector.web.table import Table
from shared.effects.clock import Clock

PAGES: Final = (
    ("Overview", "/"),
    ("Gateways", "/gateways"),
    ("Subscriptions", "/subscriptions"),
    ("Invoices", "/invoices"),
    ("Unmatched", "/unmatched"),
)
_HEADERS: Final = {
    # An invoice carries its own sheet, so that the saved page is whole: hence inline styles, and no script at all.
    "Content-Security-Policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

OpenStore = Callable[[], AbstractContextManager[Store]]
Readiness = Callable[[], Mapping[str, bool]]


def create_app(
    *,
    open_store: OpenStore,
    clock: Clock,
    zone: Callable[[Store], str],
    subscriptions: Subscriptions,
    key_words: str,
    readiness: Readiness,
    metrics: CollectorRegistry,
) -> FastAPI:
    """The application: `open_store` gives a read connection for the length of one request."""
    app = FastAPI(title="Meterseal collector", docs_url=None, redoc_url=None)
    environment = Environment(
        loader=PackageLoader("cloud_collector.web"), autoescape=select_autoescape(), trim_blocks=False
    )
    templates = Jinja2Templates(env=environment)
    style = resources.files("cloud_collector.web").joinpath("static", "style.css").read_text(encoding="utf-8")

    def tables(store: Store, moment: Moment) -> dict[str, Table]:
        return {
            "gateways": pages.gateways(store, moment),
            "subscriptions": pages.subscriptions(subscriptions(store, moment.now_ms // 1000), moment),
            "invoices": pages.invoices(store, moment),
            "unmatched": pages.unmatched(store, moment),
        }

    def page(request: Request, title: str, store: Store, moment: Moment, shown: list[Table]) -> Response:
        lines, gateways, invoices, unmatched, last = store.row("web_counts") or (0, 0, 0, 0, None)
        cards = [
            {"value": f"{gateways:,}", "label": "gateways"},
            {"value": f"{lines:,}", "label": "sealed lines held"},
            {"value": f"{invoices:,}", "label": "invoices issued"},
            {"value": f"{unmatched:,}", "label": "unmatched"},
            {"value": "—" if last is None else moment.ago(last), "label": "last line"},
        ]
        return templates.TemplateResponse(
            request,
            "page.html",
            {
                "title": title,
                "pages": PAGES,
                "cards": cards if title == "Overview" else [],
                "tables": shown,
                "zone": moment.zone,
                "now": moment.local(moment.now_ms // 1000),
            },
        )

    @app.middleware("http")
    async def guarded(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await go_on(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.get("/", response_class=HTMLResponse)
    def overview(request: Request) -> Response:
        with open_store() as store:
            moment = Moment(now_ms=clock.utc_ms(), zone=zone(store))
            found = tables(store, moment)
            shown = [table for name, table in found.items() if name != "unmatched" or table.rows]
            return page(request, "Overview", store, moment, shown)

    @app.get("/static/style.css")
    def stylesheet() -> Response:
        return Response(style, media_type="text/css", headers={"Cache-Control": "max-age=3600"})

    @app.get("/healthz", response_class=PlainTextResponse)
    def healthz() -> str:
        return "ok\n"

    @app.get("/readyz")
    def readyz() -> Response:
        parts = dict(readiness())
        ready = all(parts.values())
        return JSONResponse({"ready": ready, **parts}, status_code=200 if ready else 503)

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(generate_latest(metrics), media_type=CONTENT_TYPE_LATEST)

    @app.get("/invoices/{number}", response_class=HTMLResponse)
    def invoice(number: str) -> Response:
        with open_store() as store:
            body = pages.invoice_body(store, number.removesuffix(".json"))
        if body is None:
            raise HTTPException(404, f"there is no invoice {number}")
        return JSONResponse(body) if number.endswith(".json") else HTMLResponse(html.page(body, key_words=key_words))

    @app.get("/{name}")
    def table_page(request: Request, name: str) -> Response:
        bare, _, suffix = name.partition(".")
        titles = {path[1:]: title for title, path in PAGES if path != "/"}
        if bare not in titles or suffix not in {"", "json", "csv"}:
            raise HTTPException(404, "there is no such page")
        with open_store() as store:
            moment = Moment(now_ms=clock.utc_ms(), zone=zone(store))
            table = tables(store, moment)[bare]
            if suffix == "json":
                return JSONResponse(table.records())
            if suffix == "csv":
                return Response(table.csv(), media_type="text/csv; charset=utf-8")
            return page(request, titles[bare], store, moment, [table])

    return app
