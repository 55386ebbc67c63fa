"""Signing in by an OpenID provider, against one that runs here: what is proven, and what proves nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from cloud_collector.access import trail
from cloud_collector.access.people import put_person
from cloud_collector.access.viewer import Role
from cloud_collector.settings import CollectorSettings, SignInSettings, WebSettings
from cloud_collector.store.store import Store
from cloud_collector.web.app import create_app
from cloud_collector.web.door import Door, NotProven, Proven
from cloud_collector.web.oidc import TRY_MS, OpenIdProvider
from cloud_collector.web.server import WebRefused, _provider
from cloud_collector.web.site import Site
from shared.effects.chance import system_chance
from shared.effects.clock import SystemClock
from shared.effects.sqlite import SqliteDatabase
from shared.errors import InvalidRecord
from tests import openid_provider
from tests.visitors import THERE, ask, bare_site

FAR: Final = "192.0.2.7"
BERT: Final = "bert@utility.example"
BACK: Final = f"{THERE}/sign-in/provider/back"
OWN: Final = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with openid_provider.serving() as found:
        yield found


@pytest.fixture
def site(tmp_path: Path, issuer: str) -> Site:
    provider = OpenIdProvider(issuer=issuer, client_id="meterseal", secret="s3cret", back=BACK, called="Utility")
    found = bare_site(
        tmp_path, door=Door(url=THERE, provider=provider), local_operator=False, clock=SystemClock(trusted=True)
    )
    with found.writing() as store:
        put_person(store, BERT, role=Role.OPERATOR, accounts=None, by="test", now_ms=0, new=True)
    return found


def consented(issuer: str, where: str, *, verified: bool = True, subject: str = BERT) -> str:
    """The path that the provider sends the browser back to, once the person has said yes there."""
    claims = {"email": subject, "email_verified": verified}
    httpx.put(f"{issuer}/users/{subject}", json=claims).raise_for_status()
    answer = httpx.post(where, data={"sub": subject})
    assert answer.status_code in {302, 303}, answer.text
    there = urlsplit(answer.headers["Location"])
    assert f"{there.scheme}://{there.netloc}{there.path}" == BACK
    return f"{there.path}?{there.query}"


def begun(app: FastAPI) -> tuple[str, str]:
    """Where the browser is sent, and the cookie that it carries."""
    answer = ask(app, "GET", "/sign-in/provider?next=/gateways", client=FAR, at=THERE)
    assert answer.status_code == 303
    return answer.headers["Location"], answer.headers["Set-Cookie"].partition(";")[0]


def back(app: FastAPI, path: str, cookie: str) -> httpx.Response:
    return ask(app, "GET", path, headers=OWN | {"Cookie": cookie}, client=FAR, at=THERE)


def test_somebody_known_comes_back_signed_in(site: Site, issuer: str) -> None:
    app = create_app(site)
    assert "Sign in with Utility" in ask(app, "GET", "/sign-in", client=FAR, at=THERE).text
    where, cookie = begun(app)
    asked = {name: value[0] for name, value in parse_qs(urlsplit(where).query).items()}
    assert (asked["response_type"], asked["scope"], asked["code_challenge_method"]) == ("code", "openid email", "S256")
    assert cookie.startswith("__Host-meterseal_oidc=")
    answer = back(app, consented(issuer, where), cookie)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/gateways")
    session = next(
        each for each in answer.headers.get_list("Set-Cookie") if each.startswith("__Host-meterseal_session=")
    )
    page = ask(app, "GET", "/gateways", headers={"Cookie": session.partition(";")[0]}, client=FAR, at=THERE)
    assert page.status_code == 200
    with site.open_store() as store:
        (entry,) = trail.entries(store, limit=9)
        assert (entry.who, entry.what) == (BERT, "signed in by oidc")


def test_a_code_counts_once_and_in_the_browser_that_asked(site: Site, issuer: str) -> None:
    app = create_app(site)
    where, cookie = begun(app)
    path = consented(issuer, where)
    _, other = begun(app)
    assert "another browser" in back(app, path, other).text
    assert "another browser" in back(app, path, "").text
    assert back(app, path, cookie).status_code == 303
    assert "finished before" in back(app, path, cookie).text


def test_whoever_nobody_let_in_stays_outside(site: Site, issuer: str) -> None:
    app = create_app(site)
    where, cookie = begun(app)
    answer = back(app, consented(issuer, where, subject="eve@evil.example"), cookie)
    assert (answer.status_code, "nobody has let that address in" in answer.text) == (403, True)
    where, cookie = begun(app)
    answer = back(app, consented(issuer, where, verified=False), cookie)
    assert (answer.status_code, "has not verified" in answer.text) == (403, True)


def test_a_stolen_code_is_worth_nothing_without_the_verifier(site: Site, issuer: str) -> None:
    app = create_app(site)
    (victim, _), (thief, cookie) = begun(app), begun(app)
    stolen = parse_qs(urlsplit(consented(issuer, victim)).query)["code"][0]
    state = parse_qs(urlsplit(thief).query)["state"][0]
    answer = back(app, f"/sign-in/provider/back?code={stolen}&state={state}", cookie)
    assert (answer.status_code, "/oauth2/token answers 400" in answer.text) == (403, True)


def test_a_refusal_of_the_provider_is_a_sentence(site: Site) -> None:
    app = create_app(site)
    where, cookie = begun(app)
    state = parse_qs(urlsplit(where).query)["state"][0]
    answer = back(app, f"/sign-in/provider/back?error=access_denied%0a%3Cb%3E&state={state}", cookie)
    assert "access_denied &lt;b&gt;" in answer.text


def test_a_provider_that_is_away_or_another_one_is_said_to_be(tmp_path: Path, issuer: str) -> None:
    away = OpenIdProvider(issuer="http://localhost:9", client_id="x", secret=None, back=BACK)
    app = create_app(bare_site(tmp_path, door=Door(url=THERE, provider=away)))
    answer = ask(app, "GET", "/sign-in/provider")
    assert (answer.status_code, "localhost cannot be asked now" in answer.text) == (502, True)
    other = OpenIdProvider(issuer=issuer + "/", client_id="x", secret=None, back=BACK)
    with bare_site(tmp_path).writing() as store:
        found = other.begin(store, "", chance=system_chance, now_ms=0)
    assert isinstance(found, NotProven)
    assert "it calls itself" in found.why


def test_without_a_provider_there_is_nothing(tmp_path: Path) -> None:
    app = create_app(bare_site(tmp_path))
    assert [ask(app, "GET", path).status_code for path in ("/sign-in/provider", "/sign-in/provider/back")] == [404, 404]


# --- what a provider could answer, and what must not be believed ---------------------------------------------------

KEY: Final = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
OTHER: Final = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
ISSUER: Final = "https://id.example"
NOW_MS: Final = 1_794_000_000_000


def forged(change: Callable[[dict[str, Any]], str]) -> Proven | NotProven:
    """What comes of a sign-in at a provider whose ID token is made by `change` out of the right claims."""
    nonce = ""

    def answer(request: httpx.Request) -> httpx.Response:
        match request.url.path:
            case "/.well-known/openid-configuration":
                says = {name: f"{ISSUER}/{name}" for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
                return httpx.Response(200, json=says | {"issuer": ISSUER})
            case "/jwks_uri":
                return httpx.Response(200, json={"keys": [KEY.as_dict(private=False)]})
            case _:
                now = NOW_MS // 1000
                claims = {"iss": ISSUER, "aud": "me", "sub": "7", "exp": now + 60, "iat": now, "nonce": nonce}
                token = change(claims | {"email": BERT, "email_verified": True})
                return httpx.Response(200, json={"id_token": token, "access_token": "x"})

    provider = OpenIdProvider(
        issuer=ISSUER, client_id="me", secret="s", back=BACK, transport=httpx.MockTransport(answer)
    )
    store = Store(SqliteDatabase(":memory:"))
    found = provider.begin(store, "/a", chance=system_chance, now_ms=NOW_MS)
    assert not isinstance(found, NotProven)
    where, state = found
    nonce = parse_qs(urlsplit(where).query)["nonce"][0]
    proven = provider.finish(store, {"state": state, "code": "c"}, state, now_ms=NOW_MS)
    store.close()
    return proven


def signed(claims: dict[str, Any], key: Any = KEY, **header: str) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one"} | header, claims, key, algorithms=["RS256", "HS256"])


def unsigned(claims: dict[str, Any]) -> str:
    whole = signed(claims)
    import base64  # noqa: PLC0415

    head = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).rstrip(b"=").decode()
    return f"{head}.{whole.split('.')[1]}."


def test_the_right_token_proves_who_it_is() -> None:
    assert forged(signed) == Proven(email=BERT, leads_to="/a")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda claims: signed(claims, OTHER), id="another key under the same name"),
        pytest.param(lambda claims: signed(claims, OTHER, kid="two"), id="a key that the provider does not have"),
        pytest.param(unsigned, id="no signature"),
        pytest.param(
            lambda claims: signed(claims, OctKey.import_key("s" * 32), alg="HS256"), id="signed by the client's secret"
        ),
        pytest.param(lambda claims: signed(claims | {"iss": "https://evil.example"}), id="another issuer"),
        pytest.param(lambda claims: signed(claims | {"aud": "you"}), id="another client"),
        pytest.param(lambda claims: signed(claims | {"aud": ["me", "you"]}), id="several clients and no azp"),
        pytest.param(lambda claims: signed(claims | {"nonce": "x"}), id="another browser's nonce"),
        pytest.param(lambda claims: signed({k: v for k, v in claims.items() if k != "nonce"}), id="no nonce"),
        pytest.param(lambda claims: signed(claims | {"exp": NOW_MS // 1000 - 61}), id="expired"),
        pytest.param(lambda claims: signed({k: v for k, v in claims.items() if k != "exp"}), id="no end"),
        pytest.param(lambda claims: signed(claims | {"iat": NOW_MS // 1000 + 3_600}), id="from the future"),
        pytest.param(lambda claims: signed(claims)[:-4] + "AAAA", id="a broken signature"),
        pytest.param(lambda _: "x", id="no token"),
        pytest.param(lambda claims: signed(claims | {"email_verified": False}), id="an address that is not verified"),
        pytest.param(lambda claims: signed(claims | {"email_verified": 1}), id="verified in no known word"),
        pytest.param(lambda claims: signed(claims | {"email": "bert"}), id="no address"),
    ],
)
def test_what_does_not_hold_proves_nothing(change: Callable[[dict[str, Any]], str]) -> None:
    assert isinstance(forged(change), NotProven)


def test_a_try_that_took_too_long_is_over() -> None:
    store = Store(SqliteDatabase(":memory:"))
    store.run("oidc_begin", "x", "v", "n", "/", NOW_MS + TRY_MS)
    assert store.row("oidc_take", "x", NOW_MS + TRY_MS) is None
    assert store.row("oidc_take", "x", NOW_MS) is not None
    store.close()


def test_settings_that_cannot_work_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecord, match="oidc_client_id"):
        SignInSettings(oidc_issuer="https://id.example")
    with pytest.raises(InvalidRecord, match="https"):
        SignInSettings(oidc_issuer="http://id.example", oidc_client_id="x")
    told = SignInSettings(oidc_issuer="https://id.example", oidc_client_id="x", oidc_secret_file=tmp_path / "none")
    with pytest.raises(InvalidRecord, match=r"web\.url"):
        CollectorSettings(sign_in=told)
    with pytest.raises(WebRefused, match="oidc_secret_file"):
        _provider(CollectorSettings(sign_in=told, web=WebSettings(url=THERE)))
    (tmp_path / "none").write_text("s3cret\n", encoding="ascii")
    made = _provider(CollectorSettings(sign_in=told, web=WebSettings(url=THERE + "/")))
    assert isinstance(made, OpenIdProvider)
    assert (made.back, made.secret, made.name) == (BACK, "s3cret", "id.example")
