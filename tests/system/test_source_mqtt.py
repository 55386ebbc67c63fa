"""The source `mqtt` on real brokers, with messages in the shape that devices publish."""

import asyncio
import contextlib
import json
import logging
import re
import subprocess
import textwrap
import tomllib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from edge_agent.plain import record
from edge_agent.reading import ChannelName, Kind, Reading, SourceDown
from edge_agent.sources.mqtt import PAYLOAD_BYTES_MAX, PENDING_MAX, MqttSource
from edge_agent.sources.mqtt_presets import presets
from edge_agent.sources.mqtt_settings import MqttChannel, MqttDevice, MqttSettings, PresetName, feeds_of
from shared.effects.broker import BrokerSettings
from shared.effects.clock import Clock, SystemClock
from shared.effects.link import Session
from shared.effects.memory import SimpleClock
from shared.effects.mqtt import MqttLink
from tests.brokers import amqtt_broker, mosquitto_broker
from tests.processes import free_port
from tests.requirements import require
from tests.site_plugs import (
    shelly_gen1_info,
    shelly_gen2_answer,
    shelly_gen2_em,
    shelly_gen2_switch,
    tasmota_sensor,
    tasmota_status,
    zigbee2mqtt_plug,
)

PATIENCE = 10.0
NOW = 1_795_168_800


