"""A Modbus server of counters: `python -m tests.bench.counters PORT FOLDER CHANNELS`, one unit a client.

Every counter is a u32 input register and counts one a second; once the file `silent` is in the folder none
answers. What each client was told is kept there: `UNIT.json` with the first value, the last, and how many.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

UNITS: Final = (1, 2, 3)
SINCE: Final = 1_790_000_000
WORDS: Final = 2
"""Registers of a counter."""


@dataclass(slots=True)
class Told:
    """What one client has been told."""

    first: int = 0
    last: int = 0
    readings: int = 0


class Meter:
    """The counters of one unit id."""

    def __init__(self, folder: Path, channels: int) -> None:
        self.told = Told()
        self._channels = channels
        self._silent = folder / "silent"

    async def answer(
        self, _function: int, start: int, address: int, count: int, registers: list[int], _written: object
    ) -> ExcCodes | None:
        """Every counter that is asked for says the same."""
        if self._silent.exists():
            return ExcCodes.DEVICE_BUSY
        value = int(time.time()) - SINCE
        words = (value >> 16, value & 0xFFFF)
        for at in range(address, address + count):
            registers[at - start] = words[at % WORDS]
        self.told.readings += count // WORDS
        self.told.first = self.told.first or value
        self.told.last = value
        return None

    def simulated(self, unit: int) -> SimDevice:
        """The same for pymodbus."""
        block = SimData(0, count=self._channels * WORDS, values=0, datatype=DataType.REGISTERS)
        return SimDevice(id=unit, simdata=[block], action=self.answer)


async def main(port: int, folder: Path, channels: int) -> None:
    """Serve, and write down what was told, until killed."""
    meters = {unit: Meter(folder, channels) for unit in UNITS}
    server = ModbusTcpServer([meter.simulated(unit) for unit, meter in meters.items()], address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    while True:
        await asyncio.sleep(0.2)
        for unit, meter in meters.items():
            new = folder / f"{unit}.new"
            new.write_text(json.dumps(asdict(meter.told)), encoding="ascii")
            new.replace(folder / f"{unit}.json")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
