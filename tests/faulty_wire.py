"""A wire with faults between an asker and a real Modbus peer: answers dropped, cut, garbled, late, or others'."""

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

Pieces: TypeAlias = list[tuple[float, bytes]]
"""What becomes of an answer: bytes, each so many seconds after it came."""
Fault: TypeAlias = Callable[[bytes], Pieces]


def sound(answer: bytes) -> Pieces:
    """Passed on as it is."""
    return [(0.0, answer)]


def lost(_: bytes) -> Pieces:
    """Nothing arrives."""
    return []


def cut(answer: bytes) -> Pieces:
    """Half a frame arrives."""
    return [(0.0, answer[: len(answer) // 2])]


def torn(answer: bytes) -> Pieces:
    """The frame arrives in two pieces."""
    return [(0.0, answer[:5]), (0.02, answer[5:])]


def flipped(answer: bytes) -> Pieces:
    """A bit of the values is wrong."""
    return [(0.0, answer[:-3] + bytes([answer[-3] ^ 0x10]) + answer[-2:])]


@dataclass(slots=True)
class Wire:
    """Where an asker connects, and what happens to the answers of each unit."""

    where: str
    """A TCP port, or the path of a serial line."""
    unit_at: int
    """At which byte of a frame the unit stands: 6 in Modbus TCP, 0 in a serial line's frames."""
    faults: dict[int, Fault] = field(default_factory=dict)
    answers: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def pass_on(self, answer: bytes, send: Callable[[bytes], None]) -> None:
        """One answer, with its unit's fault."""
        self.answers += 1
        unit = answer[self.unit_at] if len(answer) > self.unit_at else -1
        for seconds, piece in self.faults.get(unit, sound)(answer):
            if seconds:
                task = asyncio.ensure_future(_later(seconds, piece, send))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            else:
                send(piece)

    async def end(self) -> None:
        """What is still on its way never arrives."""
        for task in tuple(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def _later(seconds: float, piece: bytes, send: Callable[[bytes], None]) -> None:
    await asyncio.sleep(seconds)
    send(piece)


@asynccontextmanager
async def tcp_wire(port: int, *, rtu: bool = False) -> AsyncIterator[Wire]:
    """A wire over TCP to whoever listens on that port of 127.0.0.1."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            peer_reader, peer_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        writers.append(peer_writer)

        async def questions() -> None:
            while data := await reader.read(1_024):
                peer_writer.write(data)

        async def answers() -> None:
            while data := await peer_reader.read(1_024):
                wire.pass_on(data, lambda piece: None if writer.is_closing() else writer.write(piece))

        both = [asyncio.ensure_future(questions()), asyncio.ensure_future(answers())]
        with contextlib.suppress(ConnectionError):
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        for each in (writer, peer_writer):
            each.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    wire = Wire(where=str(server.sockets[0].getsockname()[1]), unit_at=0 if rtu else 6)
    try:
        yield wire
    finally:
        server.close()
        await wire.end()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@dataclass(frozen=True, slots=True)
class SerialLine:
    """Two pseudo-terminals: the asker's and the peer's."""

    wire: Wire
    peer: str


@asynccontextmanager
async def serial_line() -> AsyncIterator[SerialLine]:
    """A serial line between two pseudo-terminals."""
    asker, asker_end = os.openpty()
    peer, peer_end = os.openpty()
    for end in (asker_end, peer_end, asker, peer):
        tty.setraw(end)
        os.set_blocking(end, False)
    loop = asyncio.get_running_loop()
    wire = Wire(where=os.ttyname(asker_end), unit_at=0)

    def questions() -> None:
        with contextlib.suppress(OSError):
            os.write(peer, os.read(asker, 1_024))

    def send(piece: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(asker, piece)

    def answers() -> None:
        with contextlib.suppress(OSError):
            wire.pass_on(os.read(peer, 1_024), send)

    loop.add_reader(asker, questions)
    loop.add_reader(peer, answers)
    try:
        yield SerialLine(wire, os.ttyname(peer_end))
    finally:
        await wire.end()
        loop.remove_reader(asker)
        loop.remove_reader(peer)
        for end in (asker, asker_end, peer, peer_end):
            os.close(end)
