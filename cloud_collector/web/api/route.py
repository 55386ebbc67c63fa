"""What every route of the interface does beside its own: an answer that the asker has already is not sent again."""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ApiRoute(APIRoute):
    """A route that answers with an ETag, and with 304 where the asker names the same (RFC 9110, 13.1.2)."""

    def get_route_handler(self) -> Handler:
        """The handler around the route's own."""
        handle = super().get_route_handler()

        async def tagged(request: Request) -> Response:
            response = await handle(request)
            if request.method != "GET" or response.status_code != 200 or isinstance(response, StreamingResponse):
                return response
            tag = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
            known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
            headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
            if tag in known or "*" in known:
                return Response(status_code=304, headers=headers)
            response.headers.update(headers)
            return response

        return tagged
