"""Settings are frozen records whose constructors validate, and travel as plain JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge_agent.invalid import InvalidSetting
from edge_agent.plain import plain, record
from edge_agent.settings import AgentSettings
from edge_agent.sources.exec import ExecSettings
from edge_agent.sources.modbus_channel import ModbusChannel
from edge_agent.sources.modbus_settings import ModbusDevice, ModbusSettings
from edge_agent.sources.netdev import NetdevSettings
from edge_agent.sources.proc import ProcSettings
from edge_agent.sources.replay import ReplayChannel, ReplaySettings
from shared.effects.broker import BrokerSettings
from shared.errors import InvalidRecord

CHANNEL = ReplayChannel(device="d", meter="m", unit="By", rate_max=1)
METER = ModbusDevice(
    device="m", template="eastron-sdm630", channels=(ModbusChannel(meter="energy", rate_max=9, sentinels=(1,)),)
)
FULL = AgentSettings(
    gateway="gw-1",
    receipt_key_files=(Path("a.pem"), Path("/b.pem")),
    broker=BrokerSettings(host="h", password_file=Path("p"), tls=False),
    sources=(
        NetdevSettings(interfaces=("lo", "eth*")),
        ProcSettings(device="d", cgroup=Path("/sys/fs/cgroup/x")),
        ExecSettings(device="e", meter="m", unit="W.h", command=("echo", "1"), rate_max=5, width_bits=32),
        ReplaySettings(path=Path("r.csv"), channels=(CHANNEL,), follow=True),
        ModbusSettings(serial_port=Path("/dev/ttyUSB0"), devices=(METER,)),
    ),
)


def test_settings_survive_the_way_through_json() -> None:
    assert record(AgentSettings, json.loads(json.dumps(plain(FULL)))) == FULL


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gateway", ""),
        ("gateway", "_collector"),
        ("gateway", "GW"),
        ("gateway", "x" * 33),
        ("prefix", "a/#"),
        ("prefix", "/a"),
        ("step_seconds", 0),
        ("step_seconds", 86_401),
        ("interval_count", 0),
        ("interval_count", 1_441),
        ("commit_seconds", 0),
        ("commit_seconds", 3_601),
        ("spool_bytes_max", 1_000),
        ("sources", (NetdevSettings(), NetdevSettings())),
        ("sources", tuple(NetdevSettings(name=f"n{number}", log=f"l{number}") for number in range(65))),
        ("sources", (NetdevSettings(log="replay"), ReplaySettings(path=Path("r"), channels=(CHANNEL,)))),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_its_key(key: str, value: Any) -> None:
    """P9, P10: no gateway id begins with an underscore, as collectors' names do."""
    with pytest.raises(InvalidSetting) as caught:
        AgentSettings(**({"gateway": "gw-1"} | {key: value}))
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("cls", "given", "key"),
    [
        (NetdevSettings, {"interfaces": ()}, "interfaces"),
        (NetdevSettings, {"poll_seconds": 0.01}, "poll_seconds"),
        (NetdevSettings, {"poll_seconds": float("nan")}, "poll_seconds"),
        (NetdevSettings, {"log": "A"}, "log"),
        (NetdevSettings, {"rate_max": 0}, "rate_max"),
        (ProcSettings, {"device": "d", "process": "x", "cpus_max": 0}, "cpus_max"),
        (ProcSettings, {"device": "D", "process": "x"}, "device"),
        (ReplaySettings, {"path": Path("x"), "channels": ()}, "channels"),
        (ReplaySettings, {"path": Path("x"), "channels": (CHANNEL, CHANNEL)}, "channels"),
        (ReplayChannel, {"device": "d", "meter": "m", "unit": "", "rate_max": 1}, "unit"),
        (ReplayChannel, {"device": "d", "meter": "m", "unit": 'W"h', "rate_max": 1}, "unit"),
        (ReplayChannel, {"device": "d", "meter": "m", "unit": "By", "rate_max": 1, "exponent": 13}, "exponent"),
    ],
)
def test_a_source_is_refused_by_its_key(cls: Any, given: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        cls(**given)
    assert caught.value.key == key


@pytest.mark.parametrize("given", [{"host": ""}, {"port": 0}, {"port": 65_536}, {"keepalive_seconds": 1}])
def test_a_broker_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRecord, match=next(iter(given))):
        BrokerSettings(**given)
