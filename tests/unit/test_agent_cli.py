"""`edge-agent` as people meet it: what it prints, its exit codes, two agents on one spool, SIGTERM."""

import dataclasses
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_agent.cli.main import main
from edge_agent.limits import BACKLOG_LINES_MAX, BACKLOG_WAIT_SECONDS, READINGS_CHUNK_MAX
from edge_agent.metering import Metering
from edge_agent.preview import verdict_of
from edge_agent.reading import ChannelSpec, Kind, Reading
from edge_agent.timekeeping import Tick
from shared.key import PublicKey, SigningKey
from tests.processes import ROOT, Process, command, free_port, wait_until

AGENT = command("edge-agent")
LIVE_LINES_MAX = 5
"""That the display's meter has while a test waits."""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a configuration, the gateway's key and the collector's."""
    (tmp_path / "gw.key").write_text(SigningKey(b"\1" * 32).pem, encoding="ascii")
    (tmp_path / "receipt.pem").write_text(SigningKey(b"\2" * 32).public.pem, encoding="ascii")
    (tmp_path / "agent.toml").write_text(
        f"""gateway = "gw-1"
key_file = "gw.key"
receipt_key_files = ["receipt.pem"]
spool_path = "spool.db"
step_seconds = 1
interval_count = 2
[broker]
host = "127.0.0.1"
port = {free_port()}
tls = false
[[sources]]
type = "exec"
poll_seconds = 0.2
device = "meter-1"
meter = "energy"
unit = "W.h"
exponent = -1
command = ["cat", "{tmp_path}/display"]
rate_max = 1000000
[[sources]]
type = "exec"
name = "broken"
device = "meter-2"
meter = "energy"
unit = "W.h"
command = ["cat", "{tmp_path}/none"]
rate_max = 1000
""",
        encoding="utf-8",
    )
    (tmp_path / "display").write_text("1234.5\n", encoding="ascii")
    return tmp_path


@pytest.fixture
def agent(site: Path) -> Iterator[Process]:
    """A running agent whose first window is sealed."""
    with ended(Process("agent", [*AGENT, "run", "--config", str(site / "agent.toml")], site / "agent.log")) as process:
        wait_until(lambda: "agent_started" in process.events or not process.alive(), 60, "the agent has started")
        wait_until(lambda: (site / "spool.db.sock").exists() or not process.alive(), 10, "the door is open")
        yield process


@contextmanager
def ended(process: Process) -> Iterator[Process]:
    """Within it runs; afterwards it does not, whatever became of the test."""
    process.start()
    try:
        yield process
    finally:
        if process.alive():
            process.kill()


def run(site: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A command on the site's configuration, as its own process."""
    done = subprocess.run(
        [*AGENT, *arguments, "--config", str(site / "agent.toml")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return done


def answer(site: Path, *arguments: str, code: int = 0) -> Any:
    """What a command prints as JSON."""
    return json.loads(run(site, *arguments, "--json", code=code).stdout)


class TestKeys:
    def test_a_key_is_made_once_for_its_owner_alone(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """P10: the private key never leaves the gateway, nor is it replaced."""
        file = tmp_path / "gw.key"
        assert main(["key", "new", str(file)]) == 0
        printed = capsys.readouterr()
        key = SigningKey.from_pem(file.read_text(encoding="ascii"))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert PublicKey.from_pem(printed.out) == key.public
        assert key.public.words in printed.err
        assert main(["key", "new", str(file)]) == 4
        assert "is there already" in capsys.readouterr().err
        assert SigningKey.from_pem(file.read_text(encoding="ascii")) == key

    def test_show_prints_the_public_half_alone(self, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["key", "show", "--config", str(site / "agent.toml"), "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        public = SigningKey(b"\1" * 32).public
        assert shown == {"id": public.id, "sha256": public.sha256, "words": public.words, "pem": public.pem}

    def test_a_file_that_is_no_key_is_said(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "x").write_text("nothing", encoding="ascii")
        assert main(["key", "show", str(tmp_path / "x")]) == 2
        assert "this is no PEM file" in capsys.readouterr().err
        assert main(["key", "show", str(tmp_path / "y")]) == 3
        assert main(["key", "new", str(tmp_path / "x/in/a/file")]) == 2


class TestConfig:
    def test_check_says_what_is_right_and_what_is_not_there(
        self, site: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = str(site / "agent.toml")
        assert main(["config", "check", "--config", file]) == 0
        assert "is right: gateway gw-1, 2 sources" in capsys.readouterr().out
        assert main(["config", "check", "--config", file, "--set", "broker.ca_file=/no/ca.pem"]) == 1
        assert "broker.ca_file /no/ca.pem is not there" in capsys.readouterr().err
        assert main(["config", "check", "--config", file, "--set", "stepp=1"]) == 2
        assert 'unknown key "stepp"' in capsys.readouterr().err
        (site / "gw.key").unlink()
        (site / "receipt.pem").write_text("x", encoding="ascii")
        assert main(["config", "check", "--config", file]) == 1
        complaint = capsys.readouterr().err
        assert "gw.key is not there: `edge-agent key new` makes one" in complaint
        assert "receipt.pem: this is no PEM file" in complaint

    def test_show_says_where_each_value_comes_from(
        self, site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("METERSEAL_AGENT__COMMIT_SECONDS", "300")
        file = str(site / "agent.toml")
        assert main(["config", "show", "--origin", "--config", file, "--set", "broker.host=h"]) == 0
        rows = [row.split("  # ") for row in capsys.readouterr().out.splitlines()]
        found = {text.strip(): place for text, place in rows}
        assert found["commit_seconds = 300"] == "environment METERSEAL_AGENT__COMMIT_SECONDS"
        assert found['broker.host = "h"'] == "flag --set broker.host"
        assert found["step_seconds = 1"] == "agent.toml:5"
        assert found["spool_bytes_max = 67108864"] == "default"
        assert main(["config", "show", "--origin", "--json", "--config", file]) == 0
        assert json.loads(capsys.readouterr().out)["gateway"] == {"value": "gw-1", "origin": "agent.toml:1"}


class TestUsage:
    @pytest.mark.parametrize("arguments", [[], ["fly"], ["key"], ["status", "--jsn"]])
    def test_wrong_usage_ends_with_2(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
        assert "usage: edge-agent" in capsys.readouterr().err

    def test_help_begins_with_examples_and_ends_with_exit_codes(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["--help"])
        text = capsys.readouterr().out
        assert "edge-agent key new" in text
        assert text.rstrip().endswith("75 try again")

    def test_the_configuration_may_be_named_before_the_command(
        self, site: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["--config", str(site / "agent.toml"), "--set=step_seconds=7", "config", "show"]) == 0
        assert "step_seconds = 7" in capsys.readouterr().out

    def test_what_another_gateway_sealed_is_refused(self, site: Path, agent: Process) -> None:
        agent.stop()
        done = run(site, "run", "--set", "gateway=gw-2", code=4)
        assert "the spool belongs to the gateway gw-1, not to gw-2" in done.stderr

    def test_a_damaged_spool_is_no_reason_not_to_read_a_source(
        self, site: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (site / "spool.db").write_bytes(b"no database" * 1000)
        (site / "display").write_text("12.5", encoding="ascii")
        assert main(["read", "--config", str(site / "agent.toml")]) == 1
        assert re.search(r"meter-1\.energy +12\.5", capsys.readouterr().out)
        assert main(["status", "--config", str(site / "agent.toml")]) == 1
        assert "`edge-agent run` moves it aside" in capsys.readouterr().err

    def test_nothing_to_show_yet_ends_with_3(self, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for name in ("status", "backlog"):
            assert main([name, "--config", str(site / "agent.toml")]) == 3
            assert "there is no spool at" in capsys.readouterr().err
        assert not (site / "spool.db").exists()


def _has_tried(status: dict[str, Any]) -> bool:
    downs = {source["name"]: source["down"] for source in status["sources"]}
    return "refused" in (status["link"]["why"] or "") and downs["broken"] is not None


class TestRun:
    def test_an_agent_meters_tells_and_stops(self, site: Path, agent: Process) -> None:
        """P2: SIGTERM commits what is metered, and the next start goes on from there."""
        wait_until(lambda: answer(site, "backlog")["backlog_lines"] >= 2, 60, "a window is sealed")
        (site / "display").write_text("1240.0\n", encoding="ascii")
        expected = ["meter-1", "energy", "W.h", -1, "main", 12_400, 12_400]
        wait_until(lambda: expected in answer(site, "status")["channels"], 60, "the new display is metered")
        wait_until(lambda: _has_tried(answer(site, "status")), 60, "the link and every source were tried")
        found = answer(site, "status")
        assert (found["running"], found["gateway"], found["pid"]) == (True, "gw-1", agent.pid)
        assert found["link"]["up"] is False
        assert "the connection was refused" in found["link"]["why"]
        down = {source["name"]: source["down"] for source in found["sources"]}
        assert down["exec"] is None
        assert "No such file or directory" in down["broken"]
        text = run(site, "status").stdout
        assert "running as process" in text
        assert "meter-1.energy  1240.0" in text
        assert agent.stop() == 0
        assert not (site / "spool.db.sock").exists()
        after = answer(site, "status")
        assert (after["running"], after["epoch"]) == (False, found["epoch"])
        assert answer(site, "backlog")["backlog_lines"] >= 2
        rows = answer(site, "read", code=1)["rows"]
        assert (rows[0]["raw"], rows[0]["register"], rows[0]["verdict"]) == (12_400, 12_400, "good")
        assert "not running" in run(site, "status").stdout

    def test_reading_shows_the_raw_value_and_what_is_made_of_it(self, site: Path, agent: Process) -> None:
        expected = ["meter-1", "energy", "W.h", -1, "main", 12_345, 12_345]
        wait_until(lambda: expected in answer(site, "status")["channels"], 60, "the display is metered")
        first, second = answer(site, "read", code=1)["rows"]
        assert (first["device"], first["raw"], first["register"], first["verdict"]) == (
            "meter-1",
            12_345,
            12_345,
            "good",
        )
        assert second["raw"] is None
        assert "No such file or directory" in second["verdict"]
        text = run(site, "read", code=1).stdout
        assert "meter-1.energy  1234.5  1234.5    W.h   good" in text
        assert agent.alive()

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (12_346, "good"),
            (10**15, "held: it does not continue"),
            (5, "held: it does not continue"),
            (-1, "glitch: out of the meter's range"),
        ],
    )
    def test_each_verdict_has_its_words(self, value: int, said: str) -> None:
        """P4: what a person reads at the meter is what the metering will do."""
        spec = ChannelSpec(device="d", meter="m", unit="W.h", exponent=0, kind=Kind.COUNTER, source="s", rate_max=10)
        tick = Tick(boot_ms=1_000, utc_ms=0, synchronised=False, boot_id="00000000")
        metering = Metering((spec,), tick=tick)
        first = Reading(device="d", meter="m", value=12_345, at_ms=1_000)
        assert verdict_of(metering.preview(first, tick)).startswith("baseline")
        metering.observe([first], tick)
        later = dataclasses.replace(tick, boot_ms=2_000)
        found = metering.preview(Reading(device="d", meter="m", value=value, at_ms=2_000), later)
        assert verdict_of(found).startswith(said)
        assert metering.preview(Reading(device="x", meter="m", value=1, at_ms=2_000), later) is None

    def test_a_second_agent_on_the_same_spool_is_refused_and_the_first_goes_on(
        self, site: Path, agent: Process
    ) -> None:
        """P2: two writers of one chain would fork it."""
        done = run(site, "run", code=4)
        assert "another process holds" in done.stderr
        assert agent.alive()
        assert answer(site, "status")["pid"] == agent.pid

    def test_a_killed_agent_leaves_no_door_that_anyone_stumbles_over(self, site: Path, agent: Process) -> None:
        agent.kill()
        assert answer(site, "status")["running"] is False
        agent.start()
        wait_until(lambda: "agent_started" in agent.events, 60, "the agent has started again")
        wait_until(lambda: answer(site, "status")["running"], 10, "the door is open again")
        assert agent.stop() == 0

    def test_sigint_stops_as_sigterm_does(self, site: Path, agent: Process) -> None:
        os.kill(agent.pid, signal.SIGINT)
        wait_until(lambda: not agent.alive(), 60, "the agent has stopped")
        assert agent.stop() == 0
        assert "event=agent_stopped" in (site / "agent.log").read_text(encoding="utf-8")

    def test_the_running_agent_is_small_and_never_loads_pydantic(self, site: Path, agent: Process) -> None:
        """The design's figure: at most 40 MiB."""
        found = answer(site, "status")
        assert found["rss_bytes"] < 40 * 2**20
        maps = Path(f"/proc/{agent.pid}/maps").read_text(encoding="utf-8")
        assert "pydantic" not in maps

    def test_what_the_running_agent_imports(self) -> None:
        """pydantic, the configuration's checks and everything of the collector stay out."""
        code = "import edge_agent.cli.run, sys; print(*sorted(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
        loaded = {name.partition(".")[0] for name in done.stdout.split()}
        assert not loaded & {"pydantic", "pydantic_core", "cloud_collector", "tomllib", "sqlite_utils", "typer", "rich"}
        assert "edge_agent.config" not in done.stdout.split()

    @pytest.mark.parametrize(
        ("flag", "said", "code"),
        [
            ("step_secs=1", 'unknown key "step_secs", did you mean "step_seconds"?', 2),
            ("key_file=/no/key", "the key file /no/key is not there", 2),
            ("spool_path=/no/such/folder/spool.db", "/no/such/folder/spool.db", 1),
        ],
    )
    def test_what_cannot_begin_says_why(self, site: Path, flag: str, said: str, code: int) -> None:
        assert said in run(site, "run", "--set", flag, code=code).stderr

    def test_history_waits_while_too_much_of_it_is_unreceipted(self, site: Path) -> None:
        """P9: what is read again at any time is not taken in beyond a bound; what is measured now goes on."""
        start = datetime(2026, 1, 1, tzinfo=UTC)
        times = [(start + timedelta(minutes=n)).isoformat().replace("+00:00", "Z") for n in range(5_000)]
        rows = "".join(f"{at},d,energy,{n}\n" for n, at in enumerate(times))
        (site / "readings.csv").write_text("at,device,meter,value\n" + rows, encoding="ascii")
        with (site / "agent.toml").open("a", encoding="utf-8") as file:
            file.write(
                '[[sources]]\ntype = "replay"\npath = "readings.csv"\npoll_seconds = 0.1\n'
                'channels = [{device = "d", meter = "energy", unit = "W.h", rate_max = 10}]\n'
            )
        flags = ("--set", "interval_count=1", "--set", "step_seconds=60")
        words = [*AGENT, "run", "--config", str(site / "agent.toml"), *flags]
        with ended(Process("agent", words, site / "agent.log")) as agent:
            wait_until((site / "spool.db.sock").exists, 20, "the agent answers")
            wait_until(lambda: answer(site, "backlog")["backlog_lines"] >= BACKLOG_LINES_MAX, 60, "history waits")
            time.sleep(2 * BACKLOG_WAIT_SECONDS)
            # Meanwhile the display is metered on, a line a minute.
            bound = BACKLOG_LINES_MAX + READINGS_CHUNK_MAX + LIVE_LINES_MAX
            assert answer(site, "backlog")["backlog_lines"] <= bound
            assert agent.stop() == 0
