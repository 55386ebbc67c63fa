"""A channel whose number is printed somewhere: what every source that reads text asks of it, and says of it."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from edge_agent.invalid import InvalidSetting, require_channel, require_fits, require_kind, require_within
from edge_agent.reading import HOLD_SECONDS, ChannelName, ChannelSpec, Kind, SourceDown
from edge_agent.sources.modbus_values import Unreadable, scale_of
from shared.grammar import require_plain
from shared.limits import SERIAL_CHARS_MAX

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedChannel:
    """What a printed number means."""

    device: str
    meter: str
    unit: str
    """UCUM, of what is billed."""
    exponent: int = 0
    """The register counts steps of 10^exponent units."""
    scale: str = "1"
    """The number times this is in units, exactly: "1000", "0.01" or "1/3"."""
    rate_max: int
    """The most steps a second that can be true."""
    kind: Literal["counter", "gauge", "pulse", "event", "state"] = "counter"
    per_seconds: int = 3_600
    """A gauge's number is units per this many seconds: 3600 for W into W.h, 1 for By/s into By."""
    hold_seconds: int = HOLD_SECONDS
    """How long a gauge's level or a state is believed without a new reading; a longer silence is a gap."""
    width_bits: int | None = None
    """Where a counter rolls over: after 2^width_bits steps."""
    serial: str = ""
    """The serial number of the meter, where it is known."""
    log: str | None = None
    """The log that it is sealed in, where it is another than the source's."""

    def __post_init__(self) -> None:
        require_channel(self.device, self.meter, self.unit, self.exponent, self.rate_max)
        require_kind(self.kind, self.unit, self.per_seconds, self.hold_seconds)
        require_plain(self.serial, "serial", SERIAL_CHARS_MAX)
        try:
            scale_of(self.scale)
        except Unreadable as error:
            raise InvalidSetting("scale", f"is wrong: {error}") from error
        if self.width_bits is not None:
            require_within("width_bits", self.width_bits, 1, 64)
        if self.log is not None:
            require_fits("log", self.log)

    @property
    def name(self) -> ChannelName:
        """The channel's device and meter."""
        return ChannelName(self.device, self.meter)

    def spec(self, source: str, log: str) -> ChannelSpec:
        """The channel as it is metered, by the source of that name, in that log unless it has its own."""
        return ChannelSpec(
            device=self.device,
            meter=self.meter,
            unit=self.unit,
            exponent=self.exponent,
            kind=Kind(self.kind),
            source=source,
            log=self.log or log,
            rate_max=self.rate_max,
            width_bits=self.width_bits,
            per_seconds=self.per_seconds,
            hold_seconds=self.hold_seconds,
        )


def require_distinct(key: str, names: Iterable[ChannelName], most: int) -> None:
    """A source has channels, not too many, and none twice."""
    listed = list(names)
    if not 0 < len(listed) <= most:
        raise InvalidSetting(key, f"must hold 1 to {most} channels")
    if len(set(listed)) < len(listed):
        twice = next(name for name in listed if listed.count(name) > 1)
        raise InvalidSetting(key, f"hold {'.'.join(twice)} twice: give one of them another device or meter")


class Silence:
    """What of a source cannot be read: said once, until it changes."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._said: frozenset[str] = frozenset()

    def of(self, whys: Mapping[ChannelName, str], *, all_of_it: bool) -> None:
        """Raise SourceDown where nothing can be read; log what cannot where the rest can."""
        if all_of_it and whys:
            raise SourceDown(next(iter(whys.values())))
        said = frozenset(whys.values())
        for why in sorted(said - self._said):
            _LOG.warning('event=device_silent source=%s why="%s"', self._source, why)
        self._said = said
