"""Meters on a wired M-Bus: real requests to slaves that answer them, over a serial line and a TCP port."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from edge_agent.invalid import InvalidSetting
from edge_agent.reading import Kind, Reading, SourceDown, absent_of
from edge_agent.settings import AgentSettings
from edge_agent.sources import mbus
from edge_agent.sources.choice import source_of
from edge_agent.sources.mbus import MbusChannel, MbusSettings, MbusSource
from edge_agent.sources.mbus_frame import Address, address_of
from edge_agent.sources.mbus_record import Malformed, Record, answer_of
from edge_agent.sources.obis_channel import steps_in
from edge_agent.sources.replay import ReplayChannel, ReplaySettings
from shared.effects.clock import SystemClock
from tests import telegrams
from tests.meter_peers import Line, MbusBus, MbusMeter, TcpLine, line_of, running

IDENTITY = telegrams.mbus_id("12345678")
SERIAL = "TST12345678"


def records(data: bytes) -> tuple[Record, ...]:
    return answer_of(0x72, IDENTITY + bytes(4) + data).records


def record(data: str) -> Record:
    (found,) = records(bytes.fromhex(data))
    return found


class TestRecords:
    @pytest.mark.parametrize(
        ("data", "quantity", "value", "unit"),
        [
            ("0c06 45230100", "energy", "12345000", "W.h"),
            ("0c03 45230100", "energy", "12345", "W.h"),
            ("0a00 9999", "energy", "9999/1000", "W.h"),
            ("0406 39300000", "energy", "12345000", "W.h"),
            ("0403 feffffff", "energy", "-2", "W.h"),
            ("0613 ffffffffff7f", "volume", "140737488355327/1000", "m3"),
            ("0714 0100000000000080", "volume", "-9223372036854775807/100", "m3"),
            ("0113 80", "volume", "-16/125", "m3"),
            ("0213 ff7f", "volume", "32767/1000", "m3"),
            ("0313 ffff7f", "volume", "8388607/1000", "m3"),
            ("0e0f 785634129000", "energy", "90123456780000000", "J"),
            ("0b13 563412", "volume", "61728/500", "m3"),
            ("0c13 560000f0", "volume", "-7/125", "m3"),
            ("04fb00 05000000", "energy", "1/2", "MWh"),
            ("04fb09 05000000", "energy", "5", "GJ"),
            ("04fb10 05000000", "volume", "500", "m3"),
            ("0493 74 05000000", "volume", "1/20000", "m3"),
            ("0493 7d 05000000", "volume", "5", "m3"),
            ("022b e803", "power", "1000", "W"),
            ("023b 6400", "flow", "1/10", "m3/h"),
            ("0d13 c3 563412", "volume", "61728/500", "m3"),
            ("0d13 d1 05", "volume", "-1/200", "m3"),
            ("0d13 e2 ffff", "volume", "-1/1000", "m3"),
            ("026e 0700", "hca", "7", "1"),
        ],
    )
    def test_a_value_is_exact_whatever_its_coding(self, data: str, quantity: str, value: str, unit: str) -> None:
        found = record(data)
        assert (found.quantity, found.value, found.unit) == (quantity, Fraction(value), unit)

    def test_a_real_number_is_the_decimal_number_on_the_display(self) -> None:
        (found,) = records(b"\x05\x16" + struct.pack("<f", 0.7))
        assert found.value == Fraction(7, 10), "0.699999988 would be a step less"
        for none in (float("inf"), float("nan")):
            assert records(b"\x05\x13" + struct.pack("<f", none))[0].value is None

    @pytest.mark.parametrize("data", ["0c13 0000000e", "0b13 a00000", "0013", "0813", "0d13 03 616263"])
    def test_what_is_no_number_is_none(self, data: str) -> None:
        """P19: a display that shows an error shows no reading."""
        assert record(data).value is None

    def test_storage_tariff_subunit_and_function_are_told(self) -> None:
        found = [
            (each.storage, each.tariff, each.subunit, each.function, each.vife)
            for each in records(
                bytes.fromhex(
                    "0413 00000000 4413 00000000 841013 00000000 c48130 13 00000000 8440863b 00000000 1413 00000000"
                )
            )
        ]
        assert found == [
            (0, 0, 0, 0, ""),
            (1, 0, 0, 0, ""),
            (0, 1, 0, 0, ""),
            (3, 12, 0, 0, ""),
            (0, 0, 1, 0, "3b"),
            (0, 0, 0, 1, ""),
        ]

    def test_texts_fillers_and_what_only_the_maker_knows_are_passed_over(self) -> None:
        data = "2f2f 0c78 78563412 04fc 03 485225 74 00000000 0d7c 03 616263 02 7879 0413 05000000 0f 01 02 03"
        assert [each.value for each in records(bytes.fromhex(data)) if each.quantity == "volume"] == [
            Fraction(5, 1_000)
        ]

    @pytest.mark.parametrize(
        ("form", "data", "said"),
        [
            (0x72, IDENTITY + bytes(4) + b"\x04\x13\x00", "its last record is cut off"),
            (0x72, IDENTITY, "its header is cut off"),
            (0x72, IDENTITY + b"\x00\x00\x10\x05", "the meter encrypts"),
            (0x72, IDENTITY + bytes(4) + b"\x3f", "a record begins with 3Fh"),
            (0x72, IDENTITY + bytes(4) + b"\x84" + b"\x80" * 12, "too many extensions"),
            (0x73, IDENTITY + bytes(8), "the form 73h"),
        ],
    )
    def test_what_is_not_understood_is_said(self, form: int, data: bytes, said: str) -> None:
        with pytest.raises(Malformed, match=said):
            answer_of(form, data)


class TestAddresses:
    def test_a_short_number_is_primary_and_eight_digits_are_secondary(self) -> None:
        assert address_of("5") == Address(5)
        assert address_of("12345678") == Address(0xFD, bytes.fromhex("78563412ffffffff"))
        assert address_of("123456FF") == Address(0xFD, bytes.fromhex("ff563412ffffffff"))
        assert address_of("1234567893520104") == Address(0xFD, bytes.fromhex("7856341293520104"))

    @pytest.mark.parametrize("text", ["", "251", "254", "1234567", "x", "-1", "123456789", "1234567a"])
    def test_anything_else_is_refused(self, text: str) -> None:
        assert address_of(text) is None
        with pytest.raises(InvalidSetting, match="address"):
            MbusChannel(device="d", meter="m", address=text)


@pytest.fixture(params=["serial", "tcp"])
async def line(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    end = await line_of(request.param)
    yield end
    end.close()
    await asyncio.sleep(0.01)


@pytest.fixture
async def tcp() -> AsyncIterator[TcpLine]:
    end = await TcpLine().open()
    yield end
    end.close()
    await asyncio.sleep(0.01)


Begin = Callable[..., MbusSource]


@pytest.fixture
async def begun(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Begin]:
    monkeypatch.setattr(mbus, "ANSWER_SECONDS_MAX", 0.15)
    sources: list[MbusSource] = []

    def begin(place: Any, *channels: MbusChannel) -> MbusSource:
        source = source_of(MbusSettings(channels=channels, **place), SystemClock())
        assert isinstance(source, MbusSource)
        sources.append(source)
        return source

    yield begin
    for source in sources:
        await source.close()


def heat(number: int, **more: Any) -> MbusMeter:
    settings: dict[str, Any] = {
        "primary": number,
        "identity": telegrams.mbus_id(f"{number:08d}"),
        "frames": (b"\x0c\x06" + telegrams.bcd(1000 + number, 4) + b"\x0c\x13" + telegrams.bcd(77, 4),),
    }
    return MbusMeter(**(settings | more))


def channel(address: str, **more: Any) -> MbusChannel:
    return MbusChannel(**({"device": f"heat-{address}", "meter": "energy", "address": address} | more))


def values(readings: Sequence[Reading]) -> dict[str, tuple[int, str]]:
    return {f"{reading.device}.{reading.meter}": (reading.value, reading.serial) for reading in readings}


async def down(source: MbusSource) -> str:
    with pytest.raises(SourceDown) as caught:
        await source.read()
    return str(caught.value)


@pytest.mark.parametrize("echo", [False, True], ids=["plain", "echo"])
async def test_meters_are_read_by_their_primary_addresses(line: Line, begun: Begin, echo: bool) -> None:  # noqa: FBT001
    source = begun(line.place, channel("1"), channel("1", meter="volume", quantity="volume"), channel("2"))
    bus = MbusBus(line=line, meters=[heat(1), heat(2), heat(3)], echo=echo)
    async with running(bus.run()):
        before = SystemClock().boot_ms()
        readings = await source.read()
        again = await source.read()
    assert values(readings) == {
        "heat-1.energy": (1_001_000, "TST00000001"),
        "heat-1.volume": (77, "TST00000001"),
        "heat-2.energy": (1_002_000, "TST00000002"),
    }
    assert before <= readings[0].at_ms <= readings[-1].at_ms
    assert values(again) == values(readings)
    assert [frame.hex() for frame in bus.heard[:2]] == ["1040014116", "107b017c16"]
    assert {(spec.meter, spec.unit, spec.exponent, spec.kind) for spec in source.channels} == {
        ("energy", "W.h", 0, Kind.COUNTER),
        ("volume", "m3", -3, Kind.COUNTER),
    }


async def test_meters_are_read_by_the_numbers_printed_on_them(line: Line, begun: Begin) -> None:
    """All have the same primary address, as they leave the factory."""
    meters = [heat(number, primary=0) for number in (11_111_111, 22_222_222)]
    source = begun(line.place, channel("11111111"), channel("2222FFFF", device="two"))
    async with running(MbusBus(line=line, meters=meters).run()):
        readings = await source.read()
    assert values(readings) == {
        "heat-11111111.energy": (11_112_111_000, "TST11111111"),
        "two.energy": (22_223_222_000, "TST22222222"),
    }


async def test_a_meter_says_what_it_knows_in_several_frames(line: Line, begun: Begin) -> None:
    frames = (
        b"\x0c\x13" + telegrams.bcd(77, 4) + b"\x1f",
        b"\x0c\x06" + telegrams.bcd(5, 4) + b"\x1f",
        b"\x0c\x3b" + bytes(4),
    )
    source = begun(
        line.place,
        channel("1"),
        channel("1", meter="volume", quantity="volume"),
        channel("1", meter="flow", quantity="flow"),
    )
    bus = MbusBus(line=line, meters=[heat(1, frames=frames, mute=1)])
    async with running(bus.run()):
        readings = await source.read()
    assert {reading.meter: reading.value for reading in readings} == {"energy": 5_000, "volume": 77, "flow": 0}
    # A request that was lost is repeated with the same bit, so that no frame is skipped.
    assert [frame[1] for frame in bus.heard] == [0x40, 0x7B, 0x7B, 0x5B, 0x7B]


async def test_a_meter_that_is_silent_does_not_keep_its_neighbours(tcp: TcpLine, begun: Begin) -> None:
    source = begun(tcp.place, channel("1"), channel("9"))
    meters = [heat(1)]
    bus = MbusBus(line=tcp, meters=meters)
    async with running(bus.run()):
        assert set(values(await source.read())) == {"heat-1.energy"}
        why = "meter 9: no answer: look at the address, the bus voltage and the cable"
        assert absent_of(source) == {"heat-9.energy": why}
        thrice = [frame for frame in bus.heard if frame[2] == 9 and frame[1] != 0x40]
        assert len(thrice) == mbus.ASK_TIMES
        bus.heard.clear()
        assert set(values(await source.read())) == {"heat-1.energy"}
        assert len([frame for frame in bus.heard if frame[2] == 9 and frame[1] != 0x40]) == 1
        meters.append(heat(9))
        assert set(values(await source.read())) == {"heat-1.energy", "heat-9.energy"}
        assert absent_of(source) == {}


async def test_two_who_ask_at_once_take_turns(tcp: TcpLine, begun: Begin) -> None:
    source = begun(tcp.place, channel("1"), channel("2"))
    async with running(MbusBus(line=tcp, meters=[heat(1), heat(2)]).run()):
        both = await asyncio.gather(source.read(), source.read())
    assert [set(values(readings)) for readings in both] == [{"heat-1.energy", "heat-2.energy"}] * 2


async def test_an_exchanged_meter_has_another_number(tcp: TcpLine, begun: Begin) -> None:
    """P4: a changed serial number is an exchange."""
    source = begun(tcp.place, channel("1"))
    meters = [heat(1)]
    async with running(MbusBus(line=tcp, meters=meters).run()):
        before = await source.read()
        meters[0] = heat(1, identity=telegrams.mbus_id("55555555", maker="NEW"))
        after = await source.read()
    assert [reading.serial for reading in (*before, *after)] == ["TST00000001", "NEW55555555"]


async def test_what_is_wrong_on_the_bus_is_said(tcp: TcpLine, begun: Begin) -> None:
    meters: list[MbusMeter] = []
    async with running(MbusBus(line=tcp, meters=meters).run()):
        primary, secondary = begun(tcp.place, channel("5")), begun(tcp.place, channel("12345678"))
        assert await down(primary) == "meter 5: no answer: look at the address, the bus voltage and the cable"
        await primary.close()
        assert await down(secondary) == (
            "meter 12345678: no meter takes the selection: look at the number, the bus voltage and the cable"
        )
        await secondary.close()
        meters += [heat(5), heat(5, identity=telegrams.mbus_id("99999999"))]
        assert "no frame with a right checksum: check the baud rate; do two share an address?" in await down(primary)
        await primary.close()
        meters[:] = [heat(5, frames=(bytes.fromhex("440600000000 841006 00000000 0413 00000000 0413 01000000"),))]
        assert await down(primary) == (
            "meter 5: energy fits 0 of its records; it has energy storage=1; energy tariff=1; volume"
        )
        assert "volume fits 2 of its records" in await down(
            begun(tcp.place, channel("5", meter="volume", quantity="volume"))
        )


async def test_a_record_that_shows_an_error_is_no_reading(tcp: TcpLine, begun: Begin) -> None:
    source = begun(tcp.place, channel("1"))
    async with running(MbusBus(line=tcp, meters=[heat(1, frames=(bytes.fromhex("0c060000000e"),))]).run()):
        assert await down(source) == "meter 1: energy has no value: the meter reports an error"


async def test_a_lost_bridge_is_opened_again(tcp: TcpLine, begun: Begin) -> None:
    source = begun(tcp.place, channel("1"))
    async with running(MbusBus(line=tcp, meters=[heat(1)]).run()):
        assert await source.read()
        tcp.drop()
        await asyncio.sleep(0.05)
        assert "ended the connection" in await down(source)
        assert await source.read()


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"unit": "m3"}, "unit"),
        ({"storage": -1}, "storage"),
        ({"tariff": -1}, "tariff"),
        ({"subunit": 2_000}, "subunit"),
        ({"vife": "x"}, "vife"),
        ({"rate_max": 0}, "rate_max"),
        ({"device": "A"}, "device"),
        ({"exponent": 20}, "exponent"),
    ],
)
def test_a_channel_is_refused_by_its_key(given: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        channel("1", **({"device": "d"} | given))
    assert caught.value.key == key


def test_no_two_channels_have_one_name() -> None:
    for channels in ((), (channel("1"), channel("1"))):
        with pytest.raises(InvalidSetting, match="channels"):
            MbusSettings(host="h", port=1, channels=channels)


def test_each_customer_on_a_bus_may_have_a_log() -> None:
    """P20: evidence shows whole lines, so flats on one bus do not share any."""
    settings = MbusSettings(host="h", port=1, log="house", channels=(channel("1", log="flat-1"), channel("2")))
    assert settings.logs == {"flat-1", "house"}
    assert [spec.log for spec in MbusSource(settings, SystemClock()).channels] == ["flat-1", "house"]
    AgentSettings(gateway="gw-1", sources=(settings,))
    replay = ReplaySettings(
        log="flat-1",
        path=Path("r"),
        channels=(ReplayChannel(device="d", meter="m", unit="By", rate_max=1),),
    )
    with pytest.raises(InvalidSetting, match="a replay needs a log of its own"):
        AgentSettings(gateway="gw-1", sources=(settings, replay))


def test_joules_become_watt_hours_exactly() -> None:
    spec = channel("1", exponent=-3).spec("s", "main")
    assert steps_in(Fraction(1), "GJ", spec) == Fraction(10**12, 3_600)
