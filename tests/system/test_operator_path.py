"""What docs/tutorial/from-an-empty-machine.md tells an operator to type is typed, in order, against real programs.

Folders stand for /etc, /var and /media, ports of 127.0.0.1 for the well-known ones, and this module for systemctl: it
starts what the very unit says. Mosquitto, PostgreSQL, Prometheus, the collector and the agent are the real ones.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.postgres import Server
from tests.processes import ROOT, free_port, wait_for_port
from tests.requirements import require

pytestmark = [pytest.mark.system, pytest.mark.deep]

PAGE: Final = ROOT / "docs" / "tutorial" / "from-an-empty-machine.md"
BLOCK: Final = re.compile(
    r"^```sh ?(gateway|gateway waits|wait|wait lines|wait gateways)?\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
WAIT_SECONDS: Final = 120.0
LONG_RUNNING: Final = ("mosquitto", "cloud-collector", "edge-agent", "prometheus")
AGENT: Final = """
wall_clock = "trusted"
step_seconds = 1
interval_count = 2
drain_delay_seconds = 0
reconnect_seconds_max = 2
[[sources]]
type = "netdev"
interfaces = ["lo"]
"""
SHELL: Final = """
set -euo pipefail
sudo() {{ if [ "$1" = -u ]; then local -x PGUSER=$2; shift 2; fi; "$@"; }}
systemd-sysusers() {{ grep -q '^u meterseal ' "{root}/etc/sysusers.d/meterseal.conf"; }}
install() {{
    local kept=()
    while [ $# -gt 0 ]; do case "$1" in -o|-g) shift 2;; *) kept+=("$1"); shift;; esac; done
    command install "${{kept[@]}}"
}}
cloud-collector() {{ "{bin}/cloud-collector" --config "{root}/etc/meterseal/collector.toml" "$@"; }}
edge-agent() {{ "{bin}/edge-agent" "$@" --config "{root}/gateway/etc/meterseal/agent.toml"; }}
systemctl() {{ "{python}" -m tests.system.test_operator_path "{root}" "$@"; }}
"""


@dataclass
class Machine:
    """An empty machine in a folder."""

    root: Path
    database: Server
    mqtt: int = field(default_factory=free_port)
    enrolment: int = field(default_factory=free_port)
    web: int = field(default_factory=free_port)
    prometheus: int = field(default_factory=free_port)

    def here(self, text: str) -> str:
        """What is typed or written, moved to this place."""
        for old, new in (
            ("/etc/systemd/", f"{self.root}/units/"),
            ("/run/postgresql", str(self.database.folder)),
            ("/etc/", f"{self.root}/etc/"),
            ("/var/", f"{self.root}/var/"),
            ("/media/", f"{self.root}/media/"),
            (":9090", f":{self.prometheus}"),
            ("collector.example", "localhost"),
            (":8843", f":{self.enrolment}"),
            (":8080", f":{self.web}"),
            # This machine may have a Mosquitto of its own.
            ("cloud-collector doctor", f"cloud-collector doctor --mosquitto {self.root}/etc/mosquitto/mosquitto.conf"),
        ):
            text = text.replace(old, new)
        return text

    def settle(self) -> None:
        """What `config init` has written is moved to this place, file by file."""
        for path in (self.root / "site").rglob("*"):
            if path.is_file():
                text = self.here(path.read_text(encoding="utf-8"))
                text = text.replace("#port = 8883", f"port = {self.mqtt}").replace(
                    "port = 8843", f"port = {self.enrolment}"
                )
                text = text.replace("port = 8080", f"port = {self.web}").replace(
                    "#tick_seconds = 10", "tick_seconds = 1"
                )
                text = text.replace("scrape_interval: 30s", "scrape_interval: 1s")
                text = text.replace("listener 8883", f"user root\nlistener {self.mqtt}")
                path.write_text(text, encoding="utf-8")

    def type(self, typed: str, *, kind: str = "") -> subprocess.CompletedProcess[str]:
        """Run it to its end; the first command that fails ends it."""
        script = self.script(typed)
        return subprocess.run(
            script,
            env=self.environment,
            cwd=self.folder(kind),
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def begin(self, typed: str) -> "subprocess.Popen[str]":
        """Run it on the gateway, and go on."""
        with (self.root / "enrol.log").open("w", encoding="utf-8") as log:
            return subprocess.Popen(
                self.script(typed), env=self.environment, cwd=self.folder("gateway"), stdout=log, stderr=log, text=True
            )

    def until(self, kind: str, typed: str) -> subprocess.CompletedProcess[str]:
        """Run it, again and again where the page says that it takes a while."""
        until = time.monotonic() + WAIT_SECONDS
        done = self.type(typed, kind=kind)
        while kind.startswith("wait") and not arrived(kind, done) and time.monotonic() < until:
            time.sleep(1)
            done = self.type(typed, kind=kind)
        return done

    def metric(self, expression: str) -> list[Any]:
        """What Prometheus says of it now."""
        asked = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.prometheus}/api/v1/query?{asked}") as answer:
            found: list[Any] = json.load(answer)["data"]["result"]
        return found

    def folder(self, kind: str) -> Path:
        """Where somebody stands: on the gateway, or in the collector's set-up once there is one."""
        site = self.root / "site"
        return self.root / "gateway" if kind == "gateway" else site if site.exists() else self.root

    def script(self, typed: str) -> list[str]:
        """A shell in which the commands find what is theirs in this place."""
        head = SHELL.format(root=self.root, bin=Path(sys.executable).parent, python=sys.executable)
        return ["bash", "-c", head + (typed if "config init" in typed else self.here(typed))]

    @property
    def environment(self) -> dict[str, str]:
        """What stands for the gateway's own folders, and for knowing users by the system's names."""
        return os.environ | {
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "PYTHONPATH": str(ROOT),
            "PGHOST": str(self.database.folder),
            "METERSEAL_AGENT__KEY_FILE": f"{self.root}/gateway/state/gateway.key",
            "METERSEAL_AGENT__SPOOL_PATH": f"{self.root}/gateway/state/spool.db",
        }


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    for component in ("mosquitto", "postgres", "pg_dump", "prometheus", "promtool"):
        require(component)
    for name in (
        "etc/mosquitto",
        "etc/prometheus",
        "etc/sysusers.d",
        "var/lib/mosquitto",
        "var/backups",
        "media/offline",
        "pids",
    ):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "units/system").mkdir(parents=True)
    (tmp_path / "gateway/etc/meterseal").mkdir(parents=True)
    (tmp_path / "gateway/state").mkdir()
    (tmp_path / "gateway/etc/meterseal/agent.toml").write_text(AGENT, encoding="ascii")
    made = Machine(tmp_path, Server())
    (tmp_path / "prometheus.port").write_text(str(made.prometheus), encoding="ascii")
    yield made
    for pid in (tmp_path / "pids").iterdir():
        stop(pid)
    made.database.remove()


