"""Every page of console, portal and door over the demo's data, as people signed in see it, in a real browser.

`make test` opens each page once or twice, the four looks (light and dark, phone and desk) taking turns; `make deep`
opens all addresses in every look. Pictures of them lie in `build/screens` afterwards, for a person to look at.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Final
from unittest.mock import patch

import pytest
from playwright.sync_api import Browser, StorageState

from cloud_collector.access.pace import neighbourhood
from cloud_collector.access.people import put_person
from cloud_collector.access.viewer import Role
from cloud_collector.notify.post import Fate, Posted
from cloud_collector.web.door import Door
from demo.story import Story
from tests.chrome import DESKTOP, ELSEWHERE, PHONE, Visit, chromium, visit
from tests.console_site import HOLES, Console, running
from tests.demo_story import NOW, story_in
from tests.routes import every_route

pytestmark = pytest.mark.system
OPERATOR: Final = "anna@northwind.example"
BOOKKEEPER: Final = "books@accounts.example"
BOARD: Final = "board@harbour.example"
SHORT_MAX: Final = 2
CUSTOMERS: Final = ("aino", "berg", "elm", "harbour", "kallio", "ridge", "you")
FORETOLD: Final = ("budget", "over", "projected")
LOOKS: Final = (
    pytest.param(PHONE, False, id="phone-light"),
    pytest.param(DESKTOP, True, id="desktop-dark"),
    pytest.param(PHONE, True, id="phone-dark"),
    pytest.param(DESKTOP, False, id="desktop-light"),
)
MONTHS: Final = tuple(f"/portal/{each}" for each in ("harbour", "ridge", "kallio", "aino", "berg", "elm", "you"))
PAGES: Final[Mapping[str, Sequence[str]]] = {
    "/": ("/",),
    "/gateways": ("/gateways", "/gateways?state=holes", "/gateways?q=nobody"),
    "/gateways/{gateway}": ("/gateways/ridge-site", f"/gateways/{HOLES}", "/gateways/this-machine"),
    "/devices": ("/devices",),
    "/devices/{gateway}/{device}": (
        "/devices/ridge-site/crane-1",
        "/devices/elm-street-5/water-flat-2",
        f"/devices/{HOLES}/sdm630-1",
        "/devices/kallio-office/sim-08",
    ),
    "/devices/{gateway}/{device}/usage": (
        "/devices/ridge-site/crane-1/usage?by=hour&days=7",
        f"/devices/{HOLES}/sdm630-1/usage",
    ),
    "/accounts": ("/accounts",),
    "/accounts/{account}": ("/accounts/harbour", "/accounts/kallio", "/accounts/markup"),
    "/contracts": ("/contracts",),
    "/contracts/{contract}": (
        "/contracts/harbour-garage",
        "/contracts/kallio-sims",
        "/contracts/ridge-machines",
        "/contracts/harbour-garage?set=plans.charger.charges.%22Charging+point%22.price%3D9.90",
        "/contracts/harbour-garage?set=nonsense",
    ),
    "/billing": ("/billing",),
    "/billing/preview": ("/billing/preview",),
    "/invoices": ("/invoices",),
    "/invoices/{number}": ("/invoices/DEMO-6", "/invoices/DEMO-11"),
    "/invoices/{number}/paper": ("/invoices/DEMO-6/paper",),
    "/warnings": ("/warnings",),
    "/alarms": ("/alarms", "/alarms?all=1"),
    "/unmatched": ("/unmatched",),
    "/audit": ("/audit",),
    "/sign-in": ("/sign-in", "/sign-in?next=/portal/harbour"),
    "/sign-in/link/{secret}": ("/sign-in/link/whatever",),
    "/sign-out": ("/sign-out",),
    "/sessions": ("/sessions",),
    "/portal": ("/portal",),
    "/portal/{account}": MONTHS,
    "/portal/{account}/days/{day}": (
        "/portal/harbour/days/2026-11-12",
        "/portal/elm/days/2026-10-25",
        "/portal/ridge/days/2026-10-30",
    ),
    "/portal/{account}/days/{day}/{gateway}/{device}/{meter}": (
        "/portal/harbour/days/2026-11-12/harbour-garage/charger-1/energy",
        "/portal/elm/days/2026-10-25/elm-street-5/heat-house/heat",
    ),
    "/portal/{account}/lines/{gateway}/{log}/{epoch}/{seq}": ("/portal/ridge/lines/ridge-site/site/{epoch}/40",),
    "/portal/{account}/devices": ("/portal/kallio/devices", "/portal/berg/devices"),
    "/portal/{account}/devices/{gateway}/{device}": (
        "/portal/kallio/devices/kallio-office/sim-07",
        "/portal/berg/devices/elm-street-5/water-flat-2",
    ),
    "/portal/{account}/invoices": ("/portal/ridge/invoices", "/portal/you/invoices"),
    "/portal/{account}/invoices/{number}": (
        "/portal/ridge/invoices/DEMO-12",
        "/portal/harbour/invoices/DEMO-10",
        "/portal/kallio/invoices/DEMO-11",
        "/portal/berg/invoices/DEMO-9",
    ),
    "/portal/{account}/invoices/{number}/paper": ("/portal/harbour/invoices/DEMO-10/paper",),
    "/portal/{account}/invoices/{number}/check": ("/portal/kallio/invoices/DEMO-11/check",),
    "/portal/{account}/invoices/{number}/dispute": (
        "/portal/harbour/invoices/DEMO-10/dispute?line=2&why=The+counter+jumped",
    ),
    "/portal/{account}/disputes": ("/portal/harbour/disputes", "/portal/berg/disputes"),
    "/portal/{account}/disputes/{dispute}": ("/portal/harbour/disputes/1", "/portal/harbour/disputes/1?again=yes"),
    "/portal/{account}/disputes/{dispute}/copy": ("/portal/harbour/disputes/1/copy",),
    "/portal/{account}/cost/{contract}": ("/portal/harbour/cost/harbour-garage", "/portal/ridge/cost/ridge-machines"),
    "/portal/{account}/cost/{contract}/{line}": ("/portal/harbour/cost/harbour-garage/{line}",),
    "/portal/{account}/usage/{gateway}/{device}/{meter}": ("/portal/berg/usage/elm-street-5/water-flat-2/water",),
    "/portal/{account}/invoices/{number}/lines/{place}": (
        "/portal/harbour/invoices/DEMO-10/lines/4",
        "/portal/ridge/invoices/DEMO-12/lines/1",
    ),
    "/portal/{account}/warnings": ("/portal/harbour/warnings", "/portal/you/warnings"),
    "/portal/{account}/data": ("/portal/harbour/data", "/portal/berg/data"),
}
"""By route: addresses that lead to it, with names out of the demo; what is open to nobody who is not signed in."""
NO_PAGES: Final = re.compile(
    r"/api/.*|/static/.*|.*\.(json|csv|zip)|/healthz|/readyz|/metrics|.*/events|.*/live"
    r"|.*/(documents|as)/\{form\}|.*/verify\.html|/sign-in/provider.*"
)
"""What is data, a file to take along, a part of a page, or leads elsewhere."""


@dataclass
class Town:
    """The demo's pages, and those who look at them."""

    console: Console
    letters: list[EmailMessage] = field(default_factory=list)
    states: dict[str, StorageState] = field(default_factory=dict)
    drawn: dict[str, str] = field(default_factory=dict)
    """Names that the story draws: they stand in braces in addresses."""

    def url(self, path: str) -> str:
        return self.console.url(path.format(**self.drawn))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return story_in(tmp_path_factory.mktemp("screens") / "story", tmp_path_factory)


