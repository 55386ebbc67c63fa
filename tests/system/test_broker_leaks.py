"""What the shipped access list keeps apart, tried by hostile clients on a real Mosquitto with its files.

P10, P20, P21: a gateway hears and says what is its own, and the nameless nothing at all. Every attempt stands beside a
message that must get through, so that silence proves something.
"""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from cloud_collector.collector import group_of
from cloud_collector.settings import CollectorSettings
from shared.key import SigningKey
from shared.topic import GROUP, Leaf, filter_of
from tests.enrolled_site import Site
from tests.processes import ROOT, Process, free_port, wait_for_port, wait_until
from tests.requirements import require

pytestmark = [pytest.mark.system, pytest.mark.deep]

V: Final = "meterseal/v1"
USERS: Final = ("_collector", "_collector-2", "house-1", "house-2", "+", "#", "house-1/report")
EVERYTHING: Final = (
    "#", "+/#", "+/+/+/+", f"{V}/#", f"{V}/+/+", f"{V}/house-1/#", f"{V}/house-1/+", f"{V}/+/receipt", f"{V}/+/command",
    f"{V}/+/alert", f"{V}/+/report", f"{V}/+/state", f"{V}/house-1/receipt", f"{V}/house-1/alert",
    f"$share/{GROUP}/{V}/+/receipt", f"$share/x/{V}/house-1/command", "$SYS/#", "$SYS/broker/clients/connected",
)  # fmt: skip
"""What a curious client subscribes to."""
OWN: Final = {
    "house-1": {Leaf.REPORT, Leaf.RESPONSE, Leaf.STATE, Leaf.HEALTH},
    "_collector": {Leaf.RECEIPT, Leaf.COMMAND, Leaf.ALERT},
}


