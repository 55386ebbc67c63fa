"""The enrolment port: gateways claim their invitation here, and renew their certificates. HTTPS, and nothing else.

`create_enrolment_app` opens no socket and reads no clock of its own. Refusals are RFC 9457 problems whose
`detail` is the sentence that an installer reads.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from cloud_collector.fleet.desk import Desk, Failures
from cloud_collector.fleet.invitations import Turned
from cloud_collector.limits import ENROLMENT_ADDRESSES_MAX, ENROLMENT_FAILURE_SECONDS, ENROLMENT_FAILURES_MAX
from cloud_collector.store.store import Store
from cloud_collector.web.site import OpenStore
from shared.effects.clock import Clock
from shared.enrolment import AUTHORITY_PATH, ENROL_PATH, RENEW_PATH, Credentials
from shared.errors import DatabaseBusy
from shared.limits import ENROLMENT_BYTES_MAX

_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Answering = Callable[[Store, Any, int, str], Credentials | Turned]


def create_enrolment_app(desk: Desk, open_store: OpenStore, clock: Clock) -> FastAPI:
    """The application over a desk; `open_store` gives a writing connection for the length of one request."""
    app = FastAPI(title="Meterseal enrolment", openapi_url=None, docs_url=None, redoc_url=None)
    failures = Failures(
        at_once=ENROLMENT_FAILURES_MAX, seconds=ENROLMENT_FAILURE_SECONDS, addresses=ENROLMENT_ADDRESSES_MAX
    )

    async def answered(request: Request, answering: Answering) -> Response:
        address = request.client.host if request.client else ""
        wait = failures.wait_seconds(address, clock.utc_ms())
        if wait:
            reason = f"too many requests from {address} were refused: try again in {wait} seconds"
            return _problem(Turned(status=429, reason=reason), {"Retry-After": str(wait)})
        body = await _body(request)
        answer = body if isinstance(body, Turned) else await run_in_threadpool(_asked, body, address, answering)
        if isinstance(answer, Turned):
            if answer.status != 503:
                failures.count(address, clock.utc_ms())
            return _problem(answer)
        return JSONResponse(answer.body, headers=_HEADERS)

    def _asked(body: Any, address: str, answering: Answering) -> Credentials | Turned:
        try:
            with open_store() as store:
                return answering(store, body, clock.utc_ms(), address)
        except DatabaseBusy:
            return Turned(status=503, reason="the collector is busy: try again in a minute")

    @app.get(AUTHORITY_PATH)
    def authority() -> Response:
        return Response(desk.authority.issued.pem, media_type="application/x-pem-file", headers=_HEADERS)

    @app.post(ENROL_PATH)
    async def enrol(request: Request) -> Response:
        return await answered(
            request, lambda store, body, now, address: desk.enrol(store, body, now_ms=now, claimed_from=address)
        )

    @app.post(RENEW_PATH)
    async def renew(request: Request) -> Response:
        return await answered(request, lambda store, body, now, _: desk.renew(store, body, now_ms=now))

    return app


async def _body(request: Request) -> Any:
    """The JSON of a request, read no further than its bound (P9)."""
    raw = b""
    async for part in request.stream():
        raw += part
        if len(raw) > ENROLMENT_BYTES_MAX:
            return Turned(status=413, reason=f"a request has at most {ENROLMENT_BYTES_MAX} bytes")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return Turned(status=400, reason="a request is a JSON object")


def _problem(turned: Turned, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(
        {"title": "refused", "status": turned.status, "detail": turned.reason},
        status_code=turned.status,
        headers=_HEADERS | (headers or {}),
        media_type="application/problem+json",
    )
