"""Refusals as RFC 9457 writes them: for what a route refuses, what is not there, and what broke."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as PlainHTTPException
from starlette.routing import Match

from cloud_collector.client.page import Problem
from cloud_collector.web.gate import NOT_THERE
from shared.errors import DatabaseBusy

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 5
ERRORS_MAX: Final = 20
"""Faults of one request that are named."""
_METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")
_log: Final = logging.getLogger(__name__)
_WORDS: Final = {
    400: "the request cannot be read",
    401: "nobody is signed in, and no token was sent",
    403: "whoever asks may not do this",
    404: "there is nothing here, or it is somebody else's",
    405: "the path has no such method",
    406: "none of the forms that are asked for",
    409: "something else is under way, it was done otherwise, or the request contradicts itself",
    413: "the body is too long",
    415: "the body is of another type",
    422: "a part of the request is not what it should be",
    429: "too many requests",
    500: "the collector is at fault",
    503: "come again later",
}


class Refusal(HTTPException):
    """A request that is turned down, for the reason in `detail`."""


def absent() -> Refusal:
    """What is not there, and what is another account's: the same words (P20)."""
    return Refusal(404, NOT_THERE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its description."""
    return {
        status: {
            "description": _WORDS[status],
            "model": Problem,
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": {
                        "type": "about:blank",
                        "title": _title(status),
                        "status": status,
                        "detail": f"{_WORDS[status]}: …",
                    },
                }
            },
        }
        for status in statuses
    }


def problem(
    status: int, detail: str, *, errors: list[dict[str, str]] | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer."""
    body: dict[str, Any] = {"type": "about:blank", "title": _title(status), "status": status, "detail": detail}
    if errors:
        body["errors"] = errors
    return JSONResponse(body, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """From here on whatever goes wrong in the application is answered with a problem."""
    app.add_exception_handler(PlainHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DatabaseBusy, _busy)
    app.add_exception_handler(Exception, _broken)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, PlainHTTPException), "it is installed for these"
    detail, headers = str(error.detail), error.headers
    if error.status_code == 405:
        detail = f"{request.url.path} has no method {request.method}"
        headers = {"Allow": ", ".join(_methods(request))}
    elif error.status_code == 404 and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = NOT_THERE
    return problem(error.status_code, detail, headers=headers)


def _methods(request: Request) -> list[str]:
    """What the path can be asked with: each method is a route of its own, and one that declines knows itself alone."""
    app: FastAPI = request.app
    return [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in app.routes)
    ]


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "it is installed for these"
    errors = [
        {"at": ".".join(str(part) for part in each["loc"])[:200], "why": str(each["msg"])[:300]}
        for each in error.errors()[:ERRORS_MAX]
    ]
    first = errors[0]
    return problem(422, f"{first['at']}: {first['why']}", errors=errors)


def _busy(_: Request, error: Exception) -> Response:
    del error
    return problem(503, "the store is busy: try again in some seconds", headers={"Retry-After": str(RETRY_SECONDS)})


def _broken(request: Request, error: Exception) -> Response:
    _log.error("event=api_failed method=%s path=%s", request.method, request.url.path, exc_info=error)
    return problem(500, "the collector is at fault, and its log says why")


def _title(status: int) -> str:
    return HTTPStatus(status).phrase.lower()
