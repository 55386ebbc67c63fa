"""Which messages at a broker are those of plugs and meters that presets know. Pure."""

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import cache
from typing import Any, Final

from edge_agent.display import on_display
from edge_agent.installer.proposal import Found
from edge_agent.sources.json_path import document, found_at, steps_to
from edge_agent.sources.mqtt_presets import Preset, PresetMeter, filled, presets
from edge_agent.sources.mqtt_settings import MqttDevice
from shared.errors import InvalidRecord

TOPICS_MAX: Final = 20_000
"""Topics that are looked at; a broker may hold any number."""
_NUMBER: Final = re.compile(r"-?\d{1,15}(\.\d{1,9})?", re.ASCII)
_METER: Final = "energy"


def found_in(messages: Mapping[str, bytes], broker: Mapping[str, Any], where: str) -> list[Found]:
    """Every device that a preset knows among these messages by topic, once each."""
    found: dict[tuple[str, str, int], Found] = {}
    for topic, payload in sorted(messages.items()):
        for name, preset in presets().items():
            meter = preset.find(_METER)
            match = None if meter is None else _match(name, topic)
            if meter is None or match is None:
                continue
            number = _number(preset, meter, match, payload)
            if number is None:
                continue
            place = (name, match["topic"], int(match.get("index") or 0))
            each = _found(place, meter, number, broker, where)
            if each is not None:
                found.setdefault(place, each)
    return list(found.values())


def _match(name: str, topic: str) -> dict[str, str] | None:
    for pattern in _patterns(name):
        fits = pattern.fullmatch(topic)
        # Home Assistant publishes every number of a house in one form: its energy bears the name.
        if fits is not None and (name != "statestream" or "energy" in topic):
            return fits.groupdict()
    return None


@cache
def _patterns(name: str) -> tuple["re.Pattern[str]", ...]:
    preset = presets()[name]
    meter = preset.find(_METER)
    assert meter is not None, "asked for presets that have it"
    places = [topic for topic, _ in meter.places or preset.places if "{client}" not in topic]
    return tuple(re.compile(_pattern(topic, preset, meter)) for topic in places)


def _pattern(topic: str, preset: Preset, meter: PresetMeter) -> str:
    known = re.escape(filled(topic, {"base": preset.base, "sensor": meter.sensor}))
    return known.replace(r"\{topic\}", r"(?P<topic>[^/]+(?:/[^/]+)*?)").replace(r"\{index\}", r"(?P<index>\d{1,2})")


def _number(preset: Preset, meter: PresetMeter, match: Mapping[str, str], payload: bytes) -> Fraction | None:
    path = filled(meter.path, {"index": match.get("index") or "0"})
    roots = [root for topic, root in meter.places or preset.places if "{client}" not in topic]
    for root in roots:
        whole = ".".join(part for part in (root, path) if part)
        try:
            value = (
                found_at(steps_to(whole), document(payload)) if whole else payload.decode("ascii", "replace").strip()
            )
        except InvalidRecord:
            return None
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            return Fraction(value)
    return None


def _found(
    place: tuple[str, str, int], meter: PresetMeter, number: Fraction, broker: Mapping[str, Any], where: str
) -> Found | None:
    preset, topic, index = place
    entry: dict[str, Any] = {"preset": preset, "topic": topic} | ({"index": index} if index else {})
    try:
        MqttDevice(**entry)
    except InvalidRecord:
        return None
    steps = number / Fraction(10) ** meter.exponent
    reads = on_display(max(0, steps.numerator // steps.denominator), meter.unit, meter.exponent)
    source = {"type": "mqtt", "name": "plugs"} | dict(broker)
    what = f"{preset} {topic}{f' number {index}' if index else ''}"
    return Found(where=where, what=what, reads=f"energy {reads}", source=source, list_name="devices", entry=entry)


def wanted(topics: Iterable[str]) -> bool:
    """Whether there is room for another topic."""
    return sum(1 for _ in topics) < TOPICS_MAX
