"""A channel of a smart meter as it is configured: well-known meter names bring their code, unit and bounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Final, Literal, NamedTuple

from edge_agent.invalid import InvalidSetting, require_channel, require_fits, require_within
from edge_agent.reading import HOLD_SECONDS, HOLD_SECONDS_MAX, ChannelSpec, Kind, Reading
from edge_agent.sources.obis import Telegram, Wanted, find, wanted_of
from shared.limits import INTEGER_MAX, LINE_ROWS_MAX
from shared.unit import ratio

GAUGE_SECONDS: Final = 3_600
"""A gauge's value is units per hour: W into W.h, m3/h into m3."""


class Known(NamedTuple):
    """What a well-known meter name stands for."""

    obis: str
    unit: str
    exponent: int
    rate_max: Fraction
    """Units a second; 100 kW. What comes in lumps once an hour is allowed to."""
    kind: Literal["counter", "gauge"] = "counter"


_POWER: Final = Fraction(100_000, 3_600)
_TOTAL: Final = "{0}.8.0|{0}.8.1+{0}.8.2+{0}.8.3+{0}.8.4|{0}.8.1+{0}.8.2"
KNOWN: Final = {
    "energy_in": Known(_TOTAL.format(1), "W.h", 0, _POWER),
    "energy_in_1": Known("1.8.1", "W.h", 0, _POWER),
    "energy_in_2": Known("1.8.2", "W.h", 0, _POWER),
    "energy_out": Known(_TOTAL.format(2), "W.h", 0, _POWER),
    "energy_out_1": Known("2.8.1", "W.h", 0, _POWER),
    "energy_out_2": Known("2.8.2", "W.h", 0, _POWER),
    "power_in": Known("1.7.0|16.7.0", "W.h", 0, _POWER, "gauge"),
    "power_out": Known("2.7.0", "W.h", 0, _POWER, "gauge"),
    "gas": Known("gas", "m3", -3, Fraction(1)),
    "water": Known("water", "m3", -3, Fraction(1)),
    "heat": Known("heat", "J", 6, Fraction(40_000_000)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObisChannel:
    """One register of a smart meter; what is not said follows from a well-known meter name."""

    meter: str
    device: str | None = None
    """What is metered, as the catalog calls it; None: the source's."""
    obis: str | None = None
    """The register's code, `1-0:1.8.0`; a sum, `1.8.1+1.8.2`; or alternatives, `1.8.0|1.8.1+1.8.2`."""
    unit: str | None = None
    """UCUM, of what is billed; the meter's own unit is converted exactly."""
    exponent: int | None = None
    """The register counts steps of 10^exponent units."""
    kind: Literal["counter", "gauge"] | None = None
    """A gauge's value is a rate (W for W.h), integrated over time."""
    rate_max: int | None = None
    """The most steps a second that can be true."""
    hold_seconds: int = HOLD_SECONDS
    """How long a gauge's level is believed without a new one; a longer silence is a gap."""
    telegram_unit: str | None = None
    """The unit of the number where the telegram does not say it."""

    def __post_init__(self) -> None:
        require_fits("meter", self.meter)
        require_within("hold_seconds", self.hold_seconds, 1, HOLD_SECONDS_MAX)
        known = KNOWN.get(self.meter)
        for key, given in (("obis", self.obis), ("unit", self.unit)):
            if given is None and known is None:
                raise InvalidSetting(key, f"is needed, as {self.meter!r} is none of {', '.join(KNOWN)}")
        if self.rate_max is None and (known is None or ratio(known.unit, self.settled_unit) is None):
            raise InvalidSetting("rate_max", f"is needed for {self.meter} in {self.settled_unit}")
        require_channel(self.device or "d", self.meter, self.settled_unit, self.settled_exponent, self.settled_rate)
        _ = self.wanted

    @property
    def wanted(self) -> Wanted:
        """Which registers it reads."""
        return wanted_of(self.obis if self.obis is not None else KNOWN[self.meter].obis)

    @property
    def settled_unit(self) -> str:
        """The unit, said or well known."""
        return self.unit if self.unit is not None else KNOWN[self.meter].unit

    @property
    def settled_exponent(self) -> int:
        """The exponent; well known for a unit that is."""
        known = KNOWN.get(self.meter)
        if self.exponent is not None or known is None:
            return self.exponent or 0
        return known.exponent if self.settled_unit == known.unit else 0

    @property
    def settled_kind(self) -> Kind:
        """Counter or gauge."""
        known = KNOWN.get(self.meter)
        return Kind(self.kind or ("counter" if known is None else known.kind))

    @property
    def settled_rate(self) -> int:
        """The most steps a second, said or well known."""
        if self.rate_max is not None:
            return self.rate_max
        known = KNOWN[self.meter]
        into = ratio(known.unit, self.settled_unit)
        assert into is not None
        return min(INTEGER_MAX, max(1, ceil(known.rate_max * into / Fraction(10) ** self.settled_exponent)))

    def spec(self, device: str, source: str, log: str) -> ChannelSpec:
        """The channel, settled."""
        return ChannelSpec(
            device=self.device or device,
            meter=self.meter,
            unit=self.settled_unit,
            exponent=self.settled_exponent,
            kind=self.settled_kind,
            source=source,
            log=log,
            rate_max=self.settled_rate,
            per_seconds=GAUGE_SECONDS,
            hold_seconds=self.hold_seconds,
        )


def require_channels(channels: Sequence[ObisChannel], device: str) -> None:
    """There are channels, not too many, and none twice."""
    require_fits("device", device)
    names = [(channel.device or device, channel.meter) for channel in channels]
    if not 0 < len(names) <= LINE_ROWS_MAX:
        raise InvalidSetting("channels", f"must hold 1 to {LINE_ROWS_MAX} channels")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidSetting("channels", f"holds {'.'.join(twice)} twice")


def reading_of(telegram: Telegram, channel: ObisChannel, spec: ChannelSpec, at_ms: int) -> Reading | str:
    """The channel's reading from a telegram, or why there is none."""
    found = find(telegram, channel.wanted)
    if isinstance(found, str):
        return found
    value = Fraction(0)
    for register in found:
        unit = register.unit or channel.telegram_unit or ""
        steps = steps_in(register.value, unit, spec)
        if isinstance(steps, str):
            return f"{register.code} {steps}"
        value += steps
    # What is finer than a step is cut off once, after the sum: a counter shows it again as it fills a step.
    whole = value.numerator // value.denominator
    if abs(whole) > INTEGER_MAX:
        return f"{channel.meter} is too large for steps of 10^{spec.exponent} {spec.unit}"
    return Reading(device=spec.device, meter=spec.meter, value=whole, at_ms=at_ms, serial=found[0].serial)


def steps_in(value: Fraction, unit: str, spec: ChannelSpec) -> Fraction | str:
    """A value of a unit in steps of a channel, exactly, or why it cannot be."""
    if not unit:
        return f"is without a unit: say telegram_unit for {spec.meter}"
    into = ratio(f"{unit}.h" if spec.kind is Kind.GAUGE else unit, spec.unit)
    if into is None:
        per = " an hour" if spec.kind is Kind.GAUGE else ""
        return f"is in {unit[:16]}, which is no {spec.unit}{per}"
    return value * into / Fraction(10) ** spec.exponent
