"""Signing in by an OpenID provider in a real browser: its button, its page, and the way back; and who is refused."""

from collections.abc import Iterator
from typing import Final

import httpx
import pytest
from playwright.sync_api import Browser

from cloud_collector.access.people import put_person
from cloud_collector.access.viewer import Role
from cloud_collector.web.door import Door
from cloud_collector.web.oidc import OpenIdProvider
from shared.effects.clock import SystemClock
from tests import openid_provider
from tests.chrome import PHONE, Visit, visit
from tests.console_site import serving
from tests.visitors import bare_site

pytestmark = pytest.mark.system
BERT: Final = "bert@utility.example"
STRANGER: Final = "eve@elsewhere.example"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with openid_provider.serving() as found:
        for email in (BERT, STRANGER):
            claims = {"email": email, "email_verified": True}
            httpx.put(f"{found}/users/{email}", json=claims).raise_for_status()
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, issuer: str) -> Iterator[str]:
    """Where the pages are; only one person is known there."""
    provider = OpenIdProvider(issuer=issuer, client_id="meterseal", secret="s3cret", back="", called="Utility")
    site = bare_site(
        tmp_path_factory.mktemp("provider"),
        door=Door(url="http://127.0.0.1", provider=provider),
        local_operator=False,
        clock=SystemClock(trusted=True),
    )
    with site.writing() as store:
        put_person(store, BERT, role=Role.OPERATOR, accounts=None, by="test", now_ms=0, new=True)
    with serving(site) as (_, port):
        provider.back = f"http://127.0.0.1:{port}/sign-in/provider/back"
        yield f"http://127.0.0.1:{port}"


def consents(person: Visit, pages: str, email: str) -> None:
    """Somebody comes for a page, presses the provider's button, and says there who he is."""
    person.open(f"{pages}/gateways?q=roof")
    assert person.page.inner_text("h1") == "Sign in"
    assert person.faults() == []
    person.shot("door-provider")
    person.follow(person.page.get_by_role("link", name="Sign in with Utility"))
    person.page.locator("input[name=sub]").fill(email)
    with person.page.expect_navigation(url=f"{pages}/**"):
        person.page.get_by_role("button", name="Authorize").click()
    person.settle()


def test_somebody_known_comes_back_to_the_page_that_he_came_for(pages: str, browser: Browser) -> None:
    with visit(browser, size=PHONE) as person:
        consents(person, pages, BERT)
        assert person.page.url == f"{pages}/gateways?q=roof"
        assert person.page.inner_text("h1") == "Fleet"
        person.open(f"{pages}/sessions")
        assert "this browser" in person.page.inner_text("main")


def test_whom_the_provider_knows_and_nobody_here_is_told_so(pages: str, browser: Browser) -> None:
    with visit(browser, dark=True) as person:
        consents(person, pages, STRANGER)
        assert "/sign-in" in person.page.url
        told = person.page.locator("[role=alert]").inner_text()
        assert told, "why nobody is signed in"
        person.shot("door-provider-refused")
        person.open(f"{pages}/gateways")
        assert person.page.inner_text("h1") == "Sign in"
