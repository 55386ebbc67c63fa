"""P20: every route of the application, walked by those who must not come through it, and by those who may.

What is expected follows from the route itself: whom it asks for, and whose things its path names. A route that cannot
be judged so fails here, and says what it lacks.
"""

import asyncio
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import FastAPI

from cloud_collector.access import trail
from cloud_collector.access.pace import Pace, Paces
from cloud_collector.access.tokens import revoke_token
from cloud_collector.access.viewer import ALLOWED, Deed, Role
from cloud_collector.billing.disputes import Complaint, open_dispute
from cloud_collector.insight.grounds import line_id
from cloud_collector.rating.draft import BookingKey, LineKind
from cloud_collector.web import gate
from cloud_collector.web.app import create_app
from cloud_collector.web.gate import SAFE
from cloud_collector.web.site import Site
from tests.api_world import DAY, NOW, filled, site_of
from tests.routes import Path as Route
from tests.routes import every_route
from tests.unit.billing_samples import NOVEMBER, RECEIPT_KEY
from tests.visitors import bare_site, chance_of, token_of

FAR: Final = "192.0.2.7"
OPEN: Final = {
    "/healthz": "whoever keeps the process alive has no name",
    "/readyz": "the same",
    "/openapi.json": "a description, and nothing of anybody's",
    "/api/v1/openapi.json": "the same",
    "/static/{name:path}": "what the package holds",
    "/theme": "a cookie that says light or dark",
    "/sign-in": "where everybody begins",
    "/sign-in/link/{secret}": "the secret says who it is",
    "/sign-in/provider": "leads to the provider",
    "/sign-in/provider/back": "the provider says who it is",
    "/sign-out": "ends what the browser carries",
}
"""Routes that ask nobody's name, and why."""
ENERGY_LINE: Final = BookingKey(
    contract="acme-chargers", charge="Energy", kind=LineKind.USAGE, device="", window="", segment_start=NOVEMBER
)
ANYBODYS: Final = {
    "checkpoint": "2",
    "form": "json",
    "kind": "json",
    "name": "style.css",
    "id": "0123456789abcdef",
    "secret": "none",
    "revision": "1",
    "run": "1",
    "day": "2026-10-05",
    "meter": "energy",
    "log": "main",
    "epoch": "5f2c91aa",
    "seq": "3",
    "place": "3",
    "line": line_id(ENERGY_LINE),
}
"""What stands in a path and is nobody's own, or is named beside what is."""
OWNED: Final = {
    "account": ("acme", "beta"),
    "contract": ("acme-chargers", "beta-chargers"),
    "gateway": ("roof-1", "roof-2"),
    "device": ("sdm630-1", "sdm630-1"),
    "number": ("INV-1", "INV-2"),
    "warning": ("1", "2"),
    "webhook": ("acme-bot", "everyone"),
    "delivery": ("1", "2"),
    "dispute": ("1", "2"),
}
"""What stands in a path and is an account's: acme's, and somebody else's."""
NEEDS: Final[Mapping[str, str]] = {
    "/api/v1/checkpoints/{checkpoint}/inclusion": "number=INV-1",
    "/api/v1/checkpoints/{checkpoint}/consistency": "older=1",
}
"""Without these questions a route has nothing to answer."""
BODIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "/api/v1/invoices/{number}/disputes": {"why": "Why?"},
    "/api/v1/disputes/{dispute}/words": {"said": "Because."},
    "/api/v1/contracts/{contract}/thresholds": {"budget": "9.50"},
    "/api/v1/accounts/{account}/deletions": {"until": "2026-01-01"},
    "/api/v1/webhooks": {"name": "fresh-bot", "url": "https://bot.example/fresh", "account": "acme"},
    "/api/v1/devices/{gateway}/{device}/state": {"word": "suspend", "reason": "a test"},
    "/api/v1/invoices/{number}/void": {"reason": "a test"},
    "/api/v1/unmatched/accept": {"name": "roof-3", "words": "acid bird"},
    "/api/v1/unmatched/assign": {"name": "late-10/sdm630-1", "contract": "acme-chargers"},
    "/api/v1/unmatched/block": {"name": "roof-3"},
    "/api/v1/unmatched/unblock": {"name": "roof-3"},
}
"""By path: what a route that changes something takes, so that it comes to ask whether one may."""
WHOLE_CATALOG: Final = "/evidence", "/evidence.zip", "/verify.html", "/{form}"
"""Evidence holds the catalog byte for byte (wire.md, section 7), and so the names of everybody in it."""
DRY: Final = {"/api/v1/catalog/what-if": "a question too long for an address"}
"""Routes that are posted to and change nothing."""
SELF: Final = {"/sessions/{id}/end": "one's own sessions, which a token has none of"}
"""Routes that change something and ask for no deed, because it is the viewer's alone."""


