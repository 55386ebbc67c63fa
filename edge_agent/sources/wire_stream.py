"""Bytes from and to a serial device, or a TCP port behind which one lies (ser2net, ESP bridges).

A stream that is closed is opened again by `open`; every failure is a SourceDown that says what to look at.
"""

import asyncio
import os
import socket
import termios
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from edge_agent.invalid import InvalidSetting, require_within
from edge_agent.reading import SourceDown
from edge_agent.words import to_install

READ_BYTES_MAX: Final = 4_096
CONNECT_SECONDS_MAX: Final = 10.0
BAUD_RATES: Final = (300, 600, 1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200, 230_400)
_HOST_CHARS_MAX: Final = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class WireSettings:
    """Where the bytes come from: exactly one of `serial_port` and `host`."""

    serial_port: Path | None = None
    """A serial device; /dev/serial/by-id/… stays the same when devices are plugged in another order."""
    baud_rate: int = 9_600
    """The serial device's speed; over TCP the other side has set it."""
    host: str | None = None
    """A name or address at which the serial line is served over TCP."""
    port: int | None = None
    """Its TCP port."""


def require_wire(settings: WireSettings) -> None:
    """Exactly one place is named, and whole."""
    if (settings.serial_port is None) == (settings.host is None):
        raise InvalidSetting("serial_port", "or host must be given, exactly one of them")
    if settings.baud_rate not in BAUD_RATES:
        known = ", ".join(map(str, BAUD_RATES))
        raise InvalidSetting("baud_rate", f"must be one of {known}, this is {settings.baud_rate}")
    if settings.host is None:
        return
    if not 0 < len(settings.host) <= _HOST_CHARS_MAX:
        raise InvalidSetting("host", "must be a name or an address")
    if settings.port is None:
        raise InvalidSetting("port", "is needed beside host")
    require_within("port", settings.port, 1, 65_535)


class WireStream:
    """One line to a meter, open or closed."""

    def __init__(self, settings: WireSettings, *, parity: Literal["none", "even"] = "none") -> None:
        self._settings = settings
        self._parity = parity
        self._wire: _Serial | _Tcp | None = None

    @property
    def name(self) -> str:
        """The place in words: a device's path, or host and port."""
        settings = self._settings
        return str(settings.serial_port) if settings.serial_port is not None else f"{settings.host}:{settings.port}"

    @property
    def serial(self) -> bool:
        """Whether this side sets the speed."""
        return self._settings.serial_port is not None

    async def open(self) -> None:
        """The stream is open anew; raises SourceDown."""
        self.close()
        settings = self._settings
        if settings.serial_port is not None:
            self._wire = _Serial(settings.serial_port, settings.baud_rate, self._parity)
        else:
            assert settings.host is not None
            assert settings.port is not None
            self._wire = await _tcp(settings.host, settings.port)

    async def read(self) -> bytes:
        """The next bytes, at least one; raises SourceDown where no more will come."""
        return await self._opened().read()

    async def write(self, data: bytes) -> None:
        """The bytes are handed to the line; raises SourceDown."""
        await self._opened().write(data)

    def set_baud(self, baud: int) -> None:
        """A serial device's speed is another from now on."""
        if isinstance(self._wire, _Serial):
            self._wire.set_baud(baud)

    def close(self) -> None:
        """What was open is let go of."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _opened(self) -> "_Serial | _Tcp":
        if self._wire is None:
            raise SourceDown(f"{self.name} is closed")
        return self._wire


class _Serial:
    """A serial device through pyserial, which knows its settings; bytes go past it without blocking."""

    def __init__(self, path: Path, baud: int, parity: Literal["none", "even"]) -> None:
        try:
            import serial  # noqa: PLC0415 - a gateway without a serial device does without the library.
        except ImportError as error:
            raise SourceDown(f"{path} needs pyserial: {to_install('serial')}") from error
        self._path = path
        try:
            self._device: Any = serial.Serial(
                str(path), baud, parity="E" if parity == "even" else "N", timeout=0, exclusive=True
            )
            if parity == "even":
                _drop_wrong_parity(self._device.fileno())
        except (OSError, ValueError, termios.error) as error:
            _cannot_open(path, error)

    async def read(self) -> bytes:
        if data := self._now():
            return data
        loop = asyncio.get_running_loop()
        await _ready(self._device.fileno(), loop.add_reader, loop.remove_reader)
        if data := self._now():
            return data
        # Ready, and nothing to read: that is how a device says that it was pulled out.
        raise SourceDown(f"{self._path} is gone: look at the adapter's plug")

    def _now(self) -> bytes:
        try:
            return os.read(self._device.fileno(), READ_BYTES_MAX)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise SourceDown(f"{self._path} is gone ({error.strerror}): look at the adapter's plug") from error

    async def write(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        descriptor = self._device.fileno()
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:
                await _ready(descriptor, loop.add_writer, loop.remove_writer)
            except OSError as error:
                raise SourceDown(f"{self._path} takes no bytes: {error.strerror}") from error

    def set_baud(self, baud: int) -> None:
        try:
            self._device.baudrate = baud
        except (OSError, ValueError, termios.error) as error:
            raise SourceDown(f"{self._path} cannot be set to {baud} baud: {error}") from error

    def close(self) -> None:
        with suppress(OSError, termios.error):
            self._device.close()


class _Tcp:
    """A TCP connection."""

    def __init__(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._name = name
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        try:
            data = await self._reader.read(READ_BYTES_MAX)
        except OSError as error:
            raise SourceDown(f"{self._name} broke the connection: {error.strerror or error}") from error
        if not data:
            raise SourceDown(f"{self._name} ended the connection; does another program hold the line?")
        return data

    async def write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise SourceDown(f"{self._name} takes no bytes: {error.strerror or error}") from error

    def close(self) -> None:
        self._writer.transport.abort()


async def _tcp(host: str, port: int) -> _Tcp:
    name = f"{host}:{port}"
    try:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            reader, writer = await asyncio.open_connection(host, port, limit=READ_BYTES_MAX)
    except TimeoutError as error:
        raise SourceDown(f"{name} does not answer within {CONNECT_SECONDS_MAX:.0f} s: is the bridge on?") from error
    except OSError as error:
        raise SourceDown(f"{name} cannot be reached: {error.strerror or error}; is the bridge on?") from error
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return _Tcp(name, reader, writer)


async def _ready(descriptor: int, add: Callable[..., object], remove: Callable[[int], object]) -> None:
    waiting = asyncio.get_running_loop().create_future()
    add(descriptor, lambda: None if waiting.done() else waiting.set_result(None))
    try:
        await waiting
    finally:
        remove(descriptor)


def _drop_wrong_parity(descriptor: int) -> None:
    # pyserial leaves the check of incoming parity off; with it on, a byte with a wrong one is dropped.
    attributes = termios.tcgetattr(descriptor)
    attributes[0] |= termios.INPCK | termios.IGNPAR
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


def _cannot_open(path: Path, error: Exception) -> NoReturn:
    if not path.exists():
        advice = "it is not there: look at the adapter's plug, and for its name in /dev/serial/by-id"
    elif not os.access(path, os.R_OK | os.W_OK):
        advice = "this user may not: add it to the group that owns the device, mostly dialout, and start again"
    elif "lock" in str(error).lower():
        advice = "another program holds it"
    else:
        advice = str(error)
    raise SourceDown(f"{path} cannot be opened: {advice}") from error