def test_an_operator_gets_from_an_empty_machine_to_a_tested_backup_and_a_dashboard(machine: Machine) -> None:
    said: dict[str, str] = {}
    known = {"CODE": "", "WORDS": ""}
    enrolling: subprocess.Popen[str] | None = None
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) >= 15
    for kind, typed in blocks:
        words = typed.replace("CODE", known["CODE"]).replace("WORDS", known["WORDS"])
        if kind == "gateway waits":
            enrolling = machine.begin(words)
            known["WORDS"] = shown(machine.root / "enrol.log", r"gateway accept house-7 (\S+)")
            continue
        done = machine.until(kind, words)
        logs = "" if done.returncode == 0 else "".join(tail(path) for path in machine.root.glob("*.log"))
        assert done.returncode == 0, f"{typed}\n{done.stdout}{done.stderr}\n{logs}"
        assert arrived(kind, done), f"{typed}\n{done.stdout}{done.stderr}"
        said |= dict.fromkeys(typed.splitlines(), done.stdout + done.stderr)
        if "config init" in typed:
            machine.settle()
        if "gateway invite" in typed:
            found = re.search(r"edge-agent enrol https://localhost:(\d+) (\S+)", done.stdout)
            assert found is not None, done.stdout
            assert int(found[1]) == machine.enrolment, "the invitation names the port that listens"
            known["CODE"] = found[2]
        if "gateway accept" in typed:
            assert enrolling is not None
            assert enrolling.wait(30) == 0, (machine.root / "enrol.log").read_text(encoding="utf-8")
        if "restart mosquitto" in typed:
            wait_for_port(machine.mqtt)
        if "enable --now cloud-collector " in typed:
            wait_for_port(machine.enrolment)
    assert "house-7: enrolled" in said["sudo -u meterseal cloud-collector gateway show house-7"]
    assert not (machine.root / "var/lib/meterseal-collector/pki/recovery.key").exists(), "it is offline now"
    restored = said[next(line for line in said if line.endswith(" audit"))]
    assert "house-7: enrolled" in restored, "what was put back knows the gateway"
    assert re.search(r"[1-9]\d* lines", restored), restored
    assert "all is well" in said["sudo -u meterseal cloud-collector doctor"]
    shows_every_panel(machine)


