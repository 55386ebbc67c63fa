"""Which devices answer on a Modbus line, and which of the known meters they are: by what they say of themselves."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final, Literal

from edge_agent.display import on_display
from edge_agent.installer.proposal import Found, Options, name
from edge_agent.sources.modbus_channel import Register
from edge_agent.sources.modbus_line import GATEWAY_SILENT, Line, LineDown, NoAnswer, Refused
from edge_agent.sources.modbus_settings import ModbusDevice, ModbusSettings
from edge_agent.sources.modbus_templates import Plate, Template, list_templates
from edge_agent.sources.modbus_values import Unreadable, steps_of_registers

PAUSE_SECONDS: Final = 0.05
"""The silence before each question: some meters need it."""
KNOCKS: Final = ((3, 0, 2), (4, 0, 2))
"""Whoever is there answers one of these, be it that it has no such register."""
FAILED: Final = 4
Place = tuple[int, int, int]
"""Function, address, count."""


class Unit:
    """One address on the line; what was asked once is remembered."""

    def __init__(self, line: Line, unit_id: int, seconds: float) -> None:
        self._line = line
        self._seconds = seconds
        self._said: dict[Place, list[int] | None] = {}
        self.id: Final = unit_id
        self.failing = False
        """Whether it answered that it failed: so do some gateways for who is not there."""

    async def there(self, knocks: Iterable[Place] = KNOCKS) -> bool:
        """Whether something answers here; raises LineDown."""
        refused = False
        for place in knocks:
            try:
                await self._ask(place)
            except Refused as error:
                if error.code in GATEWAY_SILENT:
                    return False
                refused = True
                self.failing = error.code == FAILED
            except NoAnswer:
                continue
            else:
                return True
        return refused

    async def words(self, place: Place) -> list[int] | None:
        """What stands there, or None; raises LineDown."""
        if place not in self._said:
            try:
                self._said[place] = await self._ask(place)
            except (NoAnswer, Refused):
                self._said[place] = None
        return self._said[place]

    async def _ask(self, place: Place) -> list[int]:
        await asyncio.sleep(PAUSE_SECONDS)
        function, address, count = place
        return await self._line.registers(
            unit_id=self.id, function=function, address=address, count=count, seconds=self._seconds
        )


def line_of(where: Options, seconds: float) -> ModbusSettings:
    """The settings of a line that is scanned, as a source would have them."""
    anything = ModbusDevice(device="probe", template=list_templates()[0].name)
    return ModbusSettings(**where, timeout_seconds=seconds, devices=(anything,))


async def scan(where: Options, units: Iterable[int], seconds: float) -> AsyncIterator[Found | int]:
    """Each address when it was looked at, and what was found there; raises LineDown."""
    settings = line_of(where, seconds)
    line = Line(settings)
    await line.open()
    try:
        for number in units:
            unit = Unit(line, number, seconds)
            if await unit.there():
                found = await _found(unit, where, line.name)
                if "template" in found.entry or not unit.failing:
                    yield found
            yield number
    finally:
        line.close()


async def _found(unit: Unit, where: Options, shown: str) -> Found:
    certain, possible = [], []
    for template in list_templates():
        said = await _plate(unit, template.identity)
        if template.identity is not None and template.identity.known and said is not None:
            certain.append(template)
        elif await _energy(unit, template) is not None and (
            template.serial is None or await _plate(unit, template.serial)
        ):
            possible.append(template)
    source = {"type": "modbus", "name": name(f"modbus-{shown.rpartition('/')[2]}")} | dict(where)
    at = f"{shown} unit {unit.id}"
    if not certain:
        guesses = ", ".join(each.name for each in possible)
        entry = {"device": f"unit-{unit.id}", "unit_id": unit.id} | ({"template": possible[0].name} if possible else {})
        known = f"may be {guesses}: look at its plate" if possible else "is none of the meters that are known by name"
        what = f"answers, and {known}"
        return Found(where=at, what=what, sure=False, source=source, list_name="devices", entry=entry)
    template = certain[0]
    serial = await _plate(unit, template.serial) or ""
    device = name(f"{template.name}-{serial or unit.id}")
    entry = {"device": device, "unit_id": unit.id, "template": template.name}
    what = f"{template.maker} {template.models[0]}{f', serial number {serial}' if serial else ''}"
    reads = await _energy(unit, template) or ""
    return Found(where=at, what=what, reads=reads, source=source, list_name="devices", entry=entry)


async def _plate(unit: Unit, plate: Plate | None) -> str | None:
    """What the plate says, where it says what a device of its template may say."""
    if plate is None:
        return None
    words = await unit.words((plate.function, plate.address, plate.count))
    said = "" if words is None else plate.shown(words)
    return said if said and plate.fits(said) else None


async def _energy(unit: Unit, template: Template) -> str | None:
    """What its first meter reads, as its display shows it."""
    register: Register = template.channels[template.meters[0]].register("probe")
    words = await unit.words((register.function, register.address, register.layout.count))
    if words is None:
        return None
    try:
        steps = steps_of_registers(words, register.layout)
    except Unreadable:
        return None
    return f"{template.meters[0]} {on_display(steps, register.unit, register.exponent)}" if steps >= 0 else None


def serial_line(port: object, baud: int, parity: Literal["none", "even", "odd"]) -> Options:
    """A serial line's options, what is default left out."""
    options: dict[str, object] = {"serial_port": str(port)}
    if baud != 9_600:
        options["baud_rate"] = baud
    if parity != "none":
        options["parity"] = parity
    return options


__all__ = ["LineDown", "line_of", "scan", "serial_line"]
