"""Tokens: shown once, kept as hashes, worth nothing beyond their scopes, their accounts and their end."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI, Request

from cloud_collector.access import trail
from cloud_collector.access.secret import SECRET_BYTES, TOKEN_PREFIX, hash_of, secret_of
from cloud_collector.access.tokens import TokenRefused, make_token, revoke_token, tokens
from cloud_collector.access.viewer import Deed, Role
from cloud_collector.limits import TOKEN_DAYS_MAX
from cloud_collector.web import gate
from cloud_collector.web.app import create_app
from cloud_collector.web.gate import Asking, Operating
from cloud_collector.web.site import Site
from shared.effects.memory import SimpleClock
from shared.errors import DatabaseError
from tests.unit.test_billing_cli import filled, here, run
from tests.visitors import NOW_MS, ask, bare_site, chance_of, token_of

__all__ = ["filled", "here"]
FAR = "192.0.2.7"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return bare_site(tmp_path)


def app_of(site: Site) -> FastAPI:
    app = create_app(site)

    @app.post("/deeds/{account}")
    def deed(request: Request, account: str, viewer: Asking) -> dict[str, str]:
        gate.must_see(viewer, account)
        gate.must(viewer, Deed.BILL)
        gate.record(request, Deed.BILL, "billed", account=account)
        return {"done": account}

    @app.get("/seen/{account}")
    def seen(account: str, viewer: Asking) -> dict[str, str]:
        gate.must_see(viewer, account)
        return {"name": viewer.name}

    @app.get("/desk/own")
    def desk(viewer: Operating) -> dict[str, str]:
        return {"name": viewer.name}

    return app


def status(site: Site, method: str, url: str, headers: dict[str, str]) -> int:
    return ask(app_of(site), method, url, headers=headers, client=FAR).status_code


def test_a_token_opens_what_its_scopes_and_accounts_say_and_nothing_else(site: Site) -> None:
    """P20."""
    reader = token_of(site, "reader")
    acme = token_of(site, "acme", accounts=["acme"])
    biller = token_of(site, "biller", scopes=[Deed.READ, Deed.BILL])
    blind = token_of(site, "blind", scopes=[Deed.BILL], accounts=["acme"])
    assert [status(site, "GET", "/seen/acme", each) for each in (reader, acme, biller, blind)] == [200, 200, 200, 403]
    assert [status(site, "GET", "/seen/bolt", each) for each in (reader, acme, biller, blind)] == [200, 404, 200, 403]
    assert [status(site, "GET", "/desk/own", each) for each in (reader, acme, biller, blind)] == [200, 403, 200, 403]
    assert [status(site, "POST", "/deeds/acme", each) for each in (reader, acme, biller, blind)] == [403, 403, 200, 200]
    assert [status(site, "POST", "/deeds/bolt", each) for each in (reader, acme, biller, blind)] == [403, 404, 200, 404]
    with site.open_store() as store:
        assert [(each.who, each.account, each.means) for each in trail.entries(store, limit=9)] == [
            ("token biller", "bolt", "token"),
            ("token blind", "acme", "token"),
            ("token biller", "acme", "token"),
        ]


def test_a_token_that_is_nobodys_opens_nothing_not_even_on_this_machine(site: Site) -> None:
    app = app_of(site)
    good = token_of(site, "reader")
    for told in (
        "Bearer ms_" + secret_of(b"x" * SECRET_BYTES),
        "Bearer ",
        "Bearer " + "ms_" + "A" * 100_000,
        "Basic YWRtaW46YWRtaW4=",
        good["Authorization"].replace("Bearer", "Token"),
        good["Authorization"][:-1],
        good["Authorization"] + "A",
    ):
        answer = ask(app, "GET", "/desk/own", headers={"Authorization": told})
        assert answer.status_code == 401, told
        assert good["Authorization"][7:] not in answer.text
    assert ask(app, "GET", "/desk/own", headers={"Authorization": "bearer " + good["Authorization"][7:]}).is_success


def test_a_token_ends_by_its_day_and_by_being_revoked(site: Site) -> None:
    short, long = token_of(site, "short", days=1), token_of(site, "long", days=2)
    tomorrow = replace(site, clock=SimpleClock(utc_ms=NOW_MS + 86_400_000))
    assert [status(tomorrow, "GET", "/desk/own", each) for each in (short, long)] == [401, 200]
    assert "expired" in ask(app_of(tomorrow), "GET", "/desk/own", headers=short, client=FAR).json()["detail"]
    with site.open_store() as store:
        assert revoke_token(store, "long", now_ms=NOW_MS)
        assert not revoke_token(store, "long", now_ms=NOW_MS + 1)
        assert [each.revoked_at for each in tokens(store)] == [NOW_MS, None]
        with pytest.raises(TokenRefused, match="there is no token"):
            revoke_token(store, "another", now_ms=NOW_MS)
    answer = ask(app_of(tomorrow), "GET", "/desk/own", headers=long, client=FAR)
    assert (answer.status_code, "revoked" in answer.json()["detail"]) == (401, True)


def test_the_store_holds_hashes_and_lets_nobody_widen_a_token(site: Site) -> None:
    secret = token_of(site, "reader")["Authorization"][7:]
    assert secret.startswith(TOKEN_PREFIX)
    assert len(secret) == len(TOKEN_PREFIX) + 43
    with site.open_store() as store:
        held = store._database.execute("select * from token")
        assert secret not in str(held)
        assert hash_of(secret) in str(held)
        revoke_token(store, "reader", now_ms=NOW_MS)
        for statement in (
            "delete from token",
            "update token set scopes = '[\"bill\"]'",
            "update token set ends_at = 9999999999999",
            "update token set accounts = null",
            "update token set revoked_at = null",
        ):
            with pytest.raises(DatabaseError):
                store._database.execute(statement)


def test_its_last_use_is_kept_to_the_hour(site: Site) -> None:
    headers = token_of(site, "reader")
    for minutes, hours in ((0, 0), (39, 0), (41, 1)):
        later = replace(site, clock=SimpleClock(utc_ms=NOW_MS + minutes * 60_000))
        assert status(later, "GET", "/desk/own", headers) == 200
        with site.open_store() as store:
            (token,) = tokens(store)
            assert token.used_at == NOW_MS // 3_600_000 * 3_600_000 + hours * 3_600_000


def test_the_least_role_that_has_the_scopes_is_the_tokens(site: Site) -> None:
    told = {
        "a": ({Deed.READ}, ["acme"], Role.CUSTOMER),
        "b": ({Deed.READ, Deed.EXPORT}, None, Role.AUDITOR),
        "c": ({Deed.APPROVE}, None, Role.APPROVER),
        "d": ({Deed.INGEST}, ["acme"], Role.OPERATOR),
    }
    for name, (scopes, accounts, _) in told.items():
        token_of(site, name, scopes=scopes, accounts=accounts)
    with site.open_store() as store:
        assert [each.role for each in tokens(store)] == [role for _, _, role in told.values()]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Grafana"},
        {"name": ""},
        {"days": 0},
        {"days": TOKEN_DAYS_MAX + 1},
        {"scopes": []},
        {"accounts": []},
        {"name": "taken"},
    ],
)
def test_a_token_that_makes_no_sense_is_refused(site: Site, wrong: dict[str, object]) -> None:
    token_of(site, "taken", days=TOKEN_DAYS_MAX)
    told = {"name": "new", "scopes": [Deed.READ], "accounts": None, "days": 1, "by": "x", "now_ms": NOW_MS} | wrong
    with site.open_store() as store, pytest.raises(TokenRefused):
        make_token(store, chance=chance_of("x"), **told)  # type: ignore[arg-type]


def test_a_token_is_made_listed_and_revoked_at_the_command_line(here: Path) -> None:
    assert here.exists()
    made = run("token", "create", "grafana", "--scope", "read", "--scope", "export", "--account", "acme")
    assert (made.exit_code, made.stdout.startswith(TOKEN_PREFIX)) == (0, True)
    (row,) = json.loads(run("token", "list", "--json").stdout)
    assert (row["name"], row["state"], row["accounts"], row["scopes"]) == (
        "grafana",
        "active",
        ["acme"],
        ["export", "read"],
    )
    assert made.stdout.strip() not in run("token", "list").stdout
    again = run("token", "create", "grafana")
    assert (again.exit_code, "never used twice" in again.stderr) == (4, True)
    assert run("token", "create", "other", "--scope", "reed").exit_code == 2
    stranger = run("token", "create", "other", "--account", "acne")
    assert (stranger.exit_code, stranger.stderr) == (3, "the catalog has no account 'acne'; did you mean \"acme\"?\n")
    assert run("token", "revoke", "grafana").stderr == "grafana is revoked\n"
    assert run("token", "revoke", "grafana").stderr == "grafana was revoked before\n"
    assert run("token", "revoke", "nobody").exit_code == 3
    assert json.loads(run("token", "list", "--json").stdout)[0]["state"] == "revoked"
    assert json.loads(run("token", "create", "other", "--json").stdout)["token"].startswith(TOKEN_PREFIX)
