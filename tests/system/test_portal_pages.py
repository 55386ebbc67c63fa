"""What one does on the portal in a real browser; other accounts walk past it. test_screens looks at each page."""

import json
import re
import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import Final

import pytest
from playwright.sync_api import Browser, Route, expect

from cloud_collector.access.tokens import make_token
from cloud_collector.access.viewer import ALLOWED, Role
from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.void import Voiding, void
from cloud_collector.insight import kept
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from tests.chrome import visit
from tests.portal_site import FORMULA, MARKUP, NOW, Portal, running
from tests.routes import every_route
from tests.unit.billing_samples import RECEIPT_KEY

pytestmark = pytest.mark.system
MONTH: Final = "/portal/acme"
WARNINGS: Final = "/portal/acme/warnings"
DISPUTE: Final = "/portal/acme/disputes/1"
DISPUTING: Final = "/portal/acme/invoices/INV-1/dispute?line=3&why=The+counter+jumped"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with running(tmp_path_factory.mktemp("portal")) as found:
        yield found


@pytest.fixture(scope="module")
def disputed(portal: Portal, browser: Browser) -> None:
    """The customer has opened a dispute and set thresholds, with nothing but the forms."""
    with visit(browser, headers=portal.headers("acme"), scripts=False) as person:
        person.open(portal.url(DISPUTING))
        person.page.fill("#why", f"The counter jumped. {MARKUP}")
        person.page.click("text=Open a dispute")
        assert person.page.inner_text("h1") == "Dispute 1: open"
        person.open(portal.url(WARNINGS))
        person.page.fill("input[name=budget]", "400")
        person.page.fill("input[name=over]", "80, 100")
        person.page.fill("input[name=mail]", "boss@acme.example")
        person.page.click("text=Keep")
        assert person.page.input_value("input[name=over]") == "80, 100"
        assert "budget 400; over 80, 100" in person.page.inner_html("main")


def test_without_scripts_a_page_can_be_read_and_its_numbers_open_down_to_the_signed_line(
    portal: Portal, browser: Browser
) -> None:
    with visit(browser, headers=portal.headers("acme"), scripts=False) as person:
        person.open(portal.url("/portal"))
        assert person.page.inner_text("h1") == "This month"
        assert "170,57" in person.page.inner_text(".figure")
        person.follow(person.page.locator("text=12.11.2026"))
        person.follow(person.page.locator("text=roof-1/sdm630-1"))
        person.follow(person.page.locator("text=report 45 >> nth=0"))
        assert "signed by the gateway's key" in person.page.inner_text("main")
        assert "crane-chess-cube-koala-cotton-domino-chess-cliff" in person.page.inner_text("main")
        assert "MS1|" in person.page.inner_text("pre")


def test_the_chart_leaves_out_what_is_not_known(portal: Portal, browser: Browser) -> None:
    """Of the 8th nothing is known but an hour: it is hatched, no figure is made up, and the table says so."""
    with visit(browser, headers=portal.headers("acme")) as person:
        person.open(portal.url(MONTH))
        assert person.page.locator(".chart canvas").count() == 1
        gap = person.page.locator("table.days tbody tr", has_text="8.11.2026")
        assert gap.get_attribute("data-state") == "gap"
        assert "23 h not known" in (gap.text_content() or "")
        person.page.goto(portal.url("/portal/acme/days/2026-11-08/roof-1/sdm630-1/energy"))
        assert "not known: source down" in person.page.inner_text("main")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_what_rests_on_many_reports_comes_after_the_page(
    portal: Portal, browser: Browser, monkeypatch: pytest.MonkeyPatch, *, scripts: bool
) -> None:
    """Nobody waits for a forecast: it comes by itself, or for whoever asks."""
    monkeypatch.setattr(kept, "READ_AT_ONCE_MAX", 0)
    with visit(browser, headers=portal.headers("acme"), scripts=scripts) as person:
        rest: list[Route] = []

        def holds(route: Route) -> None:
            rest.append(route)

        if scripts:
            person.page.route("**/portal/acme?wait=true", holds)
        person.page.goto(portal.url(MONTH), wait_until="commit")
        assert "170,57" in person.page.inner_text(".figure"), "what it costs so far is there at once"
        lines = person.page.locator("[data-why=acme-chargers] li").first
        if scripts:
            person.page.click("text=Every line, and why")
            expect(lines).to_be_visible()
            rest.pop().continue_()
        else:
            assert person.page.locator("[data-forecast]").inner_text().endswith("…\nit rests on many reports")
            assert person.page.locator("table.days").count() == 0
            person.page.click("text=Wait for them")
        expect(person.page.locator("[data-forecast]")).to_contain_text("425,97 €")
        expect(person.page.locator("table.days")).to_have_count(1)
        expect(person.page.locator(".chart canvas")).to_have_count(1 if scripts else 0)
        expect(person.page.locator("[aria-label='Still to come']")).to_have_count(0)
        if scripts:
            assert lines.is_visible(), "what was opened meanwhile stays open"
        assert person.errors == []
    with visit(browser, scripts=scripts) as operator:
        for path in ("/accounts/acme", "/contracts/acme-chargers"):
            operator.page.goto(portal.url(path), wait_until="commit")
            if not scripts:
                assert "rests on many reports" in operator.page.inner_text("#so-far")
                operator.page.click("text=Wait for the forecast")
            expect(operator.page.locator("#so-far")).to_contain_text("425.97")
        assert operator.errors == []


