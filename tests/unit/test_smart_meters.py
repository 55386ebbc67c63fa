"""Meters that send telegrams, over a real serial line and a real TCP port."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from edge_agent.config import load
from edge_agent.invalid import InvalidSetting
from edge_agent.reading import Kind, Reading, Source, SourceDown, absent_of
from edge_agent.sources import d0, newest
from edge_agent.sources.choice import source_of
from edge_agent.sources.d0 import D0Settings
from edge_agent.sources.dsmr import DsmrSettings
from edge_agent.sources.obis_channel import KNOWN, ObisChannel
from edge_agent.sources.sml import SmlSettings
from shared.effects.clock import SystemClock
from tests import telegrams
from tests.meter_peers import AskedMeter, Line, SerialLine, TcpLine, line_of, push, running

CLOCK = SystemClock()
ENERGY = ObisChannel(meter="energy_in")


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


@pytest.fixture
async def begun() -> AsyncIterator[Callable[..., Source]]:
    sources: list[Source] = []

    def begin(settings: Any) -> Source:
        sources.append(source_of(settings, CLOCK))
        return sources[-1]

    yield begin
    for source in sources:
        await source.close()


Begin = Callable[..., Source]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A meter is down after 0.6 s instead of half a minute."""
    monkeypatch.setattr(newest, "TELEGRAM_SECONDS_MAX", 0.2)
    monkeypatch.setattr(newest, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(newest, "REOPEN_SECONDS_MIN", 0.05)


def values(readings: Sequence[Reading]) -> dict[str, tuple[int, str]]:
    return {f"{reading.device}.{reading.meter}": (reading.value, reading.serial) for reading in readings}


async def down(source: Source) -> str:
    """The sentence of a source, once it has one."""
    for _ in range(20):
        try:
            await source.read()
        except SourceDown as error:
            return str(error)
    raise AssertionError("it goes on being readable")


class TestP1:
    async def test_tariffs_totals_power_and_the_gas_meter_are_read(self, line: Line, begun: Begin) -> None:
        names = ("energy_in", "energy_in_1", "energy_in_2", "energy_out", "power_in")
        channels = (*(ObisChannel(meter=name) for name in names), ObisChannel(meter="gas", device="gas-1"))
        source = begun(DsmrSettings(device="home", channels=channels, **line.place))
        async with running(push(line, telegrams.dsmr5)):
            before = CLOCK.boot_ms()
            readings = await source.read()
        assert values(readings) == {
            "home.energy_in": (580_245, "TEST0001"),
            "home.energy_in_1": (123_456, "TEST0001"),
            "home.energy_in_2": (456_789, "TEST0001"),
            "home.energy_out": (1_002, "TEST0001"),
            "home.power_in": (1_234, "TEST0001"),
            "gas-1.gas": (12_345, "GAS00001"),
        }
        assert {(spec.meter, spec.unit, spec.exponent, spec.kind) for spec in source.channels} == {
            *((name, "W.h", 0, Kind.COUNTER) for name in names[:4]),
            ("power_in", "W.h", 0, Kind.GAUGE),
            ("gas", "m3", -3, Kind.COUNTER),
        }
        assert all(before <= reading.at_ms <= CLOCK.boot_ms() for reading in readings)

    async def test_a_telegram_is_handed_out_once(self, line: Line, begun: Begin) -> None:
        """P4: a repeated one would bear out a glitch."""
        source = begun(DsmrSettings(device="home", channels=(ENERGY,), poll_seconds=0.1, **line.place))
        numbers = count(1)
        async with running(push(line, lambda: telegrams.dsmr5(used=f"{next(numbers):06d}.000"), seconds=0.1)):
            found = [reading for _ in range(4) for reading in await source.read()]
        assert len({reading.value for reading in found}) == 4
        assert len({reading.at_ms for reading in found}) == 4

    async def test_another_meter_says_so(self, line: Line, begun: Begin) -> None:
        """P4: a changed serial number is an exchange."""
        source = begun(DsmrSettings(device="home", channels=(ENERGY,), **line.place))
        said = ["TEST0001"]
        async with running(push(line, lambda: telegrams.dsmr5(serial=said[-1]))):
            (before,) = await source.read()
            said.append("TEST0002")
            serials = {reading.serial for _ in range(4) for reading in await source.read()}
        assert before.serial == "TEST0001"
        assert "TEST0002" in serials

    async def test_noise_between_telegrams_is_passed_over(self, line: Line, begun: Begin) -> None:
        source = begun(DsmrSettings(device="home", channels=(ENERGY,), **line.place))
        sent = telegrams.dsmr5()
        pieces = [b"\x00\xff/\x80", sent[:300], sent, sent.replace(b"000456.789", b"900456.789"), b"!", sent]
        numbers = count()
        async with running(push(line, lambda: pieces[next(numbers) % len(pieces)], seconds=0.02)):
            assert {reading.value for _ in range(6) for reading in await source.read()} == {580_245}

    async def test_an_encrypted_port_needs_its_key(self, tcp: TcpLine, begun: Begin, tmp_path: Path) -> None:
        key = tmp_path / "p1.key"
        settings = DsmrSettings(device="home", channels=(ENERGY,), key_file=key, **tcp.place)
        async with running(push(tcp, lambda: telegrams.sealed_p1(telegrams.dsmr5()))):
            assert await down(begun(settings)) == f"the decryption key {key} cannot be read: No such file or directory"
            key.write_text("00ff", encoding="ascii")
            assert await down(begun(settings)) == f"{key} holds 2 bytes, a decryption key has 16"
            key.write_text("secret", encoding="ascii")
            said = await down(begun(settings))
            assert said == f"{key} holds no hexadecimal digits: the key is what the grid operator sent"
            assert "secret" not in said
            key.write_text(telegrams.KEY.hex() + "\n", encoding="ascii")
            assert values(await begun(settings).read()) == {"home.energy_in": (580_245, "TEST0001")}

    async def test_what_a_telegram_lacks_is_named(self, tcp: TcpLine, begun: Begin) -> None:
        channels = (ObisChannel(meter="heat"), ObisChannel(meter="energy_in", unit="m3", rate_max=1))
        source = begun(DsmrSettings(device="home", channels=channels, **tcp.place))
        async with running(push(tcp, telegrams.dsmr5)):
            said = await down(source)
        assert said.startswith("the telegram has none of the channels: heat is not in it; in it are 1-0:1.8.1, ")
        assert said.endswith("1-0:1.8.1 is in kWh, which is no m3")

    async def test_what_is_absent_beside_others_is_named(self, tcp: TcpLine, begun: Begin) -> None:
        source = begun(DsmrSettings(device="home", channels=(ENERGY, ObisChannel(meter="water")), **tcp.place))
        async with running(push(tcp, telegrams.dsmr5)):
            both = await asyncio.gather(source.read(), source.read())
        assert [set(values(readings)) for readings in both] == [{"home.energy_in"}] * 2
        assert both[0] != both[1], "each who asks gets a telegram of its own"
        assert list(absent_of(source)) == ["home.water"]


class TestDown:
    """What is wrong is said, with where to look."""

    def settings(self, place: Any) -> DsmrSettings:
        return DsmrSettings(device="home", channels=(ENERGY,), poll_seconds=0.1, **place)

    @pytest.mark.usefixtures("hurried")
    async def test_no_bytes_at_all(self, line: Line, begun: Begin) -> None:
        assert (await down(begun(self.settings(line.place)))).endswith(
            ": no bytes for 0 s: check the cable, and whether the meter's port is enabled"
        )

    @pytest.mark.usefixtures("hurried")
    async def test_bytes_without_a_right_crc(self, line: Line, begun: Begin) -> None:
        inverted = bytes(byte ^ 0x7F for byte in telegrams.dsmr5())
        async with running(push(line, lambda: inverted)):
            said = await down(begun(self.settings(line.place)))
        assert "but no telegram with a right check" in said
        assert said.endswith("check baud rate and inversion")

    @pytest.mark.usefixtures("hurried")
    async def test_telegrams_that_stop(self, line: Line, begun: Begin) -> None:
        source = begun(self.settings(line.place))
        async with running(push(line, telegrams.dsmr5)):
            assert await source.read()
        assert "no bytes for" in await down(source)
        async with running(push(line, telegrams.dsmr5)):
            while not (readings := await _or_nothing(source)):
                pass
        assert readings[0].value == 580_245

    @pytest.mark.usefixtures("hurried")
    async def test_a_wrong_crc_is_named(self, tcp: TcpLine, begun: Begin) -> None:
        wrong = telegrams.dsmr5().replace(b"123.456", b"123.457")
        async with running(push(tcp, lambda: wrong)):
            assert "(the CRC is wrong)" in await down(begun(self.settings(tcp.place)))

    @pytest.mark.usefixtures("hurried")
    async def test_a_connection_that_ends_is_made_again(self, tcp: TcpLine, begun: Begin) -> None:
        """P8: and a short interruption is no failure of the meter."""
        source = begun(self.settings(tcp.place))
        async with running(push(tcp, telegrams.dsmr5)):
            assert await source.read()
            tcp.drop()
            found = [reading for _ in range(8) for reading in await source.read()]
        assert found
        assert tcp.connections == 2

    async def test_a_bridge_that_is_off(self, tcp: TcpLine, begun: Begin) -> None:
        place = dict(tcp.place)
        tcp.close()
        said = await down(begun(self.settings(place)))
        assert said.startswith(f"127.0.0.1:{place['port']} cannot be reached: ")
        assert said.endswith("is the bridge on?")

    async def test_a_device_that_is_not_there(self, begun: Begin) -> None:
        assert await down(begun(self.settings({"serial_port": Path("/dev/serial/by-id/none")}))) == (
            "/dev/serial/by-id/none cannot be opened: it is not there: "
            "look at the adapter's plug, and for its name in /dev/serial/by-id"
        )

    async def test_a_device_that_another_program_holds(self, begun: Begin) -> None:
        line = SerialLine()
        first, second = begun(self.settings(line.place)), begun(self.settings(line.place))
        async with running(push(line, telegrams.dsmr5)):
            assert await first.read()
            assert await down(second) == f"{line.path} cannot be opened: another program holds it"
        line.close()

    @pytest.mark.usefixtures("hurried")
    async def test_a_device_that_is_pulled_out(self, begun: Begin) -> None:
        line = SerialLine()
        source = begun(self.settings(line.place))
        async with running(push(line, telegrams.dsmr5)):
            assert await source.read()
        line.close()
        said = await down(source)
        assert str(line.path) in said
        assert "look at the adapter's plug" in said or "cannot be opened" in said


async def _or_nothing(source: Source) -> Sequence[Reading]:
    try:
        return await source.read()
    except SourceDown:
        return ()


class TestSml:
    async def test_a_two_way_meter_is_read(self, line: Line, begun: Begin) -> None:
        channels = (ENERGY, ObisChannel(meter="energy_out", exponent=-1), ObisChannel(meter="power_in"))
        source = begun(SmlSettings(device="flat-3", channels=channels, **line.place))
        async with running(push(line, telegrams.sml_meter)):
            readings = await source.read()
        serial = "1TST0012345678"
        assert values(readings) == {
            "flat-3.energy_in": (1_234_567, serial),
            "flat-3.energy_out": (27, serial),
            "flat-3.power_in": (-250, serial),
        }


LINES = ("C.1.0(00123456)", "1.8.0(000123.4*kWh)", "2.8.0(000001.0*kWh)", "16.7(1.25)")


class TestD0:
    @pytest.mark.usefixtures("hurried")
    async def test_a_meter_that_sends_by_itself(self, line: Line, begun: Begin) -> None:
        source = begun(D0Settings(device="m", channels=(ENERGY,), **line.place))
        push_block = telegrams.even(telegrams.d0_push(["1-0:0.0.0*255(77)", "1-0:1.8.0*255(00032549.5061662*kWh)"]))
        async with running(push(line, lambda: push_block, seconds=0.5)):
            readings = await source.read()
        assert values(readings) == {"m.energy_in": (32_549_506, "77")}

    @pytest.mark.parametrize(("address", "echo"), [("", False), ("12345678", True)])
    async def test_a_meter_that_is_asked(self, line: Line, begun: Begin, address: str, echo: bool) -> None:  # noqa: FBT001
        settings = D0Settings(
            device="m",
            ask=True,
            address=address,
            poll_seconds=1.0,
            channels=(ENERGY, ObisChannel(meter="power_in", obis="16.7.0", telegram_unit="kW")),
            **line.place,
        )
        meter = AskedMeter(line=line, lines=LINES, address=address, echo=echo)
        source = begun(settings)
        async with running(meter.run()):
            first = await source.read()
            second = await source.read()
        assert values(first) == {"m.energy_in": (123_400, "00123456"), "m.power_in": (1_250, "00123456")}
        assert second[0].at_ms > first[0].at_ms
        speed = b"5" if isinstance(line, SerialLine) else b"0"
        assert meter.asked[:2] == [f"/?{address}!\r\n".encode("ascii"), b"\x060" + speed + b"0\r\n"]

    async def test_a_meter_that_does_not_answer(
        self, tcp: TcpLine, begun: Begin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(d0, "GREETING_SECONDS_MAX", 0.2)
        source = begun(D0Settings(device="m", ask=True, channels=(ENERGY,), **tcp.place))
        async with asyncio.timeout(10):
            assert "the meter does not answer: look at the reading head's place" in await down(source)


PLACE: Any = {"host": "h", "port": 1}


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "key"),
        [
            ({"host": None, "port": None}, "serial_port"),
            ({"serial_port": Path("/dev/x")}, "serial_port"),
            ({"host": ""}, "host"),
            ({"port": None}, "port"),
            ({"port": 0}, "port"),
            ({"baud_rate": 1_234}, "baud_rate"),
            ({"device": "A"}, "device"),
            ({"channels": ()}, "channels"),
            ({"channels": (ENERGY, ENERGY)}, "channels"),
            ({"poll_seconds": 0.0}, "poll_seconds"),
        ],
    )
    def test_what_cannot_be_is_refused_by_its_key(self, given: dict[str, Any], key: str) -> None:
        settings: dict[str, Any] = {"device": "m", "channels": (ENERGY,)} | PLACE | given
        for kind in (DsmrSettings, SmlSettings, D0Settings):
            with pytest.raises(InvalidSetting) as caught:
                kind(**settings)
            assert caught.value.key == key

    @pytest.mark.parametrize(
        ("given", "key"),
        [
            ({"meter": "Energy"}, "meter"),
            ({"meter": "mine"}, "obis"),
            ({"meter": "mine", "obis": "1.8.0"}, "unit"),
            ({"meter": "mine", "obis": "1.8.0", "unit": "W.h"}, "rate_max"),
            ({"meter": "mine", "obis": "1.8.0+what", "unit": "W.h", "rate_max": 1}, "obis"),
            ({"meter": "energy_in", "unit": "m3"}, "rate_max"),
            ({"meter": "energy_in", "device": "A"}, "device"),
            ({"meter": "energy_in", "exponent": 13}, "exponent"),
        ],
    )
    def test_a_channel_is_refused_by_its_key(self, given: dict[str, Any], key: str) -> None:
        with pytest.raises(InvalidSetting) as caught:
            ObisChannel(**given)
        assert caught.value.key == key

    def test_a_bound_follows_its_unit(self) -> None:
        assert ENERGY.settled_rate == 28
        assert ObisChannel(meter="energy_in", exponent=-3).settled_rate == 27_778
        assert ObisChannel(meter="energy_in", unit="kW.h").settled_rate == 1
        assert ObisChannel(meter="energy_in", unit="kW.h").settled_exponent == 0
        for name in KNOWN:
            assert ObisChannel(meter=name).spec("d", "s", "main").rate_max > 0

    @pytest.mark.parametrize("address", ["1!", "a/b", "x" * 33, "é"])
    def test_an_address_that_would_break_the_question_is_refused(self, address: str) -> None:
        with pytest.raises(InvalidSetting, match="address"):
            D0Settings(device="m", channels=(ENERGY,), address=address, **PLACE)


PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "smart-meters.md"


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
def test_the_page_shows_sources_that_can_be_read(block: str, tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(f'gateway = "gw-1"\n{block}', encoding="utf-8")
    sources = [source_of(settings, CLOCK) for settings in load(file, environment={}).settings.sources]
    assert sources
    assert all(source.channels for source in sources)


def test_the_page_quotes_what_is_said() -> None:
    said = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8").partition("they say")[2], re.MULTILINE)
    code = (PAGE.parents[2] / "edge_agent/sources").glob("*.py")
    sources = " ".join(path.read_text(encoding="utf-8") for path in code)
    pieces = [piece.strip() for text in said for piece in re.split(r"\d+ s|…", text)]
    assert len(pieces) > 6
    assert [piece for piece in pieces if piece not in sources] == []