@pytest.fixture(scope="module")
def browser(story: Story) -> Iterator[Browser]:
    # Where a browser runs, the story cannot be told: each has its own loop of events.
    del story
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def town(story: Story, browser: Browser) -> Iterator[Town]:
    """Three people have signed in, and the garage's board has opened a dispute."""
    letters: list[EmailMessage] = []

    def post(message: EmailMessage) -> Posted:
        letters.append(message)
        return Posted(fate=Fate.SENT)

    door = Door(url="http://127.0.0.1", post=post, sender="meters@northwind.example")
    with running(story, door=door) as console:
        with console.site.writing() as store:
            for email, role, accounts in (
                (OPERATOR, Role.OPERATOR, None),
                (BOOKKEEPER, Role.CUSTOMER, CUSTOMERS),
                (BOARD, Role.CUSTOMER, ["harbour"]),
            ):
                put_person(store, email, role=role, accounts=accounts, by="a test", now_ms=NOW * 1_000, new=True)
        made = Town(console=console, letters=letters)
        for email in (OPERATOR, BOOKKEEPER, BOARD):
            made.states[email] = sign_in(made, browser, email)
        with closing(sqlite3.connect(console.store)) as database:
            made.drawn["epoch"] = database.execute("select epoch from chain where gateway = 'ridge-site'").fetchone()[0]
        with visit(browser, signed_in=made.states[BOARD], scripts=False) as person:
            person.open(made.url("/portal/harbour/cost/harbour-garage"))
            line = person.page.locator("main a[href*='/cost/harbour-garage/']").last.get_attribute("href")
            assert line is not None
            made.drawn["line"] = line.rpartition("/")[2]
            person.open(made.url(PAGES["/portal/{account}/invoices/{number}/dispute"][0]))
            person.page.fill("#why", "Nobody charged a car that night.")
            person.follow(person.page.get_by_role("button").filter(has_text="dispute"))
            assert person.page.url.endswith("/portal/harbour/disputes/1")
        yield made


