"""Webhooks over HTTP: whoever may set an account's warnings adds and stops its webhooks, and a secret is told once."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_collector.access import trail
from cloud_collector.access.viewer import Deed, Means, Role, Viewer, everything
from cloud_collector.limits import WEBHOOKS_OF_ACCOUNT_MAX
from cloud_collector.notify.webhook import headers, verify
from cloud_collector.web.api import application
from cloud_collector.web.gate import viewer as known
from tests.ingest_world import Shop

ANNA = everything(Role.CUSTOMER, "anna", accounts=frozenset({"acme"}), means=Means.TOKEN)
BERT = everything(Role.CUSTOMER, "bert", accounts=frozenset({"beta"}), means=Means.TOKEN)
DESK = everything(Role.OPERATOR, "desk", means=Means.TOKEN)
BOT = {"name": "bot", "url": "https://bot.example/hooks?a=1", "account": "acme"}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hooks") / "collector.db"
    Shop.begin(path)
    return path


class Hooks(Shop):
    """The interface, and the folder of secrets."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.secrets: dict[str, str] = {}
        self.site = replace(self.site, keep_secret=self.secrets.__setitem__, chance=self.chance)
        overrides = self.app.dependency_overrides
        self.app = application(self.site)
        self.app.dependency_overrides[known] = overrides[known]

    def add(self, body: Any, who: Viewer = ANNA, *, status: int = 201, key: str | None = None) -> dict[str, Any]:
        named = {} if key is None else {"Idempotency-Key": key}
        answer = self.ask("POST", "/webhooks", who, json=body, headers=named)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def listed(self, who: Viewer, query: str = "") -> list[str]:
        return [each["name"] for each in self.ask("GET", f"/webhooks{query}", who).json()["items"]]


@pytest.fixture
def hooks(begun: Path, tmp_path: Path) -> Hooks:
    shutil.copyfile(begun, tmp_path / "collector.db")
    return Hooks(tmp_path / "collector.db")


def test_a_customer_adds_a_webhook_and_is_told_its_secret_once(hooks: Hooks) -> None:
    made = hooks.add(BOT)
    assert hooks.secrets == {"bot": made["secret"]}
    sent = headers(made["secret"], b"{}", message="m", at=5)
    verify(made["secret"], b"{}", sent, now=5)
    shown = hooks.ask("GET", "/webhooks/bot", ANNA).json()
    assert shown == {key: value for key, value in made.items() if key != "secret"}
    with hooks.site.open_store() as store:
        told = [each.what for each in trail.entries(store, account="acme", limit=9) if each.deed == Deed.WARN]
    assert told[0].startswith("webhook bot to https://bot")


def test_the_same_request_again_adds_nothing_and_no_secret_lies_in_the_store(hooks: Hooks) -> None:
    made = hooks.add(BOT, key="k")
    again = hooks.add(BOT, key="k")
    assert again == made | {"secret": None}
    assert list(hooks.secrets) == ["bot"]
    assert made["secret"].encode() not in hooks.path.read_bytes()
    assert "a name is never used twice" in hooks.add(BOT, status=409)["detail"]
    assert hooks.secrets["bot"] == made["secret"], "the one who came first keeps his"


def test_webhooks_of_others_are_as_what_there_is_not(hooks: Hooks) -> None:
    """P20."""
    hooks.add(BOT)
    foreign = hooks.add(BOT | {"name": "spy"}, BERT, status=404)
    assert foreign == hooks.add(BOT | {"name": "spy", "account": "nobody"}, BERT, status=404)
    assert hooks.ask("POST", "/webhooks/bot/stop", BERT).status_code == 404
    assert hooks.listed(BERT) == []
    assert hooks.ask("GET", "/webhooks?account=acme", BERT).status_code == 404
    assert "name one of beta" in hooks.add({"name": "all", "url": BOT["url"]}, BERT, status=403)["detail"]


def test_one_for_every_account_is_the_operators(hooks: Hooks) -> None:
    hooks.add(BOT)
    hooks.add({"name": "all", "url": BOT["url"]}, DESK)
    assert (hooks.listed(DESK), hooks.listed(DESK, "?account=acme"), hooks.listed(ANNA)) == (
        ["all", "bot"],
        ["bot"],
        ["bot"],
    )
    warner = replace(DESK, scopes=frozenset({Deed.READ, Deed.WARN}))
    assert hooks.ask("POST", "/webhooks/all/stop", warner).status_code == 403
    assert hooks.ask("POST", "/webhooks/all/stop", DESK).json()["why"] == "stopped by desk"


def test_it_takes_the_scope(hooks: Hooks) -> None:
    reader = replace(ANNA, scopes=frozenset({Deed.READ}))
    assert "it takes the scope warn" in hooks.add(BOT, reader, status=403)["detail"]
    assert hooks.ask("POST", "/webhooks/bot/stop", reader).status_code == 403


def test_a_webhook_is_stopped_once(hooks: Hooks) -> None:
    hooks.add(BOT)
    first = hooks.ask("POST", "/webhooks/bot/stop", ANNA).json()
    assert first["stopped_at"] is not None
    hooks.pass_time(60)
    assert hooks.ask("POST", "/webhooks/bot/stop", DESK).json() == first


@pytest.mark.parametrize(
    "url",
    [
        "http://bot.example/hooks",
        "https://127.0.0.1/hooks",
        "https://[::1]/hooks",
        "https://localhost/hooks",
        "https://user:secret@bot.example/",
        "https://bot.example/ hooks",
        "ftp://bot.example/",
        "bot.example",
    ],
)
def test_a_webhook_is_posted_to_by_https_at_a_host_with_a_name(hooks: Hooks, url: str) -> None:
    assert hooks.add(BOT | {"url": url}, status=422)["errors"][0]["at"] == "body.url"
    assert hooks.secrets == {}


def test_an_account_has_only_so_many(hooks: Hooks) -> None:
    """P9."""
    with hooks.site.writing() as store:
        for number in range(WEBHOOKS_OF_ACCOUNT_MAX):
            store.run("webhook_add", f"b-{number}", "https://bot.example/", "acme", 0)
    assert "20 webhooks of acme already" in hooks.add(BOT, status=409)["detail"]


def test_a_secret_that_cannot_be_kept_leaves_no_webhook(hooks: Hooks) -> None:
    def refuse(*_: str) -> None:
        raise OSError(28, "No space left on device")

    hooks.site = replace(hooks.site, keep_secret=refuse)
    overrides = hooks.app.dependency_overrides
    hooks.app = application(hooks.site)
    hooks.app.dependency_overrides[known] = overrides[known]
    assert "No space left on device" in hooks.add(BOT, status=503)["detail"]
    assert hooks.listed(ANNA) == []
