"""What goes wrong on a page is said: to people as a page, to programs as RFC 9457 writes it, and to nobody too much."""

from typing import Final
from unittest.mock import patch

import pytest
from fastapi import FastAPI

from cloud_collector.web.app import create_app
from shared.effects.memory import SimpleClock
from shared.errors import DatabaseBusy, DatabaseError
from tests.portal_site import site_of
from tests.unit.billing_samples import CATALOG, NOVEMBER, new_store
from tests.visitors import ask

PAGE: Final = {"Accept": "text/html"}
MONTH: Final = "/portal/acme"
COST: Final = "cloud_collector.web.portal.month.account_cost"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    path = tmp_path_factory.mktemp("faults") / "collector.db"
    new_store(path, CATALOG).close()
    return create_app(site_of(path, SimpleClock(utc_ms=NOVEMBER * 1_000)))


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RuntimeError("a secret of the house"), 500, "the collector is at fault, and its log says why"),
        (DatabaseError("a secret of the house"), 500, "the collector is at fault, and its log says why"),
        (DatabaseBusy("a secret of the house"), 503, "the store is busy: open the page again in some seconds"),
    ],
)
def test_what_breaks_is_said_and_logged_and_gives_nothing_away(
    app: FastAPI, error: Exception, status: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with patch(COST, side_effect=error):
        page = ask(app, "GET", MONTH, headers=PAGE, breaks=True)
        data = ask(app, "GET", f"{MONTH}.json", breaks=True)
    assert (page.status_code, data.status_code) == (status, status)
    assert said in page.text
    assert data.json()["detail"] == said
    assert data.headers["content-type"] == "application/problem+json"
    assert "secret" not in page.text + data.text
    assert ("a secret of the house" in caplog.text) is (status == 500)
    for answer in (page, data):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers.get("retry-after") == ("5" if status == 503 else None)
    assert ask(app, "GET", MONTH, headers=PAGE).status_code == 200, "and the next is served"


def test_an_address_that_says_nonsense_is_told_so(app: FastAPI) -> None:
    page = ask(app, "GET", f"{MONTH}?wait=perhaps", headers=PAGE)
    assert page.status_code == 422
    assert "&#34;wait&#34; in the address is not what it should be" in page.text
    assert ask(app, "GET", f"{MONTH}?wait=perhaps").json()["status"] == 422