class Site:
    """A site's broker, with somebody who publishes for its devices."""

    def __init__(self, port: int, devices: Session) -> None:
        self.port = port
        self.devices = devices

    async def say(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish what a device would."""
        await self.devices.publish(topic, payload.encode(), qos=1, retain=retain)

    def settings(self, *devices: MqttDevice, channels: Sequence[MqttChannel] = (), **more: Any) -> MqttSettings:
        """Settings of a source that listens to these devices."""
        port: dict[str, Any] = {"port": self.port, "username": "edge", "ask_seconds": 0} | more
        return MqttSettings(host="127.0.0.1", devices=devices, channels=tuple(channels), **port)

    def plug(
        self, preset: PresetName, topic: str, clock: Clock | None = None
    ) -> AbstractAsyncContextManager[MqttSource]:
        """A source that listens to one device."""
        return self.source(self.settings(MqttDevice(preset=preset, topic=topic)), clock)

    @asynccontextmanager
    async def source(self, settings: MqttSettings, clock: Clock | None = None) -> AsyncIterator[MqttSource]:
        """A source that has subscribed; what it heard from before is not taken away."""
        source = MqttSource(settings, clock or SystemClock())
        try:
            source._listening = asyncio.ensure_future(source._listen())
            await connected(source)
            yield source
        finally:
            await source.close()


@pytest.fixture(params=["mosquitto", "amqtt"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """The same devices on both brokers."""
    require(request.param)
    if request.param == "mosquitto":
        with mosquitto_broker(tmp_path) as broker:
            async with broker.link("devices").session() as devices:
                yield Site(broker.port, devices)
    else:
        async with amqtt_broker() as other, other.link("devices").session() as devices:
            yield Site(other.port, devices)


@pytest.fixture
async def mosquitto(tmp_path: Path) -> AsyncIterator[Site]:
    """Mosquitto alone."""
    require("mosquitto")
    with mosquitto_broker(tmp_path) as broker:
        async with broker.link("devices").session() as devices:
            yield Site(broker.port, devices)


async def connected(source: MqttSource) -> None:
    """Return when it has subscribed."""
    async with asyncio.timeout(PATIENCE):
        while source._since_ms is None:
            source._arrival.clear()
            await source._arrival.wait()


async def heard(source: MqttSource, count: int = 1) -> list[Reading]:
    """The next readings, once so many have come."""
    found: list[Reading] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            with contextlib.suppress(SourceDown):
                found += await source.read()
            await asyncio.sleep(0.01)
    return found


async def down(source: MqttSource) -> str:
    """What the source says once it cannot be read."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await source.read()
            except SourceDown as error:
                return str(error)
            await asyncio.sleep(0.01)


def values(readings: Sequence[Reading]) -> dict[str, int]:
    return {f"{reading.device}.{reading.meter}": reading.value for reading in readings}


Case = tuple[str, dict[str, Any], str, str, int, str, int]
"""The device's topic and other settings, where it publishes and what; then what is read, in which steps."""

EM1 = '{"id":0,"total_act_energy":2776.17,"total_act_ret_energy":2.40}'
CASES: dict[str, Case] = {
    "tasmota": ("garage", {}, "tele/garage/SENSOR", tasmota_sensor("47.105"), 47_105, "kW.h", -3),
    "shelly-gen1": ("sh-1", {}, "shellies/sh-1/info", shelly_gen1_info(61, 9), 61, "W.min", 0),
    "shelly-gen1-em": ("sh-1", {"index": 2}, "shellies/sh-1/emeter/2/total", "64541.9", 64_541, "W.h", 0),
    "shelly-gen2": ("sh-2", {}, "sh-2/status/switch:0", shelly_gen2_switch("1234.567"), 1_234, "W.h", 0),
    "shelly-gen2-pm": ("sh-2", {}, "sh-2/status/pm1:0", shelly_gen2_switch("15.500"), 15, "W.h", 0),
    "shelly-gen2-em": ("sh-2", {}, "sh-2/status/emdata:0", shelly_gen2_em("6665.87", "12.25"), 6_665, "W.h", 0),
    "shelly-gen2-em1": ("sh-2", {}, "sh-2/status/em1data:0", EM1, 2_776, "W.h", 0),
    "zigbee2mqtt": ("Kitchen plug", {}, "zigbee2mqtt/Kitchen plug", zigbee2mqtt_plug("3.07"), 3_070, "kW.h", -3),
    "esphome": ("office", {"sensor": "total"}, "office/sensor/total/state", "0.42", 420, "kW.h", -3),
    "statestream": ("pump", {"unit": "W.h"}, "homeassistant/sensor/pump/state", "120.5", 120_500, "W.h", -3),
}


def test_every_preset_is_tried() -> None:
    assert set(CASES) == set(presets()) == set(get_args(PresetName))


@pytest.mark.parametrize("preset", CASES)
async def test_a_preset_makes_a_meter_of_a_topic(site: Site, preset: PresetName) -> None:
    """P1: the printed number, to its last digit."""
    topic, more, place, payload, value, unit, exponent = CASES[preset]
    async with site.source(site.settings(MqttDevice(preset=preset, topic=topic, **more))) as source:
        (spec,) = source.channels
        assert (spec.unit, spec.exponent, spec.kind, spec.meter) == (unit, exponent, Kind.COUNTER, "energy")
        await site.say(place, payload)
        (reading,) = await heard(source)
        assert (reading.device, reading.value) == (spec.device, value)


async def test_a_plug_with_two_outlets_is_two_devices(site: Site) -> None:
    plugs = [MqttDevice(preset="tasmota", topic="t", index=index, device=f"outlet-{index}") for index in (0, 1)]
    async with site.source(site.settings(*plugs)) as source:
        await site.say("tele/t/SENSOR", tasmota_sensor("[0.500,2.910]", power="[7,8]"))
        assert values(await heard(source, 2)) == {"outlet-0.energy": 500, "outlet-1.energy": 2_910}


async def test_a_gauge_is_one_channel_more(site: Site) -> None:
    device = MqttDevice(preset="shelly-gen2", topic="p", device="oven", meters=("energy", "energy_of_power"))
    async with site.source(site.settings(device)) as source:
        assert [(spec.kind, spec.unit, spec.per_seconds) for spec in source.channels] == [
            (Kind.COUNTER, "W.h", 3_600),
            (Kind.GAUGE, "W.h", 3_600),
        ]
        await site.say("p/status/switch:0", shelly_gen2_switch("10.999", apower="78.9"))
        assert values(await heard(source, 2)) == {"oven.energy": 10, "oven.energy_of_power": 78}


class TestAMessageIsAReadingOnce:
    async def test_each_message_is_read_once_with_the_moment_of_its_arrival(self, mosquitto: Site) -> None:
        clock = SimpleClock(boot_ms=5_000, utc_ms=NOW * 1_000)
        settings = mosquitto.settings(MqttDevice(preset="tasmota", topic="garage"))
        async with mosquitto.source(settings, clock) as source:
            await mosquitto.say("tele/garage/SENSOR", tasmota_sensor("1.000"))
            await asyncio.sleep(0.2)
            clock.advance(500)
            await mosquitto.say("tele/garage/SENSOR", tasmota_sensor("1.001"))
            await asyncio.sleep(0.2)
            clock.advance(30_000)
            found = await heard(source, 2)
            assert [(reading.value, reading.at_ms) for reading in found] == [(1_000, 5_000), (1_001, 5_500)]
            assert list(await source.read()) == []
            assert [reading.value for reading in await source.peek()] == [1_001]

    async def test_a_retained_message_is_no_reading(self, site: Site) -> None:
        """P13: nobody knows when it was said."""
        await site.say("tele/garage/SENSOR", tasmota_sensor("1.000"), retain=True)
        await site.say("homeassistant/sensor/pump/state", "99.5", retain=True)
        devices = (MqttDevice(preset="tasmota", topic="garage"), MqttDevice(preset="statestream", topic="pump"))
        async with site.source(site.settings(*devices)) as source:
            await asyncio.sleep(0.3)
            assert list(await source.read()) == []
            await site.say("tele/garage/SENSOR", tasmota_sensor("1.004"), retain=True)
            assert values(await heard(source)) == {"garage.energy": 1_004}

    @pytest.mark.parametrize(
        ("last_seen", "synchronised", "at_ms"),
        [
            ("2026-11-20T09:59:20+00:00", True, 60_000),
            (str(NOW - 40), True, 60_000),
            (str(1_000 * (NOW - 40)), True, 60_000),
            ("2026-11-20T09:59:20+00:00", False, None),
            ("2026-11-20T08:59:59+00:00", True, None),
            ("2026-11-20T10:00:01+00:00", True, None),
            ("2026-11-20T09:59:20", True, None),
        ],
        ids=["fresh", "in seconds", "in milliseconds", "no clock", "too old", "of the future", "without a zone"],
    )
    async def test_a_retained_message_that_says_when_is_read_then(
        self,
        mosquitto: Site,
        last_seen: str,
        synchronised: bool,  # noqa: FBT001
        at_ms: int | None,
    ) -> None:
        clock = SimpleClock(boot_ms=100_000, utc_ms=NOW * 1_000, synchronised=synchronised)
        await mosquitto.say("zigbee2mqtt/plug", zigbee2mqtt_plug("3.07", last_seen=last_seen), retain=True)
        async with mosquitto.source(
            mosquitto.settings(MqttDevice(preset="zigbee2mqtt", topic="plug")), clock
        ) as source:
            await asyncio.sleep(0.3)
            assert [reading.at_ms for reading in await source.read()] == ([] if at_ms is None else [at_ms])

    async def test_what_was_said_while_nobody_listened_does_not_come_later(self, mosquitto: Site) -> None:
        """P4: an old value that arrives as a new one would be a jump that no meter made."""
        settings = mosquitto.settings(MqttDevice(preset="tasmota", topic="garage"))
        async with mosquitto.source(settings) as source:
            await mosquitto.say("tele/garage/SENSOR", tasmota_sensor("1.000"))
            await heard(source)
        await mosquitto.say("tele/garage/SENSOR", tasmota_sensor("1.001"))
        async with mosquitto.source(settings) as source:
            await mosquitto.say("tele/garage/SENSOR", tasmota_sensor("1.002"))
            assert values(await heard(source)) == {"garage.energy": 1_002}

    async def test_what_nobody_fetches_is_bounded(self, mosquitto: Site) -> None:
        """P9: the newest stay."""
        async with mosquitto.plug("tasmota", "garage") as source:
            for total in range(PENDING_MAX + 9):
                await mosquitto.say("tele/garage/SENSOR", tasmota_sensor(f"1.{total:03}"))
            await asyncio.sleep(0.3)
            found = await source.read()
            assert [found[0].value, found[-1].value, len(found)] == [1_009, 1_000 + PENDING_MAX + 8, PENDING_MAX]


class TestWhatADeviceThatSpeaksOnChangesSaidStands:
    async def test_it_stands_while_nobody_calls_it_offline(self, mosquitto: Site) -> None:
        clock = SimpleClock(boot_ms=0, utc_ms=NOW * 1_000)
        device = MqttDevice(preset="zigbee2mqtt", topic="plug")
        async with mosquitto.source(mosquitto.settings(device), clock) as source:
            await mosquitto.say("zigbee2mqtt/plug/availability", '{"state":"online"}', retain=True)
            await mosquitto.say("zigbee2mqtt/plug", zigbee2mqtt_plug("3.07"))
            await heard(source)
            clock.advance(600_000)
            (again,) = await source.read()
            assert (again.value, again.at_ms) == (3_070, 600_000)
            await mosquitto.say("zigbee2mqtt/plug/availability", '{"state":"offline"}', retain=True)
            assert await down(source) == (
                "plug is offline, says zigbee2mqtt/plug/availability: is it plugged in, and in reach of the network?"
            )
            await mosquitto.say("zigbee2mqtt/plug/availability", "online", retain=True)
            assert values(await heard(source)) == {"plug.energy": 3_070}

    async def test_it_does_not_stand_for_ever(self, mosquitto: Site) -> None:
        clock = SimpleClock(boot_ms=0, utc_ms=NOW * 1_000)
        async with mosquitto.source(
            mosquitto.settings(MqttDevice(preset="zigbee2mqtt", topic="plug")), clock
        ) as source:
            await mosquitto.say("zigbee2mqtt/plug", zigbee2mqtt_plug("3.07"))
            await heard(source)
            clock.advance(3_601_000)
            assert "nothing has come from plug on zigbee2mqtt/plug for 60 minutes" in await down(source)

    async def test_it_does_not_stand_where_home_assistant_does_not_know_it(self, mosquitto: Site) -> None:
        async with mosquitto.plug("statestream", "pump") as source:
            await mosquitto.say("homeassistant/sensor/pump/state", "99.5", retain=True)
            await heard(source)
            await mosquitto.say("homeassistant/sensor/pump/state", "unavailable", retain=True)
            assert "it says 'unavailable'" in await down(source)

    async def test_a_plug_that_publishes_at_intervals_says_nothing_in_between(self, mosquitto: Site) -> None:
        """P3: an interval that nobody has read is no interval without usage."""
        clock = SimpleClock(boot_ms=0, utc_ms=NOW * 1_000)
        async with mosquitto.plug("tasmota", "garage", clock) as source:
            await mosquitto.say("tele/garage/SENSOR", tasmota_sensor("1.000"))
            await heard(source)
            clock.advance(10_000)
            assert list(await source.read()) == []


class TestThePlugStartsAnew:
    async def test_tasmotas_zeroing_is_a_generation(self, site: Site) -> None:
        """P4."""
        async with site.source(site.settings(MqttDevice(preset="tasmota", topic="garage"))) as source:
            await site.say("tele/garage/SENSOR", tasmota_sensor("47.105"))
            await site.say("stat/garage/STATUS10", tasmota_status("47.106"))
            await site.say("tele/garage/SENSOR", tasmota_sensor("0.001", zeroed="2026-11-20T09:00:00"))
            before, same, after = await heard(source, 3)
        assert before.generation == same.generation == "2024-03-01T08:00:00"
        assert after.generation == "2026-11-20T09:00:00"

    async def test_the_start_of_a_gen_1_shelly_is_a_generation(self, mosquitto: Site) -> None:
        """P4: its counter begins at zero with it, and may have overtaken the last value unseen."""
        clock = SimpleClock(boot_ms=0, utc_ms=NOW * 1_000)
        settings = mosquitto.settings(MqttDevice(preset="shelly-gen1", topic="plug"))
        lives = []
        async with mosquitto.source(settings, clock) as source:
            source.remember({ChannelName("plug", "energy"): f"up{NOW - 86_400 + 41}"})
            for total, uptime, passed in ((500, 86_400, 30), (501, 86_430, 600), (700, 95, 30)):
                await mosquitto.say("shellies/plug/info", shelly_gen1_info(total, uptime))
                lives += [reading.generation for reading in await heard(source)]
                clock.advance(passed * 1_000)
        assert lives == [f"up{NOW - 86_400 + 41}"] * 2 + [f"up{NOW + 630 - 95}"]

    async def test_without_a_clock_no_start_is_told(self, mosquitto: Site) -> None:
        clock = SimpleClock(boot_ms=0, utc_ms=0, synchronised=False)
        async with mosquitto.source(
            mosquitto.settings(MqttDevice(preset="shelly-gen1", topic="plug")), clock
        ) as source:
            await mosquitto.say("shellies/plug/info", shelly_gen1_info(500, 86_400))
            assert [reading.generation for reading in await heard(source)] == [""]


class TestDevicesAreAsked:
    async def test_a_tasmota_plug_is_asked_for_its_status(self, site: Site) -> None:
        await site.devices.subscribe("cmnd/garage/STATUS")
        settings = site.settings(MqttDevice(preset="tasmota", topic="garage"), ask_seconds=60)
        async with site.source(settings) as source:
            asked = await asyncio.wait_for(site.devices.receive(), PATIENCE)
            assert asked.payload == b"10"
            await site.say("stat/garage/STATUS10", tasmota_status("5.500"))
            assert values(await heard(source)) == {"garage.energy": 5_500}

    async def test_a_gen_2_shelly_is_asked_by_rpc_and_answers_its_asker(self, site: Site) -> None:
        await site.devices.subscribe("shelly-2/rpc")
        settings = site.settings(MqttDevice(preset="shelly-gen2", topic="shelly-2", index=3), ask_seconds=60)
        async with site.source(settings) as source:
            asked = json.loads((await asyncio.wait_for(site.devices.receive(), PATIENCE)).payload)
            assert (asked["method"], asked["params"]) == ("Switch.GetStatus", {"id": 3})
            await site.say(*shelly_gen2_answer(asked, "77.123"))
            assert values(await heard(source)) == {"shelly-2.energy": 77}


def own(**more: Any) -> MqttChannel:
    fields: dict[str, Any] = {"device": "d", "meter": "m", "unit": "m3", "exponent": -3, "rate_max": 10, "topic": "a/b"}
    return MqttChannel(**(fields | more))


class TestOwnTopics:
    @pytest.mark.parametrize(
        ("channel", "payload", "value"),
        [
            (own(), "1234.5678", 1_234_567),
            (own(path="value"), '{"value": 1.5}', 1_500),
            (own(path="value"), '{"value": "1.5"}', 1_500),
            (own(path='["a.b"][1].c'), '{"a.b": [0, {"c": 3}]}', 3_000),
            (own(exponent=0, scale="0.1"), "123456", 12_345),
            (own(kind="state", unit="s", exponent=0), "ON", 1),
            (own(kind="state", unit="s", exponent=0, path="state"), '{"state":"off"}', 0),
            (own(kind="state", unit="s", exponent=0, path="state"), '{"state":true}', 1),
            (own(kind="event", unit="{cycle}", exponent=0, path="done"), '{"done":2}', 2),
        ],
    )
    async def test_a_number_is_where_its_path_says(
        self, mosquitto: Site, channel: MqttChannel, payload: str, value: int
    ) -> None:
        async with mosquitto.source(mosquitto.settings(channels=[channel])) as source:
            await mosquitto.say("a/b", payload)
            assert values(await heard(source)) == {"d.m": value}

    @pytest.mark.parametrize(
        ("channel", "payload", "sentence"),
        [
            (own(), "1,5", "'1,5' is no number"),
            (own(), "", "it says 'nothing'"),
            (own(path="value"), "1.5", "the message has no value"),
            (own(path="value"), "{", "'{' is no JSON"),
            (own(path="value"), '{"value": NaN}', "is no JSON"),
            (own(path="value"), '{"value": [1, 2]}', "an object or a list is no number"),
            (own(path="value"), '{"value": true}', "True is no number"),
            (own(path="value"), "[" * 60_000, "is no JSON"),
            (own(), "9" * (PAYLOAD_BYTES_MAX + 1), f"longer than {PAYLOAD_BYTES_MAX} bytes"),
        ],
    )
    async def test_what_is_no_number_is_said_in_a_sentence(
        self, mosquitto: Site, channel: MqttChannel, payload: str, sentence: str
    ) -> None:
        async with mosquitto.source(mosquitto.settings(channels=[channel])) as source:
            await mosquitto.say("a/b", payload)
            said = await down(source)
            assert said.startswith("d cannot be read: a/b: ")
            assert sentence in said

    async def test_a_bad_message_stops_no_neighbour(self, mosquitto: Site, caplog: pytest.LogCaptureFixture) -> None:
        channels = [own(), own(device="e", topic="a/c")]
        async with mosquitto.source(mosquitto.settings(channels=channels)) as source:
            with caplog.at_level(logging.WARNING):
                await mosquitto.say("a/b", "rubbish")
                await mosquitto.say("a/c", "1.5")
                assert values(await heard(source)) == {"e.m": 1_500}
                await source.read()
        (said,) = [record.getMessage() for record in caplog.records]
        assert said.startswith("event=device_silent source=mqtt why=\"d cannot be read: a/b: 'rubbish' is no number;")


class TestTheBroker:
    async def test_one_that_is_not_there_is_named(self) -> None:
        source = MqttSource(MqttSettings(host="127.0.0.1", port=free_port(), channels=(own(),)), SystemClock())
        try:
            assert "nothing listens at 127.0.0.1" in await down(source)
        finally:
            await source.close()

    async def test_one_that_comes_back_is_heard_again(self, tmp_path: Path) -> None:
        require("mosquitto")
        with mosquitto_broker(tmp_path) as broker:
            settings = MqttSettings(host="127.0.0.1", port=broker.port, channels=(own(stands_seconds=3_600),))
            source = MqttSource(settings, SystemClock())
            try:
                await source.read()
                broker.process.kill()
                assert "lost" in await down(source)
                broker.restart()
                await connected(source)
                async with broker.link("devices").session() as devices:
                    await devices.publish("a/b", b"2.5")
                    assert values(await heard(source)) == {"d.m": 2_500}
            finally:
                await source.close()

    async def test_one_that_asks_for_a_password_gets_it(self, tmp_path: Path) -> None:
        require("mosquitto")
        (tmp_path / "password").write_text("right\n", encoding="ascii")
        users = tmp_path / "users"
        users.write_text("edge:right\ndevices:right\n", encoding="ascii")
        await asyncio.to_thread(
            subprocess.run, [require("mosquitto_passwd"), "-U", str(users)], check=True, capture_output=True
        )
        with mosquitto_broker(tmp_path, [f"password_file {users}"], anonymous=False) as broker:
            fields: dict[str, Any] = {"host": "127.0.0.1", "port": broker.port, "channels": (own(),)}
            nobody = MqttSource(MqttSettings(**fields), SystemClock())
            somebody = MqttSource(
                MqttSettings(**fields, username="edge", password_file=tmp_path / "password"), SystemClock()
            )
            try:
                assert "refuses" in await down(nobody)
                link = MqttLink(
                    BrokerSettings(host="127.0.0.1", port=broker.port, tls=False, password_file=tmp_path / "password"),
                    "devices",
                )
                async with link.session() as devices:
                    reading = asyncio.ensure_future(heard(somebody))
                    await asyncio.sleep(0.5)
                    await devices.publish("a/b", b"2.5")
                    assert values(await reading) == {"d.m": 2_500}
            finally:
                await nobody.close()
                await somebody.close()

    async def test_a_topic_on_which_nothing_comes_is_named(self, mosquitto: Site) -> None:
        clock = SimpleClock(boot_ms=0, utc_ms=NOW * 1_000)
        async with mosquitto.plug("tasmota", "gerage", clock) as source:
            assert list(await source.read()) == []
            clock.advance(901_000)
            assert await down(source) == (
                "nothing has come from gerage on tele/gerage/SENSOR for 15 minutes: "
                "compare the topic with what the device is set to, letter by letter"
            )


HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "smart-plugs.md"


def examples() -> list[MqttSettings]:
    """The configurations that the how-to shows, as the agent reads them."""
    blocks = re.findall(r"^ *```toml\n(.*?)^ *```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [record(MqttSettings, tomllib.loads(textwrap.dedent(block))["sources"][0]) for block in blocks]


class TestTheHowTo:
    async def test_its_devices_and_channels_are_metered(self, mosquitto: Site) -> None:
        plugs, others = (replace(example, port=mosquitto.port, ask_seconds=0) for example in examples())
        async with mosquitto.source(plugs) as source:
            for device, feed in zip(plugs.devices, feeds_of(plugs), strict=True):
                await mosquitto.say(feed.topic, CASES[device.preset][3])
            assert values(await heard(source, 3)) == {
                "freezer.energy": 47_105,
                "wallbox.energy": 1_234,
                "kitchen_plug.energy": 3_070,
            }
        async with mosquitto.source(others) as source:
            await mosquitto.say("site/well/state", '{"counter":{"litres":12345.6}}')
            await mosquitto.say("site/boiler/burner", "ON")
            assert values(await heard(source, 2)) == {"well.water": 12_345, "boiler.active": 1}

    def test_it_lists_every_preset(self) -> None:
        listed = re.findall(r"^\| `([\w-]+)` \| ", HOW_TO.read_text(encoding="utf-8"), re.MULTILINE)
        assert [name for name in listed if name != "preset"] == list(presets())