@pytest.mark.usefixtures("disputed")
def test_both_sides_see_how_a_dispute_stands_and_the_credit_note_with_its_reason(
    portal: Portal, browser: Browser
) -> None:
    """P16: the invoice stays, and a credit note takes it back."""
    with visit(browser) as operator:
        # On the collector's own machine: its operator.
        operator.open(portal.url(DISPUTE))
        assert "the same to the letter" in operator.page.inner_text("main")
        assert "verified" in operator.page.inner_text("main")
        operator.page.fill("#more", "You are right: the tariff was wrong.")
        operator.page.click("text=Uphold")
        assert operator.page.inner_text("h1") == "Dispute 1: upheld"
        assert operator.errors == []
    store = Store(SqliteDatabase(portal.path), migrated=True)
    voiding = Voiding(number="INV-1", reason="Dispute 1: wrong tariff", by="Anna")
    void(store, voiding, now_ms=NOW * 1_000, key=RECEIPT_KEY, archive=MemoryArchive())
    store.close()
    with visit(browser, headers=portal.headers("acme")) as person:
        person.open(portal.url(DISPUTE))
        told = person.page.inner_text("main")
        assert person.page.inner_text("h1") == "Dispute 1: credited"
        assert "INV-CN-1 takes INV-1 back. Its reason: Dispute 1: wrong tariff" in told
        assert "You are right" in told
        assert MARKUP in told, "markup stays text"
        person.open(portal.url("/portal/acme/invoices/INV-CN-1/check"))
        person.page.wait_for_selector("#check[data-verdict=good]", timeout=60_000)
        assert "The credit note INV-CN-1" in person.page.inner_text("#check .verdict")
        assert person.errors == []


def test_every_route_of_another_account_is_not_there(portal: Portal, browser: Browser) -> None:
    """P20: pages, charts, exports, evidence, forms; and one's own pages with another's things in them."""
    filled = {
        "number": "INV-1",
        "gateway": "roof-1",
        "dispute": "1",
        "device": "sdm630-1",
        "meter": "energy",
        "day": "2026-11-12",
        "log": "main",
        "epoch": "5f2c91aa",
        "seq": "43",
        "form": "pdf",
        "contract": "acme-chargers",
        "line": "0123456789abcdef",
        "place": "1",
    }
    secret = re.compile(r"394\.61|170[.,]57|sdm630|Åke|5f2c91aa|acme-chargers")
    named = {"number", "gateway", "dispute", "device", "log", "epoch", "seq", "contract"}
    with visit(browser, headers=portal.headers("bolt")) as stranger:
        walked = 0
        for route in every_route(portal.app):
            if not route.path.startswith("/portal/{account}"):
                continue
            fields = set(re.findall(r"\{(\w+)\}", route.path))
            for account in ("acme", "bolt") if fields & named else ("acme",):
                path = route.path.format(account=account, **{each: filled[each] for each in fields - {"account"}})
                for method in route.methods & {"GET", "POST"}:
                    answer = stranger.context.request.fetch(
                        portal.url(path), method=method, form={} if method == "POST" else None
                    )
                    assert answer.status == 404, (method, path, answer.status)
                    assert secret.search(answer.text().replace(path, "")) is None, path
                    walked += 1
        assert walked > 40
    with visit(browser) as nobody:
        answer = nobody.context.request.get(
            portal.url("/portal/acme", host="127.0.0.1"), headers={"X-Forwarded-For": "1.2.3.4"}
        )
        assert answer.status in {200, 401}
        assert "170,57" not in answer.text()


