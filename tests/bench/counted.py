"""A door to the broker that counts: every byte and segment of a connection, as the kernel knows them."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

HEADER_BYTES: Final = 52
"""IPv4 (20) and TCP with timestamps (32), as Linux sends them. Source: RFC 791, RFC 9293, RFC 7323."""
SEGMENT_BYTES_MAX: Final = 1_448
"""What a segment carries on Ethernet; loopback's own would be larger than any network's."""
TCP_INFO: Final = struct.Struct("=8B24L4Q2L")
"""Up to `tcpi_segs_in`. Source: struct tcp_info of linux/tcp.h."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What a connection has carried, both ways."""

    data: int
    segments: int
    """Acknowledgements of TCP alone among them."""

    def since(self, earlier: "Carried") -> "Carried":
        """What has been added."""
        return Carried(self.data - earlier.data, self.segments - earlier.segments)

    @property
    def network(self) -> int:
        """Bytes with the headers of every segment."""
        return self.data + self.segments * HEADER_BYTES


class Wires:
    """The connection that came through the door."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._accepted: socket.socket | None = None
        self._pumps: list[asyncio.Task[None]] = []

    def carried(self) -> Carried:
        """What the connection has carried up to now."""
        assert self._accepted is not None, "nobody has come through the door"
        fields = TCP_INFO.unpack(self._accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size))
        acked, received, out, into = fields[34:38]
        return Carried(acked + received, out + into)

    async def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry everything to the broker and back."""
        self._accepted = writer.get_extra_info("socket")
        onward, outward = await asyncio.open_connection("127.0.0.1", self._target)
        self._pumps = [asyncio.ensure_future(pump(reader, outward)), asyncio.ensure_future(pump(onward, writer))]

    async def close(self) -> None:
        """Both sides are closed."""
        for each in self._pumps:
            each.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry until one side ends."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def counted(target: int) -> AsyncIterator[Wires]:
    """A door on a free port of 127.0.0.1 that leads to the port `target`."""
    wires = Wires(target)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES_MAX)
    wires.port = listening.getsockname()[1]
    server = await asyncio.start_server(wires.welcome, sock=listening)
    try:
        yield wires
    finally:
        server.close()
        await wires.close()
