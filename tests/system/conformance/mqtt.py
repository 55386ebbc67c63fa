"""A stranger's MQTT client: paho, version 3.1.1, everything that arrives kept in order."""

import threading
import time
from collections.abc import Callable, Sequence

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

Heard = tuple[str, bytes, bool]
"""Topic, payload, retained."""


class Client:
    """Connected from its making to `close`."""

    def __init__(self, port: int, name: str, topics: Sequence[str]) -> None:
        self.heard: list[Heard] = []
        self._news = threading.Condition()
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv311)
        self._client.on_message = self._message
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe([(topic, 1) for topic in topics])
        assert self._ready.wait(10), "no session with the broker"

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """The broker has it."""
        self._client.publish(topic, payload, 1, retain).wait_for_publish(10)

    def wait(self, holds: Callable[[], bool], seconds: float, what: Callable[[], str]) -> None:
        """Return when it holds, looking whenever something arrives; fail with a sentence."""
        until = time.monotonic() + seconds
        with self._news:
            while not holds():
                assert self._news.wait(max(0.0, until - time.monotonic())), f"after {seconds:.0f} s still not: {what()}"

    def close(self) -> None:
        """Say farewell."""
        self._client.disconnect()
        self._client.loop_stop()

    def _message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        with self._news:
            self.heard.append((message.topic, bytes(message.payload), message.retain))
            self._news.notify_all()
