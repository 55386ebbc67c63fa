"""Modbus against real peers: pymodbus servers over TCP, RTU over TCP and a pseudo-terminal, with faults on the wire."""

import asyncio
import contextlib
import logging
import random
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal, TypeAlias

import pytest
from pymodbus.constants import ExcCodes

from edge_agent.reading import Reading, SourceDown
from edge_agent.sources.modbus import LATE_TIMEOUTS, ModbusSource
from edge_agent.sources.modbus_channel import ModbusChannel
from edge_agent.sources.modbus_line import NO_LIBRARY
from edge_agent.sources.modbus_settings import TIMEOUT_SECONDS_MAX, ModbusDevice, ModbusSettings
from edge_agent.sources.modbus_templates import load_template
from shared.effects.clock import SystemClock
from tests.faulty_wire import Fault, Wire, cut, flipped, lost, serial_line, tcp_wire, torn
from tests.modbus_peer import Unit, serve, unit_of
from tests.processes import Process, free_port

Way: TypeAlias = Literal["tcp", "rtu-over-tcp", "serial"]
WAYS: Final = ["tcp", pytest.param("rtu-over-tcp", marks=pytest.mark.deep), "serial"]
"""The frames of the one between are those of the serial line: a release is judged by it too."""
TIMEOUT: Final = 0.15
SDM: Final = load_template("eastron-sdm630")
IEM: Final = load_template("schneider-iem3000")


class Ahead(SystemClock):
    """The real clock, moved on by hand over waits that nobody needs to sit through."""

    ahead_ms: int = 0

    def boot_ms(self) -> int:
        return super().boot_ms() + self.ahead_ms


class Bus:
    """A source, the wire that it asks over, and its clock."""

    def __init__(self, source: ModbusSource, wire: Wire, clock: Ahead) -> None:
        self.source, self.wire, self.clock = source, wire, clock

    async def read(self) -> dict[str, int]:
        """What can be read now, by channel."""
        return values(await self.source.read())

    async def down(self) -> str:
        """The sentence of a source that cannot be read."""
        with pytest.raises(SourceDown) as caught:
            await self.source.read()
        return str(caught.value)

    def later(self, seconds: float = 120) -> None:
        """That much time passes."""
        self.clock.ahead_ms += int(seconds * 1_000)


def values(readings: Sequence[Reading]) -> dict[str, int]:
    return {f"{reading.device}.{reading.meter}": reading.value for reading in readings}


@asynccontextmanager
async def bus(
    way: Way, units: Sequence[Unit], *devices: ModbusDevice, answer_seconds: float = TIMEOUT
) -> AsyncIterator[Bus]:
    clock = Ahead()
    async with contextlib.AsyncExitStack() as stack:
        if way == "serial":
            line = await stack.enter_async_context(serial_line())
            server = await serve(units, serial=line.peer)
            wire = line.wire
            settings = ModbusSettings(serial_port=Path(wire.where), timeout_seconds=answer_seconds, devices=devices)
        else:
            port = free_port()
            server = await serve(units, port=port, rtu=way != "tcp")
            wire = await stack.enter_async_context(tcp_wire(port, rtu=way != "tcp"))
            settings = ModbusSettings(
                host="127.0.0.1",
                port=int(wire.where),
                framing="tcp" if way == "tcp" else "rtu",
                timeout_seconds=answer_seconds,
                devices=devices,
            )
        source = ModbusSource(settings, clock)
        try:
            yield Bus(source, wire, clock)
        finally:
            await source.close()
            await server.shutdown()  # type: ignore[no-untyped-call, unused-ignore]
            await asyncio.sleep(0.01)


def constant(template: str, unit_id: int, *, serial: int = 4_711) -> Unit:
    """A device whose every meter says another number: 1000 times the unit, and its place among the meters."""
    found = load_template(template)
    places = {meter: at for at, meter in enumerate(found.channels)}
    return unit_of(unit_id, found, lambda meter: Decimal(1_000 * unit_id + places[meter]) * 100, serial=serial)


