"""Signing in by a link in an e-mail or by an OpenID provider, signing out, and where one is signed in; no script."""

import logging
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.background import BackgroundTask

from cloud_collector.access import trail
from cloud_collector.access.browsers import browser_words
from cloud_collector.access.pace import Pace
from cloud_collector.access.people import Person, PersonRefused, email_of, person_of
from cloud_collector.access.secret import SECRET_BYTES
from cloud_collector.access.sessions import begin_session, end_session, id_of, offer_link, sessions_of, take_link
from cloud_collector.access.viewer import Deed, Means, Role, Viewer
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.limits import LINK_SECONDS, LINKS_AT_ONCE_MAX, NAMES_PACED_MAX
from cloud_collector.notify.letter import NoAddress
from cloud_collector.notify.post import Fate
from cloud_collector.notify.sign_in_letter import sign_in_letter
from cloud_collector.store.store import Store
from cloud_collector.web import gate, shell
from cloud_collector.web.door import Door, NotProven, Proven, Provider, inside
from cloud_collector.web.site import Moment, Site
from cloud_collector.web.table import Cell, Column, Table
from shared.errors import DatabaseError

_log: Final = logging.getLogger(__name__)
TRY: Final = "oidc"
TRY_SECONDS: Final = 600
SESSION_KEYS: Final = ("id", "way", "browser", "begun_at", "seen_at", "ends_at")
Slowly = Annotated[None, Depends(gate.slowly)]
OwnPage = Annotated[None, Depends(gate.own_page)]


def routes(site: Site) -> APIRouter:
    """The pages around the door."""
    router = APIRouter(include_in_schema=False)
    _links(router, site)
    _provider(router, site)
    _sessions(router, site)
    return router


def _links(router: APIRouter, site: Site) -> None:
    mailed = Pace(at_once=LINKS_AT_ONCE_MAX, each_ms=LINK_SECONDS * 1_000, names=NAMES_PACED_MAX)

    @router.get("/sign-in")
    def ask(request: Request) -> Response:
        return _page(request, site, "sign_in.html", "Sign in", leads_to=inside(request.query_params.get("next", "")))

    @router.post("/sign-in")
    async def send(request: Request, _slowly: Slowly, _own: OwnPage) -> Response:
        told = await shell.fields(request)
        answer = _page(request, site, "sign_in_sent.html", "Look into your e-mail")
        # Looked up and sent after the answer: neither its words nor its time say whether the address is known.
        answer.background = BackgroundTask(_mail, site, mailed, told.get("email", ""), inside(told.get("leads_to", "")))
        return answer

    @router.get("/sign-in/link/{secret}")
    def show(request: Request, secret: str) -> Response:
        del secret
        # Nothing is looked up: a scanner that follows the link neither uses it nor learns anything.
        return _page(request, site, "sign_in_confirm.html", "Sign in")

    @router.post("/sign-in/link/{secret}")
    def confirm(request: Request, secret: str, _slowly: Slowly, _own: OwnPage) -> Response:
        with site.writing() as store:
            found = take_link(store, secret, site.clock.utc_ms())
            if found is None:
                why = "This link was used before, or its time is over. Ask for another one."
                return _page(request, site, "sign_in.html", "Sign in", why=why, status=410)
            person, leads_to = found
            return _signed_in(request, site, store, person.email, "link", leads_to)


def _provider(router: APIRouter, site: Site) -> None:
    door = site.door

    def there() -> Provider:
        if door.provider is None:
            raise gate.Closed(404, gate.NOT_THERE)
        return door.provider

    @router.get("/sign-in/provider")
    def begin(request: Request, _slowly: Slowly) -> Response:
        # A link and no form: browsers apply this page's form-action to where a form is redirected, too.
        leads_to = inside(request.query_params.get("next", ""))
        with site.writing() as store:
            found = there().begin(store, leads_to, chance=door.chance, now_ms=site.clock.utc_ms())
        if isinstance(found, NotProven):
            return _page(request, site, "sign_in.html", "Sign in", why=found.why, leads_to=leads_to, status=502)
        elsewhere, state = found
        answer = RedirectResponse(elsewhere, 303)
        door.hand(answer, TRY, state, seconds=TRY_SECONDS)
        return answer

    @router.get("/sign-in/provider/back")
    def back(request: Request, _slowly: Slowly) -> Response:
        provider = there()
        with site.writing() as store:
            found = provider.finish(
                store, dict(request.query_params), door.carried(request, TRY), now_ms=site.clock.utc_ms()
            )
            match found:
                case Proven(email=email, leads_to=leads_to) if person_of(store, email) is not None:
                    answer = _signed_in(request, site, store, email, "oidc", leads_to)
                case Proven(email=email):
                    why = f"{provider.name} knows you as {email}, and nobody has let that address in here."
                    answer = _page(request, site, "sign_in.html", "Sign in", why=why, status=403)
                case NotProven(why=why):
                    answer = _page(request, site, "sign_in.html", "Sign in", why=why, status=403)
        door.take(answer, TRY)
        return answer


