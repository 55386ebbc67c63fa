"""What every route of the interface does beside its own: bounds what it reads, keeps who looked, spares what is had."""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute

from cloud_collector.web.api.looks import Looks, names
from cloud_collector.web.api.once import Claim, Replay
from cloud_collector.web.api.problem import Refusal, absent

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
NUL: Final = "\x00"
BODY_BYTES_MAX: Final = 1024 * 1024
"""Of a request."""


class ApiRoute(APIRoute):
    """A route that answers with an ETag, or with 304 where the asker has the same (RFC 9110, 13.1.2)."""

    def get_route_handler(self) -> Handler:
        """The handler around the route's own."""
        handle, path = super().get_route_handler(), self.path_format

        async def handled(request: Request) -> Response:
            _once_each(request)
            if request.method == "GET":
                response = await handle(request)
                if response.status_code == 200 and names(request):
                    await _looked(request, path)
                return _tagged(request, response)
            await _read(request)
            return await _done(request, handle)

        return handled


async def _looked(request: Request, path: str) -> None:
    looks: Looks = request.app.state.looks
    if not looks.is_again(request, path):
        await run_in_threadpool(looks.keep, request, path)


def _once_each(request: Request) -> None:
    """No parameter stands twice: one of them would be dropped in silence; none has a NUL. Raises Refusal (404, 422)."""
    # PostgreSQL keeps no text with a NUL in it, and so nothing is called like that.
    if any(NUL in str(value) for value in request.path_params.values()):
        raise absent()
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if NUL in value:
            raise Refusal(422, f"query.{name[:64]}: it has a NUL character")
        if name in seen:
            raise Refusal(422, f"query.{name[:64]}: it stands twice, and takes one value")
        seen.add(name)


def _tagged(request: Request, response: Response) -> Response:
    if response.status_code != 200 or isinstance(response, StreamingResponse):
        return response
    tag = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
    known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response


async def _read(request: Request) -> None:
    """P9: a body is read no further than its bound."""
    raw = b""
    async for part in request.stream():
        raw += part
        if len(raw) > BODY_BYTES_MAX:
            raise Refusal(413, f"a request has at most {BODY_BYTES_MAX:,} bytes")
    request._body = raw  # noqa: SLF001  where Starlette keeps what was read


async def _done(request: Request, handle: Handler) -> Response:
    """What is answered to a request that names itself is kept; a refusal is not, so that it can be put right."""
    try:
        response = await handle(request)
    except Replay as replay:
        return replay.response
    except BaseException:
        await _drop(request)
        raise
    claim: Claim | None = getattr(request.state, "claim", None)
    if claim is not None:
        await run_in_threadpool(claim.keep, getattr(request.state, "kept", response))
    return response


async def _drop(request: Request) -> None:
    claim: Claim | None = getattr(request.state, "claim", None)
    if claim is not None:
        await run_in_threadpool(claim.drop)
