"""The HTTP side: every room's pages, health, readiness, metrics.

`create_app` is handed what it needs; it opens no socket and reads no clock of its own.
"""

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from cloud_collector.web import api, assets, console, faults, gate, portal, shell, sign_in
from cloud_collector.web.api.pulse import Pulse
from cloud_collector.web.shield import Shield
from cloud_collector.web.site import Site


def create_app(site: Site) -> FastAPI:
    """The application over a site."""
    app = FastAPI(title="Meterseal collector", docs_url=None, redoc_url=None)

    app.add_middleware(
        Shield,
        headers=shell.HEADERS,
        clock=site.clock,
        paces=site.paces,
        local_operator=site.local_operator,
        https=site.door.https,
    )
    gate.install(app, site)
    _serve_health(app, site)
    app.include_router(assets.routes())
    app.include_router(shell.routes())
    app.include_router(sign_in.routes(site))
    app.state.pulse = Pulse(site)
    app.include_router(api.routes())
    app.mount(api.PATH, api.application(site, app.state.pulse))
    app.include_router(console.routes(site))
    app.include_router(portal.routes(site))
    faults.install(app, site)
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
    def exposition(_who: gate.Operating) -> Response:
        return Response(generate_latest(site.metrics), media_type=CONTENT_TYPE_LATEST)
