"""Meters that answer over Modbus: a pymodbus server on TCP or a serial line, in this process or as a program.

    python -m tests.modbus_peer --port 5020 --device meter-1=1:schneider-iem3000 --readings readings.csv
    python -m tests.modbus_peer --serial /dev/pts/3 --device meter-1=1:eastron-sdm630

A device bears a name, an address and a template. With `--readings`, a CSV as replay sources read it
(at,device,meter,value), it says the latest value whose time has come; before the first, and where there is
none, 0. Without, all its meters count one unit a second. Both follow the wall clock alone, so that a peer
that was killed goes on where a real meter would be. It logs `event=listening` and `event=first_request`.
"""

import argparse
import asyncio
import bisect
import csv
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeAlias

from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_agent.sources.modbus_channel import Register
from edge_agent.sources.modbus_templates import Template, load_template

Server: TypeAlias = ModbusTcpServer | ModbusSerialServer
Values: TypeAlias = Callable[[str], Decimal]
"""What a meter of a device says now, in units."""
COUNTING_SINCE: Final = 1_790_000_000


@dataclass(slots=True)
class Unit:
    """A device on the bus: its words by function and address; `now` renews them before each answer."""

    id: int
    words: dict[tuple[int, int], int] = field(default_factory=dict)
    now: Callable[["Unit"], None] = lambda _: None
    error: ExcCodes | None = None
    """What it answers instead."""
    asked: int = 0
    largest: int = 0
    """The most registers that were asked for at once."""

    def put(self, function: int, address: int, words: Iterable[int]) -> None:
        """These words stand there."""
        for at, word in enumerate(words):
            self.words[function, address + at] = word

    async def answer(
        self, function: int, start: int, address: int, count: int, registers: list[int], written: object
    ) -> ExcCodes | None:
        """Fill in what is asked for, or say why not."""
        assert written is None, "metering never writes"
        self.asked += 1
        self.largest = max(self.largest, count)
        self.now(self)
        places = [(function, address + at) for at in range(count)]
        if self.error is not None:
            return self.error
        if any(place not in self.words for place in places):
            return ExcCodes.ILLEGAL_ADDRESS
        registers[address - start : address - start + count] = [self.words[place] for place in places]
        return None

    def simulated(self) -> SimDevice:
        """The same for pymodbus; it lays registers of both functions in one space."""
        addresses = sorted({address for _, address in self.words})
        blocks = [SimData(address, values=0, datatype=DataType.REGISTERS) for address in addresses]
        return SimDevice(id=self.id, simdata=blocks, action=self.answer)


def unit_of(unit_id: int, template: Template, values: Values, *, serial: int = 0) -> Unit:
    """A device of a template; its numbers come from `values` at each question."""
    channels = [channel.register("peer") for channel in template.channels.values()]

    def now(unit: Unit) -> None:
        for register in channels:
            unit.put(register.function, register.address, words_of(register, values(register.meter)))

    unit = Unit(unit_id, now=now)
    now(unit)
    plate = template.serial
    if plate is not None and plate.type == "text":
        raw = f"{serial:0{2 * plate.count}d}".encode("ascii")
        unit.put(plate.function, plate.address, struct.unpack(f">{plate.count}H", raw))
    elif plate is not None:
        unit.put(plate.function, plate.address, struct.unpack(">2H", serial.to_bytes(4)))
    return unit


def words_of(register: Register, units: Decimal) -> list[int]:
    """How a meter would send so many units."""
    layout = register.layout
    raw = units * layout.denominator / layout.numerator / Decimal(10) ** register.exponent
    if layout.type[0] == "f":
        data = struct.pack(">f" if layout.type == "f32" else ">d", float(raw))
    else:
        data = int(raw).to_bytes(2 * layout.count, signed=layout.type[0] == "s")
    words = [int.from_bytes(data[at : at + 2], layout.byte_order) for at in range(0, len(data), 2)]
    return words if layout.word_order == "big" else words[::-1]


async def serve(units: Iterable[Unit], *, port: int = 0, serial: str = "", rtu: bool = False) -> Server:
    """Listen, on 127.0.0.1 or on a serial line; `shutdown()` ends it."""
    devices = [unit.simulated() for unit in units]
    server: Server
    if serial:
        server = ModbusSerialServer(devices, port=serial, baudrate=9_600, framer=FramerType.RTU)
    else:
        framer = FramerType.RTU if rtu else FramerType.SOCKET
        server = ModbusTcpServer(devices, address=("127.0.0.1", port), framer=framer)
    await server.serve_forever(background=True)
    return server


def counting(_: str) -> Decimal:
    """One unit a second, for every meter."""
    return Decimal(int(time.time()) - COUNTING_SINCE)


def readings_of(path: Path) -> Mapping[str, Values]:
    """What each device of a CSV says at every moment."""
    series: dict[tuple[str, str], tuple[list[float], list[Decimal]]] = defaultdict(lambda: ([], []))
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            times, numbers = series[row["device"], row["meter"]]
            times.append(datetime.fromisoformat(row["at"]).timestamp())
            numbers.append(Decimal(row["value"]))

    def values_of(device: str) -> Values:
        def value(meter: str) -> Decimal:
            times, numbers = series.get((device, meter), ([], []))
            at = bisect.bisect_right(times, time.time())
            return numbers[at - 1] if at else Decimal(0)

        return value

    return {device: values_of(device) for device, _ in series}


def _units(options: argparse.Namespace) -> list[Unit]:
    read = readings_of(options.readings) if options.readings else {}
    units = []
    for text in options.device:
        name, _, rest = text.partition("=")
        number, _, template = rest.partition(":")
        values = read.get(name, (lambda _: Decimal(0)) if options.readings else counting)
        units.append(unit_of(int(number), load_template(template), values, serial=10_000_000 + int(number)))
    return units


async def _main(options: argparse.Namespace) -> None:
    units = _units(options)
    server = await serve(units, port=options.port, serial=options.serial, rtu=options.rtu)
    _say("listening")
    while not any(unit.asked for unit in units):  # noqa: ASYNC110 - the server's callbacks know nothing of events.
        await asyncio.sleep(0.005)
    _say("first_request")
    await server.serving


def _say(event: str) -> None:
    sys.stdout.write(f"event={event}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.modbus_peer", description=__doc__.splitlines()[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1")
    where.add_argument("--serial", default="", help="a serial line")
    parser.add_argument("--rtu", action="store_true", help="frames of a serial line over TCP")
    parser.add_argument("--device", action="append", required=True, metavar="NAME=UNIT:TEMPLATE")
    parser.add_argument("--readings", type=Path, metavar="CSV")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
