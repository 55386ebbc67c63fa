"""The status page's server: for this machine alone, bounded in every direction (P9).

GET of a few paths, one request a connection. A request for another host's name is refused: a page on the
web could otherwise have a browser on this machine read what stands here (DNS rebinding).
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any, Final

from edge_agent.status_page import metrics, page

REQUEST_BYTES_MAX: Final = 8_192
REQUEST_SECONDS_MAX: Final = 5.0
CONNECTIONS_MAX: Final = 8
"""Further ones are answered 503 at once."""
_HEADERS: Final = (
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n"
)

_OWN_NAMES: Final = re.compile(r"(localhost|\[::1\]|127(\.\d{1,3}){3})(:\d{1,5})?", re.ASCII)

Standing = Callable[[], dict[str, Any]]
"""What `edge-agent status --json` prints; empty before the spool is open."""


@contextlib.asynccontextmanager
async def serving(host: str, port: int, standing: Standing, utc_ms: Callable[[], int]) -> AsyncIterator[int]:
    """Serve while inside; gives the port; raises OSError where nothing can listen there."""
    open_now = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                if open_now > CONNECTIONS_MAX:
                    writer.write(_answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", "too many at once\n"))
                else:
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(answer(head, standing(), utc_ms()))
                await writer.drain()
        except asyncio.LimitOverrunError:
            writer.write(_answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "text/plain", "too long\n"))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # Who asked has gone, or never finished asking.
        finally:
            open_now -= 1
            writer.close()

    server = await asyncio.start_server(serve, host, port, limit=REQUEST_BYTES_MAX)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def answer(head: bytes, status: dict[str, Any], now_ms: int) -> bytes:
    """The answer to a request's head. Source: RFC 9112."""
    first, *rest = head.decode("latin-1").split("\r\n")
    method, _, target = first.partition(" ")
    path = target.partition(" ")[0].partition("?")[0]
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    if method not in ("GET", "HEAD"):
        return _answer(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", "only GET\n")
    if not _is_own(fields.get("host", "")):
        return _answer(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", "ask for localhost\n")
    if path == "/healthz" or not status:
        well = bool(status)
        code = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        return _answer(code, "text/plain", "metering\n" if well else "starting\n", body=method == "GET")
    match path:
        case "/":
            kind, text = "text/html; charset=utf-8", page(status, now_ms)
        case "/status.json":
            kind, text = "application/json", json.dumps(status)
        case "/metrics":
            kind, text = "text/plain; version=0.0.4; charset=utf-8", metrics(status)
        case _:
            return _answer(HTTPStatus.NOT_FOUND, "text/plain", "there is /, /status.json, /metrics and /healthz\n")
    return _answer(HTTPStatus.OK, kind, text, body=method == "GET")


def _is_own(host: str) -> bool:
    return _OWN_NAMES.fullmatch(host) is not None


def _answer(code: HTTPStatus, kind: str, text: str, *, body: bool = True) -> bytes:
    raw = text.encode()
    head = (
        f"HTTP/1.1 {code.value} {code.phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(raw)}\r\n"
        f"Connection: close\r\n{_HEADERS}\r\n"
    )
    return head.encode("ascii") + (raw if body else b"")
