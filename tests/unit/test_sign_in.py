"""Signing in: by a link that a scanner cannot use up, to sessions that end, without telling who is known here."""

import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from aiosmtpd.controller import Controller
from fastapi import FastAPI

from cloud_collector.access import trail
from cloud_collector.access.pace import Paces
from cloud_collector.access.people import put_person, remove_person
from cloud_collector.access.secret import hash_of
from cloud_collector.access.sessions import Lasting
from cloud_collector.access.viewer import Role
from cloud_collector.limits import LINKS_AT_ONCE_MAX, SIGN_IN_SECONDS, SIGN_INS_AT_ONCE_MAX
from cloud_collector.notify.post import smtp
from cloud_collector.settings import MailSettings
from cloud_collector.web.app import create_app
from cloud_collector.web.door import HOUR_MS, Door, inside
from cloud_collector.web.site import Site
from shared.effects.memory import SimpleClock
from tests.unit.billing_samples import CATALOG, new_store
from tests.unit.test_sending import free_port, quiet
from tests.visitors import NOW_MS, THERE, ask, bare_site, chance_of

__all__ = ["quiet"]
FAR: Final = "192.0.2.7"
OWN: Final = {"Sec-Fetch-Site": "same-origin"}
ANNA: Final = "anna@acme.example"
BERT: Final = "bert@utility.example"


class Box:
    """What a real mail server took."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, str]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.letters.append((envelope.rcpt_tos[0], envelope.content.decode()))
        return "250 taken"

    def link(self) -> str:
        """The path of the newest letter's link."""
        found = re.search(rf"{THERE}(/sign-in/link/\S+)", self.letters[-1][1])
        assert found is not None
        return found[1]


class Chances:
    """Bytes that nobody foresees but this test."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, count: int) -> bytes:
        self.drawn += 1
        return chance_of(str(self.drawn))[:count]


@pytest.fixture(autouse=True)
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Client and server greet each other by this machine's name; where no one answers for it, that takes seconds."""
    monkeypatch.setattr(socket, "getfqdn", lambda *_: "mail.example")


@pytest.fixture
def box() -> Iterator[tuple[Box, int]]:
    held = Box()
    port = free_port()
    server = Controller(held, hostname="127.0.0.1", port=port)
    server.start()
    yield held, port
    server.stop()


@pytest.fixture
def site(tmp_path: Path, box: tuple[Box, int]) -> Site:
    """Anna is a customer, Bert an operator."""
    mail = MailSettings(host="127.0.0.1", port=box[1], tls="none", sender="meter@utility.example")
    door = Door(url=THERE, post=smtp(mail, None), sender=mail.sender, chance=Chances())
    found = bare_site(tmp_path, door=door, local_operator=False)
    with found.writing() as store:
        put_person(store, ANNA, role=Role.CUSTOMER, accounts=["acme"], by="test", now_ms=NOW_MS, new=True)
        put_person(store, BERT, role=Role.OPERATOR, accounts=None, by="test", now_ms=NOW_MS, new=True)
    return found


def later(site: Site, milliseconds: int) -> FastAPI:
    return create_app(replace(site, clock=SimpleClock(utc_ms=NOW_MS + milliseconds), paces=Paces()))


def post(
    app: FastAPI, path: str, data: Mapping[str, str] | None = None, *, cookie: str = "", agent: str = "Firefox"
) -> httpx.Response:
    headers = OWN | {"User-Agent": agent} | ({"Cookie": cookie} if cookie else {})
    return ask(app, "POST", path, data=data or {}, headers=headers, client=FAR, at=THERE)


def get(app: FastAPI, path: str, cookie: str = "") -> httpx.Response:
    headers = {"Accept": "text/html"} | ({"Cookie": cookie} if cookie else {})
    return ask(app, "GET", path, headers=headers, client=FAR, at=THERE)


def signed_in(app: FastAPI, box: Box, email: str = BERT) -> str:
    """The cookie of somebody who asked for a link, opened it and pressed the button."""
    post(app, "/sign-in", {"email": email})
    answer = post(app, box.link())
    assert answer.status_code == 303
    return answer.headers["Set-Cookie"].partition(";")[0]


def test_a_customer_is_written_to_as_the_account_reads_and_the_operators_people_in_english(
    site: Site, box: tuple[Box, int], tmp_path: Path
) -> None:
    new_store(tmp_path / "collector.db", CATALOG.replace('"fi_FI"', '"de_DE"')).close()
    app = create_app(site)
    for email in (ANNA, BERT):
        post(app, "/sign-in", {"email": email})
    words = {to: re.findall("^Subject: (.*?)\r?$", letter, re.MULTILINE) for to, letter in box[0].letters}
    assert words == {ANNA: ["Anmelden bei meter.example"], BERT: ["Sign in to meter.example"]}


