"""What the operator types to let gateways in and out: words asked, positions named, refusals with their exit codes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cloud_collector.cli.main import app
from cloud_collector.fleet.invitations import claim
from cloud_collector.fleet.pki import Pki
from cloud_collector.store.store import Store
from shared.claim import ClaimCode
from shared.effects.clock import SystemClock
from shared.effects.sqlite import SqliteDatabase
from shared.enrolment import Claim
from shared.key import SigningKey

KEY = SigningKey(bytes(range(32)))


class Site:
    """A collector's folder, its commands, and gateways that claim their invitation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "collector.toml").write_text(
            'store_path = "collector.db"\nkey_file = "receipt.key"\npki_path = "pki"\n', encoding="utf-8"
        )

    def run(self, *words: str, typed: str = "") -> Result:
        """A command, with what is typed into it."""
        arguments = ["--config", str(self.folder / "collector.toml"), *words]
        return CliRunner().invoke(app, arguments, input=typed, catch_exceptions=False)

    def told(self, *words: str) -> Any:
        """The JSON of a command that succeeds."""
        done = self.run(*words, "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    def claimed(self, name: str, key: SigningKey = KEY) -> None:
        """The gateway is invited, and has shown its code and key."""
        code = ClaimCode.read(self.told("gateway", "invite", name)["code"])
        store = Store(SqliteDatabase(self.folder / "collector.db"))
        claim(store, Claim.signed(code.secret, key), now_ms=SystemClock().utc_ms(), claimed_from="10.0.0.9")
        store.close()

    def states(self) -> dict[str, str]:
        """Every gateway's state."""
        return {row["gateway"]: row["state"] for row in self.told("gateway", "list")}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    assert site.run("pki", "init", "--host", "localhost").exit_code == 0
    return site


def test_an_invitation_says_what_to_type_and_what_comes_then(site: Site) -> None:
    done = site.run("gateway", "invite", "house-7", "--qr")
    code = next(word for word in done.stdout.split() if word.count("-") == 6)
    assert f"sudo edge-agent enrol https://localhost:8843 {code}\n" in done.stdout
    assert ClaimCode.read(code).names(Pki.open(site.folder / "pki").authority.issued.der)
    assert "█" in done.stdout, "a QR code"
    assert "cloud-collector gateway accept house-7 --words" in done.stdout
    assert "set enrolment.host" in done.stderr
    assert "█" not in site.run("gateway", "invite", "house-7").stdout, "no terminal, no picture"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("gateway", "invite", "House"), 2, "is no gateway id"),
        (("gateway", "invite", "house-7", "--hours", "0"), 2, "from 1 to 720 hours"),
        (("gateway", "invite", "house-7", "--replace"), 4, "invite it without --replace"),
        (("gateway", "accept", "house-7", "acid"), 3, "there is no store"),
        (("gateway", "revoke", "house-7", "--at", "1:2"), 2, "such as main=5f3a9c01:4711"),
        (("pki", "init", "--host", "localhost"), 4, "none would trust another"),
        (("pki", "init"), 2, "with --host"),
        (("pki", "renew", "--host", "kölln.example"), 2, "is no host name in ASCII"),
        (("pki", "renew", "--set", "client_id=house-7"), 2, "begins with _"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(site: Site, words: tuple[str, ...], code: int, said: str) -> None:
    done = site.run(*words)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr


def test_words_are_asked_for_and_no_is_no(site: Site) -> None:
    site.claimed("house-7")
    assert site.run("gateway", "accept", "house-7").exit_code == 2
    asked = site.run("gateway", "accept", "house-7", "--words", typed="n\n")
    assert (asked.exit_code, KEY.public.words in asked.stderr) == (4, True)
    assert site.states() == {"house-7": "pending"}
    assert site.run("gateway", "accept", "house-7", "--words", typed="y\n").exit_code == 0
    assert site.states() == {"house-7": "enrolled"}
    assert site.run("gateway", "accept", "house-7", "--words").exit_code == 3


def test_of_two_pending_keys_the_words_choose(site: Site) -> None:
    other = SigningKey(bytes(32))
    site.claimed("house-7", other)
    site.claimed("house-7", KEY)
    assert site.told("gateway", "accept", "house-7", KEY.public.words)["key"] == KEY.public.id
    assert site.told("gateway", "revoke", "house-7", "--key", other.public.id) == [
        {"key": other.public.id, "was": "pending"}
    ]
    assert site.states() == {"house-7": "enrolled"}


def test_revocation_is_tried_first_and_then_done_once(site: Site) -> None:
    site.claimed("house-7")
    site.run("gateway", "accept", "house-7", KEY.public.words)
    would = site.told("gateway", "revoke", "house-7", "--dry-run")
    assert site.states() == {"house-7": "enrolled"}
    assert site.run("gateway", "revoke", "house-7", "--key", "0" * 16).exit_code == 3
    unknown = site.run("gateway", "revoke", "house-7", "--at", "5f3a9c01:1")
    assert (unknown.exit_code, "has no epoch 5f3a9c01 in its log main" in unknown.stderr) == (4, True)
    assert site.told("gateway", "revoke", "house-7") == would == [{"key": KEY.public.id, "was": "enrolled"}]
    assert site.states() == {"house-7": "revoked"}
    assert site.told("gateway", "revoke", "house-7") == []
    lost = site.run("gateway", "revoke", "house-8")
    assert (lost.exit_code, "did you mean house-7?" in lost.stderr) == (3, True)


def test_words_that_nobody_can_be_asked_for_are_to_be_typed(site: Site) -> None:
    site.claimed("house-7")
    done = site.run("gateway", "accept", "house-7", "--words")
    assert (done.exit_code, "type the words after the name" in done.stderr) == (2, True)
    assert site.states() == {"house-7": "pending"}


def test_whoever_is_not_enrolled_yet_can_be_shown_and_says_what_comes_next(site: Site) -> None:
    site.told("gateway", "invite", "house-7")
    assert "`edge-agent enrol` there" in site.run("gateway", "show", "house-7").stdout
    store = Store(SqliteDatabase(site.folder / "collector.db"))
    store.run("invitation_put", b"x" * 16, "house-8", 0, 1, 2)
    store.close()
    assert site.states() == {"house-7": "invited", "house-8": "expired"}
    assert "`cloud-collector gateway invite house-8`" in site.run("gateway", "show", "house-8").stdout
    site.claimed("house-7")
    assert "gateway accept house-7 --words" in site.run("gateway", "show", "house-7").stdout
    assert site.told("gateway", "show", "house-7")["state"] == "pending"


def test_an_unused_invitation_is_void_when_it_is_revoked(site: Site) -> None:
    site.told("gateway", "invite", "house-7")
    assert "would be void" in site.run("gateway", "revoke", "house-7", "--dry-run").stdout
    assert site.states() == {"house-7": "invited"}
    assert "its invitation is void" in site.run("gateway", "revoke", "house-7").stdout
    assert site.states() == {}


def test_a_dry_run_writes_nothing_and_a_missing_ca_says_what_makes_one(tmp_path: Path) -> None:
    site = Site(tmp_path)
    rows = site.told("pki", "init", "--host", "localhost", "--dry-run")
    assert {"ca.key", "broker.pem", "crl.pem", "recovery.key"} <= {Path(row["file"]).name for row in rows}
    assert not (tmp_path / "pki").exists()
    for words in (("pki", "renew"), ("gateway", "invite", "house-7")):
        done = site.run(*words)
        assert (done.exit_code, "`cloud-collector pki init` makes one" in done.stderr) == (3, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
def test_what_root_writes_below_the_collectors_folder_is_the_collectors(tmp_path: Path) -> None:
    """A key that the service may not read would end enrolment at its next start."""
    os.chown(tmp_path, 64_321, 64_321)
    site = Site(tmp_path)
    assert site.run("pki", "init", "--host", "localhost").exit_code == 0
    assert {path.stat().st_uid for path in (tmp_path / "pki", *(tmp_path / "pki").iterdir())} == {64_321}
    assert (tmp_path / "pki" / "ca.key").stat().st_mode & 0o777 == 0o600
