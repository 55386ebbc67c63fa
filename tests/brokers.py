"""Brokers for tests: amqtt in this process, Mosquitto as a process of its own."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.effects.broker import BrokerSettings
from shared.effects.link import Link, Session, Will
from shared.effects.mqtt import MqttLink, _MqttSession
from shared.effects.wire import Wire
from tests.processes import Process, free_port, mosquitto, wait_for_port


class Amqtt:
    """amqtt in this process; it loses what is unacknowledged on reconnect and does not deliver `$share`."""

    healthy_redelivery = False
    shares = False

    def __init__(self, port: int, broker: Any) -> None:
        self.port = port
        self._broker = broker

    def link(self, name: str) -> Link:
        """A link under a client name."""
        return MqttLink(BrokerSettings(host="127.0.0.1", port=self.port, tls=False), name)

    async def cut(self, name: str) -> None:
        """End a client's connection without a farewell, by its transport."""
        session, handler = self._broker._sessions[name]
        assert session.client_id == name
        handler.writer._writer.transport.abort()


@contextlib.asynccontextmanager
async def amqtt_broker(plugins: Mapping[str, Any] | None = None) -> AsyncIterator[Amqtt]:
    """A broker on a free port that lets in whoever bears a name; the nameless would have no queue."""
    from amqtt.broker import Broker  # noqa: PLC0415 (an optional component)

    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    port = free_port()
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": dict(
                plugins or {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": False}}
            ),
        }
    )
    await broker.start()
    try:
        yield Amqtt(port, broker)
    finally:
        await broker.shutdown()
        await asyncio.sleep(0)


class Mosquitto:
    """Mosquitto as a process; a client is cut by aborting its own socket, so that no farewell is sent."""

    healthy_redelivery = True
    shares = True

    def __init__(self, port: int, process: Process) -> None:
        self.port = port
        self.process = process
        self._wires: dict[str, Wire] = {}

    def link(self, name: str, **settings: Any) -> Link:
        """A link under a client name."""
        defaults: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, "tls": False}
        return _Watched(MqttLink(BrokerSettings(**(defaults | settings)), name), self._wires, name)

    async def cut(self, name: str) -> None:
        """End a client's connection without a farewell: both ends see the socket close."""
        sock = self._wires[name]._paho.socket()
        assert isinstance(sock, socket.socket)
        sock.shutdown(socket.SHUT_RDWR)

    def restart(self) -> None:
        """Start the process again, on its own store."""
        self.process.start()
        wait_for_port(self.port)


class _Watched:
    """A link whose connection underneath is known by its client's name."""

    def __init__(self, link: MqttLink, wires: dict[str, Wire], name: str) -> None:
        self._link, self._wires, self._name = link, wires, name

    @contextlib.asynccontextmanager
    async def session(self, *, will: Will | None = None) -> AsyncIterator[Session]:
        """Connect."""
        async with self._link.session(will=will) as session:
            assert isinstance(session, _MqttSession)
            self._wires[self._name] = session._wire
            yield session


@contextlib.contextmanager
def mosquitto_broker(folder: Path, lines: Sequence[str] = (), *, anonymous: bool = True) -> Iterator[Mosquitto]:
    """A broker with its own configuration on a free port; ended by pid."""
    port = free_port()
    process = mosquitto(folder, port, extra="\n".join(lines) + "\n")
    if not anonymous:
        config = folder / "mosquitto.conf"
        config.write_text(config.read_text(encoding="ascii").replace("allow_anonymous true\n", ""), encoding="ascii")
    process.start()
    try:
        wait_for_port(port)
        yield Mosquitto(port, process)
    finally:
        process.kill()
