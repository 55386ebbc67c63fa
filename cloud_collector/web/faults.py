"""What went wrong, said as it is asked for: a page for people, RFC 9457 for programs. The API has its own."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from cloud_collector.web import api, gate, shell
from cloud_collector.web.api.problem import RETRY_SECONDS
from cloud_collector.web.console.screen import NAV
from cloud_collector.web.shield import headers_of
from cloud_collector.web.site import Moment, Site
from shared.errors import DatabaseBusy

WHY_MAX: Final = 200
_log: Final = logging.getLogger(__name__)


def install(app: FastAPI, site: Site) -> None:
    """From here on whatever goes wrong has an answer."""

    def said(request: Request, status: int, why: str, headers: Mapping[str, str] | None = None) -> Response:
        if not gate.wants_page(request):
            return gate.problem(status, why, headers)
        # Whoever is a customer has no use for the operator's menu, and comes to no page of it.
        nav = () if shell.home_of(request) == "/portal" else NAV
        title = gate.TITLES.get(status, HTTPStatus(status).phrase).capitalize()
        moment = Moment(now_ms=site.clock.utc_ms(), zone="UTC")
        told = {"why": why}
        answer = shell.page(request, "error.html", title=title, nav=nav, moment=moment, told=told, status=status)
        answer.headers.update(headers or {})
        return answer

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return said(request, error.status_code, error.detail, error.headers)

    @app.exception_handler(RequestValidationError)
    async def not_understood(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        asked = str(first["loc"][-1])[:WHY_MAX]
        return said(request, 422, f'"{asked}" in the address is not what it should be: {first["msg"]}'[:WHY_MAX])

    @app.exception_handler(DatabaseBusy)
    async def busy(request: Request, error: DatabaseBusy) -> Response:
        del error
        again = {"Retry-After": str(RETRY_SECONDS)}
        return said(request, 503, "the store is busy: open the page again in some seconds", again)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        # The API has said so by itself, and answered.
        if not request.url.path.startswith(f"{api.PATH}/"):
            _log.error("event=page_failed method=%s path=%s", request.method, request.url.path, exc_info=error)
        # The shield does not stand around this answer.
        headers = headers_of(request, shell.HEADERS, https=site.door.https)
        return said(request, 500, "the collector is at fault, and its log says why", headers)
