"""What pages show and do, programs get over the API: each route of the pages names the operations that give the same.

The pages are those of the routes: a new one fails here until it stands in one of the tables. And what a page's JSON
says is looked for in what those operations answer, figure by figure.
"""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import pytest

from cloud_collector.web.api import PATH
from tests.console_operations import CONSOLE, ELSEWHERE, Same, same
from tests.unit import test_every_route
from tests.unit.test_every_route import NEEDS, World, _routes, sample
from tests.visitors import THERE, ask

world = test_every_route.world
"""The filled store, made once for this file."""


WORDS: Final = "in words: `estimated`, `gap_seconds`, `deleted`, `why` say it"
JOINED: Final = "its parts are told one by one"
PORTAL: Final[Mapping[str, Same | str]] = {
    "GET /portal": same("GET /accounts", page="where it leads"),
    "GET /portal/{account}": same(
        "GET /accounts/{account}/cost", "GET /accounts/{account}/ended", "GET /contracts/{contract}/days"
    ),
    "GET /portal/{account}/live": "the figures of the month's page, as that page fetches them",
    "GET /portal/{account}/events": same("GET /accounts/{account}/events"),
    "GET /portal/{account}/cost/{contract}": same("GET /contracts/{contract}/cost/lines"),
    "GET /portal/{account}/cost/{contract}/{line}": same("GET /contracts/{contract}/cost/lines/{line}", epoch=JOINED),
    "GET /portal/{account}/days/{day}": same("GET /accounts/{account}/days/{day}", state=WORDS),
    "GET /portal/{account}/days/{day}/{gateway}/{device}/{meter}": same(
        "GET /accounts/{account}/days/{day}/{gateway}/{device}/{meter}", why=WORDS, line=JOINED
    ),
    "GET /portal/{account}/usage/{gateway}/{device}/{meter}": same(
        "GET /accounts/{account}/usage/{gateway}/{device}/{meter}", state=WORDS
    ),
    "GET /portal/{account}/lines/{gateway}/{log}/{epoch}/{seq}": same(
        "GET /accounts/{account}/lines/{gateway}/{log}/{epoch}/{seq}",
        received_at_ms="`received_at`, an instant as everywhere in the API",
    ),
    "GET /portal/{account}/devices": same("GET /accounts/{account}/cost", used="true or false"),
    "GET /portal/{account}/devices/{gateway}/{device}": same("GET /accounts/{account}/devices/{gateway}/{device}"),
    "GET /portal/{account}/disputes": same("GET /disputes"),
    "GET /portal/{account}/disputes/{dispute}": same("GET /disputes/{dispute}"),
    "POST /portal/{account}/disputes/{dispute}": same("POST /disputes/{dispute}/words"),
    "GET /portal/{account}/disputes/{dispute}/copy": same("GET /disputes/{dispute}/copy"),
    "GET /portal/{account}/invoices/{number}/dispute": "the form of what is sent next: it says nothing",
    "POST /portal/{account}/invoices/{number}/dispute": same("POST /invoices/{number}/disputes"),
    "POST /portal/{account}/disputes/{dispute}/credit": same("POST /disputes/{dispute}/credit"),
    "POST /portal/{account}/disputes/{dispute}/rebill": same("POST /disputes/{dispute}/rebill"),
    "GET /portal/{account}/invoices": same("GET /invoices", check="where it is checked"),
    "GET /portal/{account}/invoices/{number}": same("GET /invoices/{number}", "GET /invoices/{number}/{form}"),
    "GET /portal/{account}/invoices/{number}/lines/{place}": same(
        "GET /invoices/{number}/lines/{place}", reads="`counters`, with a name for each", epoch=JOINED
    ),
    "GET /portal/{account}/invoices/{number}/check": same("GET /invoices/{number}/check"),
    "GET /portal/{account}/invoices/{number}/evidence.zip": same("GET /invoices/{number}/evidence"),
    "GET /portal/{account}/invoices/{number}/verify.html": "a page that holds the same evidence and checks it offline",
    "GET /portal/{account}/invoices/{number}/paper": same("GET /invoices/{number}/{form}"),
    "GET /portal/{account}/invoices/{number}/as/{form}": same("GET /invoices/{number}/{form}"),
    "GET /portal/{account}/warnings": same(
        "GET /warnings", "GET /contracts/{contract}/thresholds", against="`against`, `side` and `percent`"
    ),
    "POST /portal/{account}/warnings/{contract}": same("POST /contracts/{contract}/thresholds"),
    "GET /portal/{account}/data": same(
        "GET /accounts/{account}/data", "GET /accounts/{account}/looks", "GET /accounts/{account}/deletions"
    ),
    "GET /portal/{account}/export.csv": same("GET /accounts/{account}/usage.{form}"),
    "GET /portal/{account}/export.json": "all of an account's pages in one file: each has its operation",
    "GET /portal/{account}/export.zip": "the same with the evidence of every invoice, which has its operation",
    "POST /portal/{account}/deletion": same("POST /accounts/{account}/deletions"),
}
"""What customers see and do."""
EVERY: Final = {**PORTAL, **CONSOLE}


