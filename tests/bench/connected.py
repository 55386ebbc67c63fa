"""Two thousand gateways at once on one Mosquitto and one collector: all connected, all heard, all answered.

Each is a socket of its own that speaks just enough MQTT 3.1.1; all of them live in the bench's process. Where the
system allows fewer open files, there are fewer, and the figure says how many.
"""

import asyncio
import os
import random
import resource
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shared.payload import pack
from shared.topic import Leaf, topic_of
from tests.bench.figure import Figure, Say
from tests.bench.intake import collector_config
from tests.bench.payloads import ENERGY, Gateway
from tests.bench.site import MEASURED_CORE, broker, counters, queue, workspace
from tests.processes import Process, command, wait_until

SPARE_FILES: Final = 200
CONNECT_AT_ONCE: Final = 100
PATIENCE_SECONDS: Final = 120.0
CONNECTED: Final = 2_000
KEEPALIVE_SECONDS: Final = 600
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x32, 0x40, 0x82, 0x90


def connected(say: Say, *, gateways: int, lines: int, seconds: float) -> list[Figure]:
    """So many connect, then each sends a line every so many seconds, spread evenly; how long each receipt took."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    many = min(gateways, hard - SPARE_FILES)
    say(f"sealing for {many} gateways")
    fleet = [Gateway(f"conn-{at}", random.Random(f"connected {at}"), ENERGY[:2]) for at in range(many)]
    try:
        with workspace() as folder, broker(folder) as port:
            config = collector_config(folder, port, {each.name: each.key.public for each in fleet})
            asyncio.run(queue("_collector", port, []))
            process = Process(
                "collector", [*command("cloud-collector"), "--config", str(config), "run"], folder / "log"
            )
            process.start()
            os.sched_setaffinity(process.pid, {MEASURED_CORE})
            try:
                wait_until(lambda: "link_up" in process.events, 60, "the collector is there")
                return asyncio.run(_heard(say, port, fleet, lines, seconds, process))
            finally:
                process.kill()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _heard(
    say: Say, port: int, fleet: Sequence[Gateway], lines: int, seconds: float, collector: Process
) -> list[Figure]:
    say(f"{len(fleet)} connect")
    began, clients = time.monotonic(), [Client(gateway) for gateway in fleet]
    for at in range(0, len(clients), CONNECT_AT_ONCE):
        await asyncio.gather(*(client.connect(port) for client in clients[at : at + CONNECT_AT_ONCE]))
    connecting = time.monotonic() - began
    say(f"{len(fleet)} are born")
    async with asyncio.timeout(PATIENCE_SECONDS):
        births = await asyncio.gather(*(client.told(client.gateway.birth()) for client in clients))
        say(f"{lines} lines each, one every {seconds:.0f} s")
        found = await asyncio.gather(
            *(client.keep_on(lines, seconds, at / len(clients)) for at, client in enumerate(clients))
        )
    memory = counters(Path(f"/proc/{collector.pid}/status"))["VmHWM"] / 1024
    for client in clients:
        client.close()
    waits = sorted(wait for each in found for wait in each)
    pace = f"{len(waits)} lines at {len(fleet) / seconds:,.0f}/s"
    note = f"{pace}; all births at once were answered within {max(births):.1f} s"
    p99 = waits[int(len(waits) * 0.99)] * 1_000
    there = f"within {connecting:.1f} s"
    return [
        Figure(room="connected", name="connected at once", value=len(clients), unit="", least=CONNECTED, note=there),
        Figure(room="connected", name="published → receipt, p99", value=p99, unit="ms", note=note),
        Figure(room="connected", name="collector's memory at the most", value=memory, unit="MiB"),
    ]


class Client:
    """One gateway's session with the broker: connects, subscribes to its receipts, publishes with QoS 1."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._numbers = 1

    async def connect(self, port: int) -> None:
        """The broker has granted the session and the subscription."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        self._write(CONNECT, _text("MQTT") + struct.pack(">BBH", 4, 2, KEEPALIVE_SECONDS) + _text(self.gateway.name))
        kind, body = await self._packet()
        assert (kind, body[1]) == (CONNACK, 0), f"{self.gateway.name} was refused"
        topic = topic_of(self.gateway.name, Leaf.RECEIPT)
        self._write(SUBSCRIBE, struct.pack(">H", 1) + _text(topic) + b"\1")
        kind, body = await self._packet()
        assert (kind, body[2]) == (SUBACK, 1), f"{self.gateway.name} may not hear its receipts"

    async def told(self, line: bytes) -> float:
        """Publish a line and wait for its receipt; how long that took, in seconds."""
        began = time.monotonic()
        self._numbers = self._numbers % 65_535 + 1
        topic = topic_of(self.gateway.name, Leaf.REPORT)
        self._write(PUBLISH, _text(topic) + struct.pack(">H", self._numbers) + pack([line]))
        through = f'"through":{self.gateway.seq},'.encode()
        while True:
            kind, body = await self._packet()
            if kind & 0xF0 == PUBLISH & 0xF0:
                length = struct.unpack(">H", body[:2])[0]
                self._write(PUBACK, body[2 + length : 4 + length])
                if through in body:
                    return time.monotonic() - began

    async def keep_on(self, lines: int, seconds: float, share: float) -> list[float]:
        """One line every so many seconds, beginning with its share of the first."""
        waits = []
        await asyncio.sleep(share * seconds)
        for _ in range(lines):
            due = time.monotonic() + seconds
            waits.append(await self.told(self.gateway.usage()))
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        return waits

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    def _write(self, kind: int, body: bytes) -> None:
        length, left = bytearray(), len(body)
        while True:
            left, digit = divmod(left, 128)
            length.append(digit | (0x80 if left else 0))
            if not left:
                break
        self._writer.write(bytes([kind]) + bytes(length) + body)

    async def _packet(self) -> tuple[int, bytes]:
        kind = (await self._reader.readexactly(1))[0]
        length = shift = 0
        while True:
            digit = (await self._reader.readexactly(1))[0]
            length |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                break
        return kind, await self._reader.readexactly(length)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw
