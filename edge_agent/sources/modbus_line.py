"""A bus or connection to Modbus devices: opened when it is needed, asked for registers, and for nothing else.

pymodbus speaks the protocol; it is imported when a line is opened first. Here stands what metering needs
beyond it: a time limit for each request, answers that do not fit what was asked refused, and a sentence
for every reason. Two functions of the library are called, and both read.
"""

import asyncio
import logging
import os
import socket
from typing import TYPE_CHECKING, Final, TypeAlias

from edge_agent.limits import READ_SECONDS_MAX
from edge_agent.sources.modbus_settings import ModbusSettings
from edge_agent.words import to_install
from shared.errors import MetersealError

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

    Client: TypeAlias = AsyncModbusTcpClient | AsyncModbusSerialClient

CONNECT_SECONDS: Final = 5.0
NO_LIBRARY: Final = f"the library pymodbus is missing: {to_install('modbus')}"
GATEWAY_SILENT: Final = (0x0A, 0x0B)
"""A gateway's answers for a device behind it that cannot be reached."""
_MEANINGS: Final = {
    1: "it does not know this function (exception 1)",
    2: "it has no such register (exception 2)",
    3: "it does not answer so many registers at once (exception 3)",
    4: "it failed (exception 4)",
    5: "it needs longer (exception 5)",
    6: "it is busy (exception 6)",
    0x0A: "the gateway has no way to it (exception 10)",
    0x0B: "the gateway got no answer from it (exception 11)",
}


class LineDown(MetersealError):
    """The line or connection cannot be used."""


class NoAnswer(MetersealError):
    """The device did not answer in time, or what came was no answer to the request."""


class Refused(MetersealError):
    """The device answered that it cannot answer."""

    def __init__(self, code: int) -> None:
        super().__init__(_MEANINGS.get(code, f"it refused with exception {code}"))
        self.code = code


class Line:
    """One connection; requests on it follow one another."""

    def __init__(self, settings: ModbusSettings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._limit: asyncio.Timeout | None = None
        """Of the request that waits for its answer."""

    @property
    def name(self) -> str:
        """Where it leads."""
        settings = self._settings
        return str(settings.serial_port) if settings.host is None else f"{settings.host}:{settings.port}"

    async def open(self) -> None:
        """It stands; raises LineDown with the reason why it does not."""
        if self._client is not None and self._client.connected:
            return
        self.close()
        client = self._new()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                stands = await client.connect()
        except TimeoutError:
            stands = False
        if not stands:
            client.close()
            raise LineDown(await self._why())
        self._client = client

    async def registers(self, *, unit_id: int, function: int, address: int, count: int, seconds: float) -> list[int]:
        """What stands in these registers; raises NoAnswer, Refused or LineDown."""
        from pymodbus.exceptions import ConnectionException, ModbusException  # noqa: PLC0415 - see above.

        client = self._client
        if client is None or not client.connected:
            raise LineDown(f"the connection with {self.name} was lost")
        read = client.read_holding_registers if function == 3 else client.read_input_registers
        try:
            async with asyncio.timeout(seconds) as self._limit:
                answer = await read(address, count=count, device_id=unit_id)
        except TimeoutError:
            if not client.connected:
                raise LineDown(f"the connection with {self.name} was lost") from None
            raise NoAnswer(f"no answer within {seconds:g} s") from None
        except ConnectionException as error:
            raise LineDown(f"the connection with {self.name} was lost") from error
        except ModbusException as error:
            raise NoAnswer(f"no answer that can be read: {error}") from error
        finally:
            self._limit = None
        if answer.isError():
            raise Refused(int(answer.exception_code))
        if answer.function_code != function or len(answer.registers) != count:
            # A late answer to another request, on a line whose frames bear no number.
            raise NoAnswer(f"{len(answer.registers)} registers came where {count} were asked for")
        return list(answer.registers)

    def close(self) -> None:
        """The line is free for others."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _new(self) -> "Client":
        try:
            from pymodbus import FramerType  # noqa: PLC0415 - only where it is configured.
            from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient  # noqa: PLC0415
        except ImportError as error:
            raise LineDown(NO_LIBRARY) from error
        # What it says of single frames is said better by our own events.
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
        # Its own time limit is never reached: each request here has one, and whoever asks decides when to ask again.
        settings = self._settings
        if settings.host is not None:
            client: Client = AsyncModbusTcpClient(
                settings.host,
                port=settings.port,
                framer=FramerType.SOCKET if settings.framing == "tcp" else FramerType.RTU,
                timeout=READ_SECONDS_MAX,
                retries=0,
                reconnect_delay=0,
                trace_connect=self._stands,
            )
        else:
            client = AsyncModbusSerialClient(
                str(settings.serial_port),
                baudrate=settings.baud_rate,
                parity=settings.parity[0].upper(),
                stopbits=settings.stop_bits,
                timeout=READ_SECONDS_MAX,
                retries=0,
                reconnect_delay=0,
                trace_connect=self._stands,
            )
        return client

    def _stands(self, up: bool) -> None:  # noqa: FBT001 - the library calls it so.
        """Nobody waits for an answer on a connection that was lost: the library would."""
        if not up and self._limit is not None:
            self._limit.reschedule(0)

    async def _why(self) -> str:
        """Why it cannot be opened: the library keeps that to itself, so it is tried once more by hand."""
        settings = self._settings
        if settings.host is None:
            try:
                os.close(os.open(str(settings.serial_port), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
            except PermissionError:
                return f"{self.name} may not be opened: add the agent's user to the group dialout"
            except OSError as error:
                return f"{self.name} cannot be opened: {error.strerror}"
            return f"{self.name} cannot be opened: is another program using it, or is it no serial line?"
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(settings.host, settings.port)
        except TimeoutError:
            return f"{self.name} does not answer: check address, cable and firewall"
        except socket.gaierror:
            return f"the name {settings.host} cannot be resolved: check its spelling and the DNS"
        except OSError as error:
            return f"{self.name} cannot be reached: {os.strerror(error.errno) if error.errno else error}"
        writer.close()
        return f"{self.name} let nobody in at first, and then did"