def of_portal() -> list[str]:
    return [name for name in pages() if name.split(" ")[1].startswith("/portal")]


def pages() -> list[str]:
    """Every route that is not the API's, but for the twins of those that are pages."""
    found = {
        f"{method} {route.path}"
        for route in _routes()
        for method in route.methods - {"HEAD", "OPTIONS"}
        if not route.path.startswith("/api/")
    }
    return sorted(found - {f"GET {twin(name)}{form}" for name in found for form in (".json", ".csv")})


def twin(name: str) -> str:
    """What the page is called as data, before its form."""
    path = name.partition(" ")[2]
    return "/overview" if path == "/" else path


def described(world: World) -> dict[str, Any]:
    route = next(each for each in _routes() if each.path == f"{PATH}/openapi.json")
    paths: dict[str, Any] = json.loads(world.ask("GET", route, 0, "auditor").body)["paths"]
    return {f"{method.upper()} {path}": told for path, methods in paths.items() for method, told in methods.items()}


def test_each_page_of_a_customer_has_its_operations_or_a_reason_why_not() -> None:
    assert set(of_portal()) == PORTAL.keys()


def test_each_page_and_deed_of_an_operator_has_its_operations_or_a_reason_why_not() -> None:
    others = {name for name in pages() if not name.split(" ")[1].startswith("/portal")}
    assert others == CONSOLE.keys() | ELSEWHERE.keys(), "a page without an operation: put it into console_operations.py"
    assert not CONSOLE.keys() & ELSEWHERE.keys()


def test_a_page_is_read_by_what_reads_and_a_deed_is_done_by_what_does() -> None:
    """A deed is no page's operation alone, but for a question that is too long for an address."""
    for name, told in EVERY.items():
        if isinstance(told, Same):
            kinds = {each.partition(" ")[0] for each in told.operations if each != "POST /catalog/what-if"}
            assert kinds == {name.partition(" ")[0]}, name


def test_each_operation_that_is_named_is_there(world: World) -> None:
    named = {each for told in EVERY.values() if isinstance(told, Same) for each in told.operations}
    assert named <= described(world).keys()


@pytest.mark.parametrize("name", [name for name, told in EVERY.items() if isinstance(told, Same) and name[0] == "G"])
def test_what_a_page_says_its_operations_say(world: World, name: str) -> None:
    told = EVERY[name]
    assert isinstance(told, Same)
    data = next((each for each in _routes() if each.path == f"{twin(name)}.json"), None)
    if data is None:
        return
    page = json.loads(world.ask("GET", data, 0, "auditor").body)
    said = {value for each in told.operations for _, value in facts(answers(world, each))}
    missing = {where: value for where, value in facts(page) if value not in said and where not in told.otherwise}
    assert not missing, f"{name} says what {', '.join(told.operations)} do not"


def answers(world: World, operation: str) -> list[Any]:
    """What it answers, page by page."""
    path = PATH + operation.removeprefix("GET ")
    if path.endswith("/events") or not operation.startswith("GET "):
        return []
    route = next(each for each in _routes() if each.path == path)
    here = re.sub(r"{(\w+)}", lambda found: sample(found[1], 0), path)
    cursor, found = "", list[Any]()
    while True:
        glue = f"?limit=200&cursor={cursor}" if cursor else f"?limit=200&{NEEDS.get(route.path, '')}"
        answer = ask(world.app, "GET", f"{here}{glue}", headers=dict(world.visitors["auditor"]), at=THERE)
        assert answer.status_code == 200, answer.text
        told = answer.json() if "json" in answer.headers["content-type"] else {}
        found.append(told)
        cursor = told.get("next") or "" if isinstance(told, dict) else ""
        if not cursor:
            return found


def facts(told: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Every figure, instant and word with its name; what is not known is no fact."""
    match told:
        case dict():
            for key, value in told.items():
                yield from facts(value, key)
        case list():
            for value in told:
                yield from facts(value, where)
        case None | bool() | "":
            return
        case _:
            yield where, _plain(told)


def _plain(value: Any) -> Any:
    try:
        return Decimal(str(value)).normalize()
    except InvalidOperation:
        return value
