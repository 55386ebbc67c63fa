"""What devices publish by themselves, read from mqtt_presets.toml: from a device's topic to what is metered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Final

from edge_agent.plain import record
from shared.unit import ratio

FILE: Final = Path(__file__).with_name("mqtt_presets.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetMeter:
    """One thing that a device measures; its paths begin where the place says."""

    meter: str
    path: str
    unit: str
    exponent: int = 0
    kind: str = "counter"
    sensor: str = ""
    places: tuple[tuple[str, str], ...] = ()
    generation: str = ""
    uptime: str = ""
    seen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What devices of a kind publish, with {placeholders} for what differs between them."""

    topic: str
    """What the user's topic is, in words."""
    base: str = ""
    availability: tuple[str, ...]
    offline: str = "offline"
    places: tuple[tuple[str, str], ...] = ()
    ask: tuple[str, ...] = ()
    stands_seconds: int = 0
    watts_max: int
    meters: tuple[PresetMeter, ...]

    def find(self, meter: str) -> PresetMeter | None:
        """The meter of that name, if the devices have one."""
        return next((each for each in self.meters if each.meter == meter), None)


@lru_cache(maxsize=1)
def presets() -> Mapping[str, Preset]:
    """All presets by name."""
    import tomllib  # noqa: PLC0415 - only an agent that meters by presets reads them.

    tables = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: record(Preset, table) for name, table in tables.items()}


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced; braces of JSON stay."""
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), template)


def steps_per_second(watts: int, unit: str, exponent: int) -> int | None:
    """How many steps of 10^exponent units of energy so many watts are in a second, rounded up; None: no energy."""
    hours = ratio("W.h", unit)
    if hours is None:
        return None
    exact = watts * hours / 3_600 * Fraction(10) ** -exponent
    return max(1, -(-exact.numerator // exact.denominator))
