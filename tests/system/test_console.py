"""What one does on the operator's pages in a real browser, with the demo's data; test_screens looks at each of them."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from cloud_collector.access.tokens import make_token
from cloud_collector.access.viewer import Deed
from tests.chrome import PHONE, visit
from tests.console_site import DAY, HOLES, MARKUP, Console, running
from tests.demo_story import NOW, story_in

pytestmark = pytest.mark.system
GARAGE = "/contracts/harbour-garage"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with running(story_in(tmp_path_factory.mktemp("console") / "story", tmp_path_factory)) as found:
        yield found


def test_names_that_are_markup_stay_text(console: Console, browser: Browser) -> None:
    with visit(browser) as person:
        page = person.open(console.url("/accounts/markup"))
        assert page.inner_text("h1") == MARKUP
        assert MARKUP in person.open(console.url("/unmatched")).inner_text("main")
        assert page.evaluate("document.querySelector('main img')") is None


def test_light_and_dark_are_chosen_and_kept_without_a_script(console: Console, browser: Browser) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    with visit(browser, scripts=True) as person:
        page = person.open(console.url("/gateways"))
        light = page.evaluate(paper)
        with page.expect_navigation():
            page.get_by_role("button", name="Dark").click()
        assert page.evaluate(paper) != light
        assert person.open(console.url("/accounts")).evaluate(paper) != light
        with page.expect_navigation():
            page.get_by_role("button", name="Auto").click()
        assert page.evaluate(paper) == light


def test_the_fleet_is_searched_while_one_types_and_the_address_keeps_it(console: Console, browser: Browser) -> None:
    with visit(browser) as person:
        page = person.open(console.url("/gateways"))
        page.get_by_label("Gateway's name contains").press_sequentially("quay")
        page.wait_for_url("**/gateways?q=quay")
        page.wait_for_function("document.querySelectorAll('#rows tbody tr').length === 1")
        assert page.inner_text("#rows tbody tr td a") == HOLES


def test_everything_can_be_read_and_done_without_a_script(console: Console, browser: Browser) -> None:
    with visit(browser, scripts=False, size=PHONE) as person:
        page = person.open(console.url("/"))
        page.locator("summary", has_text="Menu").click()
        person.follow(page.get_by_role("link", name="Fleet"))
        person.follow(page.get_by_role("link", name=HOLES))
        person.follow(page.get_by_role("button", name="Ask for 4 missing lines again"))
        assert f"{HOLES} is asked for 4 lines again" in page.inner_text("[role=status]")
        assert "resend" in page.inner_text("section[aria-labelledby=commands]")
        page.reload()
        assert page.locator("[role=status]").count() == 0, "said once"
        page.goto(console.url("/audit"))
        assert f"gateway resend {HOLES}: 4 lines" in page.inner_text("main")


def test_a_gap_is_drawn_as_a_gap_and_never_as_zero(console: Console, browser: Browser) -> None:
    """P3: what nobody metered is said so."""
    with visit(browser) as person:
        page = person.open(console.url(f"/devices/{HOLES}/sdm630-1"))
        kinds = page.evaluate("[...document.querySelectorAll('.bars rect')].map((each) => each.className.baseVal)")
        assert "estimated" in kinds, "days whose lines are missing are bridged by registers"
        assert "gap" in kinds, "days before the first reading are not known"
        page = person.open(console.url(f"/devices/{HOLES}/sdm630-1/usage"))
        page.wait_for_selector(".u-wrap canvas")
        assert not page.is_visible(".figure"), "the server's drawing made room for the one that zooms"


def test_a_change_of_a_plan_shows_what_it_would_have_cost_before_anything_is_written(
    console: Console, browser: Browser
) -> None:
    with visit(browser) as person:
        page = person.open(console.url(GARAGE))
        page.get_by_label("One change a line").fill("plans.charger.charges.Charging point.price=9.90")
        page.get_by_role("button", name="What would it have cost?").click()
        page.wait_for_selector("#preview .bad-note")
        assert "changes nothing" in page.inner_text("#preview"), "a key with a space wants its quotes"
        page.get_by_label("One change a line").fill('plans.charger.charges."Charging point".price=9.90')
        page.get_by_role("button", name="What would it have cost?").click()
        page.wait_for_selector("#preview table")
        assert "+" in page.inner_text("#preview tbody tr >> nth=0")
        assert person.errors == []


def test_a_run_is_previewed_drafted_approved_by_another_and_issued(console: Console, browser: Browser) -> None:
    """P19: nobody approves what he drafted himself; and what was approved is what is issued."""
    console.clock._utc_ms = (NOW + 13 * DAY) * 1_000
    with console.site.writing() as store:
        token = make_token(
            store,
            "bert",
            scopes={Deed.READ, Deed.APPROVE, Deed.BILL},
            accounts=None,
            days=90,
            by="a test",
            chance=bytes(range(32)),
            now_ms=NOW * 1_000,
        )
    with visit(browser) as person:
        page = person.open(console.url("/billing"))
        page.wait_for_selector("#preview table")
        assert person.faults() == []
        person.shot("billing-due")
        person.follow(page.get_by_role("button", name="Draft what is due"))
        assert "holds the drafts" in page.inner_text("[role=status]")
        person.follow(page.get_by_role("button", name="Approve what is ticked"))
        assert "another person must approve it" in page.inner_text("[role=status]")
        assert person.faults() == []
        person.shot("billing-drafts")
    with visit(browser, headers={"Authorization": f"Bearer {token}"}, size=PHONE) as person:
        page = person.open(console.url("/billing"))
        assert page.inner_text(".who") == "token bert"
        person.follow(page.get_by_role("button", name="Approve what is ticked"))
        assert "approved; a run issues them" in page.inner_text("[role=status]")
        person.follow(page.get_by_role("button", name="Issue what is approved"))
        assert "An issued document never changes." in page.inner_text("main")
        assert person.faults() == []
        person.shot("billing-sure")
        person.follow(page.get_by_role("button", name="Yes, issue them"))
        page.locator("#progress", has_text="has ended").wait_for()
        assert "issued" in page.inner_text("#progress")
        assert person.faults() == []
        person.shot("billing-issued")
        runs = page.inner_text("section[aria-labelledby=runs]")
        assert "bert" in runs
        page = person.open(console.url("/invoices"))
        person.follow(page.locator("#rows tbody tr a").first)
        page.get_by_label("Why (it is printed").fill("Wrong <b>tariff</b>")
        person.follow(page.get_by_role("button", name="Take it back"))
        assert "drafts taking" in page.inner_text("[role=status]"), "corrections are approved too"