class Kind(StrEnum):
    """Whom a route asks for."""

    OPEN = "open"
    KNOWN = "known"
    OWNED = "owned"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class World:
    """The application, and what each visitor sends along."""

    app: FastAPI
    visitors: Mapping[str, Mapping[str, str]]
    site: Site
    loop: asyncio.Runner
    """One for all: thousands of requests need no loop and no threads of their own."""

    def ask(self, method: str, route: Route, whose: int, visitor: str, accept: str = "application/json") -> Answer:
        headers = {"Accept": accept, **self.visitors[visitor]}
        return self.loop.run(asked(self.app, method, route, whose, headers))


def kind_of(route: Route) -> Kind:
    if gate.operator in route.asks:
        return Kind.OPERATOR
    if gate.viewer in route.asks:
        return Kind.OWNED if set(route.parameters) & set(OWNED) else Kind.KNOWN
    return Kind.OPEN


async def asked(app: FastAPI, method: str, route: Route, whose: int, headers: Mapping[str, str]) -> Answer:
    """One request, as ASGI has it; of a stream of events no more than that it begins."""
    path = route.path.removesuffix("{form}") + "csv" if route.path.endswith(".{form}") else route.path
    path = re.sub(r"{(\w+)(:path)?}", lambda found: sample(found[1], whose), path)
    content = b"" if method in SAFE else json.dumps(BODIES.get(route.path, {})).encode()
    told = {"host": "meter.example", "content-type": "application/json", "content-length": str(len(content)), **headers}
    if not route.path.startswith("/api/") and method not in SAFE:
        content, told["content-type"], told["content-length"] = b"", "application/x-www-form-urlencoded", "0"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": NEEDS.get(route.path, "").encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in told.items()],
        "client": (FAR, 40_000),
        "server": ("meter.example", 443),
    }
    started: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    body = bytearray()
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": content, "more_body": False}
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            started.set_result(message)
        else:
            body.extend(message.get("body", b""))

    task = asyncio.ensure_future(app(scope, receive, send))
    await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED, timeout=30)
    if not started.done():
        task.result()
    head = started.result()
    found = {name.decode().lower(): value.decode() for name, value in head["headers"]}
    if "event-stream" in found.get("content-type", ""):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    else:
        await asyncio.wait_for(task, 30)
    return Answer(head["status"], found, bytes(body))


def sample(parameter: str, whose: int) -> str:
    if parameter in OWNED:
        return OWNED[parameter][whose]
    assert parameter in ANYBODYS, (
        f"nobody knows what stands for {{{parameter}}}: if it is an account's, put acme's and beta's into OWNED, "
        "else one that there is into ANYBODYS"
    )
    return ANYBODYS[parameter]


@cache
def _routes() -> tuple[Route, ...]:
    """Those of an application over nothing: routes do not depend on what is in the store."""
    return tuple(every_route(create_app(bare_site(Path("/nowhere")))))


