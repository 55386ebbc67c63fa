"""One page of the console: the same facts for people, for programs as JSON, for spreadsheets as CSV."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.background import BackgroundTask

from cloud_collector.access.viewer import Deed, Viewer
from cloud_collector.store.store import Store
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.shell import fields, page
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Table
from shared.errors import MetersealError

NAV: Final = (
    ("Overview", "/"),
    ("Fleet", "/gateways"),
    ("Devices", "/devices"),
    ("Accounts", "/accounts"),
    ("Contracts", "/contracts"),
    ("Billing", "/billing"),
    ("Invoices", "/invoices"),
    ("Warnings", "/warnings"),
    ("Alarms", "/alarms"),
    ("Unmatched", "/unmatched"),
    ("Audit log", "/audit"),
)
SAID: Final = "said"
"""The cookie that carries one sentence from a deed to the page after it."""
_SAID_SECONDS: Final = 60
_TEXT_MAX: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a page is asked for."""

    request: Request
    whole: bool = False
    """Everything, as a spreadsheet wants it, and not one screenful."""
    waits: bool = False
    """Also for what takes long: a program does, and so does a page that asks for what it was shown without."""

    def text(self, name: str) -> str:
        """What the address says of this; bounded."""
        return self.request.query_params.get(name, "")[:_TEXT_MAX].strip()

    def part(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def also(self, **other: str) -> str:
        """This page's address with some of what it asks for replaced; what is empty goes."""
        kept = {**dict(self.request.query_params), **other}
        asked = urlencode({name: value for name, value in kept.items() if value})
        return f"{self.request.url.path}?{asked}" if asked else self.request.url.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What a page says; `data` is its JSON, `table` its CSV, `told` what its template needs beside them."""

    title: str
    data: object
    table: Table
    template: str = "console/table.html"
    told: Mapping[str, Any] = field(default_factory=dict)
    of: frozenset[str] = frozenset()
    """The accounts whose data it shows, each of which learns that it was looked at; empty: nobody's own."""


Build = Callable[[Look, Ask], Screen]


class NotThere(MetersealError):
    """There is nothing of that name."""


def web_path(*parts: str) -> str:
    """An address whose parts are names that people gave."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def serve(router: APIRouter, site: Site, path: str, build: Build) -> None:
    """The page at `path`, its JSON at `path.json` and its CSV at `path.csv`; those of `/` are called `/overview`."""

    def made(request: Request, *, whole: bool = False, data: bool = False) -> tuple[Screen, Moment]:
        waits = data or request.query_params.get("wait") == "true"
        with site.look() as look:
            try:
                screen, moment = build(look, Ask(request=request, whole=whole, waits=waits)), look.moment
            except NotThere as error:
                raise gate.Closed(404, str(error)) from None
        for account in sorted(screen.of):
            looked(site, request, request.state.viewer, account, f"console: {screen.title}")
        return screen, moment

    def as_json(request: Request) -> Response:
        return JSONResponse(plain(made(request, data=True)[0].data))

    def as_csv(request: Request) -> Response:
        return Response(made(request, whole=True, data=True)[0].table.csv(), media_type="text/csv; charset=utf-8")

    def as_page(request: Request) -> Response:
        screen, moment = made(request)
        return show(request, screen, moment)

    # These first: `/gateways/{name}` would take `x.json` for a name.
    twin = "/overview" if path == "/" else path
    router.add_api_route(f"{twin}.json", as_json, methods=["GET"], include_in_schema=False)
    router.add_api_route(f"{twin}.csv", as_csv, methods=["GET"], include_in_schema=False)
    router.add_api_route(path, as_page, methods=["GET"], include_in_schema=False)


def show(request: Request, screen: Screen, moment: Moment, status: int = 200) -> Response:
    """The screen as a page of the console."""
    said = unquote(request.cookies.get(SAID, ""))[:_TEXT_MAX]
    told = {
        "screen": screen,
        "table": screen.table,
        "viewer": request.state.viewer,
        "said": said.partition(" ")[2],
        "said_well": said.startswith("done "),
        **screen.told,
    }
    answer = page(request, screen.template, title=screen.title, nav=NAV, moment=moment, told=told, status=status)
    if said:
        answer.delete_cookie(SAID, samesite="lax", httponly=True)
    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A form that was sent, by whom, and when."""

    request: Request
    form: Mapping[str, str]
    viewer: Viewer
    now_ms: int

    def text(self, name: str) -> str:
        """What was filled in; bounded."""
        return self.form.get(name, "")[:_TEXT_MAX].strip()

    def part(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Did:
    """What came of it: a sentence, the page that shows it, and what the audit log keeps; nothing where empty."""

    told: str
    to: str
    what: str = ""
    account: str = ""
    well: bool = True
    then: Callable[[], None] | None = None
    """What goes on once the answer is out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sure:
    """What somebody is asked before a deed that cannot be undone."""

    title: str
    facts: Sequence[str]
    """What the deed would do, a sentence each."""
    label: str
    """What stands on the button that does it."""
    command: str


Do = Callable[[Store, Asked], Did]
Weigh = Callable[[Look, Asked], Sure]
SURE: Final = "sure"
"""The field by which a form says that its question was answered."""


def act(router: APIRouter, site: Site, path: str, deed: Deed, do: Do, *, back: str, weigh: Weigh | None = None) -> None:
    """A form's address: the deed is done and kept in the audit log, and the page at `back` says what came of it.

    With `weigh` it is done the second time only: the first is answered by a page that says what it would do, and asks.
    What is refused changes nothing and says why at `back` as well. It works without a script.
    """

    async def form_of(request: Request) -> Mapping[str, str]:
        return await fields(request)

    def done(request: Request, form: Mapping[str, str], found: Viewer) -> Response:
        gate.must(found, deed)
        asked = Asked(request=request, form=form, viewer=found, now_ms=site.clock.utc_ms())
        if weigh is not None and form.get(SURE) != "yes":
            with site.look() as look:
                return _question(request, weigh(look, asked), form, look.moment, back)
        with site.writing() as store:
            try:
                did = do(store, asked)
            except NotThere as error:
                raise gate.Closed(404, str(error)) from None
            except MetersealError as error:
                parts = {name: quote(str(value), safe="/") for name, value in request.path_params.items()}
                did = Did(told=str(error), to=back.format(**parts), well=False)
            if did.what:
                with store.atomic():
                    gate.record(request, deed, did.what, account=did.account, store=store)
        return _go(did)

    router.add_api_route(path, _posted(form_of, done), methods=["POST"], include_in_schema=False)


def _question(request: Request, sure: Sure, form: Mapping[str, str], moment: Moment, back: str) -> Response:
    nothing = Table(title=sure.title, path="", command=sure.command, empty="", columns=(), rows=())
    kept = {name: value for name, value in form.items() if name != SURE}
    told = {"sure": sure, "kept": kept, "back": back, "path": request.url.path}
    return show(
        request, Screen(title=sure.title, data=None, table=nothing, template="console/sure.html", told=told), moment
    )


def _posted(form_of: Callable[..., Any], done: Callable[..., Response]) -> Callable[..., Any]:
    def post(request: Request, found: gate.Operating, form: Mapping[str, str] = Depends(form_of)) -> Response:
        return done(request, form, found)

    return post


def _go(did: Did) -> Response:
    later = None if did.then is None else BackgroundTask(did.then)
    answer = RedirectResponse(did.to, status_code=303, background=later)
    said = quote(f"{'done' if did.well else 'refused'} {did.told}"[:_TEXT_MAX])
    answer.set_cookie(SAID, said, max_age=_SAID_SECONDS, samesite="lax", httponly=True)
    return answer


def plain(value: Any) -> Any:
    """The value as JSON has it: money as decimal text, instants as RFC 3339 in UTC, records as objects."""
    if hasattr(value, "to_json"):
        return plain(value.to_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    match value:
        case Enum():
            return value.value
        case Decimal():
            return f"{value:f}"
        case date() if not isinstance(value, datetime):
            return value.isoformat()
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case set() | frozenset():
            return sorted(plain(each) for each in value)
        case _:
            return value
