"""Link on a real MQTT broker: aiomqtt over paho, with manual acknowledgement (P6, P7).

aiomqtt 2 has no public manual acknowledgement, spends a task on every message, and lets a pending
publish or connect wait for its time-out when the connection ends. `_Wire` is the one class that
reaches underneath; `tests/unit/test_effects_contract.py` fails if an upgrade moves what it holds.
Source: MQTT 3.1.1, sections 3.1 to 3.9 and 4.4.
"""

import asyncio
import contextlib
import functools
import logging
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import aiomqtt
import paho.mqtt.client as paho

from shared.effects.broker import BrokerSettings
from shared.effects.link import Message, Session, Will
from shared.errors import LinkLost, LinkRefused

__all__ = ["BrokerSettings", "MqttLink"]

PUBLISH_INFLIGHT_MAX: Final = 1_000
"""Messages on their way to the broker without its acknowledgement; further ones wait in order."""
RECEIVED_UNRELIABLE_MAX: Final = 10_000
"""Messages of QoS 0 that wait to be received; further ones are dropped, as QoS 0 allows. Those of
QoS 1 are bounded by the protocol: 65,535 packet identifiers, and the broker's in-flight window."""
READ_PACKETS_MAX: Final = 64
"""Packets read in one turn of the loop."""
CONNECT_SECONDS_MAX: Final = 15.0
ANSWER_SECONDS_MAX: Final = 30.0
"""How long a broker may take to answer a subscription."""

