"""The way to the broker, step by step, so that the first thing that is wrong is the one that is named."""

import asyncio
import dataclasses
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

from edge_agent.settings import AgentSettings
from shared.effects.broker import BrokerSettings
from shared.effects.mqtt import MqttLink, alert_sentence
from shared.errors import LinkError
from shared.finding import Finding, bad, good, look, skipped
from shared.topic import Leaf, topic_of

SECONDS_MAX: Final = 10.0
_DAYS_LEFT: Final = 30
_NOT_AUTHORISED: Final = 135
"""MQTT 5's reason code; MQTT 3.1.1 has no word for it, and a broker drops what is not allowed without one."""
_ALERT_SECONDS: Final = 0.5
"""How long a broker may take to say that it refuses a certificate."""
_LET_IN: Final = "`edge-agent renew`, or ask the operator whether this gateway was revoked"
_HERE: Final = ("localhost", "127.0.0.1", "::1")


async def way_of(settings: AgentSettings, *, dates_count: bool, spared: bool = False) -> AsyncIterator[Finding]:
    """Name, connection, TLS, certificates, login, topics; what follows a bad step is skipped.

    `spared` leaves the running agent's session alone: a broker that names sessions by their certificates ends it
    when somebody else logs in with this gateway's.
    """
    broker = settings.broker
    if broker.cert_file is not None and broker.key_file is None:
        broker = dataclasses.replace(broker, key_file=settings.key_file)
    where = f"{broker.host}:{broker.port}"
    steps: list[tuple[str, Any]] = [("DNS", _name), ("TCP", _connection)]
    if broker.tls:
        steps += [("TLS", lambda each: _handshake(each, dates_count=dates_count)), ("certificate", _certificate)]
    if spared:
        steps += [("login", _standing), ("topics", _answered)]
    else:
        steps += [("login", lambda each: _login(settings, each)), ("topics", lambda each: _topics(settings, each))]
    wrong = ""
    for name, step in steps:
        if wrong:
            yield skipped(name, f"because of {wrong}")
            continue
        found: Finding = await step(broker)
        yield found
        if found.word == "bad":
            wrong = name
    if not broker.tls and broker.host not in _HERE:
        yield look("TLS", f"not used with {where}", "set broker.tls = true unless the broker is on this very machine")