def test_somebody_known_signs_in_by_the_button_behind_a_link(site: Site, box: tuple[Box, int]) -> None:
    app = create_app(site)
    assert get(app, "/sessions?x=1").headers["Location"] == "/sign-in?next=/sessions%3Fx%3D1"
    form = get(app, "/sign-in?next=/sessions%3Fx%3D1").text
    assert 'name="leads_to" value="/sessions?x=1"' in form
    post(app, "/sign-in", {"email": f"  {BERT.upper()} ", "leads_to": "/sessions?x=1"})
    ((to, letter),) = box[0].letters
    assert (to, "Sign in to meter.example" in letter, "15 minutes" in letter) == (BERT, True, True)
    answer = post(app, box[0].link(), agent="Firefox on a phone")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sessions?x=1")
    told = answer.headers["Set-Cookie"]
    assert told.startswith("__Host-meterseal_session=")
    assert all(word in told for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/", "Max-Age=2592000"))
    page = get(app, "/sessions", told.partition(";")[0]).text
    assert "Firefox on a phone" in page
    with site.open_store() as store:
        (entry,) = trail.entries(store, limit=9)
        assert (entry.who, entry.role, entry.what) == (BERT, "operator", "signed in by link")


def test_a_scanner_that_follows_the_link_does_not_use_it_up(site: Site, box: tuple[Box, int]) -> None:
    app = create_app(site)
    post(app, "/sign-in", {"email": ANNA})
    for _ in range(3):
        seen = get(app, box[0].link())
        assert (seen.status_code, "Set-Cookie" in seen.headers) == (200, False)
    elsewhere = ask(app, "POST", box[0].link(), headers={"Sec-Fetch-Site": "cross-site"}, client=FAR, at=THERE)
    assert elsewhere.status_code == 403, "a page of another site presses no button"
    first, second = post(app, box[0].link()), post(app, box[0].link())
    assert (first.status_code, first.headers["Location"], second.status_code) == (303, "/portal", 410)
    assert "Set-Cookie" not in second.headers


def test_a_link_ends_and_a_wrong_one_never_was(site: Site, box: tuple[Box, int]) -> None:
    post(create_app(site), "/sign-in", {"email": ANNA})
    assert post(later(site, 15 * 60_000), box[0].link()).status_code == 410
    for wrong in (box[0].link()[:-1], box[0].link() + "A", "/sign-in/link/" + "A" * 5_000):
        assert post(create_app(site), wrong).status_code == 410
    assert post(later(site, 15 * 60_000 - 1), box[0].link()).status_code == 303


def test_the_answer_does_not_say_who_is_known(site: Site, box: tuple[Box, int]) -> None:
    """P20."""
    app = create_app(site)
    addresses = (ANNA, "nobody@acme.example", "no address", "", "a" * 10_000 + "@x.example", "x@y\r\nBcc: z@y.example")
    answers = [post(app, "/sign-in", {"email": each}) for each in addresses]
    assert len({(each.status_code, each.text) for each in answers}) == 1
    assert [to for to, _ in box[0].letters] == [ANNA]


def test_nobody_is_flooded_with_links(site: Site, box: tuple[Box, int]) -> None:
    """P9."""
    app = create_app(site)
    for _ in range(SIGN_INS_AT_ONCE_MAX):
        assert post(app, "/sign-in", {"email": ANNA}).status_code == 200
    assert len(box[0].letters) == LINKS_AT_ONCE_MAX
    refused = post(app, "/sign-in", {"email": ANNA})
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, str(SIGN_IN_SECONDS))
    another = ask(app, "POST", "/sign-in", data={"email": BERT}, headers=OWN, client="192.0.2.8", at=THERE)
    assert another.status_code == 200
    assert box[0].letters[-1][0] == BERT


def test_the_store_holds_neither_links_nor_cookies(site: Site, box: tuple[Box, int]) -> None:
    cookie = signed_in(create_app(site), box[0])
    link, secret = box[0].link().rpartition("/")[2], cookie.partition("=")[2]
    with site.open_store() as store:
        held = str(store._database.execute("select * from sign_in_link"))
        held += str(store._database.execute("select * from session"))
    assert (link in held, secret in held, hash_of(link) in held, hash_of(secret) in held) == (False, False, True, True)


def test_a_session_ends_unused_and_ends_in_any_case(site: Site, box: tuple[Box, int]) -> None:
    short = replace(site, door=replace(site.door, lasting=Lasting(idle_ms=2 * HOUR_MS, whole_ms=5 * HOUR_MS)))
    cookie = signed_in(create_app(short), box[0])
    assert get(later(short, 2 * HOUR_MS), "/sessions", cookie).status_code == 303
    assert [get(later(short, hour * HOUR_MS), "/sessions", cookie).status_code for hour in (1, 2, 3, 4)] == [200] * 4
    assert get(later(short, 5 * HOUR_MS), "/sessions", cookie).status_code == 303