@dataclass
class Client:
    """One MQTT 5 client that keeps what it hears; the broker tells it of each publish whether it may."""

    port: int
    name: str
    will: str = ""
    tls: ssl.SSLContext | None = None
    heard: list[tuple[str, bytes, bool]] = field(default_factory=list)
    answers: dict[int, str] = field(default_factory=dict)
    refused: str = ""
    connected: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.paho = paho.Client(CallbackAPIVersion.VERSION2, client_id=self.name, protocol=paho.MQTTv5)
        if self.name and self.tls is None:
            self.paho.username_pw_set(self.name, f"of-{self.name}")
        if self.tls is not None:
            self.paho.tls_set_context(self.tls)
        if self.will:
            self.paho.will_set(self.will, b"a last word", qos=1, retain=True)
        self.paho.on_message = lambda *told: self.heard.append((told[2].topic, told[2].payload, told[2].retain))
        self.paho.on_publish = self._published
        self.paho.on_connect = self._connected

    def start(self) -> "Client":
        self.paho.connect("127.0.0.1" if self.tls is None else "localhost", self.port, clean_start=True)
        self.paho.loop_start()
        assert self.connected.wait(10), "no answer to CONNECT"
        return self

    def subscribe(self, *filters: str) -> None:
        for each in filters:
            assert self.paho.subscribe(each, qos=1)[0] == 0
        self.say(f"{V}/{self.name}/state", b"subscribed")

    def say(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> str:
        """The broker's answer: `Success` also where nobody listens."""
        told = self.paho.publish(topic, payload, qos=1, retain=retain)
        wait_until(lambda: told.mid in self.answers, 10, f"no answer to {topic}")
        return self.answers[told.mid]

    def die(self) -> None:
        """Without a farewell, so that the will is published."""
        sock = self.paho.socket()
        assert sock is not None
        self.paho.loop_stop()
        sock.close()

    def end(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()

    def _connected(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self.refused = str(reason) if reason.is_failure else ""
        self.connected.set()

    def _published(self, _client: Any, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self.answers[mid] = "Success" if str(reason) in ("Success", "No matching subscribers") else str(reason)


@dataclass
class Broker:
    """Mosquitto, and those who are connected to it."""

    port: int
    clients: list[Client] = field(default_factory=list)

    def client(self, name: str, **more: Any) -> Client:
        made = Client(self.port, name, **more)
        self.clients.append(made)
        return made.start()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Mosquitto with mosquitto.conf and meterseal.acl as they are shipped, but for the places of files."""
    folder = tmp_path_factory.mktemp("broker")
    port = free_port()
    passwords, config = folder / "meterseal.passwords", folder / "mosquitto.conf"
    passwords.touch()
    for user in USERS:
        subprocess.run([require("mosquitto_passwd"), "-b", passwords, user, f"of-{user}"], check=True)
    text = (ROOT / "config" / "mosquitto" / "mosquitto.conf").read_text(encoding="ascii")
    acl = (ROOT / "config" / "mosquitto" / "meterseal.acl").read_text(encoding="ascii")
    second = acl[acl.index("user _collector") : acl.index("# Every gateway")].replace("_collector", "_collector-2")
    (folder / "meterseal.acl").write_text(acl.replace("# Every gateway", f"{second}# Every gateway"), encoding="ascii")
    for old, new in (
        ("/etc/mosquitto/meterseal.passwords", str(passwords)),
        ("/etc/mosquitto/meterseal.acl", str(folder / "meterseal.acl")),
        ("/var/lib/mosquitto/", f"{folder}/"),
        ("listener 1883 127.0.0.1", f"user root\nlistener {port} 127.0.0.1"),
    ):
        assert old in text
        text = text.replace(old, new)
    config.write_text(text, encoding="ascii")
    process = Process("mosquitto", [require("mosquitto"), "-c", str(config)], folder / "mosquitto.log")
    process.start()
    wait_for_port(port)
    yield port
    process.kill()


@pytest.fixture
def broker(served: int) -> Iterator[Broker]:
    made = Broker(served)
    yield made
    for client in made.clients:
        client.end()


def test_who_subscribes_to_everything_hears_what_is_his_own_and_nothing_else(broker: Broker) -> None:
    """P20: commands, receipts, warnings and states of other gateways; reports; $SYS."""
    curious, other, collector = (broker.client(name) for name in ("house-2", "house-1", "_collector"))
    curious.subscribe(*EVERYTHING)
    other.subscribe("#")
    for gateway in ("house-1", "house-2"):
        for leaf in sorted(OWN["_collector"]):
            assert collector.say(f"{V}/{gateway}/{leaf}", f"{gateway} {leaf}".encode(), retain=True) == "Success"
    for leaf in sorted(OWN["house-1"]):
        assert other.say(f"{V}/house-1/{leaf}", b"mine") == "Success"
    wait_until(lambda: len({each[0] for each in curious.heard}) == 3, 10, "its own three topics")
    wait_until(lambda: len({each[0] for each in other.heard}) == 3, 10, "the other's own three topics")
    assert {each[0].split("/")[2] for each in curious.heard} == {"house-2"}
    assert {each[0].split("/")[2] for each in other.heard} == {"house-1"}
    assert not [each for each in curious.heard if each[0].startswith("$SYS")]


def test_what_is_retained_is_told_to_nobody_but_its_gateway(broker: Broker) -> None:
    """P20: warnings stay for the site that they are for; a new subscription finds no one else's."""
    collector, house = broker.client("_collector"), broker.client("house-1")
    assert collector.say(f"{V}/house-1/alert", b"over budget", retain=True) == "Success"
    assert house.say(f"{V}/house-1/state", b"online", retain=True) == "Success"
    curious = broker.client("house-2")
    curious.subscribe(*EVERYTHING)
    late = broker.client("house-1")
    late.subscribe(f"{V}/house-1/alert")
    wait_until(lambda: (f"{V}/house-1/alert", b"over budget", True) in late.heard, 10, "the gateway's own warning")
    assert not [each for each in curious.heard if "house-1" in each[0]]


@pytest.mark.parametrize("speaker", ["house-1", "_collector"])
@pytest.mark.parametrize("retained", ["", "retained"])
def test_nobody_speaks_as_another(broker: Broker, speaker: str, retained: str) -> None:
    """P10: the broker says no to every topic but the speaker's own, retained or not."""
    witness = broker.client("house-2")
    witness.subscribe("#")
    client = broker.client(speaker)
    for name in ("house-1", "house-2", "_collector", "nobody"):
        for leaf in Leaf:
            # Under its own name, which is no gateway's id, the pattern is the collector's as well.
            own = (name == speaker and leaf in OWN["house-1"]) or (speaker == "_collector" and leaf in OWN[speaker])
            answer = client.say(f"{V}/{name}/{leaf}", b"", retain=bool(retained))
            assert (answer == "Success") is own, (speaker, name, leaf, answer)
    for topic in (V, f"{V}/house-1", f"{V}/house-1/report/more", f"x/{V}/house-1/report", "$SYS/broker/x", "/"):
        assert client.say(topic, retain=bool(retained)) != "Success", topic
    assert not [each for each in witness.heard if each[0].split("/")[2] != "house-2"]


def test_a_last_will_is_no_way_round_the_access_list(broker: Broker) -> None:
    """P10: neither as another gateway, nor retained for later."""
    collector = broker.client("_collector")
    collector.subscribe(f"{V}/+/report")
    for topic in (f"{V}/house-1/report", f"{V}/house-1/receipt", f"{V}/house-2/command"):
        broker.client("house-2", will=topic).die()
    victim = broker.client("house-1")
    victim.subscribe("#")
    honest = broker.client("house-2", will=f"{V}/house-2/report")
    honest.die()
    wait_until(lambda: bool(collector.heard), 15, "the last will on a topic of one's own")
    assert {each[0] for each in collector.heard} == {f"{V}/house-2/report"}
    assert [each for each in victim.heard if each[1] == b"a last word"] == []
    broker.client("house-2").say(f"{V}/house-2/report", b"", retain=True)


@pytest.mark.parametrize("name", ["+", "#", "house-1/report"])
def test_a_name_that_is_a_wildcard_opens_nothing(broker: Broker, name: str) -> None:
    """CVE-2017-7650: `pattern read …/%u/…` with such a name was everybody's. No gateway's id is one either."""
    clever, collector, house = broker.client(name), broker.client("_collector"), broker.client("house-1")
    for each in EVERYTHING:
        clever.paho.subscribe(each, qos=1)
    house.subscribe("#")
    collector.say(f"{V}/house-1/receipt", b"r")
    wait_until(lambda: bool(house.heard), 10, "the gateway's own receipt")
    assert clever.heard == []
    # A line that begins with # is a comment in a file of passwords: whoever is called so does not even get in.
    assert clever.refused if name == "#" else clever.say(f"{V}/house-1/report") != "Success"


def test_who_has_no_name_or_a_wrong_password_is_not_let_in(broker: Broker) -> None:
    assert broker.client("").refused == "Not authorized"
    liar = Client(broker.port, "house-1")
    liar.paho.username_pw_set("house-1", "of-house-2")
    assert liar.start().refused == "Not authorized"
    liar.end()


def test_nobody_takes_over_anothers_session_by_its_id(broker: Broker) -> None:
    """P21: the session's name is the user's, whatever the client says."""
    house, collector = broker.client("house-1"), broker.client("_collector")
    house.subscribe("#")
    thief = Client(broker.port, "house-1")
    thief.paho.username_pw_set("house-2", "of-house-2")
    thief.start()
    assert thief.refused == ""
    collector.say(f"{V}/house-1/command", b"c")
    wait_until(lambda: (f"{V}/house-1/command", b"c", False) in house.heard, 10, "the gateway is still there")
    assert thief.heard == []
    thief.end()


def _shares(broker: Broker, group: str) -> int:
    """How many of 40 reports come to two collectors of a group, while a gateway has joined `collectors`."""
    one, two, thief, house = (broker.client(name) for name in ("_collector", "_collector-2", "house-2", "house-1"))
    for collector in (one, two):
        collector.paho.subscribe(filter_of(Leaf.REPORT, group=group), qos=1)
        collector.say(f"{V}/house-1/receipt")
    thief.subscribe(filter_of(Leaf.REPORT, group=GROUP), filter_of(Leaf.REPORT, group="+"))
    for number in range(40):
        assert house.say(f"{V}/house-1/report", b"%d" % number) == "Success"
    assert thief.heard == [], "it reads nothing"
    return len({each[1] for each in (*one.heard, *two.heard)})


def test_no_gateway_joins_a_group_of_collectors_whose_name_is_secret(broker: Broker) -> None:
    """P21: what Mosquitto's access list cannot forbid is out of reach."""
    settings = CollectorSettings(shared_subscription=True, shared_group="secret")
    group = group_of(settings, SigningKey(b"r" * 32))
    assert group_of(settings, SigningKey(b"s" * 32)) != group
    assert _shares(broker, group) == 40


def test_a_gateway_may_join_the_group_that_everybody_knows_which_is_why_there_is_another(broker: Broker) -> None:
    """If this ever fails, the broker has learned to refuse it, and the warning in the how-to can go."""
    assert _shares(broker, group_of(CollectorSettings(shared_subscription=True), SigningKey(b"r" * 32))) < 40


def test_without_a_certificate_of_the_ca_nobody_is_let_in(tmp_path: Path) -> None:
    """The variant with TLS: no certificate, one of another CA, and a gateway's with another name in its mouth."""
    site = Site(tmp_path)
    site.begin()
    site.start_broker()
    try:
        trusting = ssl.create_default_context(cafile=site.pki / "ca.pem")
        bare = Client(site.port, "_collector", tls=trusting)
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            bare.start()
        bare.paho.loop_stop()
        own = ssl.create_default_context(cafile=site.pki / "ca.pem")
        own.load_cert_chain(site.pki / "_collector.pem", site.pki / "_collector.key")
        known = Client(site.port, "house-1", tls=own).start()
        assert known.refused == ""
        known.paho.subscribe(f"{V}/+/report", qos=1)
        assert known.say(f"{V}/house-1/receipt") == "Success"
        assert known.say(f"{V}/house-1/report") == "Not authorized"
        known.end()
    finally:
        for process in site.processes:
            process.kill()
