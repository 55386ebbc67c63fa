"""Readings of meters that do not exist, from a seed: what two sites used since the first of last month.

Every figure is a cumulative counter as a meter's display would show it, in whole Wh or litres.
"""

import csv
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

STEP = timedelta(minutes=15)
ZONE = ZoneInfo("Europe/Helsinki")
FIRST_USE_DAY = 14
"""The day of last month on which the second charger is used for the first time."""

Load = Callable[[datetime, random.Random], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A meter of a device: where its counter stood, and what it counts in a quarter of an hour."""

    device: str
    meter: str
    display: int
    load: Load


def month_before(now: datetime) -> datetime:
    """The first instant of last month, local time."""
    first = now.astimezone(ZONE).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    last_day = first - timedelta(days=1)
    return last_day.replace(day=1, hour=0)


def garage(start: datetime, seed: str) -> list[Meter]:
    """Three chargers: one in use, one first used in mid-month, one that nobody uses."""
    first_use = start.replace(day=FIRST_USE_DAY, hour=17)
    rng = random.Random(f"{seed}/garage")
    return [
        Meter(device="charger-1", meter="energy", display=rng.randrange(10**6), load=_evening_charging(0.55)),
        Meter(
            device="charger-2",
            meter="energy",
            display=rng.randrange(10**4),
            load=_from(first_use, _evening_charging(0.8)),
        ),
        Meter(device="charger-3", meter="energy", display=rng.randrange(10**3), load=lambda _at, _rng: 0),
    ]


def laundry(_start: datetime, seed: str) -> list[Meter]:
    """A washer, a dryer and the water they take."""
    rng = random.Random(f"{seed}/laundry")
    return [
        Meter(device="washer-1", meter="energy", display=rng.randrange(10**6), load=_opening_hours(180, 420)),
        Meter(device="dryer-1", meter="energy", display=rng.randrange(10**6), load=_opening_hours(350, 900)),
        Meter(device="water-1", meter="water", display=rng.randrange(10**6), load=_opening_hours(15, 60)),
    ]


def write(path: Path, meters: list[Meter], start: datetime, end: datetime, seed: str) -> int:
    """Write `at,device,meter,value` up to `end`; returns the number of readings."""
    written = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("at", "device", "meter", "value"))
        for row in _readings(meters, start, end, seed):
            rows.writerow(row)
            written += 1
    return written


def _readings(meters: list[Meter], start: datetime, end: datetime, seed: str) -> Iterator[tuple[str, str, str, int]]:
    rngs = [random.Random(f"{seed}/{meter.device}/{meter.meter}") for meter in meters]
    displays = [meter.display for meter in meters]
    at = start.astimezone(UTC)
    while at <= end:
        for place, meter in enumerate(meters):
            yield at.strftime("%Y-%m-%dT%H:%M:%SZ"), meter.device, meter.meter, displays[place]
            displays[place] += meter.load(at.astimezone(ZONE), rngs[place])
        at += STEP


def _evening_charging(chance: float) -> Load:
    def load(at: datetime, rng: random.Random) -> int:
        tonight = random.Random(f"{at.date()}/{chance}").random() < chance
        return rng.randrange(1650, 1850) if tonight and 18 <= at.hour < 22 else 0

    return load


def _from(first: datetime, load: Load) -> Load:
    return lambda at, rng: load(at, rng) if at >= first else 0


def _opening_hours(least: int, most: int) -> Load:
    def load(at: datetime, rng: random.Random) -> int:
        is_open = 7 <= at.hour < 21 and at.weekday() < 6
        return rng.randrange(least, most) if is_open and rng.random() < 0.6 else 0

    return load
