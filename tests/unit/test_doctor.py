"""`edge-agent doctor` against a real broker: the first thing that is wrong is the one that is named."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.cli.doctor import line_of, step_for
from edge_agent.installer.machine import clock_of, collector_of, disk_of, files_of, spool_of
from edge_agent.settings import AgentSettings
from shared.effects.memory import SimpleClock
from shared.finding import Word, bad
from shared.key import SigningKey
from tests.brokers import Mosquitto, mosquitto_broker
from tests.processes import ROOT, Process, command, free_port, run, wait_until

AGENT = command("edge-agent")
ACL = (
    "pattern write meterseal/v1/%u/health\npattern read meterseal/v1/%u/receipt\npattern read meterseal/v1/%u/command\n"
)


def written(folder: Path, port: int, **changes: str) -> Path:
    """A gateway's configuration whose broker listens at that port."""
    (folder / "gw.key").write_text(SigningKey(b"\1" * 32).pem, encoding="ascii")
    (folder / "gw.key").chmod(0o600)
    (folder / "receipt.pem").write_text(SigningKey(b"\2" * 32).public.pem, encoding="ascii")
    (folder / "display").write_text("1234\n", encoding="ascii")
    values = {"host": "127.0.0.1", "display": "display", "more": ""} | changes
    (folder / "agent.toml").write_text(
        f"""gateway = "gw-1"
key_file = "gw.key"
receipt_key_files = ["receipt.pem"]
spool_path = "spool.db"
spool_bytes_max = 300000
wall_clock = "trusted"
[broker]
host = "{values["host"]}"
port = {port}
tls = false
[[sources]]
type = "exec"
device = "main"
meter = "energy"
unit = "W.h"
rate_max = 100
command = ["cat", "{folder}/{values["display"]}"]
{values["more"]}
""",
        encoding="utf-8",
    )
    return folder / "agent.toml"


def examined(config: Path, *, code: int) -> dict[str, dict[str, Any]]:
    """Every check by its name."""
    done = subprocess.run(
        [*AGENT, "doctor", "--json", "--config", str(config)],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=90,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return {each["name"]: each for each in json.loads(done.stdout)["checks"]}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "acl").write_text(ACL, encoding="ascii")
    (tmp_path / "broker").mkdir()
    with mosquitto_broker(tmp_path / "broker", [f"acl_file {tmp_path}/acl"]) as running:
        yield running


def test_a_gateway_that_is_ready_is_told_so(tmp_path: Path, broker: Mosquitto) -> None:
    found = examined(written(tmp_path, broker.port), code=0)
    words = {name: each["word"] for name, each in found.items()}
    assert next(iter(words)) == "clock"
    for name in ("clock", "disk", "DNS", "TCP", "login", "topics", "meter exec"):
        assert words[name] == "good", found[name]
    assert words["agent"] == words["spool"] == "look"
    assert all(each["next"] for each in found.values() if each["word"] in ("look", "bad"))


def test_a_topic_that_the_access_list_forbids_is_found_by_writing_to_it(tmp_path: Path, broker: Mosquitto) -> None:
    """P10: MQTT 3.1.1 brokers drop such a message without a word."""
    config = written(tmp_path, broker.port)
    text = config.read_text(encoding="utf-8").replace('gateway = "gw-1"', 'gateway = "gw-1"\nprefix = "other/v1"')
    config.write_text(text, encoding="utf-8")
    found = examined(config, code=1)
    assert found["topics"]["word"] == "bad"
    assert "access list" in found["topics"]["next"]


def test_the_first_thing_that_is_wrong_is_named_and_what_rests_on_it_is_skipped(tmp_path: Path) -> None:
    found = examined(written(tmp_path, free_port()), code=1)
    assert found["TCP"]["word"] == "bad"
    assert "nothing listens" in found["TCP"]["says"]
    assert found["login"]["word"] == found["topics"]["word"] == "skipped"
    found = examined(written(tmp_path, 1883, host="no-such-host.invalid", display="gone"), code=1)
    assert found["DNS"]["word"] == "bad"
    assert "typing error" in found["DNS"]["next"]
    assert found["meter exec"]["word"] == "bad"


def test_the_screen_says_a_word_and_colours_it_in_a_terminal_alone(tmp_path: Path) -> None:
    config = written(tmp_path, free_port())
    asked = [*AGENT, "doctor", "--config", str(config)]
    in_pipe = subprocess.run(asked, capture_output=True, text=True, cwd=ROOT, check=False, timeout=90)
    assert "bad     TCP" in in_pipe.stdout
    assert "to do: TCP" in in_pipe.stdout
    assert "\033[" not in in_pipe.stdout


