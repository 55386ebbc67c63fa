"""The broker as a gateway meets it: reached, trusted, and closed to what is not the gateway's own.

It is asked by a gateway that exists nowhere: the CA makes it a certificate for a day, which never leaves this process.
So the running collector's session is left alone, and what is tried is what a stolen certificate could try.
"""

import re
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from cloud_collector.fleet.pki import Pki
from cloud_collector.settings import CollectorSettings
from shared.errors import MetersealError
from shared.finding import Finding, bad, good, look, skipped
from shared.key import SigningKey
from shared.limits import PAYLOAD_DEFLATED_BYTES_MAX
from shared.topic import Leaf

SECONDS_MAX: Final = 10.0
LISTEN_SECONDS: Final = 1.0
NAME: Final = "doctor-nobody"
OTHER: Final = "doctor-another"
_CONFIGURED: Final = re.compile(
    r"^\s*(max_queued_messages|max_inflight_messages|allow_anonymous)\s+(\S+)", re.MULTILINE
)


def broker_of(known: CollectorSettings, config: Path, random: bytes) -> Iterator[Finding]:
    """The broker's name, port, certificate, access list and limits; what follows a bad step is skipped."""
    where = f"{known.broker.host}:{known.broker.port}"
    try:
        with socket.create_connection((known.broker.host, known.broker.port), SECONDS_MAX):
            yield good("broker", f"{where} answers")
    except OSError as error:
        said = error.strerror or str(error)
        yield bad("broker", f"{where}: {said}", "is it running, are broker.host and broker.port its own?")
        yield from (skipped(name, "because of broker") for name in ("TLS", "strangers", "access list"))
        yield limits_of(config)
        return
    if not known.broker.tls:
        here = known.broker.host in ("localhost", "127.0.0.1", "::1")
        advice = "set broker.tls, with config/mosquitto/mosquitto-tls.conf, unless nobody else reaches that network"
        yield good("TLS", "not used on this machine") if here else look("TLS", f"not used with {where}", advice)
        yield skipped("access list", "without certificates there is none to try it with")
        yield limits_of(config)
        return
    try:
        with TemporaryDirectory(prefix="meterseal-doctor-") as folder:
            context = _context(known, Path(folder), random)
            yield _trusted(known, context)
            yield _strangers(known)
            yield _access(known, context)
    except (OSError, MetersealError, ValueError) as error:
        yield bad(
            "TLS", f"{where}: {error}", "look at broker.ca_file and pki_path: `cloud-collector pki renew --dry-run`"
        )
    yield limits_of(config)