def cases() -> list[Any]:
    return [
        pytest.param(method, route, id=f"{method} {route.path}")
        for route in _routes()
        for method in sorted(route.methods - {"HEAD", "OPTIONS"})
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("routes")
    archive = filled(folder / "first.db")
    shutil.copyfile(folder / "first.db", folder / "collector.db")
    often = {name: Pace(at_once=10**9, each_ms=1, names=10) for name in ("addresses", "viewers", "guesses", "sign_ins")}
    site = replace(
        site_of(folder / "collector.db", archive, now=NOW + 2 * DAY),
        local_operator=False,
        paces=Paces(**often),
        key=RECEIPT_KEY.public,
    )
    customer = ALLOWED[Role.CUSTOMER]
    yesterday = site_of(folder / "collector.db", archive, now=NOW)
    visitors: dict[str, Mapping[str, str]] = {
        "nobody": {},
        "revoked": token_of(site, "revoked", scopes=ALLOWED[Role.OPERATOR]),
        "expired": token_of(yesterday, "expired", scopes=ALLOWED[Role.OPERATOR], days=1),
        "forged": {"Authorization": "Bearer ms_" + "A" * 43},
        "acme": token_of(site, "acme", scopes=customer, accounts=["acme"]),
        "beta": token_of(site, "beta", scopes=customer, accounts=["beta"]),
        "some": token_of(site, "some", scopes=ALLOWED[Role.OPERATOR], accounts=["beta"]),
        "auditor": token_of(site, "auditor", scopes=ALLOWED[Role.AUDITOR]),
        "blind": token_of(site, "blind", scopes=[Deed.INGEST]),
    }
    with site.writing() as store:
        assert revoke_token(store, "revoked", now_ms=NOW * 1000)
        for account, number in (("acme", "INV-1"), ("beta", "INV-2")):
            open_dispute(store, _complaint(account, number), now_ms=NOW * 1000)
    with asyncio.Runner() as loop:
        yield World(create_app(site), visitors, site, loop)


def _complaint(account: str, number: str) -> Complaint:
    return Complaint(
        account=account, number=number, place=1, amount="1 EUR", why="Why?", evidence=b"", holds=True, who="somebody"
    )


@pytest.mark.parametrize(("method", "route"), cases())
def test_a_route_asks_who_is_there_or_says_why_not(method: str, route: Route) -> None:
    """P20: a route without the gate is one that somebody has thought about."""
    del method
    if kind_of(route) is Kind.OPEN:
        assert route.path in OPEN, f"{route.path} asks nobody's name: take gate.Asking or gate.Operating"
    else:
        assert route.path not in OPEN, f"{route.path} stands among the open routes and is none"


def test_what_is_said_of_routes_is_said_of_routes_that_there_are() -> None:
    paths = {route.path for route in _routes()}
    assert {*OPEN, *NEEDS, *BODIES, *SELF, *DRY} <= paths


@pytest.mark.parametrize(("method", "route"), cases())
def test_nobody_comes_through(world: World, method: str, route: Route) -> None:
    """P20: neither without a name, nor with a token that was revoked, has ended, or never was."""
    for visitor in ("nobody", "revoked", "expired", "forged"):
        answer = world.ask(method, route, 0, visitor)
        if kind_of(route) is Kind.OPEN:
            assert answer.status not in {401, 500}, f"{method} {route.path} answers {visitor} with {answer.status}"
            continue
        assert answer.status == 401, f"{method} {route.path} answers {visitor} with {answer.status}"
        assert answer.headers["content-type"] == "application/problem+json"
        assert not re.search(rb"acme|roof-1", answer.body), f"{method} {route.path} tells {visitor} of acme"
    if kind_of(route) is not Kind.OPEN and method == "GET" and not route.path.startswith("/api/"):
        page = world.ask(method, route, 0, "nobody", "text/html")
        data = route.path.endswith((".json", ".csv"))
        assert page.status == (401 if data else 303)


@pytest.mark.parametrize(("method", "route"), cases())
def test_a_foreign_account_neither_sees_nor_does_anything(world: World, method: str, route: Route) -> None:
    """P20: the operator's pages are closed, and what is acme's is as what there is not."""
    for visitor in ("beta", "some"):
        answer = world.ask(method, route, 0, visitor)
        match kind_of(route):
            case Kind.OPERATOR:
                assert answer.status == 403, f"{method} {route.path} answers {visitor} with {answer.status}"
            case Kind.OWNED:
                assert answer.status == 404, f"{method} {route.path} answers {visitor} with {answer.status}"
                nothing = gate.NOT_THERE if route.path.startswith("/api/") else None
                assert nothing is None or json.loads(answer.body)["detail"] == nothing
            case _:
                assert answer.status not in {401, 500}, f"{method} {route.path} answers {visitor} with {answer.status}"
        if method == "GET" and route.path not in OPEN:
            assert not re.search(rb"acme|roof-1", answer.body), f"{route.path} tells {visitor} of acme"


@pytest.mark.parametrize(("method", "route"), cases())
def test_a_customer_comes_to_what_is_his_and_to_no_page_of_the_operators(
    world: World, method: str, route: Route
) -> None:
    answer = world.ask(method, route, 0, "acme")
    kind = kind_of(route)
    if kind is Kind.OPERATOR:
        assert answer.status == 403, f"{method} {route.path} answers {answer.status}"
    elif kind is Kind.OWNED and method == "GET":
        assert answer.status in {200, 303}, f"{method} {route.path} answers {answer.status}: {answer.body[:200]!r}"
    else:
        assert answer.status < 500
        assert answer.status != 401
    if method == "GET" and kind is not Kind.OPEN and not route.path.endswith(WHOLE_CATALOG):
        assert not re.search(rb"\bbeta\b|roof-2", answer.body, re.IGNORECASE), f"{route.path} tells acme of beta"


@pytest.mark.parametrize(("method", "route"), cases())
def test_an_auditor_reads_everything_and_changes_nothing(world: World, method: str, route: Route) -> None:
    answer = world.ask(method, route, 0, "auditor")
    if kind_of(route) is Kind.OPEN:
        return
    if method in SAFE:
        assert answer.status in {200, 303}, f"{method} {route.path} answers {answer.status}: {answer.body[:200]!r}"
    elif route.path in SELF:
        assert answer.status == 404
    elif route.path in DRY:
        assert answer.status < 500
        assert answer.status not in {401, 403}
    else:
        assert answer.status == 403, (
            f"{method} {route.path} answers an auditor with {answer.status}: it asks `gate.must` for a deed before "
            f"anything else; give a body that it takes in BODIES if it is 422. {answer.body[:200]!r}"
        )


@pytest.mark.parametrize(("method", "route"), [each for each in cases() if each.values[0] == "GET"])
def test_who_reads_what_is_an_accounts_stands_in_the_list_of_who_looked(
    world: World, method: str, route: Route
) -> None:
    """The customer's own list: nothing is beside it, no stream of events either; and nothing here answers HEAD."""
    if gate.viewer not in route.asks or not (set(route.parameters) & set(OWNED)) - {"gateway"}:
        return
    assert "HEAD" not in route.methods
    reader = f"reader-{chance_of(route.path).hex()[:16]}"
    known = token_of(world.site, reader, scopes=ALLOWED[Role.AUDITOR])
    counts = []
    for _ in range(2):
        assert world.loop.run(asked(world.app, method, route, 0, known)).status in {200, 303}
        with world.site.open_store() as store:
            kept = trail.entries(store, account="acme", who=f"token {reader}", limit=9)
        counts.append(len(kept))
    assert counts[0] == 1, f"{route.path} is read, and acme is told nothing of it"
    assert counts[1] == (1 if kept[0].deed == Deed.READ else 2), "within the hour it is one look, and each file is one"


@pytest.mark.parametrize(("method", "route"), cases())
def test_a_token_that_may_only_deliver_reads_nothing(world: World, method: str, route: Route) -> None:
    if kind_of(route) is Kind.OPEN or method not in SAFE:
        return
    answer = world.ask(method, route, 0, "blind")
    assert answer.status == 403, f"{method} {route.path} answers {answer.status}"