def expected(device: ModbusDevice) -> dict[str, int]:
    found = device.known()
    assert found is not None
    places = {meter: at for at, meter in enumerate(found.channels)}
    return {
        f"{device.device}.{register.meter}": (1_000 * device.unit_id + places[register.meter])
        * 100
        // 10**register.exponent
        for register in device.registers()
    }


def device(template: str, unit_id: int, *meters: str) -> ModbusDevice:
    return ModbusDevice(device=f"d{unit_id}", template=template, unit_id=unit_id, meters=meters)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("template", ["eastron-sdm630", "schneider-iem3000", "carlo-gavazzi-ex3x0", "orno-or-we-514"])
async def test_every_meter_of_a_template_is_read_with_its_serial_number(way: Way, template: str) -> None:
    whole = device(template, 1, *load_template(template).channels)
    unit = constant(template, 1)
    async with bus(way, [unit], whole) as it:
        readings = await it.source.read()
    assert values(readings) == expected(whole)
    serial = load_template(template).serial
    shown = "" if serial is None else {"number": "4711", "hex": "00001267", "text": "00000000004711"}[serial.type]
    assert {reading.serial for reading in readings} == {shown}
    assert unit.largest <= load_template(template).registers_max


@pytest.mark.parametrize("way", WAYS)
async def test_a_dead_unit_never_stops_the_others(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    """P3: it is absent, and named once; it is back as soon as it answers."""
    caplog.set_level(logging.INFO)
    living, dead, other = (device("eastron-sdm120", unit) for unit in (1, 2, 3))
    units = [constant("eastron-sdm120", unit) for unit in (1, 2, 3)]
    async with bus(way, units, living, dead, other) as it:
        both = expected(living) | expected(other)
        it.wire.faults[2] = lost
        for _ in range(3):
            assert await it.read() == both
        asked = it.wire.answers
        for _ in range(5):
            assert await it.read() == both
        assert it.wire.answers == asked + 10, "nothing is asked of it while it is silent"
        assert it.source.absent() == {"d2": f"no answer within {TIMEOUT} s"}
        assert caplog.text.count("event=device_down") == 1
        assert f'device=d2 why="no answer within {TIMEOUT} s"' in caplog.text
        it.later()
        it.wire.faults.clear()
        assert await it.read() == both | expected(dead)
        assert "event=device_up source=modbus device=d2" in caplog.text
        assert it.source.absent() == {}


@pytest.mark.parametrize("way", WAYS)
async def test_the_source_is_down_when_nothing_answers(way: Way) -> None:
    async with bus(
        way, [constant("eastron-sdm120", 1)], device("eastron-sdm120", 1), device("eastron-sdm120", 2)
    ) as it:
        it.wire.faults = {1: lost, 2: lost}
        said = await it.down()
        assert said.startswith("no device answers on ")
        assert f"d1 (unit 1): no answer within {TIMEOUT} s; d2 (unit 2): " in said
        it.later()
        it.wire.faults.clear()
        assert await it.read() == expected(device("eastron-sdm120", 1))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", [cut, flipped])
async def test_what_is_not_whole_is_not_read(way: Way, fault: Fault) -> None:
    """P1: a serial line's frames bear a checksum; over TCP it is the network that keeps bits."""
    if fault is flipped and way == "tcp":
        pytest.skip("Modbus TCP has no checksum of its own")
    async with bus(
        way,
        [constant("eastron-sdm120", 1), constant("eastron-sdm120", 2)],
        device("eastron-sdm120", 1),
        device("eastron-sdm120", 2),
    ) as it:
        it.wire.faults[1] = fault
        for _ in range(3):
            assert await it.read() == expected(device("eastron-sdm120", 2))
            it.later()
        it.wire.faults.clear()
        assert len(await it.read()) == 4


@pytest.mark.parametrize("way", WAYS)
async def test_a_frame_in_two_pieces_is_one_frame(way: Way) -> None:
    async with bus(way, [constant("eastron-sdm630", 1)], device("eastron-sdm630", 1, *SDM.channels)) as it:
        it.wire.faults[1] = torn
        assert await it.read() == expected(device("eastron-sdm630", 1, *SDM.channels))


@pytest.mark.parametrize("way", WAYS)
async def test_a_late_answer_is_never_taken_for_another(way: Way) -> None:
    """P1: requests of one size for different meters, answered after their time, by a device of changing mood."""
    slow = device("eastron-sdm630", 1, "energy", "energy_total")
    units = [constant("eastron-sdm630", 1), constant("eastron-sdm120", 2)]
    good = expected(slow) | expected(device("eastron-sdm120", 2))
    seen = 0
    async with bus(way, units, slow, device("eastron-sdm120", 2)) as it:
        assert await it.read() == good
        draw = random.Random(f"mood {way}")
        moods = (0.05, 0.1, 0.1, 0.2, 0.2, 0.3, 0.4, 0.6, 1.1, 1.3, 1.6, 2.4)
        it.wire.faults[1] = lambda answer: [(draw.choice(moods) * TIMEOUT, answer)]
        for _ in range(40):
            try:
                found = await it.read()
            except SourceDown:
                found = {}
            assert found.items() <= good.items()
            seen += len(found.keys() & expected(slow).keys())
            if draw.random() < 0.3:
                # As much as it may be late is waited for in truth, the rest of the source's patience is not.
                await asyncio.sleep(TIMEOUT * LATE_TIMEOUTS)
                it.later()
            else:
                it.later(TIMEOUT)
    assert seen > 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("code", "why"),
    [
        (ExcCodes.DEVICE_FAILURE, "it failed (exception 4)"),
        (ExcCodes.ILLEGAL_FUNCTION, "it does not know this function"),
    ],
)
async def test_a_refusal_is_said_for_each_meter(
    way: Way, code: ExcCodes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    units = [constant("eastron-sdm120", 1), constant("eastron-sdm120", 2)]
    async with bus(way, units, device("eastron-sdm120", 1), device("eastron-sdm120", 2)) as it:
        units[0].error = code
        assert await it.read() == expected(device("eastron-sdm120", 2))
        assert f'channel=d1.energy why="{why}' in caplog.text
        units[0].error = None
        assert len(await it.read()) == 4


async def test_a_gateway_without_a_way_to_a_device_is_a_silent_device(caplog: pytest.LogCaptureFixture) -> None:
    units = [constant("eastron-sdm120", 1), constant("eastron-sdm120", 2)]
    async with bus("tcp", units, device("eastron-sdm120", 1), device("eastron-sdm120", 2)) as it:
        units[0].error = ExcCodes.GATEWAY_NO_RESPONSE
        assert await it.read() == expected(device("eastron-sdm120", 2))
        assert 'event=device_down source=modbus device=d1 why="the gateway got no answer from it' in caplog.text


@pytest.mark.parametrize("way", WAYS)
async def test_one_register_that_is_missing_costs_its_neighbours_nothing(way: Way) -> None:
    wanted = device("eastron-sdm120", 1, "energy", "energy_export", "energy_reactive")
    unit = constant("eastron-sdm120", 1)
    unit.now = lambda _: None
    for address in (74, 75):
        del unit.words[4, address]
    async with bus(way, [unit], wanted) as it:
        first = await it.read()
        assert first == {name: value for name, value in expected(wanted).items() if name != "d1.energy_export"}
        asked = it.wire.answers
        assert await it.read() == first
        assert it.wire.answers == asked + 3, "each alone, and none of them twice"


async def test_a_device_that_answers_slowly_many_times_is_silent_for_the_round() -> None:
    """P8: each answer is in time, and all together would keep the others waiting."""
    wordy = ModbusDevice(
        device="d1",
        channels=tuple(
            ModbusChannel(meter=f"m{at}", unit="W.h", address=3 * at, type="u16", rate_max=1) for at in range(9)
        ),
    )
    unit = Unit(1)
    for at in range(9):
        unit.put(3, 3 * at, [at])
    # Long enough that no answer is asked for twice, however busy the machine is.
    units = [unit, constant("eastron-sdm120", 2)]
    async with bus("tcp", units, wordy, device("eastron-sdm120", 2), answer_seconds=TIMEOUT_SECONDS_MAX) as it:
        assert len(await it.read()) == 11
        moments = iter(range(1_000))

        def slow(answer: bytes) -> list[tuple[float, bytes]]:
            next(moments)
            it.later(1.1)
            return [(0.0, answer)]

        it.wire.faults[1] = slow
        assert await it.read() == expected(device("eastron-sdm120", 2))
        assert next(moments) == 5, "after five seconds it is asked no more"
        assert it.source.absent() == {"d1": "its answers take longer than 5 s together"}


async def test_nothing_is_asked_beyond_what_a_device_answers_at_once() -> None:
    channels = tuple(
        ModbusChannel(meter=f"m{at}", unit="W.h", address=2 * at, type="u32", rate_max=1) for at in range(30)
    )
    unit = Unit(1)
    unit.put(3, 0, [word for at in range(30) for word in (0, at)])
    narrow = ModbusDevice(device="d", registers_max=9, channels=channels)
    async with bus("tcp", [unit], narrow) as it:
        assert await it.read() == {f"d.m{at}": at for at in range(30)}
    assert (unit.largest, unit.asked) == (8, 8)


async def test_a_value_that_stands_for_none_is_absent_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    unit = constant("eastron-sdm120", 1)
    unit.now = lambda _: None
    unit.put(4, 72, [0x7FC0, 0])
    async with bus("tcp", [unit], device("eastron-sdm120", 1)) as it:
        assert set(await it.read()) == {"d1.energy_export"}
        assert it.source.absent() == {"d1.energy": "holds nan, which is no number"}
        assert 'event=channel_down source=modbus channel=d1.energy why="holds nan, which is no number"' in caplog.text
        unit.put(4, 72, [0x4500, 0])
        assert set(await it.read()) == {"d1.energy", "d1.energy_export"}
        assert "event=channel_up source=modbus channel=d1.energy" in caplog.text


@pytest.mark.parametrize("way", WAYS)
async def test_a_meter_that_was_exchanged_says_its_own_number_with_its_first_value(way: Way) -> None:
    """P4: the number is read again after a silence, and every ten seconds."""
    old, new = constant("eastron-sdm120", 1, serial=1), constant("eastron-sdm120", 1, serial=2)
    async with bus(way, [old], device("eastron-sdm120", 1)) as it:
        assert {reading.serial for reading in await it.source.read()} == {"1"}
        old.words = new.words
        assert {reading.serial for reading in await it.source.read()} == {"1"}
        it.later(10)
        assert {reading.serial for reading in await it.source.read()} == {"2"}
        old.put(3, 0xFC00, [0, 3])
        it.wire.faults[1] = lost
        await it.down()
        it.wire.faults.clear()
        it.later(5)
        assert {reading.serial for reading in await it.source.read()} == {"3"}


async def test_a_device_without_the_register_of_its_number_is_read_all_the_same() -> None:
    unit = constant("eastron-sdm120", 1)
    for address in (0xFC00, 0xFC01):
        del unit.words[3, address]
    known = ModbusDevice(device="d1", template="eastron-sdm120", serial="on-its-label")
    async with bus("tcp", [unit], known) as it:
        assert {reading.serial for reading in await it.source.read()} == {"on-its-label"}


def peer(port: int, folder: Path) -> Process:
    """The peer as a program of its own."""
    arguments = [sys.executable, "-m", "tests.modbus_peer", "--port", str(port), "--device", "d1=1:schneider-iem3000"]
    return Process("peer", arguments, folder / "peer.log")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - it looks at another process.
            await asyncio.sleep(0.02)


async def test_a_server_that_was_killed_is_read_again_when_it_is_back(tmp_path: Path) -> None:
    """P8: without a hand, and each state in a sentence."""
    port = free_port()
    process = peer(port, tmp_path)
    settings = ModbusSettings(
        host="127.0.0.1", port=port, timeout_seconds=5.0, devices=(device("schneider-iem3000", 1),)
    )
    source = ModbusSource(settings, SystemClock())
    it = Bus(source, Wire("", 0), Ahead())
    assert await it.down() == f"127.0.0.1:{port} cannot be reached: Connection refused"
    process.start()
    try:
        await until(lambda: "listening" in process.events)
        (before,) = (await it.read()).values()
        process.kill()
        assert (await it.down()).startswith(
            (f"the connection with 127.0.0.1:{port} was lost", f"127.0.0.1:{port} cannot")
        )
        assert await it.down() == f"127.0.0.1:{port} cannot be reached: Connection refused"
        process.start()
        await until(lambda: "listening" in process.events)
        (after,) = (await it.read()).values()
        assert before <= after < before + 100, "it counts a unit a second"
    finally:
        await source.close()
        process.kill()


async def test_a_serial_line_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    async def sentence(path: Path) -> str:
        settings = ModbusSettings(serial_port=path, devices=(device("eastron-sdm120", 1),))
        return await Bus(ModbusSource(settings, SystemClock()), Wire("", 0), Ahead()).down()

    assert await sentence(tmp_path / "tty") == f"{tmp_path / 'tty'} cannot be opened: No such file or directory"
    (tmp_path / "file").write_bytes(b"")
    assert "is it no serial line?" in await sentence(tmp_path / "file")


async def test_without_the_library_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymodbus", None)
    settings = ModbusSettings(host="127.0.0.1", devices=(device("eastron-sdm120", 1),))
    assert await Bus(ModbusSource(settings, SystemClock()), Wire("", 0), Ahead()).down() == NO_LIBRARY


@pytest.mark.parametrize("way", WAYS)
async def test_whatever_bytes_come_back_there_is_a_value_that_is_true_or_none(way: Way) -> None:
    """P1, P8: noise, other frames, too much and too little; afterwards all is as before."""
    units = [constant("eastron-sdm120", 1), constant("eastron-sdm120", 2)]
    good = expected(device("eastron-sdm120", 1)) | expected(device("eastron-sdm120", 2))
    draw = random.Random(f"noise {way}")

    def noise(answer: bytes) -> list[tuple[float, bytes]]:
        match draw.randrange(5):
            case 0:
                return [(0.0, draw.randbytes(draw.randrange(1, 300)))]
            case 1:
                return [(0.0, answer + draw.randbytes(draw.randrange(1, 9)))]
            case 2:
                return [(0.0, draw.randbytes(draw.randrange(1, 9)) + answer)]
            case 3:
                return [(0.0, answer[: draw.randrange(len(answer))])]
            case _:
                return [(0.0, answer[:7]), (0.01, draw.randbytes(3)), (0.02, answer[7:])]

    async with bus(way, units, device("eastron-sdm120", 1), device("eastron-sdm120", 2)) as it:
        it.wire.faults = {1: noise, 2: noise}
        for _ in range(25):
            try:
                found = await it.read()
            except SourceDown:
                found = {}
            assert found.items() <= good.items()
            it.later()
        it.wire.faults.clear()
        it.later()
        for _ in range(3):
            with contextlib.suppress(SourceDown):
                await it.read()
            it.later()
        assert await it.read() == good
