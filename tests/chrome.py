"""A real browser: Debian's Chromium under Playwright, with what its console says, axe, and what a page weighs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    StorageState,
    sync_playwright,
)

from tests.requirements import require

PHONE: Final = {"width": 390, "height": 844}
DESKTOP: Final = {"width": 1280, "height": 900}
SERIOUS: Final = frozenset({"serious", "critical"})
SETTLE_MS: Final = 20
SETTLES_MAX: Final = 1_000
WEIGHT_MAX: Final = 150_000
"""Bytes of a page with everything that it fetches."""
SCREENS: Final = Path(__file__).parents[1] / "build" / "screens"
"""Where pictures of every page are left, so that a person can look at them."""
ELSEWHERE: Final = "meters.test"
"""A name that leads to this machine and is no `localhost`: over plain http, pages of it have no WebCrypto."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Within, a browser runs; skips where the machine has none."""
    path = require("chromium")
    require("playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"]
        )
        yield browser
        browser.close()


@dataclass
class Visit:
    """One person at one browser: pages, and all that went wrong on them."""

    context: BrowserContext
    page: Page
    look: str
    """Theme and size, for the names of pictures."""
    errors: list[str] = field(default_factory=list)
    """What the console complained of, what a script fell over, what could not be fetched."""
    weights: dict[str, int] = field(default_factory=dict)
    """Bytes on the wire by address, since the page was opened."""
    status: int = 0
    """How the page was answered."""
    under_way: set[Request] = field(default_factory=set)

    def open(self, url: str) -> Page:
        """The page at this address, with all that it fetches."""
        self.weights.clear()
        self.page.goto(url, wait_until="load")
        self.settle()
        return self.page

    def follow(self, led: Locator) -> Page:
        """The page that this link or button leads to, once it is all there: a click by itself waits for less."""
        self.weights.clear()
        with self.page.expect_navigation(wait_until="load"):
            led.click()
        self.settle()
        return self.page

    def settle(self) -> None:
        """Nothing is being fetched, and what was fetched is drawn."""
        quiet = 0
        for _ in range(SETTLES_MAX):
            self.page.wait_for_timeout(SETTLE_MS)
            quiet = 0 if self.under_way else quiet + 1
            if quiet > 1:
                return
        raise AssertionError(f"still fetching: {[each.url for each in self.under_way]}")

    @property
    def weight(self) -> int:
        """Bytes that the page took, with everything that it fetched."""
        return sum(self.weights.values())

    def serious(self) -> list[str]:
        """What axe finds serious or critical, each with the element."""
        # The console's policy lets no page run what it does not hold: axe is put in from outside.
        self.page.evaluate(_axe())
        found: dict[str, Any] = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {node['html'][:160]}"
            for each in found["violations"]
            if each["impact"] in SERIOUS
            for node in each["nodes"]
        ]

    def faults(self, *, status: int = 200) -> list[str]:
        """What is wrong with the page that stands there; a page may be the answer to what was refused with `status`."""
        page = self.page
        told = [each for each in self.errors if f"the server responded with a status of {status} " not in each]
        self.errors.clear()
        found = [f"console: {each}" for each in told]
        if self.status != status:
            found.append(f"answered with {self.status}")
        found += [f"axe: {each}" for each in self.serious()]
        width = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        if width[0] > width[1]:
            found.append(f"{width[0]} wide on a screen of {width[1]}: it has to be pushed sideways")
        if page.locator("img[src=x]").count():
            found.append("a name became markup")
        if (headings := page.locator("h1").count()) != 1:
            found.append(f"{headings} main headings")
        # The evidence is what is checked there, and as long as the month was.
        weight = sum(each for url, each in self.weights.items() if not url.endswith("/evidence.zip"))
        if weight > WEIGHT_MAX:
            found.append(f"{weight} bytes: {self.weights}")
        return found

    def shot(self, name: str) -> None:
        """The whole page is a picture in SCREENS, named after theme and size as well."""
        path = SCREENS / f"{name}-{self.look}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, full_page=True)


@contextmanager
def visit(
    browser: Browser,
    *,
    dark: bool = False,
    size: dict[str, int] | None = None,
    headers: dict[str, str] | None = None,
    scripts: bool = True,
    signed_in: StorageState | None = None,
) -> Iterator[Visit]:
    """Within, somebody has a browser window of this size and theme, with what an earlier one carried in `signed_in`."""
    width = size or DESKTOP
    context = browser.new_context(
        viewport={"width": width["width"], "height": width["height"]},
        color_scheme="dark" if dark else "light",
        extra_http_headers=headers or {},
        java_script_enabled=scripts,
        locale="en-GB",
        accept_downloads=True,
        storage_state=signed_in,
    )
    context.set_default_timeout(20_000)
    page = context.new_page()
    made = Visit(
        context=context, page=page, look=f"{'phone' if size is PHONE else 'desktop'}-{'dark' if dark else 'light'}"
    )
    _listen(made)
    yield made
    context.close()


def _listen(made: Visit) -> None:
    page = made.page

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            made.errors.append(message.text)

    def asked(request: Request) -> None:
        # A stream of events is open for as long as the page is.
        if not request.url.endswith("/events"):
            made.under_way.add(request)

    def answered(request: Request) -> None:
        made.under_way.discard(request)

    def failed(request: Request) -> None:
        made.under_way.discard(request)
        # What is fetched no more because the page was left is nobody's fault.
        if not request.url.endswith("/events") and request.failure != "net::ERR_ABORTED":
            made.errors.append(f"{request.url}: {request.failure}")

    def weigh(response: Response) -> None:
        if response.request.is_navigation_request():
            made.status = response.status
        length = response.headers.get("content-length")
        made.weights[response.url] = int(length) if length else 0

    page.on("console", heard)
    page.on("pageerror", lambda error: made.errors.append(str(error)))
    page.on("request", asked)
    page.on("requestfinished", answered)
    page.on("requestfailed", failed)
    page.on("response", weigh)


def _axe() -> str:
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
