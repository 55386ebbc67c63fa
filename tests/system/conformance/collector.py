"""A small collector: verifies every line, keeps what it has seen, and signs whatever receipt a test wants."""

import json
import threading
from pathlib import Path
from typing import Any

from tests.processes import Process, command, run
from tests.system.conformance.lines import (
    Body,
    Identity,
    NotConforming,
    hash_of,
    opened,
    raw_of,
    seal,
    unpack,
)
from tests.system.conformance.mqtt import Client

PREFIX = "meterseal/v1"
HEADER = ["kind", "gateway", "log", "key", "epoch", "seq", "prev", "boot", "clock", "sealed_at"]
CONTENT = {
    "birth": {"agent", "config", "cause", "previous", "channels"},
    "usage": {"start", "step", "count", "rows"},
    "gap": {"rows"},
    "clock": {"offset"},
}
Place = tuple[str, str, int]
"""Log, epoch, seq."""


class StrangersCollector:
    """Subscribed to everything that one gateway says."""

    def __init__(self, port: int, gateway: str, public: bytes, operator: Identity) -> None:
        self.gateway, self.operator = gateway, operator
        self._public = public
        self._client = Client(port, f"_stranger-{gateway}", [f"{PREFIX}/{gateway}/+"])
        self._read, self._lock = 0, threading.Lock()
        self._at = 1_000
        self.held: dict[Place, bytes] = {}
        self.arrivals: list[Place] = []
        """Every line in the order of its arrival, also again."""
        self.retained: dict[str, bytes] = {}

    def lines(self) -> dict[Place, Body]:
        """Every line so far, verified; raises NotConforming at the first that breaks a rule."""
        with self._lock:
            for topic, payload, _ in self._client.heard[self._read :]:
                self._read += 1
                if topic.endswith("/report"):
                    for raw in unpack(payload):
                        self._take(raw)
                elif topic.endswith(("/state", "/health")):
                    self.retained[topic.rsplit("/", 1)[1]] = payload
                elif not topic.endswith("/receipt"):
                    raise NotConforming(f"who publishes on {topic}?")
        return {place: json.loads(raw[4:-87]) for place, raw in sorted(self.held.items())}

    def log(self, name: str) -> list[Body]:
        """A log's lines in order of position, epoch after epoch."""
        return [body for body in self.lines().values() if body["log"] == name]

    def wait(self, holds: Any, seconds: float, what: str) -> None:
        """Return when it holds of this collector."""
        self._client.wait(
            lambda: bool(self.lines() is not None and holds(self)),
            seconds,
            lambda: f"{what}; held: {sorted(self.held)[-3:]} of {len(self.held)}",
        )

    def chain(self, log: str) -> list[tuple[Body, bytes]]:
        """A log's one epoch without a hole, checked for its links."""
        lines = [(body, self.held[place]) for place, body in self.lines().items() if place[0] == log]
        head = ""
        for at, (body, raw) in enumerate(lines):
            assert (body["seq"], body["prev"]) == (at + 1, head), body
            head = hash_of(raw)
        return lines

    def receipt(self, log: str, epoch: str, through: int, **other: Any) -> None:
        """Publish a receipt; by default a newer one that is true."""
        raw = self.held.get((log, epoch, through))
        self._at = max(self._at + 1, other.get("at", 0))
        body = {
            "gateway": self.gateway,
            "log": log,
            "key": self.operator.key_id,
            "epoch": epoch,
            "through": through,
            "head": hash_of(raw) if raw else "",
            "missing": [],
            "aside": [],
            "at": self._at,
        } | other
        self.publish(seal("MR1", body, self.operator.key))

    def publish(self, payload: bytes) -> None:
        """Say anything on the gateway's receipt topic."""
        self._client.publish(f"{PREFIX}/{self.gateway}/receipt", payload)

    def close(self) -> None:
        """End the session."""
        self._client.close()

    def _take(self, raw: bytes) -> None:
        body = opened(raw, self._public, "MS1")
        if list(body)[:10] != HEADER or set(body) != set(HEADER) | CONTENT[body["kind"]]:
            raise NotConforming(f"the keys of {body['kind']}: {list(body)}")
        if body["gateway"] != self.gateway:
            raise NotConforming("the body names another gateway")
        place = (body["log"], body["epoch"], body["seq"])
        if self.held.setdefault(place, raw) != raw:
            raise NotConforming(f"two lines at {place}")
        self.arrivals.append(place)


class AgentSite:
    """One gateway: a folder, the real agent, and the stranger who listens."""

    def __init__(self, folder: Path, port: int, name: str, operator: Identity, sources: str, top: str = "") -> None:
        folder.mkdir()
        self.folder = folder
        run("edge-agent", "key", "new", folder / "gateway.key")
        public = raw_of(run("edge-agent", "key", "show", folder / "gateway.key").stdout)
        (folder / "operator.pub").write_text(operator.pem)
        self.config = folder / "agent.toml"
        self.config.write_text(
            f'gateway = "{name}"\nkey_file = "gateway.key"\nreceipt_key_files = ["operator.pub"]\n'
            f'spool_path = "spool.db"\ndrain_delay_seconds = 0\nreconnect_seconds_max = 1\ncommit_seconds = 1\n{top}'
            f'[broker]\nhost = "127.0.0.1"\nport = {port}\ntls = false\n{sources}'
        )
        self.agent = Process(name, [*command("edge-agent"), "run", "--config", str(self.config)], folder / "agent.log")
        self.collector = StrangersCollector(port, name, public, operator)

    def backlog(self) -> int:
        """How many lines wait for a receipt, as the running agent says."""
        done = run("edge-agent", "backlog", "--config", self.config, "--json")
        return int(json.loads(done.stdout)["backlog_lines"])

    def close(self) -> None:
        """End it."""
        if self.agent.alive():
            self.agent.kill()
        self.collector.close()