def sign_in(town: Town, browser: Browser, email: str) -> StorageState:
    """What the browser carries of somebody who asked for a link, opened it and pressed the button."""
    with visit(browser) as person:
        person.open(town.url("/sign-in"))
        person.page.get_by_label("E-mail address").fill(email)
        person.follow(person.page.get_by_role("button", name="Send me a link"))
        letter = letter_to(town, person, email)
        found = re.search(r"/sign-in/link/\S+", letter.get_content())
        assert found is not None
        person.open(town.url(found[0]))
        person.follow(person.page.get_by_role("main").get_by_role("button", name="Sign in"))
        return person.context.storage_state()


def letter_to(town: Town, person: Visit, email: str) -> EmailMessage:
    """The letter that is posted once the page has been answered."""
    for _ in range(200):
        if town.letters and town.letters[-1]["To"] == email:
            return town.letters[-1]
        person.page.wait_for_timeout(20)
    raise AssertionError(f"{email} got no letter")


def name_of(address: str) -> str:
    """A picture's name."""
    return re.sub(r"[^a-z0-9]+", "-", address.lower()).strip("-") or "overview"


def judged(person: Visit, name: str, status: int = 200) -> list[str]:
    """What is wrong with the page that stands there; its picture is taken."""
    found = [f"{name} ({person.look}): {each}" for each in person.faults(status=status)]
    person.shot(name)
    return found


def walked(town: Town, browser: Browser, addresses: Sequence[str], size: dict[str, int], *, dark: bool) -> list[str]:
    """What is wrong with these pages."""
    found: list[str] = []
    for who in (OPERATOR, BOOKKEEPER):
        with visit(browser, size=size, dark=dark, signed_in=town.states[who]) as person:
            for address in addresses:
                if address.startswith("/portal") is not (who == BOOKKEEPER):
                    continue
                person.open(town.url(address))
                if address.endswith("/check"):
                    person.page.wait_for_selector("#check[data-verdict=good]")
                found += judged(person, name_of(address))
    return found


def _opened(path: str, status: int = 200) -> Callable[[Town, Visit], int]:
    def scene(town: Town, person: Visit) -> int:
        person.open(town.url(path))
        return status

    return scene


def _link_sent(town: Town, person: Visit) -> int:
    person.open(town.url("/sign-in"))
    person.page.get_by_label("E-mail address").fill("nobody@elsewhere.example")
    person.follow(person.page.get_by_role("button", name="Send me a link"))
    assert "If the address is known here" in person.page.inner_text("main"), "and not whether it is"
    return 200


def _link_used(town: Town, person: Visit) -> int:
    person.open(town.url("/sign-in/link/used-long-ago"))
    person.follow(person.page.get_by_role("main").get_by_role("button", name="Sign in"))
    assert "used before" in person.page.inner_text("[role=alert]")
    return 410


def _nobody(town: Town, person: Visit) -> int:
    """By a name of this machine that is not trusted: nobody is there."""
    person.open(town.url("/portal/harbour/invoices").replace("127.0.0.1", ELSEWHERE))
    assert person.page.url.endswith("/sign-in?next=/portal/harbour/invoices")
    return 200


def _led_back(town: Town, person: Visit) -> int:
    """A customer who comes to the operator's side is led to his own."""
    person.open(town.url("/"))
    assert person.page.locator("nav[aria-label=Pages]").count() == 0, "the operator's menu is not his"
    back = person.page.get_by_role("main").get_by_role("link")
    assert back.get_attribute("href") == "/portal"
    return 403


def _sessions_of_two(town: Town, person: Visit) -> int:
    """Two browsers: this one, and one that can be ended from here."""
    person.open(town.url("/sessions"))
    assert person.page.get_by_text("this browser").count() == 1
    return 200


def _too_often(town: Town, person: Visit) -> int:
    """Somebody who tries keys is told to wait, and how long; a while later he may try again."""
    site = town.console.site
    while not site.paces.sign_ins.take(neighbourhood("127.0.0.1"), site.clock.utc_ms()):
        pass
    person.open(town.url("/sign-in/link/guessed"))
    person.follow(person.page.get_by_role("main").get_by_role("button", name="Sign in"))
    assert "wait" in person.page.inner_text("main")
    town.console.clock.advance(600_000)
    return 429