def test_signing_out_ends_the_session_and_not_only_the_cookie(site: Site, box: tuple[Box, int]) -> None:
    app = create_app(site)
    cookie = signed_in(app, box[0])
    assert "<button>Sign out" in get(app, "/sign-out", cookie).text
    assert get(app, "/sessions", cookie).status_code == 200, "looking at the button does not press it"
    foreign = ask(
        app, "POST", "/sign-out", headers={"Cookie": cookie, "Origin": "https://evil.example"}, client=FAR, at=THERE
    )
    assert foreign.status_code == 403
    answer = post(app, "/sign-out", cookie=cookie)
    assert (answer.status_code, 'meterseal_session=""' in answer.headers["Set-Cookie"]) == (303, True)
    assert get(app, "/sessions", cookie).status_code == 303


def test_one_sees_and_ends_ones_own_sessions_and_nobody_elses(site: Site, box: tuple[Box, int]) -> None:
    """P20."""
    app = create_app(site)
    phone, desk, other = signed_in(app, box[0]), signed_in(app, box[0]), signed_in(app, box[0], ANNA)
    listed = ask(app, "GET", "/sessions.json", headers={"Cookie": desk}, client=FAR, at=THERE).json()
    assert len(listed) == 2
    phones = hash_of(phone.partition("=")[2])[:16]
    others = hash_of(other.partition("=")[2])[:16]
    assert post(app, f"/sessions/{others}/end", cookie=desk).status_code == 404
    assert post(app, f"/sessions/{phones}/end", cookie=desk).status_code == 303
    assert [get(app, "/sessions", each).status_code for each in (phone, desk, other)] == [303, 200, 200]


def test_signing_in_again_ends_the_session_that_the_browser_had(site: Site, box: tuple[Box, int]) -> None:
    app = create_app(site)
    old = signed_in(app, box[0])
    post(app, "/sign-in", {"email": ANNA})
    new = post(app, box[0].link(), cookie=old).headers["Set-Cookie"].partition(";")[0]
    assert new != old
    assert [get(app, "/sessions", each).status_code for each in (old, new)] == [303, 200]


def test_whoever_is_removed_is_out_at_once(site: Site, box: tuple[Box, int]) -> None:
    app = create_app(site)
    cookie = signed_in(app, box[0], ANNA)
    post(app, "/sign-in", {"email": ANNA})
    with site.writing() as store:
        remove_person(store, ANNA, now_ms=NOW_MS)
    assert get(app, "/sessions", cookie).status_code == 303
    assert post(app, box[0].link()).status_code == 410
    with site.writing() as store:
        put_person(store, ANNA, role=Role.CUSTOMER, accounts=["acme"], by="test", now_ms=NOW_MS, new=True)
    assert get(app, "/sessions", cookie).status_code == 303, "who comes back signs in anew"


def test_a_role_counts_from_the_next_page_on(site: Site, box: tuple[Box, int]) -> None:
    app = create_app(site)
    cookie = signed_in(app, box[0])
    assert get(app, "/gateways", cookie).status_code == 200
    with site.writing() as store:
        put_person(store, BERT, role=Role.CUSTOMER, accounts=["acme"], by="test", now_ms=NOW_MS, new=False)
    assert get(app, "/gateways", cookie).status_code == 403


def test_a_session_acts_for_pages_of_this_site_alone(site: Site, box: tuple[Box, int]) -> None:
    app = create_app(site)
    cookie = signed_in(app, box[0])
    told: tuple[tuple[dict[str, str], int], ...] = (
        ({"Sec-Fetch-Site": "same-origin"}, 404),
        ({"Origin": THERE}, 404),
        ({"Sec-Fetch-Site": "same-site", "Origin": THERE}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({}, 403),
    )
    for headers, status in told:
        carried = {"Cookie": cookie, **headers}
        answer = ask(app, "POST", "/sessions/none/end", headers=carried, client=FAR, at=THERE)
        assert answer.status_code == status, headers


@pytest.mark.parametrize(
    "path",
    ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/a\nb", "/" + "a" * 1_000, "/sign-out"],
)
def test_a_link_leads_nowhere_but_into_this_site(path: str) -> None:
    assert not inside(path)
    assert inside("/invoices/INV-1?x=1") == "/invoices/INV-1?x=1"


def test_without_a_mail_server_nobody_is_promised_a_link(tmp_path: Path) -> None:
    app = create_app(bare_site(tmp_path))
    page = ask(app, "GET", "/sign-in").text
    assert "cloud-collector person link" in page
    assert '<form method="post" action="/sign-in"' not in page


def test_nothing_on_these_pages_runs_or_comes_from_elsewhere(site: Site) -> None:
    app = create_app(site)
    for path in ("/sign-in", "/sign-in/link/x", "/sign-out"):
        page = get(app, path)
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(r"<script(?![^>]* src=\"/static/)|style=|onclick", page.text)
