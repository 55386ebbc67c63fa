"""The HTTP side: pages that read, health, readiness, metrics. Nothing here writes.

`create_app` is handed what it needs; it opens no socket and reads no clock of its own.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Final

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, PackageLoader, select_autoescape
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from cloud_collector.invoice import html
from cloud_collector.store.store import Store
from cloud_collector.web import api, console, gate, pages, portal
from cloud_collector.web.gate import Operating
from cloud_collector.web.pages import Moment, Subscriptions
from cloud_collector.web.site import Site
from cloud_collector.web.table import Table

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
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One request's sight of the store."""

    store: Store
    moment: Moment
    subscriptions: Subscriptions

    def table(self, title: str) -> Table:
        """The table of a page."""
        match title:
            case "Gateways":
                return pages.gateways(self.store, self.moment)
            case "Subscriptions":
                return pages.subscriptions(self.subscriptions(self.store, self.moment.now_ms // 1000), self.moment)
            case "Invoices":
                return pages.invoices(self.store, self.moment)
            case _:
                return pages.unmatched(self.store, self.moment)

    def cards(self) -> list[dict[str, str]]:
        """The overview's figures."""
        lines, gateways, invoices, unmatched, last = self.store.row("web_counts") or (0, 0, 0, 0, None)
        return [
            {"value": f"{gateways:,}", "label": "gateways"},
            {"value": f"{lines:,}", "label": "sealed lines held"},
            {"value": f"{invoices:,}", "label": "invoices issued"},
            {"value": f"{unmatched:,}", "label": "unmatched"},
            {"value": "—" if last is None else self.moment.ago(last), "label": "last line"},
        ]


@contextmanager
def _look(site: Site) -> Iterator[Look]:
    """The store at one moment."""
    with site.open_store() as store:
        yield Look(store=store, moment=site.moment(store), subscriptions=site.subscriptions)


def create_app(site: Site) -> FastAPI:
    """The application over a site."""
    app = FastAPI(title="Meterseal collector", docs_url=None, redoc_url=None)

    @app.middleware("http")
    async def guarded(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await go_on(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    gate.install(app, site)
    _serve_health(app, site)
    app.include_router(api.routes(site))
    app.include_router(console.routes(site))
    app.include_router(portal.routes(site))
    _serve_pages(app, site)
    return app


def _serve_health(app: FastAPI, site: Site) -> None:
    @app.get("/healthz", response_class=PlainTextResponse)
    def healthz() -> str:
        return "ok\n"

    @app.get("/readyz")
    def readyz() -> Response:
        parts = dict(site.readiness())
        ready = all(parts.values())
        return JSONResponse({"ready": ready, **parts}, status_code=200 if ready else 503)

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(generate_latest(site.metrics), media_type=CONTENT_TYPE_LATEST)


def _serve_pages(app: FastAPI, site: Site) -> None:
    templates = Jinja2Templates(
        env=Environment(loader=PackageLoader("cloud_collector.web"), autoescape=select_autoescape())
    )
    style = resources.files("cloud_collector.web").joinpath("static", "style.css").read_text(encoding="utf-8")
    titles = {path[1:]: title for title, path in PAGES if path != "/"}

    def page(request: Request, title: str, look: Look, tables: list[Table]) -> Response:
        told = {
            "title": title,
            "pages": PAGES,
            "cards": look.cards() if title == "Overview" else [],
            "tables": tables,
            "zone": look.moment.zone,
            "now": look.moment.local(look.moment.now_ms // 1000),
        }
        return templates.TemplateResponse(request, "page.html", told)

    @app.get("/", response_class=HTMLResponse)
    def overview(request: Request, _who: Operating) -> Response:
        with _look(site) as look:
            tables = [look.table(title) for title in titles.values()]
            shown = [table for table in tables if table.rows or table.title != "Unmatched"]
            return page(request, "Overview", look, shown)

    @app.get("/static/style.css")
    def stylesheet() -> Response:
        return Response(style, media_type="text/css", headers={"Cache-Control": "max-age=3600"})

    @app.get("/invoices/{number}", response_class=HTMLResponse)
    def invoice(number: str, _who: Operating) -> Response:
        with _look(site) as look:
            body = pages.invoice_body(look.store, number.removesuffix(".json"))
        if body is None:
            raise HTTPException(404, f"there is no invoice {number}")
        if number.endswith(".json"):
            return JSONResponse(body)
        return HTMLResponse(html.page(body, key_words=site.key_words))

    @app.get("/{name}")
    def table_page(request: Request, name: str, _who: Operating) -> Response:
        bare, _, suffix = name.partition(".")
        if bare not in titles or suffix not in {"", "json", "csv"}:
            raise HTTPException(404, "there is no such page")
        with _look(site) as look:
            table = look.table(titles[bare])
            if suffix == "json":
                return JSONResponse(table.records())
            if suffix == "csv":
                return Response(table.csv(), media_type="text/csv; charset=utf-8")
            return page(request, titles[bare], look, [table])
