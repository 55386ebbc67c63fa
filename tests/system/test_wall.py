"""`edge-agent run` as systemd runs it: the notify socket, the watchdog, safe mode, reload and SIGHUP."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.key import SigningKey
from tests.processes import ROOT, Process, command, free_port, mosquitto, wait_until
from tests.requirements import require

AGENT = command("edge-agent")
METER = """[[sources]]
type = "exec"
name = "{name}"
poll_seconds = 0.2
device = "{name}"
meter = "energy"
unit = "W.h"
command = ["cat", "{folder}/display"]
rate_max = 1000000
"""


class Manager:
    """What systemd does at its end of the notify socket: it listens."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.told: list[tuple[float, dict[str, str]]] = []
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._door.bind(str(self.path))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while raw := self._door.recv(8_192):
                fields = dict(line.partition("=")[::2] for line in raw.decode().splitlines())
                self.told.append((time.monotonic(), fields))

    def close(self) -> None:
        self._door.close()

    def said(self, key: str) -> list[str]:
        return [fields[key] for _, fields in self.told if key in fields]


class Wall:
    """A gateway's folder, its configuration, and its agent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manager = Manager(folder)
        self.port = free_port()
        (folder / "state").mkdir()
        (folder / "gw.key").write_text(SigningKey(b"\1" * 32).pem, encoding="ascii")
        (folder / "display").write_text("100\n", encoding="ascii")
        self.agent = Process("agent", [*AGENT, "run", "--config", str(folder / "agent.toml")], folder / "agent.log")

    def configure(self, *names: str, top: str = "", watchdog: int = 3) -> None:
        meters = "".join(METER.format(name=name, folder=self.folder) for name in names)
        (self.folder / "agent.toml").write_text(
            f'gateway = "gw-1"\nkey_file = "gw.key"\nspool_path = "state/spool.db"\nstep_seconds = 1\n'
            f'interval_count = 2\ncommit_seconds = 1\nwall_clock = "trusted"\nreconnect_seconds_max = 1\n{top}\n'
            f'[broker]\nhost = "127.0.0.1"\nport = {self.port}\ntls = false\n{meters}',
            encoding="utf-8",
        )
        os.environ |= {
            "NOTIFY_SOCKET": str(self.manager.path),
            "WATCHDOG_USEC": str(watchdog * 1_000_000),
            "STATE_DIRECTORY": str(self.folder / "state"),
        }

    def start(self) -> None:
        self.agent.start()
        self.until("the agent is ready", lambda: "1" in self.manager.said("READY"))

    def until(self, what: str, holds: Callable[[], bool], seconds: float = 30) -> None:
        wait_until(lambda: holds() or not self.agent.alive(), seconds, what)
        assert self.agent.alive(), self.log

    @property
    def log(self) -> str:
        return (self.folder / "agent.log").read_text(encoding="utf-8")

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*AGENT, *arguments, "--config", str(self.folder / "agent.toml")],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        return done

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return found


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wall]:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "STATE_DIRECTORY"):
        monkeypatch.setenv(name, "")
    made = Wall(tmp_path)
    yield made
    if made.agent.alive():
        made.agent.kill()
    made.manager.close()


def test_the_service_manager_hears_ready_beats_a_line_for_people_and_the_end(wall: Wall) -> None:
    wall.configure("heat")
    wall.start()
    wall.until("beats come", lambda: len(wall.manager.said("WATCHDOG")) >= 3)
    wall.until("the line counts channels", lambda: wall.manager.said("STATUS")[-1].startswith("metering 1 channel; "))
    assert wall.agent.stop() == 0
    assert wall.manager.said("STOPPING") == ["1"]
    times = [at for at, fields in wall.manager.told if "WATCHDOG" in fields]
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 3


def test_a_loop_that_hangs_gets_no_beat(wall: Wall) -> None:
    """P8: a stopped process, as a hanging one, is silent: the manager's watchdog ends it."""
    wall.configure("heat")
    wall.start()
    wall.until("beats come", lambda: bool(wall.manager.said("WATCHDOG")))
    os.kill(wall.agent.pid, signal.SIGSTOP)
    time.sleep(0.3)
    beats = len(wall.manager.said("WATCHDOG"))
    time.sleep(3)
    assert len(wall.manager.said("WATCHDOG")) == beats
    os.kill(wall.agent.pid, signal.SIGCONT)
    wall.until("it beats again", lambda: len(wall.manager.said("WATCHDOG")) > beats)


