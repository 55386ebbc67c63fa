"""`edge-agent probe` finds what answers, on real lines and a real broker, and proposes what the agent can load."""

import asyncio
import dataclasses
import json
import os
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from edge_agent.cli.exits import Exit
from edge_agent.cli.probe import Where, probe
from edge_agent.config import load
from edge_agent.installer.listening import SPEEDS, listen, search
from edge_agent.installer.plugs import found_in
from edge_agent.installer.proposal import Found
from edge_agent.settings import AgentSettings
from edge_agent.sources import mbus
from edge_agent.sources.modbus_templates import load_template
from edge_agent.sources.mqtt_settings import MqttSettings
from shared.effects.broker import BrokerSettings
from shared.effects.mqtt import MqttLink
from tests import telegrams
from tests.brokers import mosquitto_broker
from tests.faulty_wire import serial_line
from tests.meter_peers import MbusBus, MbusMeter, SerialLine, push, running
from tests.modbus_peer import Unit, serve, unit_of
from tests.processes import ROOT, command, free_port
from tests.site_plugs import shelly_gen2_switch, tasmota_sensor, zigbee2mqtt_plug


async def probed(tmp_path: Path, where: Where, *, code: Exit = Exit.OK) -> AgentSettings:
    """What the agent makes of what probe has written."""
    (tmp_path / "agent.toml").write_text('gateway = "gw-1"\n', encoding="utf-8")
    (tmp_path / "conf.d").mkdir(exist_ok=True)
    written = tmp_path / "conf.d" / "20-found.toml"
    said = await asyncio.to_thread(probe, tmp_path / "agent.toml", (), where=where, write=written, as_json=False)
    assert said is code
    return load(tmp_path / "agent.toml", environment={}).settings


def meter(unit_id: int, template: str, serial: int, kwh: str = "12345.6") -> Unit:
    known = load_template(template)
    unit = unit_of(unit_id, known, lambda _: Decimal(kwh) * 1_000, serial=serial)
    plate = known.identity
    if plate is not None and plate.type == "hex":
        unit.put(plate.function, plate.address, [int(plate.known[0], 16)])
    if plate is not None and plate.type == "text":
        raw = plate.known[0].encode("ascii").ljust(2 * plate.count, b"\0")
        unit.put(plate.function, plate.address, [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)])
    return unit


async def test_meters_behind_a_modbus_host_are_known_by_what_they_say_of_themselves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    peer = await serve([meter(1, "eastron-sdm630", 20160812), meter(3, "schneider-iem3000", 7)], port=port)
    try:
        settings = await probed(tmp_path, Where(tcp=(f"127.0.0.1:{port}",), units="1-4"))
    finally:
        await peer.shutdown()  # type: ignore[no-untyped-call]
    found: Any = settings.sources[0]
    assert [(each.unit_id, each.template) for each in found.devices] == [
        (1, "eastron-sdm630"),
        (3, "schneider-iem3000"),
    ]
    assert "20160812" in found.devices[0].device
    said = capsys.readouterr().err
    assert "12 345.6 kWh" in said
    assert "unit 2" not in said, "nobody is there"


async def test_a_modbus_meter_on_a_serial_line_is_asked_once_the_line_was_silent(tmp_path: Path) -> None:
    async with serial_line() as line:
        peer = await serve([meter(2, "eastron-sdm630", 20160812)], serial=line.peer)
        try:
            settings = await probed(tmp_path, Where(serial=(Path(line.wire.where),), seconds=0.2, units="2-2"))
        finally:
            await peer.shutdown()  # type: ignore[no-untyped-call]
            await asyncio.sleep(0.01)
    found: Any = settings.sources[0]
    assert str(found.serial_port) == line.wire.where
    assert [(each.unit_id, each.template) for each in found.devices] == [(2, "eastron-sdm630")]


@pytest.mark.parametrize(
    "spoken",
    [
        (telegrams.dsmr5, "dsmr"),
        (telegrams.sml_meter, "sml"),
    ],
    ids=["p1", "sml"],
)
async def test_a_smart_meter_that_speaks_by_itself_is_listened_to(
    tmp_path: Path, spoken: tuple[Callable[[], bytes], str]
) -> None:
    line = SerialLine()
    try:
        async with running(push(line, spoken[0])):
            settings = await probed(tmp_path, Where(serial=(line.path,), seconds=2.0))
    finally:
        line.close()
    assert settings.sources[0].type == spoken[1]


@pytest.mark.parametrize(
    ("lines", "language"),
    [
        (["1-0:1.8.0*255(012345.6789*kWh)"], "d0"),
        (["1-0:1.8.0(012345.678*kWh)", "0-1:24.1.0(003)", "0-1:24.2.1(260101120000W)(00012.345*m3)"], "dsmr"),
    ],
)
async def test_printed_telegrams_of_two_kinds_are_told_apart_by_sub_meters(lines: list[str], language: str) -> None:
    line = SerialLine()
    try:
        async with running(push(line, lambda: telegrams.d0_push(lines))):
            found = await listen(line.path, *SPEEDS[1], seconds=4.0)
    finally:
        line.close()
    assert found is not None
    assert found.source["type"] == language


