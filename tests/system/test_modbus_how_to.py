"""What the how-to shows is read by the command that it names, from meters such as it speaks of."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from edge_agent.sources.modbus_templates import load_template
from tests.modbus_peer import Unit, readings_of, serve, unit_of
from tests.processes import ROOT, free_port, run

TEXT: Final = (ROOT / "docs" / "how-to" / "modbus.md").read_text(encoding="utf-8")
SHOWN: Final = [
    "".join(line.removeprefix("   ") for line in block.splitlines(keepends=True))
    for block in re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
]


@pytest.fixture
def port() -> Iterator[int]:
    """A heat pump, a flat and a well behind one port."""
    found, loop, started = free_port(), asyncio.new_event_loop(), threading.Event()

    async def begin() -> Any:
        well = Unit(3)
        well.put(3, 100, [0x86A1, 0x0001])
        units = [
            unit_of(1, load_template("eastron-sdm630"), lambda _: Decimal(12345600), serial=4_711),
            unit_of(2, load_template("eastron-sdm120"), lambda _: Decimal(100100), serial=4_712),
            well,
        ]
        server = await serve(units, port=found)
        started.set()
        return server

    server = loop.create_task(begin())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    assert started.wait(10)
    yield found

    async def end() -> None:
        await server.result().shutdown()
        await asyncio.sleep(0.05)
        loop.stop()

    asyncio.run_coroutine_threadsafe(end(), loop)
    thread.join(10)
    loop.close()


def test_the_example_of_the_how_to_is_read_as_the_displays_show_it(port: int, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    example = SHOWN[0].replace('host = "10.0.0.20"', f'host = "127.0.0.1"\nport = {port}')
    assert f"port = {port}" in example
    config.write_text(f'gateway = "gw-1"\nspool_path = "{tmp_path}/spool.db"\n{example}', encoding="ascii")
    printed = run("edge-agent", "read", "--config", config).stdout.splitlines()
    assert [line.split()[:2] for line in printed[1:]] == [
        ["heat-pump.energy", "12345600"],
        ["heat-pump.energy_export", "12345600"],
        ["flat-2.energy", "100100"],
        ["well.water", "1000.010"],
    ]
    rows = json.loads(run("edge-agent", "read", "--json", "--config", config).stdout)["rows"]
    assert {row["verdict"] for row in rows} == {"baseline: the first reading, no usage"}


def test_a_device_that_does_not_answer_is_named_with_its_reason(port: int, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        f'gateway = "gw-1"\nspool_path = "{tmp_path}/spool.db"\n[[sources]]\ntype = "modbus"\nhost = "127.0.0.1"\n'
        f'port = {port}\n[[sources.devices]]\ndevice = "well"\nunit_id = 3\n[[sources.devices.channels]]\n'
        'meter = "water"\nunit = "m3"\naddress = 300\ntype = "u32"\nrate_max = 1\n',
        encoding="ascii",
    )
    done = run("edge-agent", "read", "--json", "--config", config, check=False)
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["raw"], row["verdict"]) == (None, "it has no such register (exception 2)")


def test_the_rate_behind_transformers_is_set_as_the_how_to_says(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    head, _, rest = SHOWN[0].partition('device = "heat-pump"\n')
    text = f'gateway = "gw-1"\n{head}device = "heat-pump"\n\n{SHOWN[1]}{rest}'
    config.write_text(text, encoding="ascii")
    shown = json.loads(run("edge-agent", "config", "show", "--json", "--config", config).stdout)
    assert "200" in json.dumps(shown)


def test_a_peer_says_the_latest_value_of_a_csv_whose_time_has_come(tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    path.write_text(
        "at,device,meter,value\n2020-01-01T00:00:00Z,m,energy,5\n2021-01-01T00:00:00Z,m,energy,7.5\n"
        "2099-01-01T00:00:00Z,m,energy,9\n",
        encoding="ascii",
    )
    values = readings_of(path)
    assert (values["m"]("energy"), values["m"]("water")) == (Decimal("7.5"), Decimal(0))