def test_reload_takes_new_sources_and_refuses_what_is_broken(wall: Wall) -> None:
    wall.configure("heat")
    wall.start()
    wall.configure("heat", "water")
    assert "taken: 1 source added: water" in wall.run("reload").stdout
    assert [source["name"] for source in wall.status()["sources"]] == ["heat", "water"]
    reloads = [fields for _, fields in wall.manager.told if "RELOADING" in fields]
    assert int(reloads[0]["MONOTONIC_USEC"]) > 0
    wall.until("the reload is over", lambda: wall.manager.said("READY") == ["1", "1"])

    wall.configure("heat", top="step_second = 1")
    refused = wall.run("reload", code=2).stderr
    assert 'agent.toml:9: unknown key "step_second", did you mean "step_seconds"?' in refused
    assert "what ran goes on" in refused
    found = wall.status()
    assert [source["name"] for source in found["sources"]] == ["heat", "water"]
    assert (found["safe_mode"], "agent.toml:9" in found["config_problem"]) == (False, True)
    assert "the configuration was not taken, because of\n  agent.toml:9:" in wall.run("status").stdout

    wall.configure("heat", top="spool_bytes_max = 1000000")
    assert "spool_bytes_max: only a restart takes this" in wall.run("reload", code=4).stderr

    wall.configure("heat")
    os.kill(wall.agent.pid, signal.SIGHUP)
    wall.until("SIGHUP is a reload", lambda: [each["name"] for each in wall.status()["sources"]] == ["heat"])
    assert wall.status()["config_problem"] is None
    assert "nothing has changed" in json.loads(wall.run("reload", "--json").stdout)["change"]
    assert wall.agent.stop() == 0
    assert wall.run("reload", code=3).stderr.startswith("no agent runs")


def test_a_broken_configuration_at_start_leaves_known_channels_metered(wall: Wall) -> None:
    require("mosquitto")
    broker = mosquitto(wall.folder, wall.port)
    broker.start()
    try:
        wall.configure("heat", "water")
        wall.start()
        wall.until("both were read", lambda: [row[6] for row in wall.status()["channels"]] == [100, 100])
        before = {row[0]: row[5] for row in wall.status()["channels"]}
        assert wall.agent.stop() == 0
        register = {row[0]: row[5] for row in wall.status().get("channels", [])}
        assert register == {}, "nothing runs"

        wall.configure("heat", top='step_second = 1\ngateway_name = "x"')
        (wall.folder / "display").write_text("150\n", encoding="ascii")
        wall.manager.told.clear()
        wall.start()
        wall.run("config", "check", code=2)
        wall.until("both are metered", lambda: [row[6] for row in wall.status()["channels"]] == [150, 150])
        assert {row[0]: row[5] for row in wall.status()["channels"]} == {name: at + 50 for name, at in before.items()}
        found = wall.status()
        assert found["safe_mode"]
        assert found["config_problem"].splitlines()[0].startswith('agent.toml:9: unknown key "step_second"')
        assert wall.manager.said("STATUS")[0].startswith('safe mode: agent.toml:9: unknown key "step_second"')
        assert "SAFE MODE: the last good configuration runs, because of\n  agent.toml:9:" in wall.run("status").stdout
        wall.until("it is online", lambda: wall.status()["link"]["up"])
        state = json.loads(retained(wall.port, "meterseal/v1/gw-1/state"))
        assert (state["state"], "agent.toml:9: unknown key" in state["config"]) == ("online", True)

        wall.configure("heat")
        assert "1 source removed: water" in wall.run("reload").stdout
        assert not wall.status()["safe_mode"]
        wall.until("all is said to be well", lambda: wall.manager.said("STATUS")[-1].startswith("metering 1 channel"))
        assert json.loads(retained(wall.port, "meterseal/v1/gw-1/state")) == {"state": "online"}
        assert wall.agent.stop() == 0
    finally:
        broker.kill()


def test_without_a_last_good_configuration_a_broken_one_ends_the_start_with_2(wall: Wall) -> None:
    wall.configure("heat", top="step_second = 1")
    assert "agent.toml:9: unknown key" in wall.run("run", code=2).stderr
    assert list((wall.folder / "state").iterdir()) == []


