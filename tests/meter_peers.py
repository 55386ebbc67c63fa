"""Meters that speak over a real pseudo-terminal or a real TCP port, each by its protocol."""

import asyncio
import os
import termios
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from tests import telegrams

SPEEDS: Final = {termios.B300: 300, termios.B2400: 2_400, termios.B9600: 9_600, termios.B115200: 115_200}


class Line(Protocol):
    """The meter's end of a line."""

    place: Mapping[str, Any]
    """How a configuration names the other end."""

    async def read(self) -> bytes:
        """The next bytes that the agent sends."""

    def write(self, data: bytes) -> None:
        """Send bytes to the agent."""

    def speed(self) -> int | None:
        """What the agent's end is set to; None where it sets nothing."""

    def close(self) -> None:
        """The line is cut."""


class SerialLine:
    """A pseudo-terminal: the agent opens it as it opens any serial device."""

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = Path(os.ttyname(self._slave))
        self.place: Mapping[str, Any] = {"serial_port": self.path}

    async def read(self) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            try:
                return os.read(self._master, 4_096)
            except BlockingIOError:
                ready = loop.create_future()
                loop.add_reader(self._master, ready.set_result, None)
                try:
                    await ready
                finally:
                    loop.remove_reader(self._master)

    def write(self, data: bytes) -> None:
        os.write(self._master, data)

    def speed(self) -> int | None:
        return SPEEDS.get(termios.tcgetattr(self._master)[5])

    def close(self) -> None:
        for descriptor in (self._master, self._slave):
            with suppress(OSError):
                os.close(descriptor)


class TcpLine:
    """A TCP port that serves a line, as ser2net and ESP bridges do; one connection at a time."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._connected = asyncio.Event()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._all: list[asyncio.StreamWriter] = []
        self.connections = 0
        self.place: Mapping[str, Any] = {}

    async def open(self, port: int = 0) -> "TcpLine":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self.place = {"host": "127.0.0.1", "port": self._server.sockets[0].getsockname()[1]}
        return self

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._all.append(writer)
        self.connections += 1
        self._connected.set()

    async def read(self) -> bytes:
        while True:
            await self._connected.wait()
            assert self._reader is not None
            data = await self._reader.read(4_096)
            if data:
                return data
            self._connected.clear()

    def write(self, data: bytes) -> None:
        if self._writer is not None:
            self._writer.write(data)

    def speed(self) -> int | None:
        return None

    def drop(self) -> None:
        """The connection ends; the port goes on listening."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def close(self) -> None:
        self._writer = None
        for writer in self._all:
            writer.transport.abort()
        if self._server is not None:
            self._server.close()


async def line_of(kind: str) -> SerialLine | TcpLine:
    """A line of a kind: serial or tcp."""
    return SerialLine() if kind == "serial" else await TcpLine().open()


@asynccontextmanager
async def running(meter: Awaitable[None]) -> AsyncIterator[None]:
    """A meter speaks while the block runs; what breaks in it breaks the test."""
    task = asyncio.ensure_future(meter)
    try:
        yield
    finally:
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def push(line: Line, say: Callable[[], bytes], *, seconds: float = 0.05) -> None:
    """A meter that sends by itself."""
    while True:
        line.write(say())
        await asyncio.sleep(seconds)


@dataclass(kw_only=True)
class AskedMeter:
    """A meter of mode C: it sends after its greeting was acknowledged, at the speed that was agreed."""

    line: Line
    lines: Sequence[str]
    address: str = ""
    echo: bool = False
    """Whether its reading head hands back what is sent."""
    asked: list[bytes] = field(default_factory=list)

    async def run(self) -> None:
        heard = b""
        while True:
            heard += await self.line.read()
            while b"\n" in heard:
                message, _, heard = heard.partition(b"\n")
                await self._answer(message + b"\n")

    async def _answer(self, raw: bytes) -> None:
        assert raw == telegrams.even(bytes(byte & 0x7F for byte in raw)), "7E1"
        message = bytes(byte & 0x7F for byte in raw)
        self.asked.append(message)
        if self.echo:
            self.line.write(raw)
        if message == f"/?{self.address}!\r\n".encode("ascii"):
            assert self.line.speed() in {None, 300}
            self.line.write(telegrams.even(b"/TST5MODEC\r\n"))
        elif message in {b"\x06050\r\n", b"\x06000\r\n"}:
            await asyncio.sleep(0.35)
            agreed = 9_600 if message[2:3] == b"5" else 300
            data = telegrams.even(telegrams.d0_block(self.lines))
            # At another speed than the agreed one, the other end hears something else.
            self.line.write(data if self.line.speed() in {None, agreed} else bytes(byte ^ 0x55 for byte in data))


@dataclass(kw_only=True)
class MbusMeter:
    """A slave on the bus: it answers to its own address, and to 253 while it is selected."""

    primary: int
    identity: bytes
    frames: Sequence[bytes]
    """The records of each of its frames; a frame that another follows ends with 1Fh."""
    mute: int = 0
    """So many requests are lost before one is heard."""
    selected: bool = False
    at: int = 0
    bit: int | None = None

    def answer(self, frame: bytes) -> bytes:
        """What it sends after a frame of the master, most often nothing."""
        if frame[0] == 0x68:
            return self._select(frame)
        control, address = frame[1], frame[2]
        if not (address == self.primary or (address == 0xFD and self.selected)):
            return b""
        if control == 0x40:
            self.at, self.bit = 0, None
            self.selected &= address != 0xFD
            return b"\xe5"
        if control & 0x4F != 0x4B:
            return b""
        if self.mute:
            self.mute -= 1
            return b""
        bit = control & 0x20
        if self.bit is not None and bit != self.bit:
            self.at = min(self.at + 1, len(self.frames) - 1)
        self.bit = bit
        return telegrams.mbus_answer(self.primary, self.identity, self.frames[self.at])

    def _select(self, frame: bytes) -> bytes:
        if frame[5] != 0xFD or frame[6] != 0x52:
            return b""
        wanted = frame[7:15]
        digits = zip(wanted[3::-1].hex(), self.identity[3::-1].hex(), strict=True)
        rest = (wanted[4:6] in {b"\xff\xff", self.identity[4:6]}, *map(_fits, wanted[6:], self.identity[6:]))
        self.selected = all(wild in {"f", digit} for wild, digit in digits) and all(rest)
        self.at, self.bit = 0, None
        return b"\xe5" if self.selected else b""


def _fits(wild: int, byte: int) -> bool:
    return wild in {0xFF, byte}


@dataclass(kw_only=True)
class MbusBus:
    """Meters on one bus; two that answer at once garble each other."""

    line: Line
    meters: Sequence[MbusMeter]
    echo: bool = False
    heard: list[bytes] = field(default_factory=list)

    async def run(self) -> None:
        buffer = b""
        while True:
            buffer += await self.line.read()
            while buffer:
                size = 5 if buffer[0] == 0x10 else 6 + buffer[1] if len(buffer) > 1 else 6
                if len(buffer) < size:
                    break
                frame, buffer = buffer[:size], buffer[size:]
                assert frame[-1] == 0x16
                self.heard.append(frame)
                self._answer(frame)

    def _answer(self, frame: bytes) -> None:
        if self.echo:
            self.line.write(frame)
        answers = [answer for meter in self.meters if (answer := meter.answer(frame))]
        if len(answers) == 1:
            self.line.write(answers[0])
        elif answers and len(answers[0]) > 1:
            self.line.write(bytes(map(int.__and__, *answers[:2])))
        elif answers:
            self.line.write(answers[0])
