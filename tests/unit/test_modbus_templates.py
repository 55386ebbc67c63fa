"""Templates agree with the golden copy of the facts, can be metered as they are, and stand in the how-to."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

from edge_agent.invalid import InvalidSetting
from edge_agent.reading import Kind
from edge_agent.sources.modbus_plan import blocks_of
from edge_agent.sources.modbus_settings import ModbusDevice
from edge_agent.sources.modbus_templates import Plate, Template, list_templates, load_template, template_names
from shared.unit import ratio

ROOT: Final = Path(__file__).parents[2]
GOLDEN: Final = json.loads((ROOT / "tests" / "golden" / "modbus.json").read_text(encoding="ascii"))
"""Register addresses as makers publish them: by template and meter the function, address, type, order, unit, scale."""


def facts(template: Template) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for meter, channel in template.channels.items():
        register = channel.register("d")
        order = channel.word_order or "big"
        found[meter] = [
            register.function, register.address, register.layout.type, order, register.unit, channel.scale or "1",
            register.exponent, register.kind.value,
        ]  # fmt: skip
    for name, plate in (("serial", template.serial), ("identity", template.identity)):
        if plate is not None:
            found[f"({name})"] = [plate.function, plate.address, plate.type, plate.count, *plate.known]
    return found


@pytest.mark.parametrize("template", list_templates(), ids=lambda template: template.name)
def test_a_template_says_what_the_golden_facts_say(template: Template) -> None:
    """P1: a wrong address is a wrong bill; this changes on purpose only."""
    assert facts(template) == GOLDEN[template.name]


def test_the_golden_facts_and_the_templates_are_of_the_same_meters() -> None:
    assert tuple(sorted(GOLDEN)) == template_names()


@pytest.mark.parametrize("template", list_templates(), ids=lambda template: template.name)
def test_a_template_is_metered_by_its_name_alone(template: Template) -> None:
    registers = ModbusDevice(device="d", template=template.name).registers()
    assert [register.meter for register in registers] == list(template.meters)
    everything = ModbusDevice(device="d", template=template.name, meters=tuple(template.channels)).registers()
    assert len(everything) == len(template.channels)
    for block in blocks_of(everything, registers_max=template.registers_max):
        assert block.count <= template.registers_max


@pytest.mark.parametrize("template", list_templates(), ids=lambda template: template.name)
def test_a_step_of_a_template_is_within_its_rate(template: Template) -> None:
    """P4: the smallest rise that the registers can show in a second is no glitch; 100 A on three phases neither."""
    for channel in template.channels.values():
        register = channel.register("d")
        a_step = register.layout.numerator / register.layout.denominator
        if register.kind is Kind.COUNTER and register.layout.type[0] != "f":
            assert a_step <= register.rate_max, channel.meter
        assert ratio(register.unit, "W.h") or ratio(register.unit, "var.h")
        assert register.rate_max * 10**register.exponent >= 15, channel.meter


def test_the_how_to_lists_every_template_and_no_other() -> None:
    text = (ROOT / "docs" / "how-to" / "modbus.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert listed == [(each.name, each.maker, ", ".join(each.models)) for each in list_templates()]


def test_a_template_that_is_not_known_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidSetting, match='"eastron-sdm63" is not known, did you mean "eastron-sdm630"'):
        load_template("eastron-sdm63")
    with pytest.raises(InvalidSetting, match="known are carlo-gavazzi-em1xx, "):
        load_template("zzz")


@pytest.mark.parametrize(
    ("plate", "words", "shown"),
    [
        (Plate(function=3, address=0, type="number"), [0x0001, 0x0002], "65538"),
        (Plate(function=3, address=0, type="hex"), [0x1506, 0x0001], "15060001"),
        (Plate(function=3, address=0, type="text", count=3), [0x4142, 0x4320, 0], "ABC"),
        (Plate(function=3, address=0, type="number"), [0, 0], ""),
        (Plate(function=3, address=0, type="number"), [0xFFFF, 0xFFFF], ""),
    ],
)
def test_a_plate_is_shown_as_it_is_printed(plate: Plate, words: list[int], shown: str) -> None:
    assert plate.shown(words) == shown


def test_a_device_is_known_by_its_plate() -> None:
    schneider, eastron, inepro = (
        load_template(each).identity for each in ("schneider-iem3000", "eastron-sdm72", "inepro-pro1")
    )
    assert schneider is not None
    assert eastron is not None
    assert inepro is not None
    assert schneider.fits("iEM3155")
    assert not schneider.fits("PM3250")
    assert eastron.fits("0089")
    assert not eastron.fits("0070")
    assert inepro.fits("0102")
    assert not inepro.fits("")
