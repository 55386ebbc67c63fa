"""The month's page in a real browser while reports come in: told by the stream, or asked for where nobody tells."""

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, Route, expect

from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from tests.chrome import Visit, visit
from tests.portal_site import DAY, NOW, Portal, running
from tests.unit.billing_samples import OCTOBER, Gateway, october, receive

pytestmark = pytest.mark.system
MONTH: Final = "/portal/acme"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with running(tmp_path_factory.mktemp("live")) as found:
        yield found


@pytest.fixture(scope="module")
def roof(portal: Portal) -> Gateway:
    """The gateway as it stands after what the portal's store holds of it, to report further days."""
    del portal
    made = october(Gateway(), days=38)
    for device in ("sdm630-1", "sdm630-2"):
        made.gap(OCTOBER + 38 * DAY, OCTOBER + 39 * DAY, device, None)
    for day in range(39, 43):
        made.day(OCTOBER + day * DAY, {"sdm630-1": 330, "sdm630-2": 140})
    made.lines.clear()
    return made


def report(portal: Portal, roof: Gateway, day: int, used: int) -> None:
    """Another day's report is received, as intake does it."""
    roof.day(OCTOBER + day * DAY, {"sdm630-1": used, "sdm630-2": 0})
    store = Store(SqliteDatabase(portal.path), migrated=True)
    receive(store, roof.lines, at=NOW)
    store.close()
    roof.lines.clear()


def opened(portal: Portal, person: Visit) -> list[str]:
    """The month's page is open; the answer are the figures' addresses, as often as they are asked for."""
    asked: list[str] = []
    person.page.on("request", lambda sent: asked.append(sent.url) if sent.url.endswith("/live") else None)
    person.page.goto(portal.url(MONTH), wait_until="load")
    return asked


def test_a_report_changes_the_figures_of_the_open_page_within_a_second_and_only_its_own_customers(
    portal: Portal, roof: Gateway, browser: Browser
) -> None:
    """P20: of another account's report a page hears nothing."""
    with (
        visit(browser, headers=portal.headers("acme")) as person,
        visit(browser, headers=portal.headers("bolt")) as other,
    ):
        opened(portal, person)
        expect(person.page.locator("#liveness")).to_have_text("● live")
        others: list[str] = []
        other.page.goto(portal.url("/portal/bolt"), wait_until="load")
        expect(other.page.locator("#liveness")).to_have_text("● live")
        other.page.wait_for_timeout(1_200)
        other.page.on("request", lambda sent: others.append(sent.url))
        person.page.click("text=Every line, and why")
        before = person.page.inner_text(".figure")
        report(portal, roof, 43, 4_000)
        expect(person.page.locator(".figure")).not_to_have_text(before, timeout=2_000)
        now = person.page.inner_text(".figure")
        assert now in person.page.inner_text("[data-made=acme-chargers] h3"), "how it is made says the same"
        assert person.page.locator("[data-why=acme-chargers] li").first.is_visible(), "what was open stays open"
        assert person.page.inner_text("[data-when=acme-chargers]") == "acme-chargers, day 13 of 30, until 30.11.2026"
        asked = person.context.request.get(portal.url(f"{MONTH}.json")).json()["totals"][0]["total"]
        assert asked.replace(".", ",") in now, "the figure is the one that the page's data say"
        assert person.errors == []
        assert others == []


def test_where_the_stream_is_refused_the_page_asks_every_fifteen_seconds(portal: Portal, browser: Browser) -> None:
    with visit(browser, headers=portal.headers("acme")) as person:

        def refuse(route: Route) -> None:
            route.fulfill(status=503, body="so many listen already")

        person.page.route("**/events", refuse)
        person.page.clock.install()
        asked = opened(portal, person)
        expect(person.page.locator("#liveness")).to_have_text("○ asked every 15 seconds")
        assert asked == []
        with person.page.expect_request("**/live"):
            person.page.clock.run_for(15_500)
        assert len(asked) == 1
        person.page.unroute("**/events")
        person.page.clock.run_for(60_000)
        expect(person.page.locator("#liveness")).to_have_text("● live")


def test_the_forecast_follows_a_minute_behind(portal: Portal, roof: Gateway, browser: Browser) -> None:
    """Then the page that stayed open says of what is to come what one that is opened now says."""
    with visit(browser, headers=portal.headers("acme")) as person:
        person.page.clock.install()
        opened(portal, person)
        expect(person.page.locator("#liveness")).to_have_text("● live")
        cards, figure = person.page.locator(".cards"), person.page.inner_text(".figure")
        before = cards.text_content() or ""
        report(portal, roof, 44, 9_000)
        expect(person.page.locator(".figure")).not_to_have_text(figure)
        person.page.wait_for_timeout(300)
        expect(cards).to_have_text(before)
        person.page.clock.run_for(61_000)
        expect(cards).not_to_have_text(before)
        now = cards.text_content() or ""
        person.page.reload()
        expect(cards).to_have_text(now)
        assert person.errors == []


def test_without_scripts_the_page_says_of_when_its_figures_are(portal: Portal, browser: Browser) -> None:
    with visit(browser, headers=portal.headers("acme"), scripts=False) as person:
        opened(portal, person)
        assert person.page.inner_text("#liveness").startswith("as of 13.11.2026 11:30; open the page again")
        assert person.page.locator(".figure b").count() == 1
