"""What the tutorial tells people to type is typed, against a real Mosquitto with the files of config/mosquitto."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.processes import ROOT, Process, free_port, wait_for_port
from tests.requirements import require

pytestmark = pytest.mark.system

TUTORIAL: Final = ROOT / "docs" / "tutorial" / "first-site.md"
BLOCK: Final = re.compile(r"^```sh ?(background|wait)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
WAIT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that stands for `/etc` and `/var/lib`, and a port of 127.0.0.1 that stands for the broker's."""

    folder: Path
    port: int

    def localised(self, text: str) -> str:
        """What is typed, moved to this place."""
        for old, new in (
            ("/etc/", f"{self.folder}/etc/"),
            ("/var/lib/", f"{self.folder}/var/"),
            ("10.0.0.1", "127.0.0.1"),
            ("port = 1883", f"port = {self.port}"),
            ("listener 1883", f"user root\nlistener {self.port}"),
        ):
            text = text.replace(old, new)
        return text

    def broker(self) -> Process:
        """Mosquitto with the files of `config/mosquitto`."""
        for name in ("mosquitto.conf", "meterseal.acl"):
            text = (ROOT / "config" / "mosquitto" / name).read_text(encoding="ascii")
            (self.folder / "etc" / "mosquitto" / name).write_text(self.localised(text), encoding="ascii")
        arguments = [require("mosquitto"), "-c", str(self.folder / "etc" / "mosquitto" / "mosquitto.conf")]
        return Process("mosquitto", arguments, self.folder / "mosquitto.log")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for name in ("etc/mosquitto", "etc/meterseal", "var/mosquitto"):
        (tmp_path / name).mkdir(parents=True)
    require("mosquitto")
    require("mosquitto_passwd")
    return Place(tmp_path, free_port())


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell in which the commands find the configuration of this place without naming it."""

    place: Place

    def script(self, typed: str) -> list[str]:
        """How it is run: the first command that fails ends it."""
        etc, binaries = self.place.folder / "etc" / "meterseal", Path(sys.executable).parent
        head = "set -eu\n" + "".join(
            f'{name}() {{ "{binaries}/{name}" --config "{etc}/{file}.toml" "$@"; }}\n'
            for name, file in (("edge-agent", "agent"), ("cloud-collector", "collector"))
        )
        return ["bash", "-c", head + self.place.localised(typed)]

    @property
    def environment(self) -> dict[str, str]:
        """The defaults that lie outside of the configuration's folder."""
        var = self.place.folder / "var"
        return os.environ | {
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/usr/bin",
            "METERSEAL_AGENT__KEY_FILE": f"{var}/meterseal/gateway.key",
            "METERSEAL_AGENT__SPOOL_PATH": f"{var}/meterseal/spool.db",
            "METERSEAL_AGENT__SOURCES__0__INTERFACES": '["lo"]',
            "METERSEAL_AGENT__DRAIN_DELAY_SECONDS": "0",
            "METERSEAL_COLLECTOR__STORE_PATH": f"{var}/meterseal/collector.db",
            "METERSEAL_COLLECTOR__KEY_FILE": f"{var}/meterseal/receipt.key",
            "METERSEAL_COLLECTOR__WEB__PORT": "0",
        }

    def type(self, typed: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.script(typed), env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )

    def start(self, typed: str) -> subprocess.Popen[bytes]:
        """Run it beside the rest."""
        with (self.place.folder / "background.log").open("ab") as log:
            return subprocess.Popen(
                self.script(typed),
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@pytest.fixture
def running() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in reversed(started):
        # The shell's own group, and nobody else's.
        os.killpg(child.pid, 15)
        child.wait(20)


@pytest.mark.deep
def test_the_tutorial_does_what_it_says(place: Place, running: list[subprocess.Popen[bytes]]) -> None:
    shell = Shell(place)
    said: dict[str, str] = {}
    broker: Process | None = None
    try:
        for kind, typed in BLOCK.findall(TUTORIAL.read_text(encoding="utf-8")):
            if kind == "background":
                if broker is None:
                    broker = place.broker()
                    broker.start()
                    wait_for_port(place.port)
                running.append(shell.start(typed))
                time.sleep(3)
                assert running[-1].poll() is None, (place.folder / "background.log").read_text(encoding="utf-8")
                continue
            until = time.monotonic() + (WAIT_SECONDS if kind == "wait" else 0)
            done = shell.type(typed)
            while kind == "wait" and "backlog 0 lines" not in done.stdout and time.monotonic() < until:
                time.sleep(1)
                done = shell.type(typed)
            assert done.returncode == 0, f"{typed}\n{done.stdout}{done.stderr}"
            said[typed.splitlines()[-1]] = done.stdout + done.stderr
        log = (place.folder / "background.log").read_text(encoding="utf-8")
    finally:
        if broker is not None:
            broker.stop()
    assert log.count("event=link_up") == 2
    assert "link up" in said["edge-agent status"]
    assert "the gateway is unknown" in said["cloud-collector unmatched list"]
    words = said["cloud-collector gateway add house-7 --key /etc/meterseal/house-7.pub"].splitlines()[1]
    assert words in shell.type("edge-agent key show").stderr
    assert "house-7" in said["edge-agent backlog"]
    assert "backlog 0 lines" in said["edge-agent backlog"]
    assert "data_down" in said["cloud-collector usage show house-7"]
    assert "revision 1 is in force" in said["cloud-collector catalog apply /etc/meterseal/catalog.toml"]
    assert "nothing is due" in said["cloud-collector billing preview"]


ALLOWED: Final = (
    # user, topic, whether the broker lets it through
    ("house-7", "meterseal/v1/house-7/report", True),
    ("house-7", "meterseal/v1/house-8/report", False),
    ("house-7", "meterseal/v1/house-7/receipt", False),
    ("house-7", "meterseal/v1/house-8/receipt", False),
    ("_collector", "meterseal/v1/house-7/receipt", True),
    ("_collector", "meterseal/v1/house-7/report", False),
)


def test_the_access_list_lets_through_what_the_wire_needs_and_nothing_else(place: Place) -> None:
    """P10, P21: a gateway speaks under its own name only."""
    require("mosquitto_pub")
    require("mosquitto_sub")
    passwords = place.folder / "etc" / "mosquitto" / "meterseal.passwords"
    passwords.touch()
    for user in ("_collector", "house-7", "house-8"):
        subprocess.run([require("mosquitto_passwd"), "-b", passwords, user, f"of-{user}"], check=True)
    broker = place.broker()
    broker.start()
    wait_for_port(place.port)
    try:
        for user, topic, allowed in ALLOWED:
            reader = "_collector" if topic.endswith("report") else topic.split("/")[2]
            heard = subprocess.Popen(
                [*_client("mosquitto_sub", place.port, reader), "-t", topic, "-C", "1", "-W", "1"],
                stdout=subprocess.PIPE,
            )
            time.sleep(0.3)
            subprocess.run([*_client("mosquitto_pub", place.port, user), "-t", topic, "-q", "1", "-m", "x"], check=True)
            out, _ = heard.communicate(timeout=10)
            assert (out == b"x\n") is allowed, (user, topic)
        stranger = [*_client("mosquitto_pub", place.port, "nobody"), "-t", "meterseal/v1/nobody/report", "-m", "x"]
        assert subprocess.run(stranger, capture_output=True, check=False).returncode != 0
    finally:
        broker.stop()


def _client(name: str, port: int, user: str) -> list[str]:
    return [require(name), "-h", "127.0.0.1", "-p", str(port), "-u", user, "-P", f"of-{user}"]
