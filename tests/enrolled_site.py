"""A site with certificates: Mosquitto with the very files of config/mosquitto, a collector, gateways that enrol."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from typer.testing import CliRunner, Result

from cloud_collector.cli.main import app
from shared.effects.broker import BrokerSettings
from shared.effects.mqtt import MqttLink
from shared.key import PublicKey
from tests.processes import ROOT, Process, command, free_port, run, wait_for_port
from tests.requirements import require

COLLECTOR: Final = """
store_path = "collector/collector.db"
key_file = "collector/receipt.key"
pki_path = "collector/pki"
tick_seconds = 1
[broker]
host = "localhost"
port = {broker}
ca_file = "collector/pki/ca.pem"
cert_file = "collector/pki/_collector.pem"
key_file = "collector/pki/_collector.key"
[enrolment]
host = "127.0.0.1"
port = {enrolment}
"""
AGENT: Final = """
key_file = "state/gateway.key"
spool_path = "state/spool.db"
wall_clock = "trusted"
step_seconds = 1
interval_count = 2
drain_delay_seconds = 0
reconnect_seconds_max = 2
[[sources]]
type = "netdev"
interfaces = ["lo"]
"""


@dataclass
class Gateway:
    """A gateway's folder, which stands for its disk."""

    site: "Site"
    name: str

    @property
    def folder(self) -> Path:
        return self.site.folder / self.name

    @property
    def words(self) -> str:
        pem = (self.folder / "state" / "gateway.key").read_text(encoding="ascii")
        return PublicKey.from_pem(pem).words

    def edge(self, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run("edge-agent", *words, "--config", self.folder / "agent.toml", check=check)

    def enrol(self, code: str, *, url: str = "") -> subprocess.CompletedProcess[str]:
        return self.edge("enrol", url or self.site.url, code, "--no-wait", check=False)

    def link(self, *, client_id: str = "", **changes: Any) -> MqttLink:
        state = self.folder / "state"
        files = {"ca_file": state / "ca.pem", "cert_file": state / "gateway.pem", "key_file": state / "gateway.key"}
        settings: dict[str, Any] = {"host": "localhost", "port": self.site.port, **files, **changes}
        return MqttLink(BrokerSettings(**settings), client_id or self.name)

    def process(self) -> Process:
        arguments = [*command("edge-agent"), "run", "--config", str(self.folder / "agent.toml")]
        return self.site.started(Process("edge-agent", arguments, self.folder / "agent.log"))

    def log(self) -> str:
        return (self.folder / "agent.log").read_text(encoding="utf-8")


@dataclass
class Site:
    """A broker and a collector, and a place for gateways."""

    folder: Path
    port: int = field(default_factory=free_port)
    enrolment_port: int = field(default_factory=free_port)
    processes: list[Process] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.enrolment_port}"

    @property
    def pki(self) -> Path:
        return self.folder / "collector" / "pki"

    def started(self, process: Process) -> Process:
        process.start()
        self.processes.append(process)
        return process

    def cloud(self, *words: object, check: bool = True) -> Result:
        """A command of the operator, in this process: what runs beside it is a process of its own."""
        arguments = ["--config", str(self.folder / "collector.toml"), *map(str, words)]
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0 or not check, done.stderr
        return done

    def told(self, *words: object) -> Any:
        return json.loads(self.cloud(*words, "--json").stdout)

    def state_of(self, name: str) -> str:
        return next((str(row["state"]) for row in self.told("gateway", "list") if row["gateway"] == name), "none")

    def gateway(self, name: str) -> Gateway:
        """A gateway with a configuration and nothing else."""
        (self.folder / name).mkdir()
        (self.folder / name / "agent.toml").write_text(AGENT, encoding="utf-8")
        return Gateway(self, name)

    def enrolled(self, name: str) -> Gateway:
        """A gateway that has been accepted."""
        gateway = self.gateway(name)
        done = gateway.enrol(self.told("gateway", "invite", name)["code"])
        assert done.returncode == 0, done.stderr
        self.cloud("gateway", "accept", name, gateway.words)
        gateway.edge("renew")
        return gateway

    def collector_link(self) -> MqttLink:
        settings = BrokerSettings(
            host="localhost",
            port=self.port,
            ca_file=self.pki / "ca.pem",
            cert_file=self.pki / "_collector.pem",
            key_file=self.pki / "_collector.key",
        )
        return MqttLink(settings, "_collector")

    def begin(self) -> None:
        """The collector's configuration, key and certificates are there."""
        text = COLLECTOR.format(broker=self.port, enrolment=self.enrolment_port)
        (self.folder / "collector.toml").write_text(text, encoding="utf-8")
        self.cloud("key", "new")
        self.cloud("pki", "init", "--host", "localhost", "--host", "127.0.0.1")

    def broker(self) -> Process:
        """Mosquitto with the shipped configuration, not started."""
        text = (ROOT / "config" / "mosquitto" / "mosquitto-tls.conf").read_text(encoding="ascii")
        for old, new in (
            ("/var/lib/meterseal/pki", str(self.pki)),
            ("/etc/mosquitto/meterseal.acl", str(ROOT / "config" / "mosquitto" / "meterseal.acl")),
            ("/var/lib/mosquitto/", f"{self.folder}/broker/"),
            ("listener 8883", f"user root\nlistener {self.port} 127.0.0.1"),
        ):
            assert old in text
            text = text.replace(old, new)
        (self.folder / "broker").mkdir()
        (self.folder / "mosquitto.conf").write_text(text, encoding="ascii")
        arguments = [require("mosquitto"), "-c", str(self.folder / "mosquitto.conf")]
        return Process("mosquitto", arguments, self.folder / "mosquitto.log")

    def start_broker(self) -> Process:
        process = self.started(self.broker())
        wait_for_port(self.port)
        return process

    def start_collector(self) -> Process:
        arguments = [*command("cloud-collector"), "--config", str(self.folder / "collector.toml"), "run"]
        process = self.started(Process("cloud-collector", arguments, self.folder / "collector.log"))
        wait_for_port(self.enrolment_port)
        return process
