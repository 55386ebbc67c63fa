"""A budget that is overrun, from the store to a relay: real collector, real broker, the loop of the how-to."""

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloud_collector.insight.wishes import keep_wish, read_wish
from cloud_collector.store.store import Store
from shared.effects.clock import SystemClock
from shared.effects.sqlite import SqliteDatabase
from shared.report import Usage, UsageRow
from tests.processes import Process, command, free_port, mosquitto, wait_for_port, wait_until
from tests.requirements import require
from tests.unit.billing_samples import RECEIPT_KEY, Gateway, new_store, receive

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "warnings.md"
HOUR = 3_600
CATALOG = """
[operator]
name = "Northwind Metering Oy"
currency = "EUR"
timezone = "UTC"
[meters.energy]
unit = "kWh"
aggregate = "sum"
[plans.p]
cycle = "month"
[[plans.p.charges]]
name = "Energy"
type = "usage"
meter = "energy"
model = "per_unit"
price = 1
[accounts.acme]
name = "Acme"
[contracts.c]
account = "acme"
plan = "p"
start = {first}
devices = ["roof-1/a"]
budget = 1
warn = {{ over = [100] }}
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A broker, and a store in which the last hour has cost more than the budget."""
    for component in ("mosquitto", "mosquitto_pub", "mosquitto_sub"):
        require(component)
    now = SystemClock().utc_ms() // 1_000
    start = now - now % HOUR - HOUR
    # The hour may lie in the month before: then it begins the contract.
    first = datetime.fromtimestamp(start, UTC).date()
    gateway = Gateway(registers={"a": 0})
    gateway.birth(start - 60)
    row = UsageRow("a", "energy", "Wh", 0, 0, (9_000,), {})
    gateway._seal(Usage(header=gateway._header(start + HOUR), start=start, step=HOUR, count=1, rows=(row,)))
    store = new_store(tmp_path / "collector.db", catalog=CATALOG.format(first=first.isoformat()))
    receive(store, gateway.lines, at=now)
    store.close()
    (tmp_path / "key.pem").write_text(RECEIPT_KEY.pem, encoding="ascii")
    port = free_port()
    broker = mosquitto(tmp_path, port)
    broker.start()
    wait_for_port(port)
    yield tmp_path, port
    broker.stop()


def test_the_loop_of_the_how_to_switches_a_relay_off_while_the_budget_is_used_up(site: tuple[Path, int]) -> None:
    folder, port = site
    blocks = re.findall(r"(?:^ {4}.*\n)+", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    (loop,) = [block for block in blocks if "mosquitto_sub" in block]
    loop = loop.replace("-h localhost", f"-h 127.0.0.1 -p {port}").replace("acme-roof-1", "roof-1")
    relay = subprocess.Popen(
        ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-t", "zigbee2mqtt/charger/set", "-C", "2", "-W", "60"],
        stdout=subprocess.PIPE,
    )
    assert relay.stdout is not None
    acting = subprocess.Popen(["bash", "-c", loop], start_new_session=True)
    options = {
        "store_path": folder / "collector.db",
        "key_file": folder / "key.pem",
        "broker.host": "127.0.0.1",
        "broker.port": port,
        "broker.tls": "false",
        "tick_seconds": 1,
    }
    flags = [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
    collector = Process("collector", [*command("cloud-collector"), "run", *flags], folder / "collector.log")
    collector.start()
    try:
        switched = relay.stdout.readline()
        assert json.loads(switched) == {"state": "OFF"}, (folder / "collector.log").read_text(encoding="utf-8")
        wait_until(lambda: "warning" in collector.events, 10, "the warning was logged")
        more = read_wish("c", budget="1000000", over="100", under="", mail="")
        store = Store(SqliteDatabase(folder / "collector.db"))
        keep_wish(store, more, who="anna", now_ms=SystemClock().utc_ms())
        store.close()
        assert json.loads(relay.stdout.readline()) == {"state": "ON"}, "the customer has granted more"
    finally:
        assert collector.stop() == 0
        subprocess.run(["kill", "--", f"-{acting.pid}"], check=False)
        acting.wait(10)
        relay.wait(60)
        relay.stdout.close()
