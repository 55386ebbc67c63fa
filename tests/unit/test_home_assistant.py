"""What Home Assistant discovers: topics and payloads of its documentation, and a session that comes and goes."""

import asyncio
import json
import re
from typing import Any

import pytest

from edge_agent.home_assistant import OFFLINE, ONLINE, HomeAssistantSettings, discovered, states
from edge_agent.home_link import ALERT_BYTES_MAX, RETRY_SECONDS, HomeLink
from edge_agent.invalid import InvalidSetting
from edge_agent.overheard import OverheardLink
from shared.topic import Leaf, topic_of
from tests.spools import GATEWAY
from tests.unit.test_status_page import WELL
from tests.wire import VirtualClock, Wire, run

SETTINGS = HomeAssistantSettings(host="ha.local")
STATUS: dict[str, Any] = WELL | {
    "channels": [
        ["heat-1", "energy", "kW.h", -3, "main", 12_345, 12_345],
        ["eth0.100", "data_up", "By", 0, "main", 7, 7],
        ["door", "opened", "{times}", 0, "main", None, None],
        ["pump", "runs", "1", 0, "main", 4, None],
    ]
}


def configs() -> dict[str, dict[str, Any]]:
    return {topic: json.loads(payload) for topic, payload in discovered(SETTINGS, STATUS).items()}


def test_a_channel_is_configured_as_the_documentation_of_mqtt_sensors_says() -> None:
    assert configs()["homeassistant/sensor/meterseal_gw-1/heat-1__energy/config"] == {
        "name": "energy",
        "unique_id": "meterseal_gw-1_heat-1.energy",
        "state_topic": "meterseal/gw-1/heat-1/energy",
        "state_class": "total_increasing",
        "suggested_display_precision": 3,
        "device": {
            "identifiers": ["meterseal_gw-1_heat-1"],
            "name": "heat-1",
            "manufacturer": "Meterseal",
            "via_device": "meterseal_gw-1",
        },
        "availability_topic": "meterseal/gw-1/availability",
        "origin": {"name": "Meterseal", "sw_version": "0.1.0"},
        "unit_of_measurement": "kWh",
        "device_class": "energy",
    }


def test_units_are_spelled_as_home_assistant_spells_them() -> None:
    by_name = {config["name"]: config for config in configs().values()}
    assert (by_name["data_up"]["unit_of_measurement"], by_name["data_up"]["device_class"]) == ("B", "data_size")
    assert by_name["opened"]["unit_of_measurement"] == "times"
    assert "device_class" not in by_name["opened"]
    assert "unit_of_measurement" not in by_name["runs"]


def test_discovery_topics_hold_only_what_they_may() -> None:
    """Letters, digits, underscore and hyphen in every level; each entity once."""
    found = configs()
    level = r"[a-zA-Z0-9_-]+"
    assert all(re.fullmatch(rf"homeassistant/sensor/{level}/{level}/config", topic) for topic in found)
    assert len({config["unique_id"] for config in found.values()}) == len(found) == 5


def test_warnings_have_an_entity_of_the_gateway() -> None:
    config = configs()["homeassistant/sensor/meterseal_gw-1/alert/config"]
    assert config["state_topic"] == config["json_attributes_topic"] == "meterseal/gw-1/alert"
    assert config["device"]["identifiers"] == ["meterseal_gw-1"]


def test_a_register_is_a_decimal_and_an_unknown_one_is_not_said() -> None:
    assert dict(states(SETTINGS, STATUS)) == {
        "meterseal/gw-1/heat-1/energy": b"12.345",
        "meterseal/gw-1/eth0.100/data_up": b"7",
        "meterseal/gw-1/pump/runs": b"4",
    }


@pytest.mark.parametrize(
    "given", [{"port": 0}, {"publish_seconds": 0}, {"prefix": "a/#"}, {"topic": "/a"}, {"topic": "a b"}]
)
def test_settings_that_cannot_be_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(given))):
        HomeAssistantSettings(**given)


def said(wire: Wire, topic: str) -> list[bytes]:
    return [payload for _, at, payload, retained in wire.published if at == topic and retained]


def test_configurations_are_published_when_they_change_and_taken_back_when_a_channel_goes() -> None:
    async def story() -> None:
        wire, status = Wire(), dict(STATUS)
        home = HomeLink(SETTINGS, wire, VirtualClock(), lambda: status)
        task = asyncio.create_task(home.run())
        await asyncio.sleep(95)
        config = "homeassistant/sensor/meterseal_gw-1/heat-1__energy/config"
        assert len(said(wire, config)) == 1
        assert said(wire, "meterseal/gw-1/heat-1/energy") == [b"12.345"] * 4
        status["channels"] = STATUS["channels"][1:]
        await asyncio.sleep(30)
        assert said(wire, config)[-1] == b""
        task.cancel()
        await asyncio.wait([task])
        assert said(wire, "meterseal/gw-1/availability") == [ONLINE, OFFLINE]
        assert wire.wills[0] is not None
        assert (wire.wills[0].topic, wire.wills[0].payload) == ("meterseal/gw-1/availability", OFFLINE)

    run(story())


def test_a_broker_that_is_away_is_tried_again_and_told_everything_anew() -> None:
    async def story() -> None:
        wire = Wire()
        wire.up = False
        home = HomeLink(SETTINGS, wire, VirtualClock(), lambda: STATUS)
        task = asyncio.create_task(home.run())
        home.pass_on(b'{"text":"80 % of your budget is used"}')
        await asyncio.sleep(5 * RETRY_SECONDS)
        assert len(wire.sessions) >= 4
        wire.up = True
        await asyncio.sleep(RETRY_SECONDS)
        assert said(wire, "meterseal/gw-1/alert") == [b'{"text":"80 % of your budget is used"}']
        assert len(said(wire, "homeassistant/sensor/meterseal_gw-1/alert/config")) == 1
        home.pass_on(b"x" * (ALERT_BYTES_MAX + 1))
        await asyncio.sleep(1)
        assert len(said(wire, "meterseal/gw-1/alert")) == 1, "P9: what is too long is not passed on"
        task.cancel()

    run(story())


def test_a_warning_is_overheard_and_the_links_user_never_sees_it() -> None:
    async def story() -> None:
        wire, heard = Wire(), list[bytes]()
        link = OverheardLink(wire, topic_of(GATEWAY, Leaf.ALERT), heard.append)
        async with link.session() as session:
            wire.deliver(b"too much", leaf=Leaf.ALERT)
            wire.deliver(b"receipt")
            message = await session.receive()
            assert (message.payload, heard) == (b"receipt", [b"too much"])
            assert [each.payload for each in wire.acknowledged] == [b"too much"]
            assert wire.subscribed == [topic_of(GATEWAY, Leaf.ALERT)]

    run(story())
