"""Around every answer: headers that let nothing else run, and a pace for each address; whatever stands inside.

Plain ASGI, so that streams go through as they come.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud_collector.access.pace import Paces, neighbourhood
from cloud_collector.web.gate import problem
from cloud_collector.web.origin import address_of, on_this_machine
from shared.effects.clock import Clock

HEALTH: Final = frozenset({"/healthz", "/readyz"})
"""Asked by whoever keeps the process alive: never turned away."""
ALONE: Final = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Permitted-Cross-Domain-Policies": "none",
}
"""No other site's page holds a window of this one, or shows its answers."""
TRUSTED: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts of which browsers trust plain HTTP; of others they complain about headers that ask for more."""
YEAR_SECONDS: Final = 31_536_000


def headers_of(request: Request, headers: Mapping[str, str], *, https: bool) -> Mapping[str, str]:
    """What every answer to this request bears."""
    found = {**headers, **ALONE}
    if https or request.url.hostname in TRUSTED:
        found["Cross-Origin-Opener-Policy"] = "same-origin"
    if https:
        found["Strict-Transport-Security"] = f"max-age={YEAR_SECONDS}"
    return found


@dataclass(frozen=True, slots=True)
class Shield:
    """An application with the shield around it."""

    app: ASGIApp
    headers: Mapping[str, str]
    clock: Clock
    paces: Paces
    local_operator: bool
    https: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableHeaders(scope=message)
                for name, value in headers_of(request, self.headers, https=self.https).items():
                    told.setdefault(name, value)
            await send(message)

        wait = self._wait(request)
        if wait:
            detail = f"too many requests from {address_of(request)}: wait {wait} seconds"
            refusal = problem(429, detail, {"Retry-After": str(wait)})
            await refusal(scope, receive, shielded)
            return
        await self.app(scope, receive, shielded)

    def _wait(self, request: Request) -> int:
        if request.url.path in HEALTH or (self.local_operator and on_this_machine(request)):
            return 0
        return self.paces.addresses.take(neighbourhood(address_of(request)), self.clock.utc_ms())
