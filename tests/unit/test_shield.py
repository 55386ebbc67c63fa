"""What is around every answer: headers, and a pace for addresses, tokens and people, in bounded memory (P9)."""

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_collector.access.pace import Pace, Paces
from cloud_collector.access.viewer import Deed
from cloud_collector.invoice import html
from cloud_collector.invoice.html import style_hash
from cloud_collector.limits import (
    GUESS_SECONDS,
    GUESSES_AT_ONCE_MAX,
    NAMES_PACED_MAX,
    REQUESTS_OF_ADDRESS_AT_ONCE_MAX,
    REQUESTS_OF_ONE_AT_ONCE_MAX,
)
from cloud_collector.web.app import create_app
from cloud_collector.web.door import Door
from cloud_collector.web.shell import PAPER_POLICY
from cloud_collector.web.site import Site
from shared.effects.memory import SimpleClock
from tests.paper import regular
from tests.visitors import NOW_MS, THERE, ask, bare_site, token_of

FAR = "192.0.2.7"
BAD = {"Authorization": "Bearer ms_" + "A" * 43}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return bare_site(tmp_path, local_operator=False)


def slow(site: Site, **told: Pace) -> Site:
    return replace(site, paces=Paces(**told))


def pace(at_once: int) -> Pace:
    return Pace(at_once=at_once, each_ms=1_000, names=10)


@pytest.mark.parametrize("path", ["/", "/sign-in", "/gateways.json", "/nowhere", "/static/style.css", "/healthz"])
def test_every_answer_bears_the_headers_whatever_it_is(site: Site, path: str) -> None:
    plain = ask(create_app(site), "GET", path, client=FAR)
    policy = plain.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")
    assert plain.headers["X-Content-Type-Options"] == "nosniff"
    assert plain.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in plain.headers
    secure = ask(create_app(replace(site, door=Door(url=THERE))), "GET", path, client=FAR, at=THERE)
    assert secure.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert secure.headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_an_address_that_asks_too_often_waits_and_its_neighbours_do_not(site: Site) -> None:
    app = create_app(slow(site, addresses=pace(3)))
    assert [ask(app, "GET", "/sign-in", client=FAR).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = ask(app, "GET", "/sign-in", client=FAR)
    assert (refused.headers["Retry-After"], refused.headers["Content-Type"]) == ("1", "application/problem+json")
    assert FAR in refused.json()["detail"]
    assert "Content-Security-Policy" in refused.headers
    assert ask(app, "GET", "/sign-in", client="192.0.2.8").status_code == 200
    assert ask(app, "GET", "/healthz", client=FAR).status_code == 200, "who keeps the process alive is always answered"


def test_whoever_sits_at_the_machine_does_not_wait(site: Site) -> None:
    app = create_app(replace(slow(site, addresses=pace(1), viewers=pace(1)), local_operator=True))
    assert [ask(app, "GET", "/gateways.json").status_code for _ in range(3)] == [200, 200, 200]
    forwarded = [ask(app, "GET", "/sign-in", headers={"X-Forwarded-For": FAR}).status_code for _ in range(2)]
    assert forwarded == [200, 429]


def test_a_token_that_asks_too_often_waits_wherever_it_comes_from(site: Site) -> None:
    app = create_app(slow(site, viewers=pace(2)))
    busy, calm = token_of(site, "busy"), token_of(site, "calm")
    asked = [
        ask(app, "GET", "/gateways.json", headers=busy, client=f"192.0.2.{number}").status_code for number in range(3)
    ]
    assert asked == [200, 200, 429]
    assert ask(app, "GET", "/gateways.json", headers=calm, client="192.0.2.1").status_code == 200


def test_tokens_are_not_guessed_at(site: Site) -> None:
    app = create_app(site)
    good = token_of(site, "reader")
    told = [ask(app, "GET", "/gateways.json", headers=BAD, client=FAR).status_code for _ in range(21)]
    assert told == [401] * GUESSES_AT_ONCE_MAX + [429]
    assert ask(app, "GET", "/gateways.json", headers=good, client=FAR).status_code == 429, "not even a good one"
    assert ask(app, "GET", "/gateways.json", headers=good, client="192.0.2.8").status_code == 200
    later = create_app(replace(site, clock=SimpleClock(utc_ms=NOW_MS + GUESS_SECONDS * 1_000)))
    assert ask(later, "GET", "/gateways.json", headers=good, client=FAR).status_code == 200


def test_the_paces_that_are_in_force_are_those_of_the_limits() -> None:
    paces = Paces()
    for found, at_once in (
        (paces.addresses, REQUESTS_OF_ADDRESS_AT_ONCE_MAX),
        (paces.viewers, REQUESTS_OF_ONE_AT_ONCE_MAX),
    ):
        assert sum(not found.take("x", 0) for _ in range(at_once + 9)) == at_once
    for number in range(NAMES_PACED_MAX + 9):
        paces.addresses.take(str(number), 0)
    assert len(paces.addresses) == NAMES_PACED_MAX


def test_metrics_are_told_to_whoever_may_read(site: Site) -> None:
    app = create_app(site)
    assert ask(app, "GET", "/metrics", client=FAR).status_code == 401
    assert ask(app, "GET", "/metrics", headers=token_of(site, "prometheus"), client=FAR).status_code == 200
    some = token_of(site, "acme", accounts=["acme"])
    writer = token_of(site, "writer", scopes=[Deed.INGEST])
    assert [ask(app, "GET", "/metrics", headers=each, client=FAR).status_code for each in (some, writer)] == [403, 403]


def test_an_invoices_sheet_is_the_one_that_its_policy_names() -> None:
    """What a browser hashes is all that stands between the tags; nothing else on the page may style it."""
    page = html.page(regular(), key_words="")
    (sheet,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style_hash() == f"sha256-{base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()}"
    assert "unsafe" not in PAPER_POLICY
    assert style_hash() in PAPER_POLICY
    assert not re.search(r"\sstyle=|<script", page)
