"""Readings from a CSV file, sealed under their own times.

The file is read in pieces, never as a whole, and by byte offset: resuming at a time halves its way
there. The source remembers nothing across starts; the agent tells it up to when it has read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Literal

from edge_agent.invalid import InvalidSetting, require_channel, require_source, require_within
from edge_agent.limits import READINGS_CHUNK_MAX
from edge_agent.reading import ChannelName, ChannelSpec, Kind, Reading, SourceDown
from edge_agent.sources.number import steps_of
from shared.effects.clock import Clock
from shared.errors import InvalidRecord
from shared.grammar import PLAIN_TEXT
from shared.limits import LINE_ROWS_MAX, SERIAL_CHARS_MAX, TIME_SECONDS_MAX

ROW_BYTES_MAX: Final = 1_024
_NEAR_BYTES: Final = 64 * 1_024
"""Closer than this to where reading resumes, rows are skipped one by one."""
_REQUIRED: Final = ("at", "device", "meter", "value")
_OPTIONAL: Final = ("serial", "generation")
_TIME_CHARS_MAX: Final = 40


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
    width_bits: int | None = None
    """Where a counter rolls over: after 2^width_bits steps."""

    def __post_init__(self) -> None:
        require_channel(self.device, self.meter, self.unit, self.exponent, self.rate_max)
        require_within("per_seconds", self.per_seconds, 1, 86_400)
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
        self._file: BinaryIO | None = None
        self._columns: dict[str, int] = {}
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

    def resume(self, after: int | None) -> None:
        """The next read begins with the first reading later than this Unix second; with None, with the first."""
        self._shut()
        self._after = after
        self._delivered_then = None
        self.caught_up = self.finished = False

    async def read(self) -> Sequence[Reading]:
        """The next readings up to now, none when there are none; raises SourceDown, with the line where it is a row."""
        if self.finished:
            return ()
        try:
            file = self._file or self._open()
            return self._next(file)
        except OSError as error:
            self._shut()
            raise SourceDown(f"{self._settings.path} cannot be read: {error.strerror or error}") from error
        except SourceDown:
            # Once the row is mended, the next read finds its way back to it.
            self._shut()
            raise

    async def close(self) -> None:
        """The file is closed."""
        self._shut()

    def _next(self, file: BinaryIO) -> list[Reading]:
        until = self._deliverable()
        at_ms = self._clock.boot_ms()
        readings: list[Reading] = []
        while len(readings) < READINGS_CHUNK_MAX:
            offset = file.tell()
            row = file.readline(ROW_BYTES_MAX)
            if not row or (self._settings.follow and not row.endswith(b"\n")):
                file.seek(offset)  # A row that is still being written is read when it is whole.
                return self._all(readings, finished=not self._settings.follow)
            if not row.strip():
                continue
            try:
                reading = self._taken(row, offset, at_ms, until)
            except SourceDown:
                if not readings:
                    raise
                file.seek(offset)  # What stands before the wrong row is delivered; then it is named.
                return readings
            match reading:
                case Reading():
                    readings.append(reading)
                case _Wait():
                    file.seek(offset)
                    return self._all(readings, finished=self._until is not None)
                case None:
                    pass
        self.caught_up = False
        return readings

    def _all(self, readings: list[Reading], *, finished: bool) -> list[Reading]:
        self.caught_up = True
        self.finished = finished
        if finished:
            self._shut()
        return readings

    def _taken(self, row: bytes, offset: int, at_ms: int, until: int) -> "Reading | _Wait | None":
        """The row's reading; None where it has been delivered before."""
        fields = row.rstrip(b"\r\n").split(b",")
        utc = self._utc(fields, offset)
        if self._seen is not None and utc < self._seen:
            raise self._wrong(offset, "is earlier than the row before it")
        self._seen = utc
        if self._resuming and self._delivered(utc):
            return None
        if utc > until:
            return _Wait()
        reading = self._reading(fields, offset, utc, at_ms)
        self._resuming = False
        self._delivered_then = 1 + ((self._delivered_then or 0) if utc == self._after else 0)
        self._after = utc
        return reading

    def _deliverable(self) -> int:
        """The last second whose readings may be delivered: now, or without `follow` the first known now."""
        now = self._clock.utc_ms() // 1_000
        if not self._settings.follow and self._until is None and self._clock.synchronised():
            self._until = now
        return now if self._until is None else self._until

    def _open(self) -> BinaryIO:
        file = self._settings.path.open("rb")
        self._file = file
        header = file.readline(ROW_BYTES_MAX).decode("utf-8-sig", "replace").strip()
        columns = [name.strip() for name in header.split(",")]
        known = {*_REQUIRED, *_OPTIONAL}
        if not set(_REQUIRED) <= set(columns) <= known or len(set(columns)) < len(columns):
            raise self._wrong(0, f"must be the header {','.join(_REQUIRED)}[,serial][,generation]")
        self._columns = {name: place for place, name in enumerate(columns)}
        self._resuming = True
        self._skipped = 0
        self._seen = None
        if self._after is not None:
            self._approach(file, self._after)
        return file

    def _approach(self, file: BinaryIO, after: int) -> None:
        """Stand at the start of a row that is no later than the first one to be read, and near it."""
        low = file.tell()
        high = file.seek(0, 2)
        while high - low > _NEAR_BYTES:
            middle = (low + high) // 2
            file.seek(middle)
            file.readline(ROW_BYTES_MAX)
            start = file.tell()
            row = file.readline(ROW_BYTES_MAX)
            if row.strip() and start < high and self._utc(row.split(b","), start) < after:
                low = start
            else:
                high = middle
        file.seek(low)

    def _delivered(self, utc: int) -> bool:
        if self._after is None or utc > self._after:
            return False
        if utc < self._after or self._delivered_then is None:
            return True
        self._skipped += 1
        return self._skipped <= self._delivered_then

    def _reading(self, fields: Sequence[bytes], offset: int, utc: int, at_ms: int) -> Reading:
        if len(fields) != len(self._columns):
            raise self._wrong(offset, f"has {len(fields)} fields where the header has {len(self._columns)}")
        device, meter = self._field(fields, "device", offset), self._field(fields, "meter", offset)
        spec = self._specs.get(ChannelName(device, meter))
        if spec is None:
            raise self._wrong(offset, f"is of {device}.{meter}, which is none of the source's channels")
        try:
            value = steps_of(self._field(fields, "value", offset), spec.exponent)
        except InvalidRecord as error:
            raise self._wrong(offset, f"has a value that cannot be: {error}") from error
        return Reading(
            device=device,
            meter=meter,
            value=value,
            at_ms=at_ms,
            serial=self._field(fields, "serial", offset),
            generation=self._field(fields, "generation", offset),
            utc=utc,
        )

    def _field(self, fields: Sequence[bytes], name: str, offset: int) -> str:
        place = self._columns.get(name)
        if place is None:
            return ""
        text = fields[place].decode("utf-8", "replace").strip()
        if len(text) > SERIAL_CHARS_MAX or PLAIN_TEXT.fullmatch(text) is None:
            raise self._wrong(offset, f"has a {name} that is not plain text of at most {SERIAL_CHARS_MAX} characters")
        return text

    def _utc(self, fields: Sequence[bytes], offset: int) -> int:
        place = self._columns["at"]
        text = fields[place].decode("utf-8", "replace").strip() if place < len(fields) else ""
        try:
            at = datetime.fromisoformat(text) if len(text) <= _TIME_CHARS_MAX else None
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise self._wrong(
                offset, f"has the time {text[:_TIME_CHARS_MAX]!r}, which is not like 2026-01-31T00:00:00Z"
            )
        seconds = (at - _EPOCH).days * 86_400 + (at - _EPOCH).seconds
        if not 0 <= seconds <= TIME_SECONDS_MAX:
            raise self._wrong(offset, f"has the time {text[:_TIME_CHARS_MAX]}, which is out of bounds")
        return seconds

    def _wrong(self, offset: int, reason: str) -> SourceDown:
        return SourceDown(f"{self._settings.path}:{_line_number(self._settings.path, offset)}: the row {reason}")

    def _shut(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class _Wait:
    """The row's time has not come."""


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
        historic=True,
    )


def _line_number(path: Path, offset: int) -> int:
    """The line that begins at a byte; counted only when there is something to say about it."""
    number = 1
    with path.open("rb") as file:
        while offset > 0 and (piece := file.read(min(offset, 1 << 20))):
            number += piece.count(b"\n")
            offset -= len(piece)
    return number
