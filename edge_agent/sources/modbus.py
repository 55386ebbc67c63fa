"""Meters on Modbus TCP, on a serial line (RTU), or on a serial line behind a network (RTU over TCP). Read-only.

Devices of one source share one connection and are asked one after the other. Each has its own time to
answer: one that is silent is absent, and asked again at growing intervals, so that it takes little of the
others' time. The source is down when nothing answers.

Frames of a serial line bear no number: an answer that comes too late would be taken for that to a later
request. After a silence a device is therefore left alone until what it may still send has passed.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from edge_agent.limits import READ_SECONDS_MAX
from edge_agent.reading import Reading, SourceDown
from edge_agent.sources.modbus_line import GATEWAY_SILENT, Line, LineDown, NoAnswer, Refused
from edge_agent.sources.modbus_plan import REGISTERS_MAX, Block, blocks_of
from edge_agent.sources.modbus_settings import TIMEOUT_SECONDS_MAX, ModbusDevice, ModbusSettings
from edge_agent.sources.modbus_templates import Plate
from edge_agent.sources.modbus_values import Unreadable, steps_of_registers
from shared.effects.clock import Clock

DEVICE_SECONDS_MAX: Final = 5.0
"""A device that needs longer for all its answers together is silent for this round."""
ROUND_SECONDS_MAX: Final = READ_SECONDS_MAX - DEVICE_SECONDS_MAX - TIMEOUT_SECONDS_MAX - 2.0
"""No further device is asked after this time in a round, so that the agent never gives up the whole source for one."""
SILENT_SECONDS_MAX: Final = 60.0
"""A silent device is asked at least so often."""
SILENT_TIMEOUTS: Final = 10
"""Among devices that answer, a silent one is next asked after so many times its timeout, doubled each time."""
LATE_TIMEOUTS: Final = 3
LATE_SECONDS_MIN: Final = 2.0
"""How long an answer may still be on its way on a serial line."""
SERIAL_SECONDS: Final = 10.0
"""A serial number is believed for so long: nobody exchanges a meter in less (P4)."""
FRAME_BITS: Final = 11 * 3.5
"""Of silence between two frames on a serial line. Source: Modbus over Serial Line V1.02, 2.5.1.1."""
_NEIGHBOURS_REFUSED: Final = (2, 3)
_LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class _Station:
    """A device while it is read."""

    settings: ModbusDevice
    blocks: list[Block]
    timeout: float
    pause: float
    plate: Plate | None
    serial: str
    serial_due_ms: int = 0
    silences: int = 0
    """In how many rounds in a row it did not answer."""
    ask_again_ms: int = 0
    """Before this moment it is asked only where nobody else answers."""
    late_until_ms: int = 0
    """Before this moment it is not asked at all: an old answer may still come."""
    why: str = "it was not asked yet"
    troubles: dict[str, str] = field(default_factory=dict)
    """Meters that answered with no value, and why."""

    @property
    def name(self) -> str:
        return f"{self.settings.device} (unit {self.settings.unit_id})"


class ModbusSource:
    """Reads all devices of one line or connection in turn."""

    def __init__(self, settings: ModbusSettings, clock: Clock) -> None:
        self.name = settings.name
        self.poll_seconds = settings.poll_seconds
        self._settings = settings
        self._clock = clock
        self._line = Line(settings)
        self._stations = [_station(settings, device) for device in settings.devices]
        self._asking = asyncio.Lock()
        self.channels = tuple(
            register.spec(device=device.device, source=settings.name, log=settings.log_of(device))
            for device in settings.devices
            for register in device.registers()
        )

    async def read(self) -> Sequence[Reading]:
        """What the devices say now; those that do not answer are absent. Raises SourceDown when none does."""
        async with self._asking:
            try:
                await self._line.open()
            except LineDown as error:
                raise SourceDown(str(error)) from error
            return await self._round()

    def absent(self) -> dict[str, str]:
        """Devices that did not answer the last time, and meters that had no value, each with the reason."""
        silent = {station.settings.device: station.why for station in self._stations if station.silences}
        return silent | {
            f"{station.settings.device}.{meter}": why
            for station in self._stations
            if not station.silences
            for meter, why in station.troubles.items()
        }

    async def close(self) -> None:
        """The connection is closed."""
        self._line.close()

    async def _round(self) -> list[Reading]:
        began_ms = self._clock.boot_ms()
        readings: list[Reading] = []
        answered = False
        for station in self._due(began_ms):
            if self._clock.boot_ms() - began_ms > ROUND_SECONDS_MAX * 1_000:
                break
            try:
                readings += await self._read(station)
            except NoAnswer as error:
                self._silent(station, str(error))
            except LineDown as error:
                self._line.close()
                if not answered:
                    raise SourceDown(str(error)) from error
                break
            else:
                answered = True
                self._answers(station)
        if not answered:
            # A connection that looks well and over which nobody answers may be a dead one.
            self._line.close()
            raise SourceDown(f"no device answers on {self._line.name}: {self._reasons()}")
        return readings

    def _due(self, now_ms: int) -> list[_Station]:
        """Those that answered last come first; silent ones when it is their time, or when nobody answers."""
        askable = [station for station in self._stations if station.late_until_ms <= now_ms]
        living = [station for station in askable if not station.silences]
        silent = [station for station in askable if station.silences and (station.ask_again_ms <= now_ms or not living)]
        return living + sorted(silent, key=lambda station: station.ask_again_ms)

    async def _read(self, station: _Station) -> list[Reading]:
        """Everything that the device has; raises NoAnswer where one request stays without answer.

        What was read before it is dropped: where answers are out of step, the last good one may be another's.
        """
        began_ms = self._clock.boot_ms()
        await self._read_plate(station)
        readings: list[Reading] = []
        troubles: dict[str, str] = {}
        for block in tuple(station.blocks):
            if self._clock.boot_ms() - began_ms > DEVICE_SECONDS_MAX * 1_000:
                raise NoAnswer(f"its answers take longer than {DEVICE_SECONDS_MAX:g} s together")
            readings += await self._read_block(station, block, troubles)
        self._tell_troubles(station, troubles)
        return readings

    async def _read_plate(self, station: _Station) -> None:
        """The serial number is known before the values are: a value never bears another meter's number (P4)."""
        plate = station.plate
        if plate is None or self._clock.boot_ms() < station.serial_due_ms:
            return
        try:
            words = await self._ask(station, plate.function, plate.address, plate.count)
        except Refused:
            station.plate = None  # It has no such register.
            return
        station.serial = plate.shown(words) or station.settings.serial
        station.serial_due_ms = self._clock.boot_ms() + int(SERIAL_SECONDS * 1_000)

    async def _read_block(self, station: _Station, block: Block, troubles: dict[str, str]) -> list[Reading]:
        try:
            words = await self._ask(station, block.function, block.address, block.count)
        except Refused as error:
            if error.code in _NEIGHBOURS_REFUSED and len(block.registers) > 1:
                return await self._read_alone(station, block, troubles)
            troubles |= {register.meter: str(error) for register in block.registers}
            return []
        at_ms = self._clock.boot_ms()
        readings: list[Reading] = []
        for register in block.registers:
            at = register.address - block.address
            try:
                value = steps_of_registers(words[at : at + register.layout.count], register.layout)
            except Unreadable as error:
                troubles[register.meter] = str(error)
                continue
            readings.append(
                Reading(
                    device=station.settings.device,
                    meter=register.meter,
                    value=value,
                    at_ms=at_ms,
                    serial=station.serial,
                )
            )
        return readings

    async def _read_alone(self, station: _Station, block: Block, troubles: dict[str, str]) -> list[Reading]:
        """A device that refuses neighbours together is asked for each alone from now on."""
        place = station.blocks.index(block)
        parts = block.split()
        station.blocks[place : place + 1] = parts
        return [reading for part in parts for reading in await self._read_block(station, part, troubles)]

    async def _ask(self, station: _Station, function: int, address: int, count: int) -> list[int]:
        if station.pause:
            await self._clock.sleep(station.pause)
        try:
            return await self._line.registers(
                unit_id=station.settings.unit_id,
                function=function,
                address=address,
                count=count,
                seconds=station.timeout,
            )
        except Refused as error:
            if error.code in GATEWAY_SILENT:
                raise NoAnswer(str(error)) from error
            raise

    def _silent(self, station: _Station, why: str) -> None:
        now_ms = self._clock.boot_ms()
        if not station.silences:
            _LOG.warning('event=device_down source=%s device=%s why="%s"', self.name, station.settings.device, why)
        waited = station.timeout * SILENT_TIMEOUTS * 2 ** min(station.silences, 10)
        station.ask_again_ms = now_ms + int(min(waited, SILENT_SECONDS_MAX) * 1_000 if station.silences else 0)
        if self._settings.rtu:
            station.late_until_ms = now_ms + int(max(station.timeout * LATE_TIMEOUTS, LATE_SECONDS_MIN) * 1_000)
        station.silences += 1
        station.why = why
        station.serial_due_ms = 0  # Another meter may be there when it answers again.

    def _answers(self, station: _Station) -> None:
        if station.silences:
            _LOG.info("event=device_up source=%s device=%s", self.name, station.settings.device)
        station.silences = 0

    def _tell_troubles(self, station: _Station, troubles: dict[str, str]) -> None:
        device = station.settings.device
        for meter in sorted(troubles.keys() - station.troubles.keys()):
            _LOG.warning(
                'event=channel_down source=%s channel=%s.%s why="%s"', self.name, device, meter, troubles[meter]
            )
        for meter in sorted(station.troubles.keys() - troubles.keys()):
            _LOG.info("event=channel_up source=%s channel=%s.%s", self.name, device, meter)
        station.troubles = troubles

    def _reasons(self) -> str:
        shown = [f"{station.name}: {station.why}" for station in self._stations[:4]]
        more = len(self._stations) - len(shown)
        return "; ".join(shown) + (f"; and {more} more" if more else "")


def _station(settings: ModbusSettings, device: ModbusDevice) -> _Station:
    template = device.known()
    given_ms = device.pause_ms if device.pause_ms is not None else (template.pause_ms if template else 0)
    frame = FRAME_BITS / settings.baud_rate if settings.serial_port is not None else 0.0
    most = device.registers_max or (REGISTERS_MAX if template is None else template.registers_max)
    return _Station(
        settings=device,
        blocks=list(blocks_of(device.registers(), registers_max=most)),
        timeout=device.timeout_seconds or settings.timeout_seconds,
        pause=max(frame, given_ms / 1_000 if settings.rtu else 0.0),
        plate=None if template is None else template.serial,
        serial=device.serial,
    )
