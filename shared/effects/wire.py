"""The paho client underneath aiomqtt, taken hold of in one place.

aiomqtt 2 has no public manual acknowledgement, spends a task on every message, and lets a pending
publish or connect wait for its time-out when the connection ends. `Wire` is the one class that
reaches underneath; `tests/unit/test_effects_contract.py` fails if an upgrade moves what it holds.
Source: MQTT 3.1.1, sections 3.1 to 3.9 and 4.4.
"""

import asyncio
from collections import deque
from typing import Any, Final

import aiomqtt
import paho.mqtt.client as paho

from shared.effects.link import Message
from shared.errors import LinkLost

RECEIVED_UNRELIABLE_MAX: Final = 10_000
"""Messages of QoS 0 that wait to be received; further ones are dropped, as QoS 0 allows. Those of
QoS 1 are bounded by the protocol: 65,535 packet identifiers, and the broker's in-flight window."""
READ_PACKETS_MAX: Final = 64
"""Packets read in one turn of the loop."""
ANSWER_SECONDS_MAX: Final = 30.0
"""How long a broker may take to answer a subscription."""


class Ended(aiomqtt.MqttError):
    """The connection ended before the broker answered."""


class Wire:
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
        self.received.append(Message(_topic(message), bytes(message.payload), bool(message.retain), token))
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
        self._end(
            f"the connection to the broker was lost{f': {plain_reason(cause)}' if isinstance(cause, OSError) else ''}"
        )

    def _before_answer(self, cause: BaseException | None = None) -> None:
        connected = self._outer._connected  # noqa: SLF001
        if not connected.done():
            ended = Ended("the connection ended before the broker answered")
            ended.__cause__ = cause
            connected.set_exception(ended)

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        if self.ended is not None:
            # On the connecting thread, after a cancellation: a late CONNECT would take over the next session.
            raise ConnectionAbortedError(self.ended)
        self._outer._on_socket_open(client, userdata, sock)  # noqa: SLF001
        # After aiomqtt's own reader, which this one replaces: it reads one packet a turn of the loop.
        self._loop.call_soon_threadsafe(self._watch, sock)

    def _watch(self, sock: Any) -> None:
        # A broker that refuses at once may have closed it by now.
        if sock.fileno() >= 0 and self.ended is None:
            self._loop.add_reader(sock.fileno(), self._read)

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


def _topic(message: paho.MQTTMessage) -> str:
    """The topic; what is no UTF-8 is replaced, since not every broker looks.

    P8: raised here, it would leave the message unacknowledged and paho in the middle of a packet, for ever.
    """
    try:
        return str(message.topic)
    except UnicodeDecodeError:
        return message._topic.decode("utf-8", "replace")  # noqa: SLF001


def plain_reason(error: OSError) -> str:
    """What an error of the operating system or of TLS says, without its numbers."""
    return getattr(error, "reason", None) or error.strerror or str(error)
