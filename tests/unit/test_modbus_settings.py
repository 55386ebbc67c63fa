"""A Modbus source is told in few lines, and what cannot be is refused by its key before anything is asked."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from edge_agent.config import load
from edge_agent.invalid import ConfigInvalid, InvalidSetting
from edge_agent.reading import Kind
from edge_agent.settings import AgentSettings
from edge_agent.sources.choice import source_of
from edge_agent.sources.modbus_channel import ModbusChannel, Register
from edge_agent.sources.modbus_plan import REGISTERS_MAX, blocks_of
from edge_agent.sources.modbus_settings import ModbusDevice, ModbusSettings
from edge_agent.sources.modbus_values import ValueType
from edge_agent.sources.replay import ReplayChannel, ReplaySettings
from shared.effects.memory import SimpleClock
from shared.limits import LINE_ROWS_MAX

ROOT: Final = Path(__file__).parents[2]
WATER: Final = ModbusChannel(meter="water", unit="m3", address=100, type="u32", rate_max=10)


def meter(**given: Any) -> ModbusDevice:
    return ModbusDevice(**({"device": "m", "template": "eastron-sdm120"} | given))


def told(**given: Any) -> ModbusSettings:
    return ModbusSettings(**({"host": "10.0.0.20", "devices": (meter(),)} | given))


@pytest.mark.parametrize(
    ("make", "given", "key"),
    [
        (told, {"host": None}, "host"),
        (told, {"serial_port": Path("/dev/ttyUSB0")}, "host"),
        (told, {"host": ""}, "host"),
        (told, {"port": 0}, "port"),
        (told, {"baud_rate": 110}, "baud_rate"),
        (told, {"timeout_seconds": 0.0}, "timeout_seconds"),
        (told, {"timeout_seconds": 10.5}, "timeout_seconds"),
        (told, {"devices": ()}, "devices"),
        (told, {"devices": (meter(), meter(unit_id=2))}, "devices"),
        (told, {"framing": "rtu", "devices": (meter(unit_id=0),)}, "devices"),
        (told, {"host": None, "serial_port": Path("x"), "devices": (meter(unit_id=248),)}, "devices"),
        (meter, {"unit_id": 256}, "unit_id"),
        (meter, {"template": "eastron"}, "template"),
        (meter, {"template": None}, "device"),
        (meter, {"meters": ("warmth",)}, "meters"),
        (meter, {"template": None, "meters": ("energy",)}, "meters"),
        (meter, {"registers_max": 3}, "registers_max"),
        (meter, {"registers_max": REGISTERS_MAX + 1}, "registers_max"),
        (meter, {"pause_ms": 1_001}, "pause_ms"),
        (meter, {"log": "A"}, "log"),
        (meter, {"timeout_seconds": 11.0}, "timeout_seconds"),
        (meter, {"channels": (WATER, WATER)}, "channels"),
        (meter, {"channels": (ModbusChannel(meter="water", unit="m3"),)}, "channels"),
        (meter, {"channels": (ModbusChannel(meter="energy", address=65_535),)}, "channels"),
        (meter, {"channels": (ModbusChannel(meter="energy", kind="state"),)}, "unit"),
        (ModbusChannel, {"meter": "M"}, "meter"),
        (ModbusChannel, {"meter": "m", "address": 65_536}, "address"),
        (ModbusChannel, {"meter": "m", "scale": "-1"}, "scale"),
        (ModbusChannel, {"meter": "m", "width_bits": 65}, "width_bits"),
        (ModbusChannel, {"meter": "m", "sentinels": (-1,)}, "sentinels"),
        (ModbusChannel, {"meter": "m", "sentinels": tuple(range(17))}, "sentinels"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(make: Callable[..., object], given: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        make(**given)
    assert caught.value.key == key


def test_more_channels_than_a_line_has_rows_are_refused() -> None:
    devices = tuple(
        ModbusDevice(
            device=f"d{at}", template="inepro-pro380", meters=tuple(f"energy{end}" for end in ("", "_l1", "_l2", "_l3"))
        )
        for at in range(LINE_ROWS_MAX // 4 + 1)
    )
    with pytest.raises(InvalidSetting, match=r"1 to 247 devices|more than \d+ channels"):
        told(devices=devices)


def test_a_device_is_three_lines_and_says_everything(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(
        'gateway = "gw-1"\n[[sources]]\ntype = "modbus"\nhost = "10.0.0.20"\n'
        '[[sources.devices]]\ntemplate = "eastron-sdm630"\nunit_id = 7\ndevice = "heat-pump"\n',
        encoding="ascii",
    )
    settings = load(tmp_path / "agent.toml", environment={}).settings
    source = source_of(settings.sources[0], SimpleClock())
    assert [
        (spec.device, spec.meter, spec.unit, spec.exponent, spec.kind, spec.rate_max) for spec in source.channels
    ] == [
        ("heat-pump", "energy", "W.h", 0, Kind.COUNTER, 32),
        ("heat-pump", "energy_export", "W.h", 0, Kind.COUNTER, 32),
    ]


def test_a_mistake_is_named_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(
        'gateway = "gw-1"\n[[sources]]\ntype = "modbus"\nhost = "h"\n[[sources.devices]]\ndevice = "m"\n'
        'template = "eastron-sdm603"\n[[sources.devices.channels]]\nmeter = "energy"\nscale = 1000\nadress = 3\n',
        encoding="ascii",
    )
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path / "agent.toml", environment={})
    said = str(caught.value).splitlines()
    assert said[0].startswith('agent.toml:10: "scale": must be text in quotes')
    assert said[1] == 'agent.toml:11: unknown key "adress", did you mean "address"?'


def test_what_the_configuration_says_goes_above_the_template() -> None:
    changed = meter(channels=(ModbusChannel(meter="energy", rate_max=200), WATER))
    by_name = {register.meter: register for register in changed.registers()}
    assert list(by_name) == ["energy", "energy_export", "water"]
    assert (by_name["energy"].rate_max, by_name["energy"].address) == (200, 72)
    assert (by_name["energy_export"].rate_max, by_name["water"].function) == (16, 3)


def test_each_customer_on_a_bus_has_a_log() -> None:
    shared_bus = told(devices=(meter(device="a", log="flat-1"), meter(device="b", log="flat-2"), meter(device="c")))
    assert shared_bus.logs == {"flat-1", "flat-2", "main"}
    source = source_of(shared_bus, SimpleClock())
    assert {spec.device: spec.log for spec in source.channels} == {"a": "flat-1", "b": "flat-2", "c": "main"}
    replay = ReplaySettings(
        path=Path("r"), log="flat-2", channels=(ReplayChannel(device="d", meter="m", unit="By", rate_max=1),)
    )
    with pytest.raises(InvalidSetting, match="share the log flat-2"):
        AgentSettings(gateway="gw-1", sources=(shared_bus, replay))
    crowd = tuple(meter(device=f"d{at}", log=f"l{at}") for at in range(65))
    with pytest.raises(InvalidSetting, match="more than 64 logs"):
        AgentSettings(gateway="gw-1", sources=(told(devices=crowd),))


def _registers(*addresses: int, function: Literal[3, 4] = 3, type_: ValueType = "u32") -> list[Register]:
    return [
        ModbusChannel(
            meter=f"m{at}",
            unit="W.h",
            address=at,
            type=type_,
            rate_max=1,
            function=function,
        ).register("d")
        for at in addresses
    ]


def test_neighbours_are_read_together_and_holes_never() -> None:
    blocks = blocks_of([*_registers(6, 0, 2, 9), *_registers(4, function=4)])
    assert [(block.function, block.address, block.count) for block in blocks] == [
        (3, 0, 4),
        (3, 6, 2),
        (3, 9, 2),
        (4, 4, 2),
    ]


def test_a_request_asks_for_no_more_than_the_device_answers() -> None:
    """P9: and never for half a value."""
    blocks = blocks_of(_registers(*range(0, 300, 2)))
    assert [block.count for block in blocks] == [124, 124, 52]
    assert [block.count for block in blocks_of(_registers(0, 2, 4, 6), registers_max=5)] == [4, 4]


def test_two_meters_may_look_at_the_same_registers() -> None:
    (block,) = blocks_of([*_registers(0, 2), *_registers(1, type_="u16")])
    assert (block.address, block.count, len(block.registers)) == (0, 4, 3)


def test_the_library_is_loaded_only_where_a_source_needs_it() -> None:
    """It costs memory and time that an agent without Modbus keeps."""
    script = "import sys, json, edge_agent.cli.main, edge_agent.cli.run; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "edge_agent.sources.choice" in loaded
    assert not {"pymodbus", "serial", "tomllib"} & loaded
