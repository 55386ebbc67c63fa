"""Every page of the console and of the portal stays light, however large the fleet: far out, it is there at once."""

import re
from html import unescape
from typing import Final

import pytest
from fastapi import FastAPI

from cloud_collector.web.app import create_app
from tests.api_world import site_of
from tests.bench.large_site import INCIDENTS, NOW, fill
from tests.routes import every_route
from tests.visitors import ask

WEIGHT_MAX: Final = 150_000
"""Bytes of a page and all that it fetches, as they are transferred: styles and scripts packed, the page itself not."""
GATEWAYS: Final = 120
NAMED: Final = {
    "account": "a0",
    "contract": "c0",
    "gateway": "gw-00001",
    "device": "m5",
    "meter": "energy",
    "number": "INV-1",
    "day": "2026-11-10",
    "log": "main",
    "seq": "3",
    "place": "1",
    "dispute": "1",
    "run": "1",
}
"""What stands in a path."""
NO_PAGES: Final = re.compile(
    r"\.(json|csv|zip|html)$|^/(api|static|sign-in|sign-out|sessions|openapi)|/as/|/events$|/live$|/paper$|/copy$|{form}"
    r"|^/(healthz|readyz|metrics)"
)
"""Files, what moves inside a page, and what is printed."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    path = tmp_path_factory.mktemp("weight") / "collector.db"
    return create_app(site_of(path, fill(path, GATEWAYS, 1), now=NOW))


def pages(app: FastAPI) -> list[str]:
    """The address of every page that there is, by the routes themselves."""
    lines = ask(app, "GET", "/portal/a0/cost/c0.json").json()
    line = next(each["line"] for each in lines if each["kind"] == "usage")
    days = ask(app, "GET", "/portal/a0/days/2026-11-10/gw-00001/m5/energy.json").json()
    epoch = next(each["line"].split("/")[2] for each in days if each["line"])
    named = NAMED | {"line": line, "epoch": epoch}
    found = []
    for route in every_route(app):
        if "GET" in route.methods and not NO_PAGES.search(route.path):
            assert set(route.parameters) <= named.keys(), f"{route.path}: say in NAMED what stands in it"
            found.append(re.sub(r"{(\w+)(:path)?}", lambda each: named[each[1]], route.path))
    return found


def weights(app: FastAPI, path: str) -> dict[str, int]:
    """By address the bytes that are transferred."""
    page = ask(app, "GET", path)
    assert page.status_code == 200, (path, page.status_code, page.text[:200])
    assert page.headers["content-type"].startswith("text/html"), path
    found = {path: len(page.content)}
    for link in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
        # How many bytes came is what the server says: a client unpacks them.
        asset = ask(app, "GET", unescape(link), headers={"Accept-Encoding": "gzip"})
        found[link] = int(asset.headers["content-length"])
    return found


def test_every_page_with_all_that_it_fetches_stays_light_over_a_large_fleet(app: FastAPI) -> None:
    listed = pages(app)
    assert len(listed) >= 35
    heavy = {path: found for path in listed if sum((found := weights(app, path)).values()) > WEIGHT_MAX}
    assert heavy == {}


@pytest.mark.parametrize(
    ("path", "rows"), [("/portal/a0/devices", 100), ("/portal/a0/cost/c0", 100), ("/portal/a0/days/2026-11-10", 100)]
)
def test_what_does_not_fit_on_a_page_comes_on_the_next_and_nothing_twice(app: FastAPI, path: str, rows: int) -> None:
    seen: list[str] = []
    following = path
    while following:
        text = ask(app, "GET", following).text
        seen += re.findall(r'<tr role="row"><td role="cell".*?</tr>', text, re.DOTALL)
        further = re.search(r'rel="next" href="([^"]+)"', text)
        following = unescape(further[1]) if further else ""
    assert len(seen) == len(set(seen)) >= rows
    assert len(ask(app, "GET", f"{path}.json").json()) == len(seen), "programs get all of it at once"


def test_a_page_that_is_asked_for_beyond_the_last_is_the_last(app: FastAPI) -> None:
    assert "100 of 100" in ask(app, "GET", "/portal/a0/devices?after=100000").text
    assert "1 to 60 of 100" in ask(app, "GET", "/portal/a0/devices?after=-1").text


def test_the_large_site_is_filled_as_a_running_one_is(app: FastAPI) -> None:
    """What is weighed here and measured by the bench: lines, invoices, alarms, a dispute."""
    assert len(ask(app, "GET", "/invoices.csv").text.splitlines()) > 10
    assert len(ask(app, "GET", "/alarms.json").json()) == INCIDENTS
    assert ask(app, "GET", "/portal/a0/disputes.json").json()[0]["state"] == "open"
    assert ask(app, "GET", "/portal/a0/days/2026-11-10/gw-00001/m5/energy.csv").text.count("metered") == 1_440
