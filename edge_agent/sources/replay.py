"""Readings from a CSV file, sealed under their own times.

The source remembers nothing across starts; the agent tells it up to when it has read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_agent.invalid import InvalidSetting, require_channel, require_kind, require_source, require_within
from edge_agent.limits import READINGS_CHUNK_MAX
from edge_agent.reading import HOLD_SECONDS, ChannelName, ChannelSpec, Kind, Reading, SourceDown
from edge_agent.sources.number import steps_of
from edge_agent.sources.readings_file import ReadingsFile, Row
from shared.effects.clock import Clock
from shared.errors import InvalidRecord
from shared.limits import LINE_ROWS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayChannel:
    """One channel of a replayed file: what its values mean."""

    device: str
    meter: str
    unit: str
    """UCUM, of what is billed."""
    exponent: int = 0
    """The register counts steps of 10^exponent units; a value of the file is in units."""
    rate_max: int
    """The most steps a second that can be true."""
    kind: Literal["counter", "gauge", "pulse", "event", "state"] = "counter"
    per_seconds: int = 3_600
    """A gauge's value is units per this many seconds: 3600 for W into W.h, 1 for By/s into By."""
    hold_seconds: int = HOLD_SECONDS
    """How long a gauge's level or a state is believed without a new one; a longer silence is a gap."""
    width_bits: int | None = None
    """Where a counter rolls over: after 2^width_bits steps."""

    def __post_init__(self) -> None:
        require_channel(self.device, self.meter, self.unit, self.exponent, self.rate_max)
        require_kind(self.kind, self.unit, self.per_seconds, self.hold_seconds)
        if self.width_bits is not None:
            require_within("width_bits", self.width_bits, 1, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """Which file is replayed, and which channels it holds."""

    type: Literal["replay"] = "replay"
    name: str = "replay"
    """The source's name in messages; unique in a configuration."""
    log: str = "replay"
    """The log that its channels are sealed in; no other source may share it."""
    poll_seconds: float = 1.0
    """How often it looks for readings once those up to now are delivered."""
    path: Path
    """CSV with the header at,device,meter,value[,serial][,generation]; times in RFC 3339, ascending."""
    follow: bool = False
    """Whether it goes on with readings as their time comes, and with rows that are appended."""
    channels: tuple[ReplayChannel, ...]
    """The channels in the file; a row of any other is an error."""

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        names = [(channel.device, channel.meter) for channel in self.channels]
        if not 0 < len(names) <= LINE_ROWS_MAX:
            raise InvalidSetting("channels", f"must hold 1 to {LINE_ROWS_MAX} channels")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidSetting("channels", f"holds {'.'.join(twice)} twice")


class ReplaySource:
    """Reads on from where it was told to resume, in pieces."""

    def __init__(self, settings: ReplaySettings, clock: Clock) -> None:
        self.name = settings.name
        self.log = settings.log
        self.poll_seconds = settings.poll_seconds
        self.caught_up = False
        """Whether every reading up to now has been delivered."""
        self.finished = False
        """Whether none will come any more."""
        self._settings = settings
        self._clock = clock
        self._file: ReadingsFile | None = None
        self._after: int | None = None
        """The latest second of which readings have been delivered, and how many of them; None: all."""
        self._delivered_then: int | None = None
        self._resuming = True
        self._skipped = 0
        self._seen: int | None = None
        """The time of the last row that was looked at."""
        self._until: int | None = None
        self.channels = tuple(_spec(settings, channel) for channel in settings.channels)
        self._specs = {spec.name: spec for spec in self.channels}

    def resume(self, utc: int | None) -> None:
        """The next read begins with the first reading later than this Unix second; with None, with the first."""
        self._shut()
        self._after = utc
        self._delivered_then = None
        self.caught_up = self.finished = False

    async def read(self) -> Sequence[Reading]:
        """The next readings up to now, none when there are none; raises SourceDown, with the line where it is a row."""
        if self.finished:
            return ()
        try:
            return self._next(self._file or self._open())
        except SourceDown:
            # Once the row is mended, the next read finds its way back to it.
            self._shut()
            raise

    async def close(self) -> None:
        """The file is closed."""
        self._shut()

    def _open(self) -> ReadingsFile:
        self._file = ReadingsFile(self._settings.path, growing=self._settings.follow)
        self._resuming = True
        self._skipped = 0
        self._seen = None
        if self._after is not None:
            self._file.approach(self._after)
        return self._file

    def _next(self, file: ReadingsFile) -> list[Reading]:
        until = self._deliverable()
        at_ms = self._clock.boot_ms()
        readings: list[Reading] = []
        while len(readings) < READINGS_CHUNK_MAX:
            try:
                row = file.next()
                if row is None:
                    return self._all(readings, finished=not self._settings.follow)
                if row.utc > until:
                    file.back(row.offset)
                    return self._all(readings, finished=self._until is not None)
                reading = self._taken(file, row, at_ms)
            except SourceDown:
                if not readings:
                    raise
                return readings  # What stands before a wrong row is delivered; the next read names the row.
            if reading is not None:
                readings.append(reading)
        self.caught_up = False
        return readings

    def _deliverable(self) -> int:
        """The last second whose readings may be delivered: now, or without `follow` the first known now."""
        now = self._clock.utc_ms() // 1_000
        if not self._settings.follow and self._until is None and self._clock.synchronised():
            self._until = now
        return now if self._until is None else self._until

    def _all(self, readings: list[Reading], *, finished: bool) -> list[Reading]:
        self.caught_up = True
        self.finished = finished
        if finished:
            self._shut()
        return readings

    def _taken(self, file: ReadingsFile, row: Row, at_ms: int) -> Reading | None:
        """The row's reading; None where it has been delivered before."""
        if self._seen is not None and row.utc < self._seen:
            raise file.wrong(row.offset, "is earlier than the row before it")
        self._seen = row.utc
        if self._resuming and self._delivered(row.utc):
            return None
        reading = self._reading(file, row, at_ms)
        self._resuming = False
        self._delivered_then = 1 + ((self._delivered_then or 0) if row.utc == self._after else 0)
        self._after = row.utc
        return reading

    def _delivered(self, utc: int) -> bool:
        if self._after is None or utc > self._after:
            return False
        if utc < self._after or self._delivered_then is None:
            return True
        self._skipped += 1
        return self._skipped <= self._delivered_then

    def _reading(self, file: ReadingsFile, row: Row, at_ms: int) -> Reading:
        device, meter = file.text(row, "device"), file.text(row, "meter")
        spec = self._specs.get(ChannelName(device, meter))
        if spec is None:
            raise file.wrong(row.offset, f"is of {device}.{meter}, which is none of the source's channels")
        try:
            value = steps_of(file.text(row, "value"), spec.exponent)
        except InvalidRecord as error:
            raise file.wrong(row.offset, f"has a value that cannot be: {error}") from error
        return Reading(
            device=device,
            meter=meter,
            value=value,
            at_ms=at_ms,
            serial=file.text(row, "serial"),
            generation=file.text(row, "generation"),
            utc=row.utc,
        )

    def _shut(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _spec(settings: ReplaySettings, channel: ReplayChannel) -> ChannelSpec:
    return ChannelSpec(
        device=channel.device,
        meter=channel.meter,
        unit=channel.unit,
        exponent=channel.exponent,
        kind=Kind(channel.kind),
        source=settings.name,
        log=settings.log,
        rate_max=channel.rate_max,
        width_bits=channel.width_bits,
        per_seconds=channel.per_seconds,
        hold_seconds=channel.hold_seconds,
        historic=True,
    )