def _sessions(router: APIRouter, site: Site) -> None:
    door = site.door

    def mine(store: Store, viewer: Viewer) -> list[dict[str, Any]]:
        return [each.to_json() for each in sessions_of(store, viewer.name, site.clock.utc_ms(), door.lasting)]

    @router.get("/sign-out")
    def ask(request: Request) -> Response:
        return _page(request, site, "sign_out.html", "Sign out")

    @router.post("/sign-out")
    def leave(request: Request, _own: OwnPage) -> Response:
        gate.end_own_session(request)
        answer = RedirectResponse("/sign-in", 303)
        door.take(answer, gate.SESSION)
        return answer

    @router.get("/sessions")
    def show(request: Request, viewer: gate.Asking) -> Response:
        here = id_of(door.carried(request, gate.SESSION))
        with site.look() as look:
            found = [
                each | {"words": browser_words(each["browser"]), "here": each["id"] == here}
                for each in mine(look.store, viewer)
            ]
            title = "Where you are signed in"
            return _page(request, site, "sessions.html", title, sessions=found, who=viewer, moment=look.moment)

    @router.get("/sessions.json")
    def listed(viewer: gate.Asking) -> Response:
        with site.open_store() as store:
            return JSONResponse(mine(store, viewer))

    @router.get("/sessions.csv")
    def sheet(viewer: gate.Asking) -> Response:
        with site.open_store() as store:
            return Response(_sheet(mine(store, viewer)).csv(), media_type="text/csv; charset=utf-8")

    @router.post("/sessions/{id}/end")
    def end(id: str, viewer: gate.Asking) -> Response:  # noqa: A002 (the path's word)
        with site.writing() as store:
            if viewer.means is not Means.SESSION or not end_session(store, viewer.name, id, site.clock.utc_ms()):
                raise gate.Closed(404, gate.NOT_THERE)
        return RedirectResponse("/sessions", 303)


def _sheet(sessions: list[dict[str, Any]]) -> Table:
    columns = tuple(Column(title=name, key=name) for name in SESSION_KEYS)
    rows = tuple(tuple(Cell(text=each[name], value=each[name]) for name in SESSION_KEYS) for each in sessions)
    return Table(title="Sessions", path="/sessions", command="", empty="", columns=columns, rows=rows)


def _signed_in(request: Request, site: Site, store: Store, email: str, way: str, leads_to: str) -> Response:
    person = person_of(store, email)
    assert person is not None, "looked up in this request"
    door, now_ms = site.door, site.clock.utc_ms()
    # Whatever the browser carried before is over: nobody can have it keep a session that he knows.
    gate.end_own_session(request)
    secret = begin_session(
        store,
        person.email,
        way=way,
        agent=request.headers.get("user-agent", ""),
        chance=door.chance(SECRET_BYTES),
        now_ms=now_ms,
        lasting=door.lasting,
    )
    trail.enter(store, person.viewer(Means.SESSION), Deed.READ, f"signed in by {way}", now_ms=now_ms)
    answer = RedirectResponse(leads_to or ("/portal" if person.role is Role.CUSTOMER else "/"), 303)
    door.hand(answer, gate.SESSION, secret, seconds=door.lasting.whole_ms // 1000)
    return answer


def _mail(site: Site, mailed: Pace, address: str, leads_to: str) -> None:
    """A link is on its way to the person of this address, if there is one."""
    door, now_ms = site.door, site.clock.utc_ms()
    if door.post is None or not door.url:
        return
    try:
        email = email_of(address)
        with site.open_store() as store:
            person = person_of(store, email)
            locale = None if person is None else _locale(store, person)
        if person is None or mailed.take(email, now_ms):
            return
        with site.writing() as store:
            secret = offer_link(
                store,
                email,
                leads_to,
                chance=door.chance(SECRET_BYTES),
                now_ms=now_ms,
                lasts_ms=door.link_minutes * 60_000,
            )
        message = sign_in_letter(
            link_of(door, secret),
            site=door.site,
            minutes=door.link_minutes,
            locale=locale,
            sender=door.sender,
            recipient=email,
            now_ms=now_ms,
        )
        outcome = door.post(message)
    except PersonRefused:
        return
    except (DatabaseError, NoAddress) as error:
        _log.warning('event=sign_in_link_not_mailed why="%s"', error)
        return
    if outcome.fate is not Fate.SENT:
        _log.warning('event=sign_in_link_not_mailed why="%s"', outcome.why)


def _locale(store: Store, person: Person) -> str | None:
    """How the person reads: as his first account does; the operator's people read English."""
    try:
        held = revisions(store)[-1].catalog.accounts
    except NoCatalog:
        return None
    mine = [held[name].locale for name in sorted(person.accounts or ()) if name in held]
    return mine[0] if mine else None


def link_of(door: Door, secret: str) -> str:
    """Where the button is that signs in."""
    return f"{door.url.rstrip('/')}/sign-in/link/{secret}"


def _page(
    request: Request,
    site: Site,
    template: str,
    title: str,
    *,
    why: str = "",
    leads_to: str = "",
    sessions: list[dict[str, Any]] | None = None,
    who: Viewer | None = None,
    status: int = 200,
    moment: Moment | None = None,
) -> Response:
    door = site.door
    told: Mapping[str, Any] = {
        "why": why,
        "leads_to": leads_to,
        "sessions": sessions or [],
        "viewer": who,
        "minutes": door.link_minutes,
        "site": door.site,
        "by_mail": door.post is not None and bool(door.url),
        "provider": door.provider.name if door.provider is not None else "",
    }
    moment = moment or Moment(now_ms=site.clock.utc_ms(), zone="UTC")
    return shell.page(request, template, title=title, nav=(), moment=moment, told=told, status=status)
