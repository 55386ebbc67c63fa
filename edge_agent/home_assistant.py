"""Channels as Home Assistant discovers them by MQTT: configurations, states, and the collector's warnings. Pure.

One retained configuration a channel and one for cost warnings, one device a meter and one for the gateway.
Source: home-assistant.io, integrations "MQTT" (discovery topic and payload, device, origin, availability)
and "MQTT sensor"; units by device class as its sensor component lists them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge_agent.invalid import require_fits, require_within
from edge_agent.words import quantity
from shared.effects.broker import BrokerSettings

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
STATE_CHARS_MAX: Final = 255
"""What Home Assistant takes for a state."""
_TOPIC_PATTERN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}(/[A-Za-z0-9_.-]{1,64}){0,7}", re.ASCII)
_UNITS: Final = {
    "W.h": ("Wh", "energy"),
    "kW.h": ("kWh", "energy"),
    "MW.h": ("MWh", "energy"),
    "GW.h": ("GWh", "energy"),
    "Wh": ("Wh", "energy"),
    "kWh": ("kWh", "energy"),
    "MWh": ("MWh", "energy"),
    "GWh": ("GWh", "energy"),
    "J": ("J", "energy"),
    "kJ": ("kJ", "energy"),
    "MJ": ("MJ", "energy"),
    "GJ": ("GJ", "energy"),
    "By": ("B", "data_size"),
    "kBy": ("kB", "data_size"),
    "MBy": ("MB", "data_size"),
    "GBy": ("GB", "data_size"),
    "KiBy": ("KiB", "data_size"),
    "MiBy": ("MiB", "data_size"),
    "GiBy": ("GiB", "data_size"),
    "L": ("L", "volume"),
    "l": ("L", "volume"),
    "m3": ("m³", "volume"),
    "s": ("s", "duration"),
    "min": ("min", "duration"),
    "h": ("h", "duration"),
    "d": ("d", "duration"),
}
"""UCUM as Home Assistant spells it, and the class of device that goes with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeAssistantSettings:
    """The broker that Home Assistant listens to, and what is published there."""

    host: str = ""
    """The broker's name or address; empty: nothing is published."""
    port: int = 1883
    username: str | None = None
    password_file: Path | None = None
    """A file that holds the password alone."""
    tls: bool = False
    ca_file: Path | None = None
    """The authority (PEM) to trust; without it, the system's own."""
    prefix: str = "homeassistant"
    """Home Assistant's discovery prefix."""
    topic: str = "meterseal"
    """The first levels of the topics that states are published under."""
    publish_seconds: int = 30
    """How often registers are published."""

    def __post_init__(self) -> None:
        require_within("port", self.port, 1, 65_535)
        require_within("publish_seconds", self.publish_seconds, 1, 86_400)
        require_fits("prefix", self.prefix, _TOPIC_PATTERN)
        require_fits("topic", self.topic, _TOPIC_PATTERN)

    def broker(self) -> BrokerSettings:
        """The way to that broker."""
        return BrokerSettings(
            host=self.host,
            port=self.port,
            username=self.username,
            password_file=self.password_file,
            tls=self.tls,
            ca_file=self.ca_file,
        )


def availability_topic(settings: HomeAssistantSettings, gateway: str) -> str:
    """Where `online` and, as a last will, `offline` stand."""
    return f"{settings.topic}/{gateway}/availability"


def alert_topic(settings: HomeAssistantSettings, gateway: str) -> str:
    """Where the collector's warnings are passed on, as they came."""
    return f"{settings.topic}/{gateway}/alert"


def discovered(settings: HomeAssistantSettings, status: Mapping[str, Any]) -> dict[str, bytes]:
    """The configurations to be retained, by topic."""
    gateway = status["gateway"]
    hub = f"meterseal_{gateway}"
    shared = {
        "availability_topic": availability_topic(settings, gateway),
        "origin": {"name": "Meterseal", "sw_version": str(status["agent"]).rpartition(" ")[2]},
    }
    alert = alert_topic(settings, gateway)
    found = {
        f"{settings.prefix}/sensor/{hub}/alert/config": {
            "name": "Cost alert",
            "unique_id": f"{hub}_alert",
            "icon": "mdi:cash-alert",
            "state_topic": alert,
            "value_template": f"{{{{ value[:{STATE_CHARS_MAX}] }}}}",
            "json_attributes_topic": alert,
            "device": {"identifiers": [hub], "name": gateway, "manufacturer": "Meterseal", "model": "edge agent"},
            **shared,
        }
    }
    for device, meter, unit, exponent, *_ in status["channels"]:
        spelled, device_class = _UNITS.get(unit, (unit.strip("{}"), None))
        config = {
            "name": meter,
            "unique_id": f"{hub}_{device}.{meter}",
            "state_topic": state_topic(settings, gateway, device, meter),
            "state_class": "total_increasing",
            "suggested_display_precision": max(0, -exponent),
            "device": {
                "identifiers": [f"{hub}_{device}"],
                "name": device,
                "manufacturer": "Meterseal",
                "via_device": hub,
            },
            **shared,
        }
        config |= {"unit_of_measurement": spelled} if spelled != "1" else {}
        config |= {"device_class": device_class} if device_class else {}
        found[f"{settings.prefix}/sensor/{hub}/{_object_id(device, meter)}/config"] = config
    return {topic: json.dumps(config, separators=(",", ":")).encode() for topic, config in found.items()}


def states(settings: HomeAssistantSettings, status: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Each channel's register as a decimal, by topic; one that has never been read says nothing."""
    for device, meter, _, exponent, _, register, _ in status["channels"]:
        if register is not None:
            topic = state_topic(settings, status["gateway"], device, meter)
            yield topic, quantity(register, exponent).encode()


def state_topic(settings: HomeAssistantSettings, gateway: str, device: str, meter: str) -> str:
    """Where a channel's register stands."""
    return f"{settings.topic}/{gateway}/{device}/{meter}"


def _object_id(device: str, meter: str) -> str:
    """Letters, digits, underscore and hyphen are all that a discovery topic may hold."""
    return f"{device}__{meter}".replace(".", "_2e")
