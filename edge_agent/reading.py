"""What a source says: channels, their raw readings, and the protocol that every source keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, runtime_checkable

from shared.errors import InvalidRecord, MetersealError
from shared.limits import EXPONENT_MAX, INTEGER_MAX
from shared.report import NAME_PATTERN

WIDTH_BITS_MAX = 64
HOLD_SECONDS: Final = 300
"""A gauge's level or a state is believed to hold between two readings at most this far apart, where nothing is said."""
HOLD_SECONDS_MAX: Final = 86_400
COUNT_TERM_MAX: Final = 10**15
"""Neither part of what a count is worth may be larger."""


class SourceDown(MetersealError):
    """The source cannot be read now."""


class Kind(StrEnum):
    """What a channel's raw values mean."""

    COUNTER = "counter"
    """A cumulative figure that the meter itself keeps."""
    GAUGE = "gauge"
    """A rate now, to be integrated: units per `per_seconds`, such as W for Wh."""
    PULSE = "pulse"
    """Pulses since the reading before."""
    EVENT = "event"
    """Events or session amounts since the reading before."""
    STATE = "state"
    """Active (not 0) or idle (0) now; the register counts active seconds."""

    @property
    def cumulative(self) -> bool:
        """Whether the meter goes on counting while nobody reads it."""
        return self is Kind.COUNTER

    @property
    def taken_once(self) -> bool:
        """Whether a reading is gone once it is taken: it tells what was counted since the one before."""
        return self in (Kind.PULSE, Kind.EVENT)


class ChannelName(NamedTuple):
    """A channel is a device and a meter."""

    device: str
    meter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """A channel as it is configured; quantities are integers times 10^exponent of the unit."""

    device: str
    meter: str
    unit: str
    exponent: int
    kind: Kind
    source: str
    log: str = "main"
    rate_max: int
    """Integer units in a second that the meter can never exceed."""
    width_bits: int | None = None
    """Where a counter rolls over; without it a rollover is never assumed."""
    per_seconds: int = 3600
    """A gauge's value is units per this many seconds: 3600 for W into Wh, 1 for By/s into By."""
    hold_seconds: int = HOLD_SECONDS
    """How long a gauge's level or a state is believed without a new reading; a longer silence is a gap."""
    per_count: tuple[int, int] = (1, 1)
    """How many integer units a pulse or event is worth, as a fraction; what makes no whole unit is carried."""
    resets: bool = True
    """Whether a counter may begin anew at zero; a lower value of one that never does is a rollback."""
    historic: bool = False
    """Readings carry their own time (replay); then so do all channels of the log, and no live one."""

    def __post_init__(self) -> None:
        for name in (self.device, self.meter, self.source, self.log):
            if NAME_PATTERN.fullmatch(name) is None:
                raise InvalidRecord(f"the channel {self.device}.{self.meter}: {name!r} is no name")
        if not -EXPONENT_MAX <= self.exponent <= EXPONENT_MAX:
            raise InvalidRecord(f"the channel {self.device}.{self.meter}: exponent {self.exponent} is out of bounds")
        if not 0 < self.rate_max <= INTEGER_MAX or self.per_seconds < 1:
            raise InvalidRecord(f"the channel {self.device}.{self.meter}: rate_max and per_seconds must be positive")
        if not 1 <= self.hold_seconds <= HOLD_SECONDS_MAX:
            raise InvalidRecord(f"the channel {self.device}.{self.meter}: hold_seconds must be 1 to {HOLD_SECONDS_MAX}")
        if not all(1 <= term <= COUNT_TERM_MAX for term in self.per_count):
            raise InvalidRecord(f"the channel {self.device}.{self.meter}: a count must be worth something")
        if self.width_bits is not None and not 1 <= self.width_bits <= WIDTH_BITS_MAX:
            raise InvalidRecord(f"the channel {self.device}.{self.meter}: width_bits must be 1 to {WIDTH_BITS_MAX}")

    @property
    def name(self) -> ChannelName:
        """The channel's device and meter."""
        return ChannelName(self.device, self.meter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A raw value of a channel, as the source said it; judged by metering, never by the source."""

    device: str
    meter: str
    value: int
    at_ms: int
    """`Clock.boot_ms` at the reading."""
    serial: str = ""
    """The meter's serial number; a change is an exchange. Empty: not said."""
    generation: str = ""
    """What proves that the counter began anew: boot id and interface index, process start. Empty: not said."""
    utc: int | None = None
    """A historic reading's own Unix second; the log then runs on it instead of on `at_ms`."""


class Source(Protocol):
    """Where readings come from; a source that fails never stops the others."""

    name: str
    channels: tuple[ChannelSpec, ...]
    poll_seconds: float

    async def read(self) -> Sequence[Reading]:
        """Return what can be read now, channels that cannot are absent; raise SourceDown when nothing can."""

    async def close(self) -> None:
        """Let go of what the source holds."""


def taken_once(source: Source) -> bool:
    """Whether a reading of the source is gone once it is taken."""
    return any(spec.kind.taken_once for spec in source.channels)


@runtime_checkable
class CountingSource(Source, Protocol):
    """A source that can be looked at without taking away what it has counted."""

    async def peek(self) -> Sequence[Reading]:
        """Return what the next read will, and take nothing; raise SourceDown when nothing can be said."""


@runtime_checkable
class TellingSource(Source, Protocol):
    """A source of several devices that tells why some of its channels are absent."""

    def absent(self) -> Mapping[str, str]:
        """Return devices, and channels as device.meter, that could not be read the last time, each with the reason."""


def absent_of(source: Source) -> Mapping[str, str]:
    """Devices and channels of a source that could not be read the last time, each with the reason."""
    return source.absent() if isinstance(source, TellingSource) else {}


@runtime_checkable
class CommittedSource(Source, Protocol):
    """A source that waits with what it takes in until what it has delivered is on disk."""

    def committed(self) -> None:
        """Every reading that was delivered so far survives a power cut."""


@runtime_checkable
class HistoricSource(Source, Protocol):
    """A source of readings that carry their own time; the agent asks only while the backlog has room."""

    caught_up: bool
    """Whether everything up to now has been delivered."""

    def resume(self, utc: int) -> None:
        """Deliver only what was read after this Unix second: the rest is metered already."""


@runtime_checkable
class RememberingSource(Source, Protocol):
    """A source that tells the lives of a counter apart by comparison with the last known one."""

    def remember(self, generations: Mapping[ChannelName, str]) -> None:
        """Be told, before the first read, in which generation each channel was last read."""
