"""The pages: the same facts for people, JSON and CSV; nothing on them runs, and nothing that is named is believed."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud_collector.billing.run import bill_due
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.web.app import create_app
from cloud_collector.web.assets import assets
from cloud_collector.web.metrics import registry
from cloud_collector.web.site import Site, Subscription
from cloud_collector.web.subscriptions import subscriptions
from cloud_collector.web.table import Cell, Column, Mood, Table, row
from shared.effects.memory import SimpleClock
from shared.effects.sqlite import SqliteDatabase
from tests.unit.billing_samples import NOVEMBER, RECEIPT_KEY, Gateway, new_store, october, receive, store_biller

NOW_MS = (NOVEMBER + 5 * 86_400) * 1_000


class Running:
    """A collector that is connected and has taken three lines."""

    def __init__(self) -> None:
        self.connected = True
        self.verdicts = Counter({"Accepted": 3})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """October of a garage, billed."""
    path = tmp_path / "collector.db"
    store = new_store(path)
    receive(store, october(Gateway()).lines, at=NOW_MS // 1000)
    bill_due(store, NOW_MS, store_biller())
    store.close()

    @contextmanager
    def open_store(*, read_only: bool = True) -> Iterator[Store]:
        held = Store(SqliteDatabase(path, read_only=read_only), migrated=True)
        yield held
        held.close()

    return Site(
        open_store=open_store,
        # That somebody looked is written down.
        open_writer=lambda: open_store(read_only=False),
        clock=SimpleClock(utc_ms=NOW_MS),
        zone=lambda _: "Europe/Helsinki",
        subscriptions=lambda held, now: subscriptions(held, StoreView(held), now),
        key_words=RECEIPT_KEY.public.words,
        readiness=lambda: {"store": True, "broker": False},
        metrics=registry(Running(), open_store),
    )


class Browser:
    """A browser without scripts, and without a network."""

    def __init__(self, site: Site) -> None:
        self._app = create_app(site)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """One request."""
        return asyncio.run(self._ask("GET", path, headers=headers))

    def post(self, path: str, form: Mapping[str, str]) -> httpx.Response:
        """A form sent."""
        return asyncio.run(self._ask("POST", path, data=form, headers={"Sec-Fetch-Site": "same-origin"}))

    async def _ask(self, method: str, path: str, **told: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **told)


@pytest.fixture
def web(site: Site) -> Browser:
    return Browser(site)


def test_the_overview_says_what_there_is_and_what_needs_a_look(web: Browser) -> None:
    text = web.get("/").text
    assert "Nothing is wrong." in text
    figures = {each["what"]: each["count"] for each in web.get("/overview.json").json()}
    assert (figures["gateways"], figures["invoices issued"], figures["unmatched"]) == (1, 1, 0)


LISTS = ("gateways", "devices", "accounts", "contracts", "invoices", "warnings", "alarms", "unmatched", "audit")


@pytest.mark.parametrize("name", [*LISTS, "billing", "billing/preview", "overview"])
def test_every_page_is_there_as_json_and_as_csv(web: Browser, name: str) -> None:
    page = web.get("/" if name == "overview" else f"/{name}", {"Accept": "text/html"})
    assert page.status_code == 200
    assert "The same in a terminal" in page.text
    assert web.get(f"/{name}.json").headers["Content-Type"] == "application/json"
    rows = web.get(f"/{name}.csv").text.splitlines()
    assert rows
    assert all("," in each for each in rows)


def test_a_device_says_since_when_and_by_which_rule(web: Browser) -> None:
    """P18: the page says what the invoice says."""
    first, second = web.get("/devices.json").json()["devices"]
    assert (first["device"], first["state"]) == ("roof-1/sdm630-1", "active")
    assert "energy" in first["why"]
    assert second["device"] == "roof-1/sdm630-2"
    assert web.get("/devices.json?after=roof-1/sdm630-1").json()["devices"] == [second]
    assert web.get("/devices.json?contract=nobodys").json()["devices"] == []


def test_a_device_has_its_life_and_its_usage_by_the_day(web: Browser) -> None:
    found = web.get("/devices/roof-1/sdm630-2.json").json()
    assert [each["what"] for each in found["timeline"]][:2] == ["meter", "provisioned"]
    days = found["usage"][0]["bars"]
    first = next(at for at, each in enumerate(days) if each["amount"] not in ("0", None))
    assert days[first]["amount"] == "13440", "96 quarters of 140 Wh, from the 14th on"
    hours = web.get("/devices/roof-1/sdm630-1/usage.json?by=hour&days=5").json()[0]["bars"]
    known = [each for each in hours if each["amount"] is not None]
    assert known[0]["amount"] == "1320"
    assert known[-1]["gap_seconds"] == 0
    assert web.get("/devices/roof-1/nothing").status_code == 404


def test_an_account_and_a_contract_say_what_they_cost_so_far(web: Browser) -> None:
    (account,) = web.get("/accounts.json").json()
    (invoice,) = web.get("/invoices.json").json()
    assert account["open"] == {"EUR": invoice["total"]}
    sheet = web.get("/accounts/acme.json").json()
    assert sheet["contracts"][0]["contract"] == "acme-chargers"
    assert sheet["contracts"][0]["cost"]["currency"] == "EUR"
    words = web.get("/contracts/acme-chargers.json").json()["words"]
    tiers = "energy at 0.30 EUR up to 100, 0.25 EUR beyond; each part at the price of its own tier"
    assert f"Energy: {tiers}, 50 of it included, added up over the contract." in words
    assert web.get("/contracts/nobodys").status_code == 404
    assert web.get("/accounts/nobodys").status_code == 404


def test_a_change_is_tried_out_by_the_code_that_rates_invoices_and_nothing_is_written(web: Browser) -> None:
    (invoice,) = web.get("/invoices.json").json()
    asked = "/contracts/acme-chargers.json?from=2026-10&to=2026-10&set=plans.charger.charges.Connection.price%3D19.90"
    (found,) = web.get(asked).json()["preview"]["found"]
    assert found["before"]["total"] == invoice["total"]
    assert Decimal(found["difference"]) > 10
    wrong = web.get("/contracts/acme-chargers?set=plans.nothing.settle%3D1h").text
    assert "the catalog has no plans.nothing" in wrong
    assert len(web.get("/invoices.json").json()) == 1


def test_an_invoice_opens_and_names_people_safely(web: Browser) -> None:
    (invoice,) = web.get("/invoices.json").json()
    page = web.get(f"/invoices/{invoice['number']}/paper")
    assert page.status_code == 200
    assert "Åke &amp; Söner | Acme Oy" in page.text
    body = web.get(f"/invoices/{invoice['number']}/body.json").json()
    assert body["total"] == invoice["total"]
    assert web.get(f"/invoices/{invoice['number']}.json").json()["body"] == body
    assert web.get("/invoices/INV-999").status_code == 404


def test_nothing_runs_but_what_the_package_holds(web: Browser) -> None:
    for path in ("/", "/invoices", "/gateways", "/nothing"):
        answer = web.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert re.findall(r"<script(?! src=\"/static/)|<style|\son[a-z]+=|\sstyle=|javascript:", answer.text) == []
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    paper = web.get("/invoices/INV-1/paper")
    assert "script-src" not in paper.headers["Content-Security-Policy"], "an invoice carries its sheet, and no script"
    assert "<script" not in paper.text


def test_a_page_and_what_it_fetches_stay_light(web: Browser) -> None:
    """On a phone, far out, a page is there within a second."""
    for path in ("/", "/gateways", "/invoices"):
        text = web.get(path).text
        fetched = [web.get(each) for each in re.findall(r'(?:src|href)="(/static/[^"]+)"', text)]
        assert all(each.status_code == 200 for each in fetched)
        assert all("immutable" in each.headers["Cache-Control"] for each in fetched)
        assert len(text) + sum(len(each.content) for each in fetched) < 150_000


def test_what_comes_from_others_names_its_licence(web: Browser) -> None:
    told = web.get("/static/vendor/LICENSES.txt").text
    names = [name for name in assets() if re.fullmatch(r"vendor/[^/]+\.(js|css)", name)]
    assert names
    for name in names:
        first = web.get(f"/static/{name}").text.partition("\n")[0]
        assert re.match(r"/\*! (htmx|uPlot) [0-9.]+, (Zero-Clause BSD|MIT)", first), name
        version = re.search(r"[0-9]+\.[0-9]+\.[0-9]+", first)
        assert name.removeprefix("vendor/") in told
        assert version is not None
        assert version[0] in told


def test_light_or_dark_is_chosen_without_a_script(web: Browser) -> None:
    assert "data-theme" not in web.get("/").text, "the device's own choice"
    chosen = web.post("/theme", {"to": "dark", "back": "/gateways"})
    assert (chosen.status_code, chosen.headers["Location"]) == (303, "/gateways")
    assert "theme=dark" in chosen.headers["Set-Cookie"]
    assert 'data-theme="dark"' in web.get("/", {"Cookie": "theme=dark"}).text
    assert "data-theme" not in web.get("/", {"Cookie": 'theme="><script>'}).text
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example"):
        assert web.post("/theme", {"to": "auto", "back": elsewhere}).headers["Location"] == "/"
    assert web.post("/theme", {"to": "x" * 70_000}).status_code == 413


def test_readiness_says_what_is_amiss(web: Browser) -> None:
    assert web.get("/healthz").text == "ok\n"
    answer = web.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "store": True, "broker": False}


def test_metrics_count_what_the_store_holds(web: Browser, site: Site) -> None:
    text = web.get("/metrics").text
    with site.open_store() as store:
        lines = store.rows("web_counts")[0][0]
    assert f"meterseal_lines_held {float(lines)}" in text
    assert 'meterseal_lines_total{verdict="accepted"} 3.0' in text


def test_an_unknown_page_is_not_found(web: Browser) -> None:
    for path in ("/nothing", "/gateways.xml", "/static/other.css", "/static/../app.py", "/invoices/INV-1/x"):
        assert web.get(path).status_code == 404
        assert "Not found</h1>" in web.get(path, {"Accept": "text/html"}).text
        assert web.get(path).headers["Content-Type"] == "application/problem+json"


def test_a_spreadsheet_runs_nothing_that_a_gateway_has_named() -> None:
    columns = (Column(title="Topic", key="topic"), Column(title="State", key="state"))
    cells = row(columns, Cell(text="x", value="=1+2"), Cell(text="late", value="late", mood=Mood.WARN))
    table = Table(title="T", path="/t", command="c", empty="e", columns=columns, rows=(cells,))
    assert table.csv() == "topic,state\r\n'=1+2,late\r\n"
    assert cells[1].mark == "◐", "never colour alone"


def test_a_site_without_a_catalog_has_no_subscriptions(tmp_path: Path) -> None:
    store = Store(SqliteDatabase(tmp_path / "empty.db"))
    found: list[Subscription] = subscriptions(store, StoreView(store), 0)
    assert found == []
    store.close()
