"""What the source `mqtt` is told, and what follows: which numbers of which messages are which channels."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from edge_agent.invalid import (
    InvalidSetting,
    require_fits,
    require_source,
    require_within,
)
from edge_agent.sources.json_path import steps_to
from edge_agent.sources.mqtt_presets import Preset, PresetMeter, filled, presets, steps_per_second
from edge_agent.sources.printed_channel import PrintedChannel, require_distinct
from shared.effects.broker import BrokerSettings
from shared.errors import InvalidRecord
from shared.grammar import NAME_PATTERN, require_plain
from shared.limits import LINE_ROWS_MAX, SERIAL_CHARS_MAX

TOPIC_CHARS_MAX: Final = 256
STANDS_SECONDS_MAX: Final = 86_400
TELEMETRY_HOLD_SECONDS: Final = 660
"""Devices publish every five minutes at least; a level is believed over one message that was lost."""

PresetName: TypeAlias = Literal[
    "tasmota",
    "shelly-gen1",
    "shelly-gen1-em",
    "shelly-gen2",
    "shelly-gen2-pm",
    "shelly-gen2-em",
    "shelly-gen2-em1",
    "zigbee2mqtt",
    "esphome",
    "statestream",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttDevice:
    """A device that a preset knows; its topic is all that must be said."""

    preset: PresetName
    topic: str
    """The device's own part of its topics, as the preset says."""
    device: str = ""
    """What is metered, as the catalog calls it; empty: the topic in small letters."""
    meters: tuple[str, ...] = ("energy",)
    """Which of the preset's meters."""
    index: int = 0
    """Which of the device's outlets, clamps or phases, from 0."""
    base: str = ""
    """The first levels of its topics where they are not the preset's."""
    sensor: str = ""
    """ESPHome's object id, where it is not the preset's."""
    unit: str = ""
    """The unit in which it prints energy, where that is not the preset's."""
    watts_max: int | None = None
    """The most that it can measure, where that is not the preset's."""
    serial: str = ""
    """The serial number of the device; a change is sealed as an exchange."""
    log: str | None = None
    """The log that it is sealed in, where it is another than the source's: one a customer."""

    def __post_init__(self) -> None:
        _require_topic("topic", self.topic)
        require_fits("device", self.device or name_of(self.topic))
        require_within("index", self.index, 0, 99)
        if self.log is not None:
            require_fits("log", self.log)
        require_plain(self.serial, "serial", SERIAL_CHARS_MAX)
        if self.watts_max is not None:
            require_within("watts_max", self.watts_max, 1, 10**9)
        offered = presets()[self.preset]
        for meter in self.meters:
            if offered.find(meter) is None:
                known = ", ".join(each.meter for each in offered.meters)
                raise InvalidSetting("meters", f"holds {meter!r}; {self.preset} offers {known}")
        if not self.meters or len(set(self.meters)) < len(self.meters):
            raise InvalidSetting("meters", "must hold at least one meter, and each once")
        for key, used in (("base", offered.base), ("sensor", any(each.sensor for each in offered.meters))):
            if getattr(self, key) and not used:
                raise InvalidSetting(key, f"means nothing to the preset {self.preset}: leave it out")
        if self.sensor and len(self.meters) > 1:
            raise InvalidSetting("sensor", "names one sensor: give each meter a device entry of its own")
        if self.unit and steps_per_second(1, self.unit, 0) is None:
            raise InvalidSetting("unit", f"must be a unit of energy, such as kW.h; this is {self.unit[:32]!r}")
        feeds = feeds_of_device(self)
        if len({(feed.places, feed.path) for feed in feeds}) < len(feeds):
            raise InvalidSetting("meters", "names two that are the same number: give each a device entry of its own")


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttChannel(PrintedChannel):
    """A channel of a topic that no preset knows."""

    topic: str
    path: str = ""
    """Where the number stands in the message's JSON; empty: the message is the number."""
    generation: str = ""
    """Path of what changes when the counter begins anew, and never otherwise."""
    uptime: str = ""
    """Path of the seconds since the device's start, where the counter begins at zero with it."""
    seen: str = ""
    """Path of the moment that the device was heard, so that a retained message can be told from a stale one."""
    availability: tuple[str, ...] = ()
    """Topics that tell whether the device is there."""
    offline: str = "offline"
    """What those say when it is not."""
    stands_seconds: int = 0
    """For a device that publishes on changes only: how long its last word stands."""

    def __post_init__(self) -> None:
        PrintedChannel.__post_init__(self)  # With slots, super() does not find it.
        require_within("stands_seconds", self.stands_seconds, 0, STANDS_SECONDS_MAX)
        _require_topic("topic", self.topic)
        for topic in self.availability:
            _require_topic("availability", topic)
        for key in ("path", "generation", "uptime", "seen"):
            require_path(key, getattr(self, key))
            if getattr(self, key) and not self.path:
                raise InvalidSetting(key, "needs a path too: a message that is the number says nothing else")
        if self.stands_seconds and self.kind in ("pulse", "event"):
            raise InvalidSetting("stands_seconds", f"must be 0 for {self.kind}: each message counts once")


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """Which broker of the site is listened to, and what its devices say."""

    type: Literal["mqtt"] = "mqtt"
    name: str = "mqtt"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channels are sealed in."""
    poll_seconds: float = 1.0
    """How often what has arrived is metered."""
    host: str = "localhost"
    """The site's own broker; the collector's is another."""
    port: int = 1883
    username: str | None = None
    password_file: Path | None = None
    """A file that holds the password alone."""
    tls: bool = False
    ca_file: Path | None = None
    """The certificate authority (PEM) to trust; without it, the system's own."""
    cert_file: Path | None = None
    key_file: Path | None = None
    keepalive_seconds: int = 60
    """Silence after which the broker takes the source for gone."""
    ask_seconds: int = 60
    """How often devices whose preset knows how are asked to publish; 0: never."""
    silent_seconds: int = 900
    """A device that has said nothing for so long is named as silent."""
    devices: tuple[MqttDevice, ...] = ()
    """Devices that a preset knows."""
    channels: tuple[MqttChannel, ...] = ()
    """Channels of other topics."""

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        require_within("ask_seconds", self.ask_seconds, 0, 86_400)
        require_within("silent_seconds", self.silent_seconds, 10, 7 * 86_400)
        self.broker()
        require_distinct("devices", (feed.name for feed in feeds_of(self)), LINE_ROWS_MAX)

    @property
    def logs(self) -> frozenset[str]:
        """Every log that its channels are sealed in."""
        return frozenset(feed.log or self.log for feed in feeds_of(self))

    def broker(self) -> BrokerSettings:
        """Where the site's broker is."""
        return BrokerSettings(
            host=self.host,
            port=self.port,
            username=self.username,
            password_file=self.password_file,
            tls=self.tls,
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            keepalive_seconds=self.keepalive_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed(MqttChannel):
    """A channel with every place where its number comes from; `topic` and `path` are the first of them."""

    places: tuple[tuple[str, str], ...]
    """Topics, each with the path below which the others begin; {client} is the agent's name at the broker."""
    ask: tuple[str, ...] = ()
    """A topic and a message that makes the device publish; empty: it knows none."""


def feeds_of(settings: MqttSettings) -> tuple[Feed, ...]:
    """Every channel of the source."""
    known = [feed for device in settings.devices for feed in feeds_of_device(device)]
    own = [
        Feed(
            **{each.name: getattr(channel, each.name) for each in dataclasses.fields(channel)},
            places=((channel.topic, ""),),
        )
        for channel in settings.channels
    ]
    return (*known, *own)


def feeds_of_device(device: MqttDevice) -> tuple[Feed, ...]:
    """The channels that a preset makes of a device."""
    preset = presets()[device.preset]
    meters = [meter for meter in preset.meters if meter.meter in device.meters]
    return tuple(_feed(device, preset, meter) for meter in meters)


def _feed(device: MqttDevice, preset: Preset, meter: PresetMeter) -> Feed:
    values = {
        "topic": device.topic,
        "index": str(device.index),
        "base": device.base or preset.base,
        "sensor": device.sensor or meter.sensor,
    }
    unit = device.unit if device.unit and meter.kind == "counter" else meter.unit
    places = tuple((filled(topic, values), root) for topic, root in meter.places or preset.places)
    return Feed(
        device=device.device or name_of(device.topic),
        meter=meter.meter,
        topic=places[0][0],
        path=filled(meter.path, values),
        unit=unit,
        exponent=meter.exponent,
        rate_max=steps_per_second(device.watts_max or preset.watts_max, unit, meter.exponent) or 1,
        kind="gauge" if meter.kind == "gauge" else "counter",
        hold_seconds=TELEMETRY_HOLD_SECONDS,
        generation=meter.generation,
        uptime=meter.uptime,
        seen=meter.seen,
        availability=tuple(filled(topic, values) for topic in preset.availability),
        offline=preset.offline,
        stands_seconds=preset.stands_seconds,
        serial=device.serial,
        log=device.log,
        places=places,
        ask=tuple(filled(part, values) for part in preset.ask),
    )


def name_of(topic: str) -> str:
    """The device name that a topic gives, by the letters that names may have."""
    name = "".join(letter if NAME_PATTERN.fullmatch(letter) else "_" for letter in topic.lower())
    return name.strip("_")


def require_path(key: str, path: str) -> None:
    """The path can be followed."""
    try:
        steps_to(path)
    except InvalidRecord as error:
        raise InvalidSetting(key, f"is wrong: {error}") from error


def _require_topic(key: str, topic: str) -> None:
    wrong = set(topic) & set("+#\0") or topic.startswith("/") or topic.endswith("/")
    if wrong or not 0 < len(topic) <= TOPIC_CHARS_MAX:
        raise InvalidSetting(
            key, f"must be one topic of at most {TOPIC_CHARS_MAX} characters, without + and #; this is {topic[:48]!r}"
        )