def _broken(town: Town, person: Visit) -> int:
    """What nobody has foreseen is said as such, and not what it was."""
    with patch("cloud_collector.web.portal.month.account_cost", side_effect=RuntimeError("a secret of the house")):
        person.open(town.url("/portal/harbour"))
    assert "secret of the house" not in person.page.content()
    return 500


SCENES: Final[Mapping[str, tuple[str | None, Callable[[Town, Visit], int]]]] = {
    "door-link-sent": (None, _link_sent),
    "door-link-used": (None, _link_used),
    "door-nobody": (None, _nobody),
    "door-sessions": (BOARD, _sessions_of_two),
    "error-403-customer": (BOARD, _led_back),
    "error-404-gateway": (OPERATOR, _opened("/gateways/nowhere", 404)),
    "error-404-page": (OPERATOR, _opened("/no-such-page", 404)),
    "error-404-portal": (BOARD, _opened("/portal/ridge", 404)),
    "error-429": (None, _too_often),
    "error-500": (BOARD, _broken),
    "error-404-invoice": (BOOKKEEPER, _opened("/portal/harbour/invoices/DEMO-12", 404)),
    "operator-dispute": (OPERATOR, _opened("/portal/harbour/disputes/1")),
    "operator-portal": (OPERATOR, _opened("/portal/kallio")),
    "board-portal": (BOARD, _opened("/portal")),
}
"""What is no page of its own: answers to forms, errors, and pages as somebody else sees them."""


def acted(town: Town, browser: Browser, names: Sequence[str], size: dict[str, int], *, dark: bool) -> list[str]:
    """What is wrong with these scenes."""
    found: list[str] = []
    for name in names:
        who, scene = SCENES[name]
        with visit(browser, size=size, dark=dark, signed_in=None if who is None else town.states[who]) as person:
            found += judged(person, name, status=scene(town, person))
    return found


ADDRESSES: Final = tuple(each for addresses in PAGES.values() for each in addresses)
SHORT: Final = tuple(each for addresses in PAGES.values() for each in addresses[:SHORT_MAX])
"""What `make test` opens."""


@pytest.mark.parametrize(("size", "dark"), LOOKS)
def test_every_page_is_whole_in_one_of_four_looks(
    town: Town, browser: Browser, size: dict[str, int], *, dark: bool, request: pytest.FixtureRequest
) -> None:
    """No console error, nothing that is not fetched, no serious finding of axe, as wide as the screen, light enough."""
    turn = [each.id for each in LOOKS].index(request.node.callspec.id)
    assert walked(town, browser, SHORT[turn :: len(LOOKS)], size, dark=dark) == []
    assert acted(town, browser, tuple(SCENES)[turn :: len(LOOKS)], size, dark=dark) == []


@pytest.mark.deep
@pytest.mark.parametrize(("size", "dark"), LOOKS)
def test_every_page_is_whole_in_each_of_four_looks(
    town: Town, browser: Browser, size: dict[str, int], *, dark: bool
) -> None:
    # The pages' paces run by this clock.
    town.console.clock.advance(60_000)
    assert walked(town, browser, ADDRESSES, size, dark=dark) == []
    assert acted(town, browser, tuple(SCENES), size, dark=dark) == []


def test_the_garages_board_finds_the_warning_of_its_budget(town: Town, browser: Browser) -> None:
    """Fired as the story went on: it stands on the month's page and in the list, with its figure."""
    with town.console.site.open_store() as store:
        said = [row for row in store.rows("warnings") if row[1] == "harbour-garage" and row[5:8] == FORETOLD]
    assert [row[8] for row in said] == ["80", "100"]
    with visit(browser, signed_in=town.states[BOARD], size=PHONE) as person:
        person.open(town.url("/portal/harbour"))
        assert person.page.locator(".state.warn.likely").is_visible()
        person.page.locator("summary", has_text="Menu").click()
        person.follow(person.page.get_by_role("navigation", name="Pages").get_by_role("link", name="Warnings"))
        told = person.page.locator("tbody tr", has_text="budget")
        assert told.count() == 2
        figure = str(said[-1][12]).replace(".", "[.,]")
        assert re.search(figure, told.first.inner_text()) is not None


def test_every_page_that_is_served_is_looked_at(town: Town) -> None:
    pages = {
        each.path
        for each in every_route(town.console.app)
        if "GET" in each.methods and not NO_PAGES.fullmatch(each.path)
    }
    assert pages - set(PAGES) == set(), "give each of these an address with the demo's data in PAGES"
    assert set(PAGES) - pages == set(), "these are served no more"
