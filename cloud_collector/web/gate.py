"""The gate before every page and every path of the API: who asks, whether he may, and what is kept of it.

A route takes `Depends(viewer)` or `Depends(operator)`; what it does then begins with `must` and `must_see`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from cloud_collector.access import trail
from cloud_collector.access.pace import neighbourhood
from cloud_collector.access.sessions import SEEN_MS, end_session, mark_seen, session_of
from cloud_collector.access.tokens import Ended, mark_used, needs_mark, token_viewer
from cloud_collector.access.viewer import LOCAL_OPERATOR, Deed, Means, Role, Viewer
from cloud_collector.store.store import Store
from cloud_collector.web.origin import address_of, from_own_page, on_this_machine
from cloud_collector.web.site import Site
from shared.errors import DatabaseBusy

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
TITLES: Final = {
    401: "not signed in",
    403: "not allowed",
    404: "not found",
    422: "not understood",
    429: "too many requests",
    500: "something went wrong",
    503: "come again in a moment",
}


SESSION: Final = "session"
"""The word of the cookie that a session is carried in."""


class Closed(HTTPException):
    """The gate stays shut, for the reason in `detail`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """How this site knows who asks."""

    site: Site

    def known(self, request: Request) -> Viewer | Ended | None:
        """Who asks, or None for nobody."""
        told = request.headers.get("authorization")
        if told is not None:
            # Whoever shows a token is whom the token names, and nobody else where it is worth nothing.
            return self._with_token(told)
        found = self._with_session(request)
        if found is None and self.site.local_operator and on_this_machine(request):
            return LOCAL_OPERATOR
        return found

    def _with_session(self, request: Request) -> Viewer | None:
        door, now_ms = self.site.door, self.site.clock.utc_ms()
        secret = door.carried(request, SESSION)
        if not secret:
            return None
        with self.site.open_store() as store:
            found = session_of(store, secret, now_ms, door.lasting)
        if found is None:
            return None
        session, person = found
        if now_ms - session.seen_at >= SEEN_MS:
            with suppress(DatabaseBusy), self.site.writing() as store:
                mark_seen(store, secret, now_ms)
        return person.viewer(Means.SESSION)

    def _with_token(self, told: str) -> Viewer | Ended | None:
        scheme, _, secret = told.partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer":
            return None
        now_ms = self.site.clock.utc_ms()
        with self.site.open_store() as store:
            found = token_viewer(store, secret, now_ms)
            due = isinstance(found, Viewer) and needs_mark(store, secret, now_ms)
        if due:
            with suppress(DatabaseBusy), self.site.writing() as store:
                mark_used(store, secret, now_ms)
        return found

    @contextmanager
    def writing(self) -> Iterator[Store]:
        """The store, to write into the log."""
        with self.site.writing() as store:
            yield store


def install(app: FastAPI, site: Site) -> None:
    """From here on the application's routes can ask who is there."""
    app.state.gate = Gate(site=site)
    app.add_exception_handler(Closed, _shut)


def viewer(request: Request) -> Viewer:
    """Who asks; raises Closed with 401 for nobody, with 403 where another site's page asks in his name."""
    gate: Gate = request.app.state.gate
    paces, now_ms = gate.site.paces, gate.site.clock.utc_ms()
    address, shown = neighbourhood(address_of(request)), "authorization" in request.headers
    _pace(paces.guesses.wait(address, now_ms) if shown else 0)
    found = gate.known(request)
    if shown and not isinstance(found, Viewer):
        paces.guesses.take(address, now_ms)
    if found is None:
        raise Closed(401, "sign in first, or send a token that is valid: Authorization: Bearer ms_…")
    if isinstance(found, Ended):
        raise Closed(401, found.why)
    if found.means is not Means.LOCAL:
        _pace(paces.viewers.take(found.name, now_ms))
    if request.method in SAFE:
        must(found, Deed.READ)
    elif found.means is not Means.TOKEN:
        _require_own_page(request)
    request.state.viewer = found
    return found