async def test_meters_on_an_m_bus_are_told_apart_digit_by_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbus, "ANSWER_SECONDS_MAX", 0.05)
    line = SerialLine()
    record = bytes([0x04, 0x03]) + (12_345).to_bytes(4, "little")
    numbers = ("12345678", "87654321")
    meters = [
        MbusMeter(primary=at, identity=telegrams.mbus_id(each), frames=[record]) for at, each in enumerate(numbers)
    ]
    try:
        async with running(MbusBus(line=line, meters=meters).run()):
            found = [each async for each in search(line.path) if isinstance(each, Found)]
    finally:
        line.close()
    assert sorted(str(each.entry["address"]) for each in found) == [*numbers]
    assert all("12.3 kWh" in each.reads for each in found)


def test_plugs_are_known_by_their_messages() -> None:
    messages = {
        "tele/plug-1/SENSOR": tasmota_sensor("12.345").encode(),
        "shellyplusplugs-80646fd20608/status/switch:0": shelly_gen2_switch("1234.5").encode(),
        "zigbee2mqtt/kitchen plug": zigbee2mqtt_plug("7.5").encode(),
        "zigbee2mqtt/bridge/state": b'{"state":"online"}',
        "fridge/sensor/energy/state": b"3.25",
        "homeassistant/sensor/house_energy/state": b"44.1",
        "homeassistant/sensor/outdoor_temperature/state": b"21.5",
        "weather/temperature": b"17",
    }
    found = found_in(messages, {}, "broker")
    assert sorted(str(each.entry["preset"]) for each in found) == [
        "esphome", "shelly-gen2", "statestream", "tasmota", "zigbee2mqtt",
    ]  # fmt: skip
    assert "12.3 kWh" in next(each.reads for each in found if each.entry["preset"] == "tasmota")


async def test_plugs_at_a_real_broker_become_devices(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    with mosquitto_broker(tmp_path / "broker") as broker:
        link = MqttLink(BrokerSettings(host="127.0.0.1", port=broker.port, tls=False), "plug")
        async with link.session() as session:
            await session.publish("tele/plug-1/SENSOR", tasmota_sensor("12.345").encode(), retain=True)
        settings = await probed(tmp_path, Where(mqtt=f"127.0.0.1:{broker.port}", seconds=1.0))
    source = settings.sources[0]
    assert isinstance(source, MqttSettings)
    assert [(each.preset, each.topic) for each in source.devices] == [("tasmota", "plug-1")]


def run(tmp_path: Path, *arguments: str, code: int) -> subprocess.CompletedProcess[str]:
    config = tmp_path / "agent.toml"
    config.write_text('gateway = "gw-1"\n', encoding="utf-8")
    done = subprocess.run(
        [*command("edge-agent"), "probe", "--config", str(config), *arguments],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def test_nothing_found_says_what_to_look_at_and_a_file_is_never_written_over(tmp_path: Path) -> None:
    done = run(tmp_path, "--tcp", "127.0.0.1:1", "--units", "1", code=3)
    assert "cannot be reached" in done.stderr
    assert "mend what is said above" in done.stderr
    there = tmp_path / "there.toml"
    there.write_text("mine", encoding="ascii")
    assert "not written over" in run(tmp_path, "--write", str(there), code=4).stderr
    assert there.read_text(encoding="ascii") == "mine"
    unplugged = run(tmp_path, "--mqtt", f"127.0.0.1:{free_port()}", "--units", "1,7-9", code=3)
    assert "nothing listens" in unplugged.stderr
    assert "--units takes" in run(tmp_path, "--units", "0-300", code=2).stderr
    assert "--line takes" in run(tmp_path, "--line", "fast", code=2).stderr
    assert json.loads(
        run(tmp_path, "--serial", os.devnull, "--seconds", "0.1", "--units", "1", "--json", code=3).stdout
    )


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (Where(tcp=("127.0.0.1:{port}",), units="5"), "nothing answers at the addresses 5"),
        (Where(tcp=("no-such-host.invalid",)), "mend what is said above"),
        (Where(mqtt="127.0.0.1:1"), "mend what is said above"),
    ],
    ids=["nobody there", "no such name", "no broker"],
)
async def test_where_nothing_is_found_the_advice_is_about_what_was_asked(
    where: Where, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    peer = await serve([meter(1, "eastron-sdm630", 20160812)], port=port)
    try:
        asked = dataclasses.replace(where, tcp=tuple(each.format(port=port) for each in where.tcp))
        code = await asyncio.to_thread(
            probe, tmp_path / "agent.toml", (), where=asked, write=tmp_path / "new.toml", as_json=False
        )
    finally:
        await peer.shutdown()  # type: ignore[no-untyped-call]
    shown = capsys.readouterr().err
    assert (code, said in shown, "Unknown error" in shown) == (3, True, False), shown
    assert "wires A and B" not in shown, "there is no line with wires"
    assert not (tmp_path / "new.toml").exists()


async def test_a_file_of_guesses_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    silent = meter(7, "schneider-iem3000", 7)
    plate = load_template("schneider-iem3000").identity
    assert plate is not None
    silent.words.pop((plate.function, plate.address))
    peer = await serve([silent], port=port)
    try:
        where = Where(tcp=(f"127.0.0.1:{port}",), units="7")
        await asyncio.to_thread(
            probe, tmp_path / "agent.toml", (), where=where, write=tmp_path / "new.toml", as_json=False
        )
    finally:
        await peer.shutdown()  # type: ignore[no-untyped-call]
    assert "all of it is a guess" in capsys.readouterr().err
    lines = (tmp_path / "new.toml").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []
    assert "take that # away" in lines[1]
