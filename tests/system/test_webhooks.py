"""Webhooks from end to end: the running collector, and `webhook listen` as the receiver that comes late."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.effects.clock import SystemClock
from shared.report import Usage, UsageRow
from tests.processes import Process, command, free_port, wait_for_port, wait_until
from tests.system.test_warnings import CATALOG, HOUR
from tests.unit.billing_samples import RECEIPT_KEY, Gateway, new_store, receive

pytestmark = pytest.mark.system


class Site:
    """A collector without a broker, whose store says that a budget is overrun."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "collector.toml"
        self.config.write_text(
            'store_path = "collector.db"\nkey_file = "key.pem"\ntick_seconds = 1\n'
            f'[broker]\nhost = "127.0.0.1"\nport = {free_port()}\ntls = false\n',
            encoding="ascii",
        )
        (folder / "key.pem").write_text(RECEIPT_KEY.pem, encoding="ascii")

    def words(self, *words: object) -> list[str]:
        return [*command("cloud-collector"), "--config", str(self.config), *map(str, words)]

    def run(self, *words: object) -> str:
        done = subprocess.run(self.words(*words), capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("webhook", "log", "bot", "--json"))
        return found


@contextmanager
def listening(site: Site, *words: object) -> Iterator[subprocess.Popen[str]]:
    """`webhook listen`, killed where a test fails before it has ended."""
    arguments = site.words("webhook", "listen", *words)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listener:
        try:
            yield listener
        finally:
            listener.kill()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The last hour has cost nine times the budget."""
    now = SystemClock().utc_ms() // 1_000
    start = now - now % HOUR - HOUR
    gateway = Gateway(registers={"a": 0})
    gateway.birth(start - 60)
    row = UsageRow("a", "energy", "Wh", 0, 0, (9_000,), {})
    gateway._seal(Usage(header=gateway._header(start + HOUR), start=start, step=HOUR, count=1, rows=(row,)))
    first = datetime.fromtimestamp(start, UTC).date()
    store = new_store(tmp_path / "collector.db", catalog=CATALOG.format(first=first.isoformat()))
    receive(store, gateway.lines, at=now)
    store.close()
    return Site(tmp_path)


@pytest.fixture
def collector(site: Site) -> Iterator[Process]:
    """Started by the test, when it is time."""
    process = Process("collector", site.words("run"), site.folder / "collector.log")
    yield process
    if process.alive():
        assert process.stop() == 0


@pytest.mark.deep
def test_a_receiver_that_comes_late_hears_when_it_is_asked_for_and_again(site: Site, collector: Process) -> None:
    """P8: what nobody took waits; it arrives genuine, and is known by its id when it is sent once more."""
    port = free_port()
    secret = site.run("webhook", "add", "bot", f"http://127.0.0.1:{port}/hook", "--account", "acme")
    assert secret.startswith("whsec_")
    collector.start()
    wait_until(lambda: any(row["attempts"] for row in site.log()), 90, "it was tried, and nobody listened")
    (entry,) = site.log()
    assert (entry["state"], entry["last"] is None) == ("due", False), entry
    with listening(site, "bot", "--port", port, "--count", 2) as listener:
        assert listener.stdout is not None
        wait_for_port(port, 60)
        # The next try of its own comes in seconds or in minutes, after how many there were.
        site.run("webhook", "replay", entry["delivery"])
        heard = json.loads(listener.stdout.readline())
        wait_until(lambda: site.log()[0]["state"] == "delivered", 60, "it is in the log")
        site.run("webhook", "replay", entry["delivery"])
        again = json.loads(listener.stdout.readline())
        assert listener.wait(60) == 0
    assert again == heard, "a receiver knows by its id what it has had already"
    assert (heard["specversion"], heard["type"], heard["subject"]) == ("1.0", "meterseal.warning.fired", "c")
    assert heard["data"]["account"] == "acme"


def test_a_listener_with_another_secret_refuses_and_the_log_says_so(site: Site, collector: Process) -> None:
    """P10: whoever cannot check a message does not take it."""
    port = free_port()
    site.run("webhook", "add", "bot", f"http://127.0.0.1:{port}/hook")
    other = site.folder / "other.secret"
    other.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", encoding="ascii")
    with listening(site, "--secret-file", other, "--port", port) as listener:
        assert listener.stderr is not None
        wait_for_port(port, 60)
        collector.start()
        said = [listener.stderr.readline() for _ in range(2)]
        assert said[0].startswith("listening at")
        assert said[1] == "refused: A webhook's signature does not fit.\n"
        wait_until(lambda: any("401" in (row["last"] or "") for row in site.log()), 60, "the log says so")
