"""What a wrong value should have been is said in words, not in pydantic's."""

from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from edge_agent.cli.main import main
from edge_agent.last_good import LastGood
from edge_agent.settings import AgentSettings
from shared.mistake import wanted


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (int, "abc", "must be a whole number"),
        (int, 1.5, "must be a whole number"),
        (float, "x", "must be a number"),
        (bool, "perhaps", "must be true or false"),
        (str, 7, "must be text in quotes"),
        (Decimal, "1,5", "must be a number"),
        (tuple[str, ...], "eth0", "must be a list in brackets"),
        (Literal["u16", "s16", "f32"], "u-16", "must be u16, s16 or f32, did you mean u16?"),
    ],
)
def test_a_type_is_named_as_people_write_it(kind: Any, value: object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    assert said in wanted(dict(caught.value.errors()[0]), value)


def test_a_unit_that_no_bill_converts_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be sealed for ever, and no price would fit it."""
    channel = 'type = "exec"\nmeter = "energy"\nrate_max = 1\ncommand = ["true"]\n'
    units = {"kwh": 'did you mean "kW.h"?', "cubic": "{wash}", "{wash}": "", "m3": ""}
    config = tmp_path / "agent.toml"
    config.write_text(
        'gateway = "gw-1"\n'
        + "".join(
            f'[[sources]]\nname = "s{place}"\ndevice = "d{place}"\nunit = "{unit}"\n{channel}'
            for place, unit in enumerate(units)
        ),
        encoding="utf-8",
    )
    assert main(["config", "check", "--config", str(config)]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if "is no unit" in line]
    assert [line.partition(": ")[0] for line in said] == ["agent.toml:5", "agent.toml:13"]
    for line, unit in zip(said, units, strict=False):
        assert f'"{unit}"' in line
        assert units[unit] in line


def test_where_there_is_no_state_folder_the_last_good_configuration_lies_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, state = tmp_path / "agent.toml", tmp_path / "state"
    monkeypatch.setattr("edge_agent.last_good.STATE_FOLDER", state)
    settings = AgentSettings(gateway="gw-1")
    assert LastGood(config, {"STATE_DIRECTORY": str(state)}).keep(settings) is False, "the service has its own place"
    assert LastGood(config, {}).keep(settings)
    assert LastGood(config, {}).read() == settings