async def _name(broker: BrokerSettings) -> Finding:
    try:
        async with asyncio.timeout(SECONDS_MAX):
            rows = await asyncio.get_running_loop().getaddrinfo(broker.host, broker.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return bad("DNS", f"no answer for {broker.host}", "look at the network cable and at /etc/resolv.conf")
    except (OSError, UnicodeError):
        return bad(
            "DNS", f"{broker.host} cannot be resolved", "check broker.host for a typing error, then the DNS server"
        )
    return good("DNS", f"{broker.host} is {', '.join(sorted({str(row[4][0]) for row in rows}))}")


async def _connection(broker: BrokerSettings) -> Finding:
    where = f"{broker.host}:{broker.port}"
    try:
        async with asyncio.timeout(SECONDS_MAX):
            _, writer = await asyncio.open_connection(broker.host, broker.port)
    except TimeoutError:
        return bad("TCP", f"{where} does not answer", "a firewall drops it: let this gateway out to that port")
    except OSError as error:
        said = error.strerror or str(error)
        if isinstance(error, ConnectionRefusedError):
            return bad("TCP", f"nothing listens at {where}", "check broker.port, and whether the broker runs")
        return bad("TCP", f"{where}: {said}", "look at the network cable, the address and the route")
    writer.close()
    return good("TCP", f"{where} answers")


async def _handshake(broker: BrokerSettings, *, dates_count: bool) -> Finding:
    where = f"{broker.host}:{broker.port}"
    try:
        context = _context(broker)
        async with asyncio.timeout(SECONDS_MAX):
            _, writer = await asyncio.open_connection(
                broker.host, broker.port, ssl=context, server_hostname=broker.host
            )
    except ssl.SSLCertVerificationError as error:
        return _untrusted(broker, error, dates_count=dates_count)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            pair = f"{broker.cert_file} is not the certificate of the key {broker.key_file}"
            return bad("TLS", pair, "`edge-agent renew` fetches the right one, or set broker.cert_file")
        return bad("TLS", f"{where}: {error.reason or error}", "is this the broker's TLS port, most often 8883?")
    except ConnectionError:
        return bad("TLS", f"{where} broke off", "is this the broker's TLS port, most often 8883?")
    except PermissionError:
        return bad("TLS", "a certificate or key may not be read", "run this as root, with sudo")
    except FileNotFoundError:
        gone = [str(each) for each in (broker.ca_file, broker.cert_file, broker.key_file) if each and not each.exists()]
        return bad("TLS", f"{', '.join(gone)} is not there", "`edge-agent enrol` fetches it, or set broker.ca_file")
    except (OSError, TimeoutError, ValueError) as error:
        return bad("TLS", f"{where}: {error or 'no answer'}", "check broker.ca_file, cert_file and key_file")
    socket_of = writer.get_extra_info("ssl_object")
    found = socket_of.getpeercert() or {}
    writer.close()
    until = _end(str(found.get("notAfter", "")))
    days = (until - datetime.now(tz=UTC)).days
    says = f"{socket_of.version()}, the broker's certificate until {until:%Y-%m-%d}"
    if days < _DAYS_LEFT:
        return look("TLS", f"{says}, {days} days", "tell the collector's operator to renew it before it ends")
    return good("TLS", says)


def _untrusted(broker: BrokerSettings, error: ssl.SSLCertVerificationError, *, dates_count: bool) -> Finding:
    match error.verify_code:
        case 9:
            why, step = "is not valid yet by this machine's clock", "set this machine's clock first: see the first line"
        case 10 if not dates_count:
            why, step = "has ended by this machine's clock", "set this machine's clock first: see the first line"
        case 10:
            why, step = "has ended", "tell the collector's operator to renew the broker's certificate"
        case 62 | 64:
            why, step = f"is not for the name {broker.host}", "set broker.host to the name in it, or have one issued"
        case _:
            trusted = broker.ca_file or "the system's authorities"
            why, step = f"is not of {trusted}", "get the collector's CA (ca.pem), set broker.ca_file, or enrol again"
    return bad("TLS", f"the broker's certificate {why}", step)


async def _certificate(broker: BrokerSettings) -> Finding:
    if broker.cert_file is None:
        return good("certificate", "none of this gateway's own is configured: it logs in by its password")
    try:
        # The ssl module reads dates off a certificate's file by this function alone.
        decoded = ssl._ssl._test_decode_cert(str(broker.cert_file))  # type: ignore[attr-defined]  # noqa: SLF001
        until = _end(decoded["notAfter"])
    except (OSError, ValueError, KeyError) as error:
        return bad(
            "certificate", f"{broker.cert_file}: {error}", "`edge-agent enrol` fetches it, `edge-agent renew` anew"
        )
    days = (until - datetime.now(tz=UTC)).days
    says = f"this gateway's own until {until:%Y-%m-%d}, {days} days"
    if days < 0:
        return bad("certificate", f"this gateway's own ended {until:%Y-%m-%d}", "`edge-agent renew`")
    return look("certificate", says, "`edge-agent renew`") if days < _DAYS_LEFT else good("certificate", says)


async def _login(settings: AgentSettings, broker: BrokerSettings) -> Finding:
    """Under another client name than the agent's, or its session would be taken over."""
    named = dataclasses.replace(broker, username=broker.username or settings.gateway)
    link = MqttLink(named, f"{settings.gateway}-doctor", durable=False)
    try:
        async with asyncio.timeout(2 * SECONDS_MAX), link.session() as session:
            for leaf in (Leaf.RECEIPT, Leaf.COMMAND):
                await session.subscribe(topic_of(settings.gateway, leaf, settings.prefix))
    except LinkError as error:
        said = str(error)
        if "subscription" in said:
            return bad("login", said, "the access list needs the lines of config/mosquitto/meterseal.acl")
        by_name = f"ask the operator for {settings.gateway}'s name and password at the broker"
        step = _LET_IN if broker.tls and broker.cert_file is not None else by_name
        if "its TLS port" in said:
            step = f"set broker.tls = {str(not broker.tls).lower()}, or broker.port to the other kind of port"
        return bad("login", said, step)
    except TimeoutError:
        return bad("login", "the broker does not answer a login", "is this an MQTT port? look at the broker's log")
    return good("login", f"as {named.username}, may hear its receipts and commands")


async def _standing(broker: BrokerSettings) -> Finding:
    """The agent is in; with TLS 1.3 the broker says of a certificate after the handshake whether it still takes it."""
    why = await refused(broker) if broker.tls else ""
    if why:
        return bad("login", f"the agent is in, and would not be let in again: {why}", _LET_IN)
    return good("login", "the running agent is in, and is not disturbed")


async def _answered(_broker: BrokerSettings) -> Finding:
    return good("topics", "the collector answers what the running agent sends")


async def refused(broker: BrokerSettings) -> str:
    """Why the broker refuses this client's certificate, from a connection that does not log in; empty: it does not."""
    writer = None
    try:
        async with asyncio.timeout(SECONDS_MAX):
            reader, writer = await asyncio.open_connection(
                broker.host, broker.port, ssl=_context(broker), server_hostname=broker.host
            )
        async with asyncio.timeout(_ALERT_SECONDS):
            await reader.read(1)
    except ssl.SSLError as error:
        return alert_sentence(error.reason or "") or str(error.reason or error)
    except (OSError, TimeoutError):
        return ""  # Silence is consent; that the broker can be reached at all was looked at before.
    finally:
        if writer is not None:
            # Nothing is left to be said, and whoever asked may end the loop at once.
            writer.transport.abort()
            await asyncio.sleep(0)
    return ""


async def _topics(settings: AgentSettings, broker: BrokerSettings) -> Finding:
    """A message on the gateway's own health topic, by MQTT 5, in which a broker says what it does not allow."""
    topic = topic_of(settings.gateway, Leaf.HEALTH, settings.prefix)
    code = await asyncio.to_thread(_published, settings, broker, topic)
    if code == _NOT_AUTHORISED:
        return bad(
            "topics",
            f"the broker does not let this gateway write {topic}",
            "the access list needs the lines of config/mosquitto/meterseal.acl, for the name that logs in here",
        )
    if code is None:
        return look("topics", f"no word on {topic}: the broker speaks no MQTT 5", "see whether receipts come, below")
    return good("topics", f"may write {topic.rpartition('/')[0]}/…")


def _published(settings: AgentSettings, broker: BrokerSettings, topic: str) -> int | None:
    """The broker's reason code for a message; None where it says none."""
    from paho.mqtt import client as paho  # noqa: PLC0415 - of all commands, this one needs MQTT 5.
    from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415

    answered = threading.Event()
    codes: list[int] = []

    def connected(client: Any, _user: object, _flags: object, reason: Any, _properties: object) -> None:
        if reason.is_failure:
            answered.set()
        else:
            client.publish(topic, b'{"doctor":"edge-agent"}', qos=1)

    def published(_client: object, _user: object, _mid: int, reason: Any, _properties: object) -> None:
        codes.append(int(reason.value))
        answered.set()

    client = paho.Client(CallbackAPIVersion.VERSION2, f"{settings.gateway}-doctor", protocol=paho.MQTTv5)
    client.on_connect, client.on_publish = connected, published
    password = None if broker.password_file is None else broker.password_file.read_text(encoding="utf-8").strip()
    client.username_pw_set(broker.username or settings.gateway, password)
    if broker.tls:
        client.tls_set_context(_context(broker))
    try:
        client.connect(broker.host, broker.port)
        client.loop_start()
        answered.wait(SECONDS_MAX)
        client.disconnect()
        client.loop_stop()
    except OSError:
        return None
    return codes[0] if codes else None


def _context(broker: BrokerSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=broker.ca_file)
    if broker.cert_file is not None:
        context.load_cert_chain(broker.cert_file, broker.key_file)
    return context


def _end(not_after: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(not_after), tz=UTC)
