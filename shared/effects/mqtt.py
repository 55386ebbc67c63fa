"""Link on a real MQTT broker: aiomqtt over paho, with manual acknowledgement (P6, P7), plain words for a refusal.

What aiomqtt 2 keeps to itself is in `shared.effects.wire`.
"""

import asyncio
import contextlib
import functools
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import ClassVar, Final

import aiomqtt

from shared.effects.broker import BrokerSettings
from shared.effects.link import Message, Session, Will
from shared.effects.wire import Ended, Wire, plain_reason
from shared.errors import CertificateRefused, LinkLost, LinkRefused

__all__ = ["BrokerSettings", "MqttLink", "alert_sentence"]

PUBLISH_INFLIGHT_MAX: Final = 1_000
"""Messages on their way to the broker without its acknowledgement; further ones wait in order."""
CONNECT_SECONDS_MAX: Final = 15.0
_LOG: Final = logging.getLogger("meterseal.mqtt")
_LOG.setLevel(logging.CRITICAL)  # What paho logs is said better by the one sentence of a LinkError.
_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name."""

_ALERTS: Final = {
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it has expired, and is renewed by itself where the gateway was enrolled",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "it is revoked: ask whoever runs the collector",
    "TLSV1_ALERT_UNKNOWN_CA": "it is of a certificate authority that the broker does not know",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it is damaged or not for clients",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it is not for clients",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it cannot be checked",
}
"""What a broker says of a client's certificate. Source: RFC 8446, section 6.2, by OpenSSL's names."""
_NO_CERTIFICATE: Final = "TLSV13_ALERT_CERTIFICATE_REQUIRED"


class MqttLink:
    """A named session with one broker; `client_id` is the name that the broker keeps it under.

    A durable one is what both sides of Meterseal need. One that is not durable has no queue while it is
    away, and no name at the broker unless the settings give one.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        client_id: str,
        *,
        dates_checked: Callable[[], bool] = lambda: True,
        durable: bool = True,
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._dates_checked = dates_checked
        self._durable = durable
        self._alerts: list[str] = []
        """What the broker has said of TLS in this attempt: with TLS 1.3 that comes after the handshake."""

    @contextlib.asynccontextmanager
    async def session(self, *, will: Will | None = None) -> AsyncIterator[Session]:
        """Connect; raises LinkRefused with one sentence that says why, LinkLost while inside."""
        self._alerts.clear()
        client = self._client(will)
        wire = Wire(client)
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
            username=self._user if self._durable else self._settings.username,
            password=self._password(),
            clean_session=not self._durable,
            keepalive=settings.keepalive_seconds,
            timeout=CONNECT_SECONDS_MAX,
            # A payload is many segments: the last one must not wait for the first one's delayed acknowledgement.
            socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
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
            reason = plain_reason(error) if isinstance(error, OSError) else "it is not UTF-8 text"
            raise LinkRefused(f"the password file {self._settings.password_file} cannot be read: {reason}") from error

    def _tls(self) -> ssl.SSLContext:
        settings = self._settings
        try:
            context = ssl.create_default_context(cafile=settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise LinkRefused(f"the CA file {settings.ca_file} cannot be used: {plain_reason(error)}") from error
        context.sslsocket_class = type("_Socket", (_TidySocket,), {"alerts": self._alerts})
        try:
            if settings.cert_file is not None:
                context.load_cert_chain(settings.cert_file, settings.key_file)
        except (OSError, ssl.SSLError) as error:
            pair = f"the certificate {settings.cert_file} with key {settings.key_file}"
            raise LinkRefused(f"{pair} cannot be used: {plain_reason(error)}") from error
        if not self._dates_checked():
            # P13: a clock that nobody has set must not keep a gateway off the air; the pinned CA still must match.
            context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)
        return context

    async def _enter(self, client: aiomqtt.Client, wire: Wire) -> None:
        entering = asyncio.ensure_future(client.__aenter__())
        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError:
            # The connecting thread cannot be stopped: what it brings back is dropped.
            entering.add_done_callback(functools.partial(_dropped, wire))
            raise
        except aiomqtt.MqttError as error:
            raise self._refusal(error) from error
        except ValueError as error:  # A label that IDNA cannot spell.
            raise LinkRefused(f"the broker's name {self._settings.host[:64]} is no host name") from error

    def _refusal(self, error: aiomqtt.MqttError) -> LinkRefused:
        why = next(filter(None, map(alert_sentence, self._alerts)), "")
        if why:
            return CertificateRefused(f"the broker at {self._where} refuses this client's certificate: {why}")
        if _NO_CERTIFICATE in self._alerts:
            named = "set broker.cert_file" if self._settings.cert_file is None else "it did not get this one"
            return LinkRefused(f"the broker at {self._where} lets in clients with a certificate alone: {named}")
        cause = error.__cause__ or error.__context__
        # A broker that closes at once may do so before its alert is read.
        silent = isinstance(error, Ended) and (cause is None or isinstance(cause, ConnectionError))
        maybe = silent and self._settings.cert_file is not None
        return (CertificateRefused if maybe else LinkRefused)(self._sentence(error))

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
                    f"TLS with the broker at {self._where} failed ({plain_reason(cause)}): "
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
            case _ if isinstance(error, Ended):
                ask = "does it accept this client's certificate?" if self._settings.tls else "is this its TLS port?"
                return f"the broker at {self._where} closed the connection before it answered: {ask}"
            case _:
                return f"the broker at {self._where} did not let this client in: {error}"


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails, which paho would leave to the garbage collector; keeps what TLS says."""

    alerts: ClassVar[list[str]] = []

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 (the ssl module's signature)
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            # paho makes of it that the connection was lost, and no more.
            self.alerts.append(error.reason or "")
            raise


class _MqttSession:
    """One connection to the broker."""

    def __init__(self, wire: Wire, user: str, where: str) -> None:
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


def alert_sentence(alert: str) -> str:
    """What a broker's TLS alert, by OpenSSL's name, says of this client's certificate; empty where it says nothing."""
    return _ALERTS.get(alert, "")


def _dropped(wire: Wire, entering: "asyncio.Future[aiomqtt.Client]") -> None:
    if not entering.cancelled():
        entering.exception()
    wire.close()
