"""The operator's commands as people meet them: which configuration counts, where things lie, what is said."""

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cloud_collector.cli.anywhere import hoisted
from cloud_collector.cli.main import app
from shared.key import SigningKey


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "collector.toml").write_text(
        'store_path = "data/collector.db"\nkey_file = "receipt.key"\n[broker]\nhost = "127.0.0.1"\n', encoding="utf-8"
    )
    (tmp_path / "receipt.key").write_text(SigningKey(bytes(32)).pem, encoding="ascii")
    (tmp_path / "gw.pub").write_text(SigningKey(bytes([1] * 32)).public.pem, encoding="ascii")
    return tmp_path


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


READS = (
    ("gateway", "list"),
    ("usage", "show"),
    ("usage", "quarantine"),
    ("unmatched", "list"),
    ("catalog", "list"),
    ("billing", "list"),
    ("invoice", "list"),
    ("audit",),
)


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_every_command_finds_the_store_of_the_configuration_named_before_or_after_it(
    site: Path, words: tuple[str, ...]
) -> None:
    config = site / "collector.toml"
    assert run("--config", config, "gateway", "add", "gw-1", "--key", site / "gw.pub").exit_code == 0
    before, after = run("--config", config, *words, "--json"), run(*words, "--json", "--config", config)
    assert (before.exit_code, after.exit_code) == (0, 0), before.stderr
    assert before.stdout == after.stdout
    json.loads(after.stdout)


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_without_a_store_every_command_says_where_it_looked(site: Path, words: tuple[str, ...]) -> None:
    done = run(*words, "--config", site / "collector.toml")
    assert (done.exit_code, done.stdout) == (3, "")
    assert f"there is no store at {site / 'data' / 'collector.db'}" in done.stderr


def test_a_flag_ranks_above_the_configuration(site: Path) -> None:
    done = run("billing", "list", "--config", site / "collector.toml", "--store", site / "other.db")
    assert done.exit_code == 3
    assert f"no store at {site / 'other.db'}" in done.stderr


def test_one_command_leaves_nothing_for_the_next(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERSEAL_COLLECTOR__STORE_PATH", str(site / "of-environment.db"))
    run("billing", "list", "--config", site / "collector.toml", "--set", f"store_path={site / 'of-flag.db'}")
    assert f"{site / 'of-environment.db'}" in run("billing", "list").stderr


def test_options_of_the_program_are_moved_to_its_front() -> None:
    words = ["billing", "run", "--config=a.toml", "--json", "--set", "x=1", "--", "--config"]
    assert hoisted(words) == ["--config=a.toml", "--set", "x=1", "billing", "run", "--json", "--", "--config"]
    assert hoisted(["run", "--config"]) == ["--config", "run"]


def test_a_configuration_is_checked_and_shown_with_its_origins(site: Path) -> None:
    config = site / "collector.toml"
    assert "the configuration is right" in run("config", "check", "--config", config).stdout
    shown = run("config", "show", "--origin", "--config", config, "--set", "tick_seconds=3").stdout
    assert 'broker.host = "127.0.0.1"' in shown
    rows = json.loads(run("config", "show", "--origin", "--json", "--config", config, "--set", "tick_seconds=3").stdout)
    assert rows["tick_seconds"] == {"value": 3, "origin": "--set tick_seconds"}
    assert rows["key_file"] == {"value": str(site / "receipt.key"), "origin": f"{config}:2"}
    assert rows["web.port"] == {"value": 8080, "origin": "default"}
    (site / "receipt.key").unlink()
    missing = run("config", "check", "--config", config)
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "cloud-collector key new" in missing.stderr


def test_a_mistake_in_the_configuration_ends_with_2_and_its_place(site: Path) -> None:
    config = site / "collector.toml"
    config.write_text('stor_path = "x"\n[broker]\nport = "many"\n', encoding="utf-8")
    done = run("config", "check", "--config", config)
    assert done.exit_code == 2
    assert f"{config}:1: unknown key stor_path, did you mean store_path?" in done.stderr
    assert f"{config}:3: broker.port" in done.stderr


@pytest.mark.parametrize("words", [("run",), ("billing", "run"), ("gateway", "add")], ids=" ".join)
def test_a_commands_help_begins_with_an_example_and_ends_with_the_exit_codes(words: tuple[str, ...]) -> None:
    text = run(*words, "--help").stdout
    assert text.split("\n\n")[1].strip().startswith("Example: `cloud-collector")
    assert "Exit codes: 0 ok" in text.split("Options:")[1]
    assert "--config FILE" in text


def test_the_help_lists_commands_by_what_they_do() -> None:
    assert "Example: `" not in run("--help").stdout
    assert "Example: `" not in run("billing", "--help").stdout


def test_a_port_that_is_taken_is_a_sentence(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        web = ("--set", "web.host=127.0.0.1", "--set", f"web.port={port}")
        done = run("run", "--config", site / "collector.toml", *web, "--log-level", "error")
    assert done.exit_code == 1
    assert f"pages cannot be served at 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_gateway_is_named_with_the_nearest(site: Path) -> None:
    config = site / "collector.toml"
    run("gateway", "add", "gw-1", "--key", site / "gw.pub", "--config", config)
    for words in (("gateway", "show", "gw1"), ("usage", "show", "gw1"), ("usage", "quarantine", "gw1")):
        done = run(*words, "--config", config)
        assert (done.exit_code, done.stderr) == (3, "there is no gateway gw1, did you mean gw-1?\n")


def test_a_table_is_never_broken_over_lines(site: Path) -> None:
    config = site / "collector.toml"
    run("gateway", "add", "gw-" + 29 * "x", "--key", site / "gw.pub", "--config", config)
    assert len(run("gateway", "list", "--config", config).stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "2026-10-01T00:00:00Z"), "--from and --to go together"),
        (("--from", "2026-10-01T00:00:00Z", "--to", "2026-10-01T00:00:00Z"), "--to must lie after --from"),
        (("--from", "2026-10-01", "--to", "2026-10-02"), "no RFC 3339 time"),
    ],
)
def test_a_stretch_that_is_none_is_said(site: Path, words: tuple[str, ...], said: str) -> None:
    done = run("usage", "show", *words, "--config", site / "collector.toml")
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("brokr.host=x", "unknown key brokr.host, did you mean broker?"),
        ("broker.hst=x", "unknown key broker.hst, did you mean host?"),
        ("broker=x", "unknown key broker, it is a table of host, port, "),
        ("store_path.x=1", "unknown key store_path.x, store_path is no table"),
        ("tick_seconds=0", "--set tick_seconds: tick_seconds must be at least 1"),
    ],
)
def test_an_unknown_key_is_named_at_the_level_that_is_wrong(site: Path, flag: str, said: str) -> None:
    done = run("gateway", "list", "--config", site / "collector.toml", "--set", flag)
    assert done.exit_code == 2
    assert said in done.stderr


def test_what_is_no_key_is_said(site: Path) -> None:
    (site / "junk").write_bytes(bytes(range(256)))
    done = run("gateway", "add", "gw-1", "--key", site / "junk", "--config", site / "collector.toml")
    assert (done.exit_code, done.stderr) == (2, f"{site / 'junk'}: this is no PEM file\n")
    assert run("gateway", "add", "GW 1", "--key", site / "gw.pub").exit_code == 2
