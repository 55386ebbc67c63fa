"""A real browser: Debian's Chromium under Playwright, with what its console says, axe, and what a page weighs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page, Response, sync_playwright

from tests.requirements import require

PHONE: Final = {"width": 390, "height": 844}
DESKTOP: Final = {"width": 1280, "height": 900}
SERIOUS: Final = frozenset({"serious", "critical"})
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
    errors: list[str] = field(default_factory=list)
    weights: dict[str, int] = field(default_factory=dict)
    """Bytes on the wire by address, since the page was opened."""

    def open(self, url: str) -> Page:
        """The page at this address, loaded."""
        self.weights.clear()
        self.page.goto(url, wait_until="networkidle")
        return self.page

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

    def shot(self, path: Path) -> None:
        """The whole page as a picture."""
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
) -> Iterator[Visit]:
    """Within, somebody has a browser window of this size and theme."""
    width = size or DESKTOP
    context = browser.new_context(
        viewport={"width": width["width"], "height": width["height"]},
        color_scheme="dark" if dark else "light",
        extra_http_headers=headers or {},
        java_script_enabled=scripts,
        locale="en-GB",
        accept_downloads=True,
    )
    context.set_default_timeout(20_000)
    page = context.new_page()
    made = Visit(context=context, page=page)
    page.on("console", lambda message: made.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: made.errors.append(str(error)))

    def weigh(response: Response) -> None:
        length = response.headers.get("content-length")
        made.weights[response.url] = int(length) if length else 0

    page.on("response", weigh)
    yield made
    context.close()


def _axe() -> str:
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