def limits_of(config: Path) -> Finding:
    """What Mosquitto's own file says of its queues: a bound that is too low drops what waits, and says nothing."""
    try:
        said = dict(_CONFIGURED.findall(config.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return skipped(
            "queues", f"{config} cannot be read here: max_queued_messages should be 0 there (--mosquitto FILE)"
        )
    queued, inflight = said.get("max_queued_messages", "1000"), said.get("max_inflight_messages", "20")
    if said.get("allow_anonymous") == "true":
        return bad(
            "queues", f"{config} lets in whoever has no name", "set allow_anonymous false, and reload the broker"
        )
    if queued != "0" and (not queued.isdecimal() or int(queued) < 100_000):
        return bad(
            "queues",
            f"{config}: max_queued_messages is {queued}, and what waits beyond that is dropped without a word",
            "set max_queued_messages 0 and bound it by max_queued_bytes, as config/mosquitto does",
        )
    if inflight != "0" and (not inflight.isdecimal() or int(inflight) < 256):
        return look(
            "queues",
            f"{config}: max_inflight_messages is {inflight}, below a batch of 256",
            "set max_inflight_messages 1000, or a batch never fills",
        )
    return good("queues", f"{config}: max_queued_messages {queued}, max_inflight_messages {inflight}")


def _context(known: CollectorSettings, folder: Path, random: bytes) -> ssl.SSLContext:
    """TLS as a gateway that nobody knows, with a certificate of this CA."""
    key = SigningKey(random)
    issued = Pki.open(known.pki_path).authority.issue_gateway(NAME, key.public, datetime.now(UTC), days=1)
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_text(key.pem, encoding="ascii")
    (folder / "pem").write_text(issued.pem, encoding="ascii")
    context = ssl.create_default_context(cafile=known.broker.ca_file)
    context.load_cert_chain(folder / "pem", folder / "key")
    return context


def _trusted(known: CollectorSettings, context: ssl.SSLContext) -> Finding:
    where = f"{known.broker.host}:{known.broker.port}"
    try:
        with (
            socket.create_connection((known.broker.host, known.broker.port), SECONDS_MAX) as plain,
            context.wrap_socket(plain, server_hostname=known.broker.host) as tls,
        ):
            return good("TLS", f"{tls.version()}, certificate of {known.broker.host} by our CA")
    except ssl.SSLCertVerificationError as error:
        advice = "`cloud-collector pki renew --host` with all its names, and reload the broker"
        return bad("TLS", f"{where}: {error.verify_message}", advice)
    except (OSError, ssl.SSLError) as error:
        return bad("TLS", f"{where}: {error}", "is this the broker's TLS port, most often 8883?")


def _strangers(known: CollectorSettings) -> Finding:
    """Whether somebody without a certificate is let in."""
    asked = _Asked(known, ssl.create_default_context(cafile=known.broker.ca_file), "doctor-stranger")
    if asked.let_in():
        return bad(
            "strangers", "whoever has no certificate is let in", "set require_certificate true in mosquitto.conf"
        )
    return good("strangers", "whoever has no certificate is turned away")


def _access(known: CollectorSettings, context: ssl.SSLContext) -> Finding:
    """Whether a gateway may say or hear what is not its own."""
    asked = _Asked(known, context, NAME)
    if not asked.let_in(stay=True):
        return bad("access list", f"a gateway of our CA is not let in: {asked.why}", "look at the broker's log")
    prefix = known.prefix
    try:
        asked.listen(("#", f"{prefix}/#", f"{prefix}/+/command", "$SYS/#"))
        if not asked.may_say(f"{prefix}/{NAME}/{Leaf.STATE}"):
            return bad("access list", "a gateway may not say what is its own", "install config/mosquitto/meterseal.acl")
        forbidden = [
            topic
            for topic in (
                *(f"{prefix}/{OTHER}/{leaf}" for leaf in Leaf),
                *(f"{prefix}/{NAME}/{leaf}" for leaf in (Leaf.RECEIPT, Leaf.COMMAND, Leaf.ALERT)),
                f"{prefix}/doctor",
            )
            if asked.may_say(topic)
        ]
        asked.pause()
    finally:
        asked.leave()
    heard = sorted({topic for topic in asked.heard if not topic.startswith(f"{prefix}/{NAME}/")})
    if forbidden or heard:
        says = f"a gateway may write {forbidden[0]}" if forbidden else f"a gateway may read {heard[0]}"
        return bad("access list", says, "install config/mosquitto/meterseal.acl as acl_file, and restart the broker")
    if 0 < asked.packet_bytes < PAYLOAD_DEFLATED_BYTES_MAX:
        advice = f"set max_packet_size above {PAYLOAD_DEFLATED_BYTES_MAX} in mosquitto.conf"
        return bad("access list", f"the broker takes packets up to {asked.packet_bytes} bytes only", advice)
    if known.shared_subscription and known.shared_group != "secret":
        advice = 'set shared_group = "secret" in every collector'
        return look("access list", "any gateway may join the collectors' group, and reports go astray", advice)
    return good("access list", "a gateway says and hears what is its own, and nothing else; $SYS is closed")


@dataclass
class _Asked:
    """One MQTT 5 client, in which a broker says of each message whether it was allowed."""

    known: CollectorSettings
    context: ssl.SSLContext
    name: str
    heard: list[str] = field(default_factory=list)
    why: str = "no answer"
    packet_bytes: int = 0
    """The largest packet that the broker takes, where it says so."""

    def __post_init__(self) -> None:
        self._answers: dict[int, bool] = {}
        self._turn = threading.Condition()
        self._connected: bool | None = None
        self._client = paho.Client(CallbackAPIVersion.VERSION2, self.name, protocol=paho.MQTTv5)
        self._client.tls_set_context(self.context)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = lambda *_: self._let(connected=False)
        self._client.on_disconnect = lambda *_: self._let(connected=bool(self._connected))
        self._client.on_publish = self._on_publish
        self._client.on_message = lambda _client, _data, message: self.heard.append(message.topic)

    def let_in(self, *, stay: bool = False) -> bool:
        """Whether the broker accepts this client."""
        broker = self.known.broker
        try:
            self._client.connect(broker.host, broker.port)
        except (OSError, ssl.SSLError) as error:
            self.why = str(error)
            return False
        self._client.loop_start()
        with self._turn:
            self._turn.wait_for(lambda: self._connected is not None, SECONDS_MAX)
        if not stay or not self._connected:
            self.leave()
        return bool(self._connected)

    def listen(self, filters: Sequence[str]) -> None:
        """Whatever is heard from here on is kept by its topic."""
        for each in filters:
            self._client.subscribe(each, qos=1)

    def may_say(self, topic: str) -> bool:
        """Whether the broker takes a message on this topic; it is empty, so that nothing is kept of it."""
        told = self._client.publish(topic, b"", qos=1)
        with self._turn:
            self._turn.wait_for(lambda: told.mid in self._answers, SECONDS_MAX)
        return self._answers.get(told.mid, False)

    def pause(self) -> None:
        """So long it is listened to what others say."""
        with self._turn:
            self._turn.wait_for(lambda: False, LISTEN_SECONDS)

    def leave(self) -> None:
        """The connection is closed."""
        self._client.disconnect()
        self._client.loop_stop()

    def _let(self, *, connected: bool) -> None:
        with self._turn:
            self._connected = connected
            self._turn.notify_all()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
        self.why = str(reason)
        self.packet_bytes = int(getattr(properties, "MaximumPacketSize", 0) or 0)
        self._let(connected=not reason.is_failure)

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        with self._turn:
            self._answers[mid] = not reason.is_failure
            self._turn.notify_all()
