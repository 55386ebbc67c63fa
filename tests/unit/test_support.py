"""A support bundle holds what helps, and nothing that lets somebody in."""

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from edge_agent import redaction
from shared.key import SigningKey
from tests.processes import ROOT, command, free_port

PLANTED = {
    "broker": "brokerword-7Q2MX",
    "token": "tok-81fa7c-verysecret",
    "community": "plantedcommunity",
    "p1": "00112233445566778899aabbccddeeff",
    "argument": "argument-s3cr3t",
    "userinfo": "userinfo-s3cr3t",
    "query": "query-s3cr3t",
    "logged": "logged-s3cr3t",
    "bearer": "bearer-s3cr3t",
    "environment": "environment-s3cr3t",
}
KEY = SigningKey(b"\7" * 32)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A gateway with secrets everywhere where a gateway has them."""
    (tmp_path / "gw.key").write_text(KEY.pem, encoding="ascii")
    (tmp_path / "spool.db.key-0123456789abcdef").write_text(SigningKey(b"\x08" * 32).pem, encoding="ascii")
    for name in ("broker", "token", "community", "p1"):
        (tmp_path / name).write_text(f"{PLANTED[name]}\n", encoding="ascii")
    file = tmp_path / "agent.toml"
    file.write_text(
        f"""gateway = "gw-1"
key_file = "gw.key"
spool_path = "spool.db"
[broker]
host = "127.0.0.1"
port = {free_port()}
tls = false
password_file = "broker"
[[sources]]
type = "exec"
device = "a"
meter = "energy"
unit = "W.h"
rate_max = 100
command = ["false", "--token", "{PLANTED["argument"]}"]
[[sources]]
type = "http"
url = "http://127.0.0.1:{free_port()}/a?key={PLANTED["query"]}"
token_file = "token"
[[sources.channels]]
device = "b"
meter = "energy"
unit = "W.h"
rate_max = 100
path = "x"
[[sources]]
type = "dsmr"
device = "c"
host = "127.0.0.1"
port = {free_port()}
key_file = "p1"
channels = [{{ meter = "energy_in" }}]
""",
        encoding="utf-8",
    )
    (tmp_path / "agent.log").write_text(
        f'event=x password={PLANTED["logged"]} why="{PLANTED["broker"]}"\n'
        f"Authorization: Bearer {PLANTED['bearer']}\nmqtt://me:{PLANTED['userinfo']}@host\n{KEY.pem}\nevent=kept\n",
        encoding="utf-8",
    )
    return file


def bundle(config: Path, *more: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    out = config.parent / "out.zip"
    asked = [*command("edge-agent"), "support-bundle", "--config", str(config), "--out", str(out), *more]
    done = subprocess.run(
        asked, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120,
        env={"PATH": "/usr/bin:/bin:/usr/sbin", "MY_PASSWORD": PLANTED["environment"]},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def test_no_secret_that_was_planted_is_in_the_bundle(config: Path) -> None:
    said = json.loads(bundle(config, "--log", str(config.parent / "agent.log"), "--json").stdout)
    with zipfile.ZipFile(config.parent / "out.zip") as archive:
        held = {name: archive.read(name).decode("utf-8") for name in archive.namelist()}
    assert said["holds"] == [*held]
    pem = [line for key in (KEY, SigningKey(b"\x08" * 32)) for line in key.pem.splitlines() if "-----" not in line]
    for name, text in held.items():
        for planted in (*PLANTED.values(), *pem, "PRIVATE KEY"):
            assert planted not in text, name
    assert "event=kept" in held["log.txt"]
    assert json.loads(held["configuration.json"])["broker"]["password_file"].endswith("broker")
    assert {each["name"] for each in json.loads(held["doctor.json"])} >= {"clock", "TCP"}
    assert (config.parent / "out.zip").stat().st_mode & 0o077 == 0
    assert "is there already" in bundle(config, code=4).stderr


def test_a_broken_configuration_is_told_without_its_values(config: Path) -> None:
    text = config.read_text(encoding="utf-8").replace('host = "127.0.0.1"\nport', f'hots = "{PLANTED["logged"]}"\nport')
    config.write_text(text, encoding="utf-8")
    bundle(config)
    with zipfile.ZipFile(config.parent / "out.zip") as archive:
        said = archive.read("configuration.json").decode("utf-8")
    assert "hots" in said or "broken" in said
    assert PLANTED["logged"] not in said


@pytest.mark.parametrize(
    "harmless", ["the password file /etc/x cannot be read", "exit code 75", "basic", "http://host/path", "a=1"]
)
def test_what_is_no_secret_stays_readable(harmless: str) -> None:
    assert redaction.text(harmless, ()) == harmless


@pytest.mark.parametrize(
    "said", ["--password S3CR3T", 'token: "S3CR3T"', "api_key=S3CR3T", "https://a:S3CR3T@b/", "x?y=S3CR3T", "S3CR3T"]
)
def test_what_looks_like_a_secret_is_masked(said: str) -> None:
    assert "S3CR3T" not in redaction.text(said, ("S3CR3T",) if said == "S3CR3T" else ())
