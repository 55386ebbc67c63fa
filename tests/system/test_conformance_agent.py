"""The real `edge-agent run` against a stranger's collector over a real Mosquitto: the wire, rule by rule."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from tests.brokers import Mosquitto, mosquitto_broker
from tests.processes import wait_until
from tests.requirements import require
from tests.system.conformance.collector import AgentSite, StrangersCollector
from tests.system.conformance.lines import Identity, hash_of, seal

pytestmark = pytest.mark.system

OPERATOR = Identity("operator", SigningKey(b"\x2a" * 32))
Make = Callable[..., AgentSite]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    require("mosquitto")
    with mosquitto_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def make(broker: Mosquitto, tmp_path: Path) -> Iterator[Make]:
    sites: list[AgentSite] = []

    def make(name: str, sources: str, top: str = "") -> AgentSite:
        sites.append(AgentSite(tmp_path / name, broker.port, name, OPERATOR, sources, top))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


def replay(folder: Path, values: list[int]) -> str:
    """A source of readings a minute, the first of them long ago."""
    start = int(time.time()) // 86_400 * 86_400 - 7 * 86_400
    times = (datetime.fromtimestamp(start + 60 * at, UTC).isoformat() for at in range(len(values)))
    rows = [f"{at},lamp,energy,{value}" for at, value in zip(times, values, strict=True)]
    path = folder / f"{len(values)}.csv"
    path.write_text("\n".join(["at,device,meter,value", *rows, ""]))
    return (
        f'[[sources]]\ntype = "replay"\nname = "replay"\nlog = "past"\npoll_seconds = 0.5\npath = "{path}"\n'
        '[[sources.channels]]\ndevice = "lamp"\nmeter = "energy"\nunit = "W.h"\nrate_max = 100\n'
    )


def live(folder: Path) -> tuple[str, Path]:
    """A source that prints what a file holds."""
    path = folder / "counter"
    path.write_text("5000")
    text = '[[sources]]\ntype = "exec"\nname = "exec"\nlog = "main"\npoll_seconds = 0.2\ndevice = "heat"\n'
    more = f'meter = "energy"\nunit = "W.h"\nrate_max = 1000\nkind = "counter"\ncommand = ["cat", "{path}"]\n'
    return text + more, path


def told(collector: StrangersCollector, log: str) -> int:
    """What the usage and gap lines of a log add up to; every register goes on where the line before ended."""
    register, units, end = None, 0, None
    for body, _ in collector.chain(log):
        if body["kind"] == "birth":
            for channel in body["channels"]:
                assert register in (None, channel[6])
                register = channel[6]
        elif body["kind"] == "gap":
            for row in body["rows"]:
                if row[5] is not None:
                    assert row[5] == register
                    units, register = units + row[6] - row[5], row[6]
        elif body["kind"] == "usage":
            assert len(body["rows"]) == 1
            deltas = body["rows"][0][5]
            assert body["rows"][0][4] == register
            assert len(deltas) == body["count"]
            assert all(type(delta) is int and delta >= 0 for delta in deltas)
            assert end is None or body["start"] >= end, "windows of a log never overlap"
            register, units = register + sum(deltas), units + sum(deltas)
            end = body["start"] + body["step"] * body["count"]
    return units


def test_what_it_seals_conforms_through_kill_and_stop(make: Make, tmp_path: Path) -> None:
    """P2, P7: births first, no gap, no window left out; without a receipt everything comes again, byte for byte."""
    source, counter = live(tmp_path)
    site = make("live", source, "step_seconds = 1\ninterval_count = 2\n")
    collector, agent = site.collector, site.agent
    agent.start()
    collector.wait(lambda c: len(c.log("main")) >= 3, 15, "a birth and two windows")
    first = collector.log("main")[0]
    assert (first["kind"], first["seq"], first["prev"], first["previous"]) == ("birth", 1, "", None)
    assert collector.retained["state"] == b'{"state":"online"}'
    assert {"backlog", "oldest", "last_receipt", "clock_offset_ms", "disk_bytes_used", "disk_bytes_max"} <= set(
        json.loads(collector.retained["health"])
    )
    assert sum(sum(body["rows"][0][5]) for body in collector.log("main") if body["kind"] == "usage") == 0
    counter.write_text("5400")
    time.sleep(2.5)
    counter.write_text("5700")
    time.sleep(0.7)
    sealed = dict(collector.held)
    agent.kill()
    collector.wait(lambda c: c.retained["state"] == b'{"state":"offline"}', 10, "the will")
    before = len(collector.arrivals)
    counter.write_text("6100")
    agent.start()
    collector.wait(lambda c: births(c) == 2, 15, "another birth")
    collector.wait(lambda c: set(sealed) <= set(c.arrivals[before:]), 15, "everything again")
    collector.wait(lambda c: c.chain("main")[-1][0]["kind"] == "usage", 10, "a window of the second run")
    assert agent.stop() == 0
    collector.wait(lambda c: c.retained["state"] == b'{"state":"offline"}', 5, "a farewell")
    agent.start()
    collector.wait(lambda c: births(c) == 3, 15, "a third birth")
    collector.wait(lambda c: told(c, "main") == 1100, 15, "all that the counter has counted")
    born = [body for body, _ in collector.chain("main") if body["kind"] == "birth"]
    assert {body["cause"] for body in born} == {"start"}
    assert len({body["epoch"] for body in born}) == 1


def births(collector: StrangersCollector) -> int:
    return sum(body["kind"] == "birth" for body in collector.log("main"))


def test_it_forgets_under_true_receipts_alone(make: Make, tmp_path: Path) -> None:
    """P7, P10: each rule of receipts in turn, on a history that stands still."""
    values = [1000 + 7 * at for at in range(15 * 40 + 1)]
    site = make("past", replay(tmp_path, values))
    collector, agent = site.collector, site.agent
    agent.start()
    wait_until(lambda: "caught_up" in agent.events, 20, "the history is sealed")
    total = whole(site)
    epoch = collector.log("past")[0]["epoch"]
    windows = sum(body["kind"] == "usage" for body in collector.log("past"))
    assert windows >= 39, "of forty, the last may still be open"
    assert told(collector, "past") == values[15 * windows] - values[0]

    # Nothing of this is a receipt for this gateway.
    head = hash_of(collector.held["past", epoch, 20])
    stranger = Identity("operator", SigningKey(b"\x01" * 32))
    true = {
        "gateway": "past", "log": "past", "key": OPERATOR.key_id, "epoch": epoch, "through": 20, "head": head,
        "missing": [], "aside": [], "at": 10_000,
    }  # fmt: skip
    good = seal("MR1", true, OPERATOR.key)
    for raw in (
        seal("MR1", true | {"key": stranger.key_id}, stranger.key),
        seal("MR1", true, stranger.key),
        seal("MR1", true | {"key": stranger.key_id}, OPERATOR.key),
        seal("MR1", true | {"gateway": "other"}, OPERATOR.key),
        seal("MR1", true | {"at": 10_000.5}, OPERATOR.key),
        seal("MR1", {name: value for name, value in true.items() if name != "aside"}, OPERATOR.key),
        seal("MI1", true, OPERATOR.key),
        good + b"=",
        good[:-1],
        b"\x78garbage",
        b"",
    ):
        collector.publish(raw)
    collector.receipt("past", "ffffffff", 3, head=head)
    collector.receipt("past", epoch, 10, at=20_000)
    wait_until(lambda: site.backlog() == total - 10, 8, "ten lines are confirmed")

    # An `at` that is not newer says nothing, however good its news.
    collector.publish(seal("MR1", true | {"at": 20_000}, OPERATOR.key))
    collector.publish(seal("MR1", true | {"at": 19_999}, OPERATOR.key))
    aside = hash_of(collector.held["past", epoch, 12])
    collector.receipt("past", epoch, 11, aside=[aside])
    wait_until(lambda: site.backlog() == total - 12, 8, "one more, and one that stands aside")

    # A restored collector: sent again from there, with the same bytes.
    before = len(collector.arrivals)
    collector.receipt("past", epoch, 5)
    collector.wait(
        lambda c: {("past", epoch, seq) for seq in range(6, 12)} <= set(c.arrivals[before:]), 15, "lines 6 to 11 again"
    )
    # Holes are asked for by name.
    before = len(collector.arrivals)
    collector.receipt("past", epoch, 11, missing=[[13, 14], [30, 30]])
    asked = {("past", epoch, seq) for seq in (13, 14, 30)}
    collector.wait(lambda c: asked <= set(c.arrivals[before:]), 20, "what was asked for")
    wait_until(lambda: site.backlog() == total - 12, 8, "the same as before")

    # Another head than its own: a new epoch, nothing deleted, nothing sealed again.
    held = site.backlog()
    collector.receipt("past", epoch, 20, head=hash_of(b"another line"))
    collector.wait(lambda c: len({place[1] for place in c.held}) == 2, 10, "a new epoch")
    heir = next(body for place, body in collector.lines().items() if place[1] != epoch)
    assert (heir["kind"], heir["seq"], heir["prev"], heir["cause"]) == ("birth", 1, "", "epoch")
    assert heir["previous"] == [epoch, 20, hash_of(b"another line")]
    assert site.backlog() == held + 1
    before = len(collector.arrivals)
    agent.kill()
    agent.start()
    rest = {place for place in collector.held if place[1] == epoch and place[2] > 20}
    collector.wait(lambda c: rest <= set(c.arrivals[before:]), 15, "the old epoch's lines again")


def whole(site: AgentSite) -> int:
    """Ask for whatever the window has not let out, until every line is here; their number."""
    collector, total = site.collector, site.backlog()
    collector.wait(lambda c: len(c.log("past")) >= min(total, 32), 20, "a window of lines")
    epoch = collector.log("past")[0]["epoch"]
    while absent := [seq for seq in range(1, total + 1) if ("past", epoch, seq) not in collector.held]:
        collector.receipt("past", epoch, 0, missing=[[absent[0], absent[-1]]])
        collector.wait(lambda c, seq=absent[0]: ("past", epoch, seq) in c.held, 15, "the rest of the history")
    return total


def test_a_through_beyond_its_own_begins_an_epoch(make: Make, tmp_path: Path) -> None:
    """A restored image: the collector knows more than the gateway does."""
    site = make("image", replay(tmp_path, list(range(100, 160))))
    site.agent.start()
    site.collector.wait(lambda c: len(c.log("past")) >= 4, 20, "the history")
    epoch = site.collector.log("past")[0]["epoch"]
    site.collector.receipt("past", epoch, 900, head=hash_of(b"of a later life"))
    site.collector.wait(lambda c: len({place[1] for place in c.held}) == 2, 10, "a new epoch")
    heir = next(body for place, body in site.collector.lines().items() if place[1] != epoch)
    assert (heir["kind"], heir["seq"], heir["prev"]) == ("birth", 1, "")
    assert heir["previous"] == [epoch, 900, hash_of(b"of a later life")]
    assert heir["channels"][0][6:] == [159, 159], "registers restart at the meter's raw value"
