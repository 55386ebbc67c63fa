"""The gate before the pages: who is somebody, what he may, and what other sites cannot make him do."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import Request
from prometheus_client import CollectorRegistry

from cloud_collector.access import trail
from cloud_collector.access.viewer import ALLOWED, LOCAL_OPERATOR, Deed, Means, Role, Viewer, everything
from cloud_collector.store.store import Store
from cloud_collector.web import gate
from cloud_collector.web.app import create_app
from cloud_collector.web.gate import Asking, Operating
from cloud_collector.web.site import Site
from shared.effects.memory import SimpleClock
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseError, InvalidRecord

NOW_MS = 1_794_000_000_000
HERE = "http://127.0.0.1:8080"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    @contextmanager
    def open_store() -> Iterator[Store]:
        held = Store(SqliteDatabase(tmp_path / "collector.db"))
        yield held
        held.close()

    return Site(
        open_store=open_store,
        clock=SimpleClock(utc_ms=NOW_MS),
        zone=lambda _: "UTC",
        subscriptions=lambda *_: [],
        key_words="",
        readiness=dict,
        metrics=CollectorRegistry(),
    )


def ask(
    site: Site, method: str, url: str, *, headers: Mapping[str, str] | None = None, client: str = "127.0.0.1"
) -> httpx.Response:
    app = create_app(site)

    @app.post("/deeds/{account}")
    def deed(request: Request, account: str, viewer: Asking) -> dict[str, str]:
        gate.must_see(viewer, account)
        gate.must(viewer, Deed.COMMAND)
        gate.record(request, Deed.COMMAND, f"switched something of {account}", account=account)
        return {"done": account}

    @app.get("/desk/own")
    def desk(viewer: Operating) -> dict[str, str]:
        return {"name": viewer.name}

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, client=(client, 40_000))
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as browser:
            return await browser.request(method, url, headers=headers)

    return asyncio.run(asked())


def test_whoever_sits_at_the_machine_is_its_operator(site: Site) -> None:
    assert ask(site, "GET", "/desk/own").json() == {"name": LOCAL_OPERATOR.name}
    assert ask(site, "GET", "http://localhost:8080/desk/own").status_code == 200
    assert ask(site, "GET", "http://[::1]:8080/desk/own", client="::1").status_code == 200


@pytest.mark.parametrize(
    ("url", "headers", "client"),
    [
        ("/desk/own", {}, "192.0.2.7"),
        ("http://collector.example/desk/own", {}, "127.0.0.1"),
        ("http://127.0.0.1.evil.example/desk/own", {}, "127.0.0.1"),
        ("/desk/own", {"X-Forwarded-For": "127.0.0.1"}, "127.0.0.1"),
        ("/desk/own", {"Forwarded": "for=127.0.0.1"}, "127.0.0.1"),
        ("/desk/own", {"Via": "1.1 proxy"}, "127.0.0.1"),
    ],
)
def test_nobody_else_is(site: Site, url: str, headers: dict[str, str], client: str) -> None:
    """P20: a proxy's request comes from this machine too, and a foreign name can be made to lead here."""
    answer = ask(site, "GET", url, headers=headers, client=client)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Bearer" in answer.headers["WWW-Authenticate"]


def test_a_person_without_a_session_is_led_to_the_door(site: Site) -> None:
    answer = ask(site, "GET", "/desk/own?x=1&y=2", headers={"Accept": "text/html"}, client="192.0.2.7")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?next=/desk/own%3Fx%3D1%26y%3D2")
    data = ask(site, "GET", "/gateways.json", headers={"Accept": "text/html"}, client="192.0.2.7")
    assert data.status_code == 401, "data never leads anywhere"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": HERE}, 200),
        ({"HX-Request": "true"}, 200),
        ({}, 403),
        ({"Sec-Fetch-Site": "cross-site", "HX-Request": "true"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9090"}, 403),
        ({"Origin": "https://evil.example"}, 403),
    ],
)
def test_no_page_of_another_site_acts_in_somebodys_name(site: Site, headers: dict[str, str], status: int) -> None:
    answer = ask(site, "POST", "/deeds/acme", headers=headers)
    assert answer.status_code == status
    with site.open_store() as store:
        assert len(trail.entries(store, limit=9)) == (status == 200)


def test_a_deed_stands_in_the_log_for_good(site: Site) -> None:
    ask(site, "POST", "/deeds/acme", headers={"Origin": HERE})
    with site.open_store() as store:
        (entry,) = trail.entries(store, account="acme", limit=9)
        assert entry.to_json() == {
            "at": "2026-11-06T21:20:00Z",
            "who": "local",
            "role": "operator",
            "by": "local",
            "deed": "command",
            "what": "switched something of acme",
            "account": "acme",
        }
        assert trail.entries(store, account="bolt", limit=9) == []
        for statement in ("delete from trail", "update trail set who = 'nobody'"):
            with pytest.raises(DatabaseError):
                store._database.execute(statement)


def test_a_customer_sees_his_own_accounts_and_never_all() -> None:
    """P20."""
    anna = everything(Role.CUSTOMER, "anna@acme.example", accounts=frozenset({"acme"}), means=Means.SESSION)
    assert anna.sees("acme")
    assert not anna.sees("bolt")
    assert LOCAL_OPERATOR.sees("bolt")
    with pytest.raises(InvalidRecord, match="never all"):
        everything(Role.CUSTOMER, "anna@acme.example", means=Means.SESSION)
    with pytest.raises(gate.Closed) as foreign:
        gate.must_see(anna, "bolt")
    assert (foreign.value.status_code, foreign.value.detail) == (404, gate.NOT_THERE)


def test_no_viewer_may_more_than_his_role() -> None:
    for role in Role:
        accounts = frozenset({"acme"}) if role is Role.CUSTOMER else None
        found = everything(role, "anna", accounts=accounts, means=Means.SESSION)
        assert {deed for deed in Deed if found.may(deed)} == ALLOWED[role]
        for deed in set(Deed) - ALLOWED[role]:
            with pytest.raises(InvalidRecord, match=str(role)):
                Viewer(name="anna", role=role, accounts=accounts, scopes=frozenset({deed}))
            with pytest.raises(gate.Closed) as refused:
                gate.must(found, deed)
            assert refused.value.status_code == 403
    assert {deed for deed in Deed if LOCAL_OPERATOR.may(deed)} == set(Deed)


def test_what_a_gate_writes_is_one_line_of_a_bounded_length(site: Site) -> None:
    """P9."""
    with site.open_store() as store:
        trail.enter(store, LOCAL_OPERATOR, Deed.BILL, "a\nb" + "x" * 9_999, now_ms=NOW_MS)
        (entry,) = trail.entries(store, limit=9)
    assert entry.what.startswith("a bxx")
    assert len(entry.what) == trail.WHAT_MAX


def test_the_operators_pages_are_closed_to_customers() -> None:
    anna = everything(Role.CUSTOMER, "anna@acme.example", accounts=frozenset({"acme"}), means=Means.SESSION)
    with pytest.raises(gate.Closed) as refused:
        gate.operator(anna)
    assert refused.value.status_code == 403
    assert gate.operator(LOCAL_OPERATOR) is LOCAL_OPERATOR