def shows_every_panel(machine: Machine) -> None:
    """Whatever the dashboard asks Prometheus for, it gets; and a fresh set-up alarms nobody."""
    dashboard = json.loads((machine.root / "site/grafana/meterseal.json").read_text(encoding="utf-8"))
    asked = [each["expr"].replace("$instance", ".*") for one in dashboard["panels"] for each in one.get("targets", ())]
    assert len(asked) > 10
    empty = [each for each in asked if not machine.metric(each)]
    assert all(each.endswith("> 0") for each in empty), f"only alarms may be none: {empty}"
    (age,) = machine.metric("time() - meterseal_backup_timestamp_seconds")
    assert float(age["value"][1]) < 600, "the dump that was made is seen"
    assert machine.metric('ALERTS{alertstate="firing"}') == []


def shown(path: Path, pattern: str) -> str:
    """What a program that goes on has written there."""
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        found = re.search(pattern, path.read_text(encoding="utf-8"))
        if found is not None:
            return found[1]
        time.sleep(0.2)
    raise AssertionError(path.read_text(encoding="utf-8"))


def arrived(kind: str, done: subprocess.CompletedProcess[str]) -> bool:
    """What the page waits for has come: a set-up without a fault, lines of the gateway, the gateway in Prometheus."""
    wanted = {"wait lines": "data_down", "wait gateways": "=> 1 "}.get(kind, "")
    return done.returncode == 0 and wanted in done.stdout


def tail(path: Path) -> str:
    return f"--- {path.name}\n{path.read_text(encoding='utf-8', errors='replace')[-1_500:]}"


def systemctl(root: Path, words: list[str]) -> int:
    """What systemd would do, by the units that lie in this machine's folder."""
    verb, *names = [word for word in words if not word.startswith("--")]
    for name in [name.removesuffix(".service") for name in names]:
        match verb:
            case "start" | "restart" | "enable" if not name.endswith((".timer", ".path")):
                stop(root / "pids" / name)
                code = run_unit(root, name)
                if code:
                    return code
            case "reload" | "enable" | "start":
                pass
            case _:
                print(f"{verb} {name}?", file=sys.stderr)
                return 1
    return 0


def run_unit(root: Path, name: str) -> int:
    """A service's ExecStart lines: a long-running one in the background, others to their end."""
    bin_ = Path(sys.executable).parent
    if name == "mosquitto":
        commands = [f"{require('mosquitto')} -c {root}/etc/mosquitto/mosquitto.conf"]
    elif name == "prometheus":
        listens = (root / "prometheus.port").read_text(encoding="ascii")
        config, data = f"{root}/etc/prometheus/prometheus.yml", f"{root}/var/prometheus"
        where = f"--storage.tsdb.path={data} --web.listen-address=127.0.0.1:{listens}"
        commands = [f"{require(name)} --config.file={config} {where}"]
    elif name == "edge-agent":
        commands = [f"{bin_}/edge-agent run --config {root}/gateway/etc/meterseal/agent.toml"]
    else:
        unit = (root / "units/system" / f"{name}.service").read_text(encoding="utf-8")
        commands = re.findall(r"^ExecStart=-?(.*)$", unit, re.MULTILINE)
        assert commands, name
        # As systemd reads them; there is no user mosquitto or meterseal to give files to.
        commands = [each.replace("%%", "%").replace("$$", "$") for each in commands]
        commands = [re.sub(r" -[og] \w+", "", each) for each in commands if "systemctl" not in each]
        commands = [each.replace("/usr/bin/cloud-collector", str(bin_ / "cloud-collector")) for each in commands]
    for each in commands:
        if name in LONG_RUNNING:
            with (root / f"{name}.log").open("ab") as log:
                child = subprocess.Popen(["bash", "-c", f"exec {each}"], stdout=log, stderr=log, start_new_session=True)
            (root / "pids" / name).write_text(str(child.pid), encoding="ascii")
        else:
            done = subprocess.run(["bash", "-c", each], check=False)
            if done.returncode:
                return done.returncode
    return 0


def stop(pid: Path) -> None:
    """The process whose id the file holds is gone."""
    if pid.exists():
        number = int(pid.read_text(encoding="ascii"))
        pid.unlink()
        for _ in range(100):
            try:
                os.kill(number, signal.SIGTERM)
            except ProcessLookupError:
                return
            time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(systemctl(Path(sys.argv[1]), sys.argv[2:]))