def retained(port: int, topic: str) -> str:
    """The retained message of a topic."""
    done = subprocess.run(
        [require("mosquitto_sub"), "-p", str(port), "-t", topic, "-C", "1", "-W", "10"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_collector_tells_the_service_manager_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Manager(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    (tmp_path / "receipt-key.pem").write_text(SigningKey(b"\2" * 32).pem, encoding="ascii")
    (tmp_path / "collector.toml").write_text(
        f'key_file = "receipt-key.pem"\nstore_path = "collector.db"\ntick_seconds = 1\n'
        f'[broker]\nhost = "127.0.0.1"\nport = {free_port()}\ntls = false\n',
        encoding="utf-8",
    )
    arguments = [*command("cloud-collector"), "--config", str(tmp_path / "collector.toml"), "run"]
    collector = Process("collector", arguments, tmp_path / "collector.log")
    collector.start()
    try:
        wait_until(lambda: len(manager.said("WATCHDOG")) >= 3 or not collector.alive(), 60, "beats come")
        assert manager.said("READY") == ["1"]
        assert manager.said("STATUS")[0] == "no link to the broker; since the start: nothing arrived"
        assert collector.stop() == 0
        assert manager.said("STOPPING") == ["1"]
    finally:
        if collector.alive():
            collector.kill()
        manager.close()


def test_home_assistant_discovers_meters_and_warnings_at_a_real_broker(wall: Wall) -> None:
    broker = mosquitto(wall.folder, wall.port)
    broker.start()
    try:
        # One broker plays both: the collector's, and the site's that Home Assistant listens to.
        extra = f'[home_assistant]\nhost = "127.0.0.1"\nport = {wall.port}\npublish_seconds = 1\n'
        wall.configure("heat")
        wall.start()
        text = (wall.folder / "agent.toml").read_text(encoding="utf-8")
        (wall.folder / "agent.toml").write_text(f"{text}{extra}", encoding="utf-8")
        assert "changed: home_assistant" in wall.run("reload").stdout
        config = json.loads(retained(wall.port, "homeassistant/sensor/meterseal_gw-1/heat__energy/config"))
        assert (config["unit_of_measurement"], config["device_class"]) == ("Wh", "energy")
        assert retained(wall.port, config["availability_topic"]).strip() == "online"
        assert retained(wall.port, config["state_topic"]).strip() == "100"
        warning = '{"text":"80 % of the budget"}'
        publish = [require("mosquitto_pub"), "-p", str(wall.port), "-r", "-q", "1"]
        wall.until("the link is up", lambda: wall.status()["link"]["up"])
        subprocess.run([*publish, "-t", "meterseal/v1/gw-1/alert", "-m", warning], check=True)
        alert = json.loads(retained(wall.port, "homeassistant/sensor/meterseal_gw-1/alert/config"))
        assert retained(wall.port, alert["state_topic"]).strip() == warning
        wall.agent.kill()
        assert retained(wall.port, config["availability_topic"]).strip() in ("online", "offline")
        wait_until(
            lambda: retained(wall.port, config["availability_topic"]).strip() == "offline", 20, "its will is published"
        )
    finally:
        broker.kill()


def test_a_status_page_is_served_and_moves_with_a_reload(wall: Wall) -> None:
    first, second = free_port(), free_port()
    wall.configure("heat")
    text = (wall.folder / "agent.toml").read_text(encoding="utf-8")
    (wall.folder / "agent.toml").write_text(f'{text}[status]\nlisten = "127.0.0.1:{first}"\n', encoding="utf-8")
    wall.start()
    wall.until("the page is there", lambda: "heat.energy" in fetched(first, "/"))
    assert json.loads(fetched(first, "/status.json"))["gateway"] == "gw-1"
    assert 'meterseal_agent_register_total{device="heat"' in fetched(first, "/metrics")
    (wall.folder / "agent.toml").write_text(f'{text}[status]\nlisten = "127.0.0.1:{second}"\n', encoding="utf-8")
    assert "changed: status" in wall.run("reload").stdout
    wall.until("the page has moved", lambda: fetched(second, "/healthz") == "metering\n")
    assert fetched(first, "/healthz") == ""
    assert wall.agent.stop() == 0


def fetched(port: int, path: str) -> str:
    """What is served there; empty where nothing is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""
