"""Every page has its JSON and its CSV, says the same in all three, and names the command that says it too.

The pages are those of the routes: a new one fails here until it has all of that, or a reason why not.
"""

import csv
import io
import json
import re
import shlex
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from typing import Any, Final

import pytest
import typer

from cloud_collector.cli.main import app as collector
from cloud_collector.web.paging import PAGE_ROWS
from tests.routes import Path as Route
from tests.unit import test_every_route
from tests.unit.test_every_route import World, sample
from tests.unit.test_reference import page as reference
from tests.unit.test_reference import part
from tests.unit.test_reference import rows as rows_of

world = test_every_route.world
"""The filled store, made once for this file."""
NO_TWINS: Final = {
    "/sign-in": "a form: there is nothing to take",
    "/sign-in/link/{secret}": "a button",
    "/sign-in/provider": "leads to the provider, and is not there without one",
    "/sign-in/provider/back": "comes back from there",
    "/sign-out": "a button",
    "/invoices/{number}/paper": "the document itself: the invoice's own twins have its lines",
    "/portal/{account}/invoices/{number}/paper": "the same",
    "/portal/{account}/invoices/{number}/dispute": "a form: the invoice's own twins have its lines",
    "/portal/{account}/disputes/{dispute}/copy": "a document to print: the dispute's JSON has it under `again`",
    "/portal/{account}/live": "a part of the month's page, as that page fetches it",
}
"""What answers with HTML and has no twins, and why."""
NO_TABLE: Final = {
    "/": "cards",
    "/devices/{gateway}/{device}": "a timeline, in a list",
    "/unmatched": "a panel for each stranger",
    "/sessions": "a panel for each session",
    "/portal": "a card for each account",
    "/portal/{account}": "the lines so far stand in a list, with their reasons",
    "/portal/{account}/devices/{gateway}/{device}": "its days stand below its charts, meter by meter",
    "/portal/{account}/lines/{gateway}/{log}/{epoch}/{seq}": "the facts of one line, below each other",
    "/portal/{account}/disputes/{dispute}": "what was said, one below the other",
    "/portal/{account}/invoices/{number}/check": "the browser checks by itself; its twins say what the server finds",
}
"""Pages whose rows are said otherwise than in a table, and how."""
NO_COMMAND: Final = {"/sessions": "a token has none; to whoever has one `person sessions` is named"}
ROWS: Final = {
    "/gateways": "gateways",
    "/gateways/{gateway}": "epochs",
    "/devices": "devices",
    "/devices/{gateway}/{device}": "timeline",
    "/devices/{gateway}/{device}/usage": "*.bars",
    "/accounts/{account}": "contracts",
    "/billing": "parked",
    "/invoices/{number}": "body.lines",
    "/unmatched": "unmatched",
    "/portal/{account}": "contracts.*.draft.lines",
    "/portal/{account}/devices/{gateway}/{device}": "meters.*.days",
    "/portal/{account}/cost/{contract}/{line}": "devices",
    "/portal/{account}/disputes/{dispute}": "words",
    "/portal/{account}/invoices/{number}/lines/{place}": "devices",
    "/portal/{account}/invoices/{number}": "lines",
    "/portal/{account}/invoices/{number}/check": "findings",
    "/portal/{account}/warnings": "warnings",
    "/portal/{account}/data": "seen",
}
"""Where in a page's JSON the rows of its CSV lie; else it is their list, or the one record that makes one row."""


FILES: Final = (".json", ".csv", ".zip", ".html")


class Page(HTMLParser):
    """What a page links to, what it sets as code, and the rows of each of its tables, with their links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.code: list[str] = []
        self.tables: list[list[str]] = []
        self.empty = 'class="empty"' in text
        self.further = 'rel="next"' in text
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "a":
            self.links.add(told.get("href") or "")
            self.handle_data(f" {told.get('href')} ")
        elif tag == "code":
            self.code.append("")
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr" and "tbody" in self._open:
            self.tables[-1].append("")
        if tag in {"code", "tbody", "tr"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if "code" in self._open:
            self.code[-1] += data
        if self._open[:2] == ["tbody", "tr"]:
            self.tables[-1][-1] += data


def pages() -> list[Any]:
    """Every address that somebody's browser can open, but for data."""
    return [
        pytest.param(route, id=route.path)
        for route in test_every_route._routes()
        if "GET" in route.methods and not route.path.startswith("/api/") and not route.path.endswith(FILES)
    ]


