"""What meters that do not exist have shown, from a seed: counters, read on the hour, of late by the minute."""

import csv
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = ZoneInfo("Europe/Helsinki")
HOUR: Final = 3_600
DAY: Final = 24 * HOUR
MINUTE: Final = 60

Load = Callable[[datetime, random.Random], int]
"""What is counted in the hour that begins at a local time, in steps of the meter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """Another meter takes this one's place."""

    at: int
    serial: str
    display: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A meter of a device: where its counter stood, and what it counts."""

    log: str
    device: str
    meter: str
    unit: str
    rate_max: int
    """Steps a second that it cannot exceed."""
    display: int
    load: Load
    serial: str = ""
    swap: Swap | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """From when to when there are readings, in Unix seconds; from `fine` on there is one a minute."""

    start: int
    fine: int
    end: int

    def instants(self) -> Iterator[int]:
        """Each instant of a reading."""
        yield from range(self.start, self.fine, HOUR)
        yield from range(self.fine, self.end + 1, MINUTE)


def write(path: Path, meters: Sequence[Meter], course: Course, seed: str) -> int:
    """The readings of one log's meters are in the file, in order of time; returns how many."""
    written = 0
    displays = [_displays(meter, course, seed) for meter in meters]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("at", "device", "meter", "value", "serial"))
        for at in course.instants():
            stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for meter, shown in zip(meters, displays, strict=True):
                value = next(shown)
                swapped = meter.swap is not None and at >= meter.swap.at
                serial = meter.swap.serial if meter.swap is not None and swapped else meter.serial
                rows.writerow((stamp, meter.device, meter.meter, value, serial))
                written += 1
    return written


def _displays(meter: Meter, course: Course, seed: str) -> Iterator[int]:
    """What the meter shows at each instant of the course."""
    draw = random.Random(f"{seed}/{meter.device}/{meter.meter}")
    shown, used, began = meter.display, 0, None
    for at in course.instants():
        hour = at // HOUR * HOUR
        if began != hour:
            shown, began = shown + used, hour
            if meter.swap is not None and hour == meter.swap.at:
                shown = meter.swap.display
            used = meter.load(datetime.fromtimestamp(hour, ZONE), draw)
        yield shown + used * (at - hour) // HOUR