def operator(found: Annotated[Viewer, Depends(viewer)]) -> Viewer:
    """Whoever of the operator's side asks; raises Closed with 403 for whoever does not see every account (P20)."""
    if found.role is Role.CUSTOMER:
        raise Closed(403, "this page is the operator's: yours begin at /portal")
    if found.accounts is not None:
        raise Closed(403, f"this shows every account, and {found.name} sees {', '.join(sorted(found.accounts))}")
    return found


Asking = Annotated[Viewer, Depends(viewer)]
"""For a route's signature: anybody who is known."""
Operating = Annotated[Viewer, Depends(operator)]
"""For a route's signature: the operator's people and tokens."""


def must(found: Viewer, deed: Deed) -> None:
    """The deed is allowed; raises Closed with 403."""
    if not found.may(deed):
        raise Closed(403, f"{found.name} ({found.role}) may not do this: it takes the scope {deed}")


def must_see(found: Viewer, account: str) -> None:
    """The account is in sight; raises Closed with 404, as for what there is not (P20)."""
    if not found.sees(account):
        raise Closed(404, NOT_THERE)


NOT_THERE: Final = "there is nothing here"
"""What is said of what there is not, and of what another account has: the same (P20)."""


def record(request: Request, deed: Deed, what: str, *, account: str = "", store: Store | None = None) -> None:
    """It stands in the log who did this now; with `store`, in the transaction that is open there."""
    gate: Gate = request.app.state.gate
    found: Viewer = request.state.viewer
    now_ms = gate.site.clock.utc_ms()
    request.state.looked = True
    if store is not None:
        trail.enter(store, found, deed, what, account=account, now_ms=now_ms)
        return
    with gate.writing() as held:
        trail.enter(held, found, deed, what, account=account, now_ms=now_ms)


def _pace(wait: int) -> None:
    if wait:
        raise Closed(429, f"too many requests: wait {wait} seconds", {"Retry-After": str(wait)})


def own_page(request: Request) -> None:
    """For a route that changes something and needs nobody: a page of this site asks; raises Closed with 403."""
    _require_own_page(request)


def slowly(request: Request) -> None:
    """For a route that guesses could be tried at: an address tries it seldom; raises Closed with 429."""
    gate: Gate = request.app.state.gate
    _pace(gate.site.paces.sign_ins.take(neighbourhood(address_of(request)), gate.site.clock.utc_ms()))


def end_own_session(request: Request) -> None:
    """The session that this browser carries is over, if there is one."""
    gate: Gate = request.app.state.gate
    door, now_ms = gate.site.door, gate.site.clock.utc_ms()
    secret = door.carried(request, SESSION)
    if not secret:
        return
    with gate.site.writing() as store:
        found = session_of(store, secret, now_ms, door.lasting)
        if found is not None:
            end_session(store, found[1].email, found[0].id, now_ms)


def _require_own_page(request: Request) -> None:
    """Raises Closed with 403 where a page of another site asks in somebody's name."""
    gate: Gate = request.app.state.gate
    if not from_own_page(request, gate.site.door.url):
        raise Closed(403, "this was asked by a page of another site, and nothing was done")


def wants_page(request: Request) -> bool:
    """Whether a person's browser asks for a page, and not for data."""
    path = request.url.path
    data = path.startswith("/api/") or path.endswith((".json", ".csv"))
    return not data and "text/html" in request.headers.get("accept", "")


async def _shut(request: Request, error: Exception) -> Response:
    assert isinstance(error, Closed)
    if wants_page(request):
        if error.status_code == 401:
            asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            after = f"?next={quote(asked, safe='/')}" if request.method == "GET" and asked != "/" else ""
            return RedirectResponse(f"/sign-in{after}", 303)
        explained = request.app.exception_handlers.get(StarletteHTTPException)
        if explained is not None:
            page: Response = await explained(request, error)
            return page
    return problem(error.status_code, str(error.detail), dict(error.headers or {}))


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A refusal as RFC 9457 writes it."""
    challenge = {"WWW-Authenticate": 'Bearer realm="meterseal"'} if status == 401 else {}
    return JSONResponse(
        {
            "type": "about:blank",
            "title": TITLES.get(status, HTTPStatus(status).phrase.lower()),
            "status": status,
            "detail": detail,
        },
        status_code=status,
        headers=challenge | dict(headers or {}),
        media_type="application/problem+json",
    )