@pytest.mark.parametrize("route", pages())
def test_each_page_has_its_twins_says_the_same_in_all_three_and_names_the_command(world: World, route: Route) -> None:
    twin = "/overview" if route.path == "/" else route.path
    forms = replace(route, path=f"{twin}.json"), replace(route, path=f"{twin}.csv")
    for each in (route, *forms):
        # Who looks for the first time is in the list of who looked only then.
        found = world.ask("GET", each, 0, "auditor", "text/html")
        if each is route and (found.status != 200 or not found.headers["content-type"].startswith("text/html")):
            return
        if route.path in NO_TWINS:
            return
    shown = Page(world.ask("GET", route, 0, "auditor", "text/html").body.decode())
    data, sheet = (world.ask("GET", each, 0, "auditor") for each in forms)
    assert (data.status, data.headers["content-type"]) == (200, "application/json")
    assert (sheet.status, sheet.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    here = re.sub(r"{(\w+)}", lambda found: sample(found[1], 0), twin)
    assert {f"{here}.json", f"{here}.csv"} <= shown.links
    head, *lines = csv.reader(io.StringIO(sheet.body.decode(), newline=""))
    assert all(len(line) == len(head) for line in lines)
    assert len(records(json.loads(data.body), ROWS.get(route.path, ""))) == len(lines)
    if route.path not in NO_TABLE:
        # A long table comes in pages; its twins are whole.
        first = lines[:PAGE_ROWS] if shown.further else lines
        assert any(map(same(first), shown.tables)) if lines else shown.empty
    named = [each for each in shown.code if each.startswith("cloud-collector ")]
    if route.path in NO_COMMAND:
        return
    assert named, f"{route.path} names no command"
    for line in named:
        parsed(line)
    # The command of the page itself is the last one: others say how something on it is done.
    assert named[-1].startswith(in_reference()[route.path]), "docs/reference/http.md names another one"


def test_who_takes_a_page_of_the_portal_as_data_stands_in_the_list_of_who_looked(world: World) -> None:
    """Whatever page it is, and as whatever it was taken: each time somebody comes anew, under his own name."""
    taken = [
        replace(each.values[0], path=f"{each.values[0].path}.{form}")
        for each in pages()
        for form in ("json", "csv")
        if each.values[0].path.startswith("/portal/{account}") and f"{each.values[0].path}.{form}" in with_twins()
    ]
    assert len(taken) > 20
    for route in taken:
        assert world.ask("GET", route, 0, "acme").status == 200
    (listed,) = [each.values[0] for each in pages() if each.values[0].path == "/portal/{account}/data"]
    seen = json.loads(world.ask("GET", replace(listed, path=f"{listed.path}.json"), 0, "acme").body)["seen"]
    kept = {each["what"] for each in seen if each["who"].endswith("acme")}
    for route in taken:
        page, form = re.sub(r"{(\w+)}", lambda found: sample(found[1], 0), route.path).rsplit(".", 1)
        what = page.removeprefix("/portal/acme").strip("/") or "this month"
        assert f"{what} as {form.upper()}" in kept


@cache
def with_twins() -> frozenset[str]:
    return frozenset(each.path for each in test_every_route._routes())


def records(data: Any, where: str) -> list[Any]:
    """What lies there, one list after the other where it stars."""
    found = [data]
    for name in filter(None, where.split(".")):
        found = [below for each in found for below in (each if name == "*" else [each[name]])]
    return [row for each in found for row in (each if isinstance(each, list) else [each])]


def same(lines: list[list[str]]) -> Any:
    """Whether a table has these rows in this order: figures and times may be written otherwise, two cells may not."""

    def holds(table: list[str]) -> bool:
        return len(table) == len(lines) and all(
            sum(1 for cell in line if cell and cell in row) >= min(2, len([cell for cell in line if cell]))
            for line, row in zip(lines, table, strict=True)
        )

    return holds


@cache
def in_reference() -> dict[str, str]:
    """By path: the command that the reference names beside it, the first where it names two."""
    return {row[0].strip("`"): f"{row[2]} ``".split("`")[1] for row in rows_of(part(reference("http"), "Pages"))}


@cache
def tree() -> Any:
    return typer.main.get_command(collector)


def parsed(line: str) -> None:
    """The command is one that there is, with these arguments and options; raises UsageError."""
    _, *words = shlex.split(line)
    command = tree()
    context = command.context_class(command, info_name="cloud-collector")
    while hasattr(command, "commands"):
        name, command, words = command.resolve_command(context, words)
        context = command.context_class(command, info_name=name, parent=context)
    command.parse_args(context, words)


def test_the_reasons_are_about_pages_that_there_are() -> None:
    there = {each.values[0].path for each in pages()}
    assert {*NO_TWINS, *NO_TABLE, *NO_COMMAND, *ROWS} <= there


@pytest.mark.parametrize("line", ["cloud-collector gateway shows roof-1", "cloud-collector cost --as-off now"])
def test_a_command_that_there_is_not_is_noticed(line: str) -> None:
    with pytest.raises(Exception, match="No such") as refused:
        parsed(line)
    assert type(refused.value).__name__ in {"UsageError", "NoSuchOption"}