_LOG: Final = logging.getLogger("meterseal.mqtt")
_LOG.setLevel(logging.CRITICAL)  # What paho logs is said better by the one sentence of a LinkError.
_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name."""


class MqttLink:
    """A named, durable session with one broker; `client_id` is the name that the broker keeps it under."""

    def __init__(
        self, settings: BrokerSettings, client_id: str, *, dates_checked: Callable[[], bool] = lambda: True
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._dates_checked = dates_checked

    @contextlib.asynccontextmanager
    async def session(self, *, will: Will | None = None) -> AsyncIterator[Session]:
        """Connect; raises LinkRefused with one sentence that says why, LinkLost while inside."""
        client = self._client(will)
        wire = _Wire(client)
        session = _MqttSession(wire, self._user, self._where)
        try:
            await self._enter(client, wire)
            try:
                yield session
            finally:
                await _leave(client)
        finally:
            wire.close()

    @property
    def _user(self) -> str:
        return self._settings.username or self._client_id

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def _client(self, will: Will | None) -> aiomqtt.Client:
        settings = self._settings
        return aiomqtt.Client(
            settings.host,
            settings.port,
            identifier=self._client_id,
            username=self._user,
            password=self._password(),
            clean_session=False,
            keepalive=settings.keepalive_seconds,
            timeout=CONNECT_SECONDS_MAX,
            max_inflight_messages=PUBLISH_INFLIGHT_MAX,
            logger=_LOG,
            tls_context=self._tls() if settings.tls else None,
            will=None if will is None else aiomqtt.Will(will.topic, will.payload, qos=1, retain=True),
        )

    def _password(self) -> str | None:
        if self._settings.password_file is None:
            return None
        try:
            return self._settings.password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise LinkRefused(f"the password file {self._settings.password_file} cannot be read: {error}") from error

    def _tls(self) -> ssl.SSLContext:
        settings = self._settings
        try:
            context = ssl.create_default_context(cafile=settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise LinkRefused(f"the CA file {settings.ca_file} cannot be used: {_plain(error)}") from error
        context.sslsocket_class = _TidySocket
        try:
            if settings.cert_file is not None:
                context.load_cert_chain(settings.cert_file, settings.key_file)
        except (OSError, ssl.SSLError) as error:
            raise LinkRefused(
                f"the certificate {settings.cert_file} with key {settings.key_file} cannot be used: {_plain(error)}"
            ) from error
        if not self._dates_checked():
            # P13: a clock that nobody has set must not keep a gateway off the air; the pinned CA still must match.
            context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)
        return context

    async def _enter(self, client: aiomqtt.Client, wire: "_Wire") -> None:
        entering = asyncio.ensure_future(client.__aenter__())
        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError:
            # The connecting thread cannot be stopped: what it brings back is dropped.
            entering.add_done_callback(functools.partial(_dropped, wire))
            raise
        except aiomqtt.MqttError as error:
            raise LinkRefused(self._sentence(error)) from error

    def _sentence(self, error: aiomqtt.MqttError) -> str:
        """One sentence for people that says why the broker did not let this client in."""
        cause = error.__cause__ or error.__context__
        match cause:
            case socket.gaierror():
                return f"the broker's name {self._settings.host} cannot be resolved: check its spelling and the DNS"
            case ssl.SSLCertVerificationError():
                return self._certificate_sentence(cause)
            case ssl.SSLError():
                return (
                    f"TLS with the broker at {self._where} failed ({_plain(cause)}): "
                    "is this its TLS port, and does it accept this client's certificate?"
                )
            case ConnectionResetError() if self._settings.tls:
                return f"the broker at {self._where} broke off the TLS handshake: is this its TLS port?"
            case ConnectionRefusedError():
                return f"nothing listens at {self._where}: the connection was refused"
            case TimeoutError():
                return f"the broker at {self._where} does not answer"
            case OSError():
                return f"the broker at {self._where} cannot be reached: {cause.strerror or cause}"
            case _:
                return self._answer_sentence(error)

    def _certificate_sentence(self, error: ssl.SSLCertVerificationError) -> str:
        match error.verify_code:
            case 10:
                why = "has expired"
            case 9:
                why = "is not valid yet by this machine's clock"
            case 62 | 64:
                why = f"is not for the name {self._settings.host}"
            case _:
                trusted = self._settings.ca_file or "the system's certificate authorities"
                why = f"is not trusted by {trusted} ({error.verify_message})"
        return f"the certificate of the broker at {self._where} {why}"

    def _answer_sentence(self, error: aiomqtt.MqttError) -> str:
        rc = getattr(error, "rc", None)
        match getattr(rc, "value", rc):
            case 134 | 135 | 4 | 5:
                return f"the broker at {self._where} refuses user {self._user}: wrong name, password or certificate"
            case 133 | 2:
                return f"the broker at {self._where} refuses the client name {self._client_id}"
            case 136 | 3:
                return f"the broker at {self._where} is not available for sessions now"
            case _ if isinstance(error, _Ended):
                ask = "does it accept this client's certificate?" if self._settings.tls else "is this its TLS port?"
                return f"the broker at {self._where} closed the connection before it answered: {ask}"
            case _:
                return f"the broker at {self._where} did not let this client in: {error}"


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho would leave that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 (the ssl module's signature)
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


class _Ended(aiomqtt.MqttError):
    """The connection ended before the broker answered."""


class _Wire:
    """The paho client underneath an aiomqtt client: the only code that knows aiomqtt's inside.

    It acknowledges by hand, appends what arrives to a deque, and tells pending calls at once when the
    connection ends. All of it runs on the loop's thread.
    """

    def __init__(self, client: aiomqtt.Client) -> None:
        self._loop = asyncio.get_running_loop()
        self._outer = client
        self._paho: paho.Client = client._client  # noqa: SLF001
        self.received: deque[Message] = deque()
        self.ended: str | None = None
        self._unreliable = 0
        self._arrival: asyncio.Future[None] | None = None
        self._publishing: dict[int, asyncio.Future[None]] = {}
        self._paho.manual_ack_set(True)
        self._paho.on_message = self._on_message
        self._paho.on_publish = self._on_publish
        self._paho.on_disconnect = self._on_disconnect
        self._paho.on_socket_open = self._on_socket_open
        client._disconnected.add_done_callback(self._on_ended)  # noqa: SLF001

    def acknowledge(self, mid: int) -> None:
        """Send PUBACK; after the end of the connection, nothing, and the broker delivers again."""
        if self.ended is None:
            self._paho.ack(mid, 1)

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> asyncio.Future[None] | None:
        """Hand a message over; a future where the broker's acknowledgement is still to come."""
        if self.ended is not None:
            raise LinkLost(self.ended)
        info = self._paho.publish(topic, payload, qos, retain)
        if info.rc not in (paho.MQTT_ERR_SUCCESS, paho.MQTT_ERR_QUEUE_SIZE):
            raise LinkLost(self.ended or f"the message could not be sent: {paho.error_string(info.rc)}")
        if qos == 0 or info.is_published():
            return None
        return self._publishing.setdefault(info.mid, self._loop.create_future())

    async def subscribe(self, topic_filter: str, qos: int) -> int:
        """The granted code of SUBACK; 128 and above is a refusal."""
        asking = asyncio.ensure_future(self._outer.subscribe(topic_filter, qos=qos, timeout=ANSWER_SECONDS_MAX))
        lost = self._outer._disconnected  # noqa: SLF001
        try:
            await asyncio.wait((asking, lost), return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise LinkLost(self.ended)
            code: Any = asking.result()[0]
        except aiomqtt.MqttError as error:
            raise LinkLost(f"the broker did not answer the subscription to {topic_filter}: {error}") from error
        finally:
            asking.cancel()
        return int(getattr(code, "value", code))

    async def arrival(self) -> None:
        """Return when something has been received or the connection has ended."""
        if not self.received and self.ended is None:
            self._arrival = self._loop.create_future()
            await self._arrival

    def taken(self, message: Message) -> None:
        """A message has left the queue."""
        if message.token is None:
            self._unreliable -= 1

    def close(self) -> None:
        """Close the socket, whatever state it is in, so that the loop watches it no more."""
        self._end("the session is over")
        self._paho._sock_close()  # noqa: SLF001

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        if message.qos == 0:
            if self._unreliable >= RECEIVED_UNRELIABLE_MAX:
                return
            self._unreliable += 1
        token = None if message.qos == 0 else (self, message.mid)
        self.received.append(Message(message.topic, bytes(message.payload), bool(message.retain), token))
        self._wake()

    def _on_publish(self, _client: paho.Client, _userdata: Any, mid: int, *_: Any) -> None:
        waiting = self._publishing.pop(mid, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _on_disconnect(self, client: paho.Client, userdata: Any, *rest: Any) -> None:
        self._outer._on_disconnect(client, userdata, *rest)  # noqa: SLF001
        self._loop.call_soon_threadsafe(self._before_answer)

    def _on_ended(self, lost: asyncio.Future[None]) -> None:
        cause = None if lost.cancelled() else lost.exception()
        if not self._outer._connected.done():  # noqa: SLF001
            self._before_answer(cause)
        self._end("the broker ended the session" if cause is None else f"the connection was lost: {cause}")

    def _before_answer(self, cause: BaseException | None = None) -> None:
        connected = self._outer._connected  # noqa: SLF001
        if not connected.done():
            ended = _Ended("the connection ended before the broker answered")
            ended.__cause__ = cause
            connected.set_exception(ended)

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        if self.ended is not None:
            # On the connecting thread, after a cancellation: a late CONNECT would take over the next session.
            raise ConnectionAbortedError(self.ended)
        self._outer._on_socket_open(client, userdata, sock)  # noqa: SLF001
        # After aiomqtt's own reader, which this one replaces: it reads one packet a turn of the loop.
        self._loop.call_soon_threadsafe(self._loop.add_reader, sock.fileno(), self._read)

    def _read(self) -> None:
        try:
            for _ in range(READ_PACKETS_MAX):
                before = len(self.received)
                self._paho.loop_read()
                pending = getattr(self._paho.socket(), "pending", None)
                if len(self.received) == before and not (pending is not None and pending()):
                    break
        except OSError as error:
            lost = self._outer._disconnected  # noqa: SLF001
            if not lost.done():
                lost.set_exception(error)

    def _end(self, why: str) -> None:
        if self.ended is None:
            self.ended = why
        self._wake()
        for waiting in self._publishing.values():
            if not waiting.done():
                waiting.set_exception(LinkLost(self.ended))
        self._publishing.clear()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


class _MqttSession:
    """One connection to the broker."""

    def __init__(self, wire: _Wire, user: str, where: str) -> None:
        self._wire = wire
        self._user = user
        self._where = where

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Return when the broker has taken the message; raises LinkLost."""
        waiting = self._wire.publish(topic, payload, qos, retain=retain)
        if waiting is not None:
            await waiting

    async def subscribe(self, topic_filter: str, *, qos: int = 1) -> None:
        """Return when the broker has granted it; raises LinkRefused where it does not, LinkLost."""
        if await self._wire.subscribe(topic_filter, qos) >= 128:
            raise LinkRefused(
                f"the broker at {self._where} refuses user {self._user} the subscription to {topic_filter}: "
                "its access list must allow it"
            )

    async def receive(self) -> Message:
        """The next message, unacknowledged; raises LinkLost when the session ended."""
        wire = self._wire
        while not wire.received:
            if wire.ended is not None:
                raise LinkLost(wire.ended)
            await wire.arrival()
        message = wire.received.popleft()
        wire.taken(message)
        return message

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that the message is dealt with; without it, it comes again."""
        match message.token:
            case (wire, int() as mid) if wire is self._wire:
                wire.acknowledge(mid)
            case _:
                pass  # Of QoS 0, or of a session that is over: the broker delivers that one again.


async def _leave(client: aiomqtt.Client) -> None:
    """Say farewell, so that the will is not published; a broken connection cannot be told."""
    with contextlib.suppress(aiomqtt.MqttError, OSError):
        await client.__aexit__(None, None, None)


def _dropped(wire: _Wire, entering: "asyncio.Future[aiomqtt.Client]") -> None:
    if not entering.cancelled():
        entering.exception()
    wire.close()


def _plain(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error)