def test_markup_and_formulas_in_names_stay_text_in_pages_files_and_paper(portal: Portal, browser: Browser) -> None:
    with visit(browser, headers=portal.headers("bolt")) as person:
        dialogs: list[str] = []
        person.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        for path in ("", "/invoices/INV-2", "/invoices/INV-2/paper", "/data"):
            person.open(portal.url(f"/portal/bolt{path}"))
            assert person.page.locator("img[src=x]").count() == 0, path
            assert MARKUP in person.page.inner_text("body"), path
        assert dialogs == []
        for path in (".csv", "/invoices.csv", "/export.csv", "/data.csv"):
            text = person.context.request.get(portal.url(f"/portal/bolt{path}")).text()
            assert re.search(r"(^|,)\"?[=+@]", text, re.MULTILINE) is None, path
        paper = person.context.request.get(portal.url("/portal/bolt/invoices/INV-2/as/pdf"))
        assert paper.ok
        assert paper.body().startswith(b"%PDF")
        assert b"/JavaScript" not in paper.body()
    assert FORMULA.startswith("=")


def test_it_is_kept_who_looked_and_everything_can_be_taken_along(portal: Portal, browser: Browser) -> None:
    with visit(browser) as operator:
        operator.open(portal.url("/portal/acme/devices"))
    with visit(browser, headers=portal.headers("acme")) as person:
        made = person.context.request.get(portal.url("/portal/acme/export.zip"))
        with zipfile.ZipFile(BytesIO(made.body())) as opened:
            assert {"everything.json", "readings.csv", "invoices/INV-1.ms", "evidence/INV-1.zip"} <= set(
                opened.namelist()
            )
            everything = json.loads(opened.read("everything.json"))
            assert everything["invoices"][-1]["total"] == "394.61"
            assert b"plug-1" not in opened.read("readings.csv"), "another account's device"
        seen = person.context.request.get(portal.url("/portal/acme/data.json")).json()["seen"]
        assert ("local", "operator", "devices") in {(each["who"], each["role"], each["what"]) for each in seen}
        assert "everything with its evidence" in {each["what"] for each in seen if each["deed"] == "export"}


@pytest.mark.usefixtures("disputed")
def test_a_token_that_may_only_read_takes_nothing_along_and_changes_nothing(portal: Portal, browser: Browser) -> None:
    store = Store(SqliteDatabase(portal.path), migrated=True)
    reading = ALLOWED[Role.AUDITOR] - {"export"}
    token = make_token(
        store, "reader", scopes=reading, accounts={"acme"}, days=1, by="a test", chance=b"7" * 32, now_ms=NOW * 1_000
    )
    store.close()
    with visit(browser, headers={"Authorization": f"Bearer {token}"}) as person:
        assert person.context.request.get(portal.url("/portal/acme")).ok
        for path in (
            "/export.csv",
            "/export.json",
            "/export.zip",
            "/invoices/INV-1/evidence.zip",
            "/invoices/INV-1/as/pdf",
        ):
            assert person.context.request.get(portal.url(f"/portal/acme{path}")).status == 403, path
        for path in ("/warnings/acme-chargers", "/deletion", "/invoices/INV-1/dispute", "/disputes/1"):
            assert person.context.request.post(portal.url(f"/portal/acme{path}"), form={}).status == 403, path
