"""A broker and the real collector, and a stranger's gateways that know nothing of it but its receipts."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from tests.processes import ROOT, Process, command, free_port, mosquitto, run, wait_for_port, wait_until
from tests.system.conformance.lines import HASH, Body, Identity, NotConforming, opened, pack, raw_of
from tests.system.conformance.mqtt import Client

PREFIX = "meterseal/v1"
RECEIPT_KEYS = {"gateway", "log", "key", "epoch", "through", "head", "missing", "aside", "at"}
Holds = Callable[[Body], bool]


_TELLER = """
import json, os, sys
from cloud_collector.cli.main import main

for row in sys.stdin:
    sys.argv, path = json.loads(row)
    child = os.fork()
    if not child:
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), 1)
        code = 1
        try:
            code = main()
        except SystemExit as end:
            code = end.code
        finally:
            sys.stdout.flush()
            os._exit(code if isinstance(code, int) else 0 if code is None else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs the collector's commands as its entry point does, in a child each, without loading them each time."""


class Teller:
    """Asks `cloud-collector`."""

    def __init__(self, folder: Path) -> None:
        self._answer = folder / "answer"
        self._child = subprocess.Popen(
            [sys.executable, "-c", _TELLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def ask(self, *words: object) -> str:
        """What a command prints; it must end with 0."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps([["cloud-collector", *map(str, words)], str(self._answer)]) + "\n")
        self._child.stdin.flush()
        code, answer = self._child.stdout.readline().strip(), self._answer.read_text()
        assert code == "0", f"cloud-collector {words}: exit {code}\n{answer}"
        return answer

    def close(self) -> None:
        """No more questions."""
        self._child.communicate(timeout=10)


class Sender:
    """A stranger's gateway on the broker: sends payloads, keeps and checks every receipt."""

    def __init__(self, port: int, owner: Identity, operator: Identity | bytes) -> None:
        self.owner = owner
        self._operator = operator if isinstance(operator, bytes) else bytes(operator.key.verify_key)
        self._client = Client(port, owner.name, [f"{PREFIX}/{owner.name}/receipt"])

    def send(self, *lines: bytes, deflate: bool = False) -> None:
        """Publish lines as one payload."""
        self.throw(pack(*lines, deflate=deflate))

    def throw(self, payload: bytes, *, under: str = "") -> None:
        """Publish whatever it is, also under another gateway's name."""
        self._client.publish(f"{PREFIX}/{under or self.owner.name}/report", payload)

    def receipts(self, log: str) -> list[Body]:
        """Every receipt of a log so far, in order of arrival; each is conforming, and `at` strictly increases."""
        bodies = [opened(payload, self._operator, "MR1") for _, payload, _ in list(self._client.heard)]
        found = [body for body in bodies if body["log"] == log]
        last = -1
        for body in found:
            self._check(body)
            if body["at"] <= last:
                raise NotConforming(f"`at` does not increase: {last} then {body['at']}")
            last = body["at"]
        return found

    def answer(self, log: str, holds: Holds, *, after: int = 0, seconds: float = 8.0) -> Body:
        """The first receipt of the log beyond the `after` first ones for which it holds."""
        found: list[Body] = []

        def arrived() -> bool:
            found[:] = [body for body in self.receipts(log)[after:] if holds(body)]
            return bool(found)

        self._client.wait(arrived, seconds, lambda: f"the receipt; the last: {self.receipts(log)[-1:]}")
        return found[0]

    def through(self, log: str, seq: int, head: str, *, epoch: str = "", seconds: float = 8.0) -> Body:
        """The first receipt that says so much and has nothing missing."""
        return self.answer(
            log,
            lambda body: (
                body["through"] == seq and body["head"] == head and not body["missing"] and epoch in ("", body["epoch"])
            ),
            seconds=seconds,
        )

    def close(self) -> None:
        """End the session."""
        self._client.close()

    def _check(self, body: Body) -> None:
        assert set(body) == RECEIPT_KEYS
        assert body["gateway"] == self.owner.name
        top = body["through"]
        assert HASH.fullmatch(body["head"]) if top else body["head"] == ""
        for first, last in body["missing"]:
            assert top < first <= last
            top = last
        assert len(body["missing"]) <= 64
        assert len(body["aside"]) <= 32
        assert all(HASH.fullmatch(each) for each in body["aside"])


class CollectorSite:
    """Mosquitto and `cloud-collector run`, and whom they know."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        (folder / "mosquitto").mkdir()
        self.broker = mosquitto(folder / "mosquitto", self.port)
        self.config = folder / "collector.toml"
        self.config.write_text(
            f'store_path = "{folder}/collector.db"\nkey_file = "{folder}/receipt.key"\n'
            "holes_seconds = 5\nreconnect_seconds_max = 1.0\n"
            f'[broker]\nhost = "127.0.0.1"\nport = {self.port}\ntls = false\n'
        )
        run("cloud-collector", "key", "new", folder / "receipt.key")
        self.operator = raw_of(run("cloud-collector", "key", "show", folder / "receipt.key", "--pem").stdout)
        self.collector = Process(
            "collector", [*command("cloud-collector"), "--config", str(self.config), "run"], folder / "collector.log"
        )
        self._teller = Teller(folder)
        self._senders: dict[str, Sender] = {}

    def enrol(self, name: str, seed: int) -> Sender:
        """A gateway of that name, known to the collector."""
        owner = Identity(name, SigningKey(bytes([seed]) * 32))
        path = self.folder / f"{name}.pub"
        path.write_text(owner.pem)
        self.ask("gateway", "add", name, "--key", str(path), as_json=False)
        self._senders[name] = Sender(self.port, owner, self.operator)
        return self._senders[name]

    def sender(self, name: str) -> Sender:
        """A gateway that is enrolled."""
        return self._senders[name]

    def start(self) -> None:
        """The collector runs and has subscribed: what is published from now on is queued for it."""
        self.collector.start()
        wait_until(lambda: "link_up" in self.collector.events, 20, "the collector has a session")

    def ask(self, *words: str, as_json: bool = True) -> Any:
        """What a command of the collector answers."""
        answer = self._teller.ask("--config", self.config, *words, *(["--json"] if as_json else []))
        return json.loads(answer) if as_json else answer

    def usage(self, gateway: str, *stretch: str) -> dict[str, Body]:
        """`usage show`, by device."""
        return {row["device"]: row for row in self.ask("usage", "show", gateway, *stretch)}

    def close(self) -> None:
        """End everything."""
        for sender in self._senders.values():
            sender.close()
        self._teller.close()
        for process in (self.collector, self.broker):
            if process.alive():
                process.kill()


@contextmanager
def collector_site(folder: Path) -> Iterator[CollectorSite]:
    """A running site."""
    site = CollectorSite(folder)
    try:
        site.broker.start()
        wait_for_port(site.port)
        yield site
    finally:
        site.close()