class TestMachine:
    settings = AgentSettings(gateway="gw-1")

    def test_a_clock_that_was_never_set_comes_before_everything(self) -> None:
        """P13: honest time."""
        assert clock_of(SimpleClock(utc_ms=86_400_000, synchronised=True)).word is Word.BAD
        unset = clock_of(SimpleClock(utc_ms=1_793_750_400_000, synchronised=False))
        assert unset.word is Word.BAD
        assert "timedatectl" in unset.next

    def test_a_key_that_others_may_read_is_bad(self, tmp_path: Path) -> None:
        key = tmp_path / "gw.key"
        settings = AgentSettings(gateway="gw-1", key_file=key)
        assert [each.word for each in files_of(settings)] == [Word.BAD]
        key.write_text("x", encoding="ascii")
        key.chmod(0o644)
        assert [each.next for each in files_of(settings)] == [f"`sudo chmod 600 {key}`"]
        key.chmod(0o600)
        assert [each.word for each in files_of(settings)] == [Word.GOOD]

    def test_a_spool_that_was_changed_is_found(self, tmp_path: Path) -> None:
        """P2: what is on disk is what was committed."""
        settings = AgentSettings(gateway="gw-1", spool_path=tmp_path / "spool.db")
        assert spool_of(settings, {}).word is Word.LOOK
        settings.spool_path.write_bytes(os.urandom(4_096))
        assert spool_of(settings, {}).word is Word.BAD

    def test_a_disk_that_cannot_hold_the_spool_is_bad(self, tmp_path: Path) -> None:
        settings = AgentSettings(gateway="gw-1", spool_path=tmp_path / "spool.db", spool_bytes_max=1 << 40)
        assert disk_of(settings).word is Word.BAD

    def test_a_collector_that_never_confirmed_or_no_longer_does_is_bad(self) -> None:
        """P6: the receipt is the only proof."""
        status = {"interval": [60, 15]}
        now = 1_793_750_400_000
        assert collector_of(status, None, 3, now).word is Word.BAD
        assert collector_of(status, now - 60_000, 3, now).word is Word.GOOD
        assert collector_of(status, now - 2_701_000, 3, now).word is Word.BAD


@pytest.mark.deep
def test_the_running_agents_session_is_not_taken_over(tmp_path: Path) -> None:
    """The shipped Mosquitto names sessions by their users: a login of the doctor's own would end the agent's."""
    named = "use_username_as_clientid true"
    assert named in (ROOT / "config" / "mosquitto" / "mosquitto.conf").read_text(encoding="utf-8")
    assert named in (ROOT / "config" / "mosquitto" / "mosquitto-tls.conf").read_text(encoding="utf-8")
    (tmp_path / "broker").mkdir()
    with mosquitto_broker(tmp_path / "broker", [named]) as broker:
        config = written(tmp_path, broker.port)
        (tmp_path / "operator.pem").write_text(SigningKey(b"\2" * 32).pem, encoding="ascii")
        (tmp_path / "gw.pub").write_text(SigningKey(b"\1" * 32).public.pem, encoding="ascii")
        store = ["--set", f"store_path={tmp_path}/collector.db", "--set", f"key_file={tmp_path}/operator.pem"]
        link = ["--set", "broker.tls=false", "--set", f"broker.port={broker.port}"]
        run("cloud-collector", *store, "gateway", "add", "gw-1", "--key", tmp_path / "gw.pub")
        collector = Process(
            "collector", [*command("cloud-collector"), *store, *link, "run"], tmp_path / "collector.log"
        )
        agent = Process("agent", [*AGENT, "run", "--config", str(config)], tmp_path / "agent.log")
        for each in (collector, agent):
            each.start()
        try:
            wait_until(lambda: receipted(config), 60, "a receipt")
            found = examined(config, code=0)
            assert (found["login"]["word"], found["topics"]["word"]) == ("good", "good")
            assert "not disturbed" in found["login"]["says"]
            assert "link_down" not in agent.events
        finally:
            for each in (agent, collector):
                each.kill()


def receipted(config: Path) -> bool:
    """Whether the running agent has a receipt."""
    done = run("edge-agent", "status", "--json", "--config", config, check=False)
    return done.returncode == 0 and json.loads(done.stdout)["last_receipt_ms"] is not None


@pytest.mark.parametrize(
    ("why", "step"),
    [
        ("it has no such register (exception 2)", "one off"),
        ("the gateway got no answer from it (exception 11)", "unit_id"),
        ("10.0.0.9:502 cannot be reached: Connection refused", "host and port"),
        ("something that nobody foresaw", "edge-agent probe"),
    ],
)
def test_what_to_do_about_a_meter_goes_by_what_it_says(why: str, step: str) -> None:
    assert step in step_for(why)


def test_on_a_terminal_lines_end_between_words_and_what_is_to_be_typed_stays_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long = bad("meter distribution-board", "a " * 60, "`sudo usermod -aG dialout meterseal-with-a-long-name`, start it")
    assert line_of(long).count("\n") == 2, "a pipe gets lines as they are"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    shown = line_of(long).splitlines()
    assert len(shown) > 4
    assert all(len(line) <= 80 or "`" in line for line in shown[1:])
    assert any("`sudo usermod -aG dialout meterseal-with-a-long-name`" in line for line in shown)
