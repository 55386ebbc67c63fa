"""A POST that names itself is done once: the same again gets the answer of the first, another under its name none.

The header is `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). What a request did and what was answered
are not one transaction: after a kill in between the same request is carried out again, and every POST here bears it.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Header, Request, Response

from cloud_collector.web.api.problem import Refusal
from cloud_collector.web.api.sight import Here
from cloud_collector.web.gate import Asking
from cloud_collector.web.site import Site

KEPT_MS: Final = 7 * 86_400_000
"""How long an answer is kept."""
UNDER_WAY_MS: Final = 120_000
"""After this a request that was never answered was killed, and is carried out again."""
REPLAYED: Final = "Idempotency-Replayed"


class Replay(Exception):
    """The request was answered before, with this."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request that is carried out under a name."""

    site: Site
    viewer: str
    key: str

    def keep(self, response: Response) -> None:
        """What is answered now is answered to the same request again."""
        with self.site.writing() as store:
            store.run(
                "once_answered",
                response.status_code,
                response.headers.get("content-type", ""),
                bytes(response.body),
                self.viewer,
                self.key,
            )

    def drop(self) -> None:
        """It came to nothing, and may be tried again."""
        with self.site.writing() as store:
            store.run("once_drop", self.viewer, self.key)


async def digest(request: Request) -> str:
    """What tells this request from others."""
    found = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    found.update(await request.body())
    return found.hexdigest()


def once(
    request: Request,
    site: Here,
    viewer: Asking,
    told: Annotated[str, Depends(digest)],
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern="^[!-~]{1,255}$",
            description="A name that the asker gives this request: sent again under it, it is done once.",
            examples=["6f1d2a70-5c1e-4a50-8f9e-0d9b1f1a7c11"],
        ),
    ] = None,
) -> None:
    """The request is claimed under its name; raises Replay, and Refusal with 409."""
    if key is None:
        return
    now_ms = site.clock.utc_ms()
    with site.writing() as store, store.atomic():
        store.run("once_forget", now_ms - KEPT_MS)
        if not store.rows("once_claim", viewer.name, key, told, now_ms):
            request_of, at, status, kind, body = store.rows("once_of", viewer.name, key)[0]
            if request_of != told:
                raise Refusal(
                    409, "header.Idempotency-Key: another request was sent under this name; give each its own"
                )
            if status is not None:
                raise Replay(Response(bytes(body or b""), status, {REPLAYED: "true"}, kind or None))
            if now_ms - at < UNDER_WAY_MS or not store.rows("once_take", now_ms, viewer.name, key, at):
                raise Refusal(409, "the same request is under way: ask again in a moment", headers={"Retry-After": "2"})
    request.state.claim = Claim(site=site, viewer=viewer.name, key=key)


Once = Depends(once)
"""For the dependencies of every route that changes something."""
