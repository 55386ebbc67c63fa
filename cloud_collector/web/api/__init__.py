"""The HTTP interface for programs, under /api/v1: an application of its own, described by its own OpenAPI document.

What it answers comes from the same functions as the pages; refusals are problems (RFC 9457), lists come in pages.
"""

from importlib import metadata
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Security
from fastapi.responses import StreamingResponse
from fastapi.security import APIKeyCookie, HTTPBearer

from cloud_collector.web import gate
from cloud_collector.web.api import (
    accounts,
    acting,
    audit,
    billing,
    contracts,
    corrections,
    cost,
    curves,
    days,
    devices,
    dispute_correction,
    disputes,
    events,
    exports,
    gateways,
    invoices,
    me,
    opened,
    orders,
    overview,
    ownership,
    proofs,
    sent,
    strangers,
    thresholds,
    usage,
    warnings,
    webhooks,
    what_if,
)
from cloud_collector.web.api.description import described
from cloud_collector.web.api.looks import Looks
from cloud_collector.web.api.problem import documented, install
from cloud_collector.web.api.pulse import Pulse
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.site import Site

PATH: Final = "/api/v1"
ROUTERS: Final = (
    me.router,
    accounts.router,
    contracts.router,
    cost.router,
    devices.router,
    usage.router,
    days.router,
    exports.router,
    corrections.router,
    opened.router,
    invoices.router,
    warnings.router,
    thresholds.router,
    disputes.router,
    ownership.router,
    events.router,
    sent.router,
    gateways.router,
    billing.router,
    acting.router,
    proofs.router,
    webhooks.router,
    audit.router,
    orders.router,
    overview.router,
    curves.router,
    dispute_correction.router,
    what_if.router,
    strangers.router,
)
_DESCRIPTION: Final = """\
Everything that the collector's pages show, for programs.

Money and quantities are decimal text, never floats; instants are RFC 3339 in UTC, with the zone in which they are meant
beside them where that matters. Lists come in pages: `next` of one is the `cursor` of the following. Refusals are
problems as RFC 9457 has them. A POST with an `Idempotency-Key` may be sent again: it is done once.
"""
_TAGS: Final = [
    {"name": "me", "description": "Who asks, and what he may do."},
    {"name": "accounts", "description": "Who pays."},
    {"name": "contracts", "description": "What was agreed, and where its devices stand."},
    {"name": "cost", "description": "What it costs so far, and what it will come to."},
    {"name": "devices", "description": "Whose they are, and what happened to them."},
    {"name": "usage", "description": "What was used, by interval, hour, day and month."},
    {"name": "exports", "description": "Files of any length, as CSV and Parquet."},
    {"name": "invoices", "description": "Issued documents and credit notes, in every form."},
    {"name": "warnings", "description": "Thresholds that fired, and were withdrawn."},
    {"name": "disputes", "description": "What is said to be wrong with a bill, and what came of it."},
    {"name": "data", "description": "Whose the data is, who looked at it, and what of it is to be deleted."},
    {"name": "events", "description": "What happens, as it happens."},
    {"name": "gateways", "description": "The fleet, and what is missing of it."},
    {"name": "operations", "description": "What nobody knows, and what is wrong."},
    {"name": "billing", "description": "Previews, runs, approvals."},
    {"name": "proofs", "description": "Signed checkpoints and proofs under them."},
    {"name": "catalog", "description": "Every revision that was applied."},
    {"name": "webhooks", "description": "Where warnings go, and what came of each."},
]
_BEARER: Final = HTTPBearer(
    auto_error=False, scheme_name="token", description="A token of `cloud-collector token create`."
)
_SESSION: Final = APIKeyCookie(
    name="meterseal_session", auto_error=False, scheme_name="session", description="Whoever is signed in to the pages."
)


def _described(_token: Annotated[Any, Security(_BEARER)], _session: Annotated[Any, Security(_SESSION)]) -> None:
    """Says in the description how one is known; the gate is what looks."""


def application(site: Site, pulse: Pulse | None = None) -> FastAPI:
    """The application, to be mounted at `PATH`; it tells what the pulse of the pages tells."""
    app = FastAPI(
        title="Meterseal",
        version=metadata.version("meterseal"),
        description=_DESCRIPTION,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        openapi_tags=_TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": PATH}],
        responses=documented(400, 401, 403, 404, 405, 422, 429, 500, 503),
        dependencies=[Depends(_described)],
        redirect_slashes=False,
    )
    app.router.route_class = ApiRoute
    gate.install(app, site)
    app.state.pulse = pulse or Pulse(site)
    app.state.looks = Looks()
    install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = described(app)  # type: ignore[method-assign]  # as its documentation proposes
    return app


def routes() -> APIRouter:
    """What pages listen to: the same events, where a session's cookie is sent."""
    router = APIRouter()
    router.add_api_route("/events", events.events, response_class=StreamingResponse, include_in_schema=False)
    return router
