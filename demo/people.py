"""Who the story is about: four customers, two tenants of one of them, five gateways, and what their meters count."""

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Final

from demo.readings import HOUR, ZONE, Load, Meter, Swap

OFFICE: Final = "kallio-office"
GARAGE: Final = "harbour-garage"
HOUSE: Final = "elm-street-5"
SITE: Final = "ridge-site"
RATES: Final = {"By": 125_000_000, "Wh": 50, "L": 5, "s": 2}
"""By unit: steps a second that a meter cannot exceed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The days that matter, each the first of a month but `now`."""

    now: int
    this: date
    last: date
    before: date
    oldest: date
    """The month of the last change of the clocks, where that is older."""

    @classmethod
    @cache
    def of(cls, now: int) -> "Calendar":
        """As the site's wall shows it."""
        this = datetime.fromtimestamp(now, ZONE).date().replace(day=1)
        last = _month_before(this)
        before = _month_before(last)
        oldest = before
        while not any(_changes(day) for day in _days(oldest, this)):
            oldest = _month_before(oldest)
        return cls(now=now, this=this, last=last, before=before, oldest=oldest)

    @property
    def clock_change(self) -> date:
        """The last day that was not 24 hours long, of those months."""
        return max(day for day in _days(self.oldest, self.this) if _changes(day))

    @property
    def silence(self) -> tuple[int, int]:
        """From when to when nobody hears the builders' gateway: over the end of last month."""
        return instant(self.this - timedelta(days=3), 12), instant(self.this + timedelta(days=4), 8)


def instant(day: date, hour: int = 0) -> int:
    """A wall clock's hour as Unix seconds."""
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=ZONE).timestamp())


def gateways(calendar: Calendar, seed: str) -> dict[str, tuple[Meter, ...]]:
    """Each gateway and its meters."""
    return {
        OFFICE: _office(calendar, seed),
        GARAGE: _garage(calendar, seed),
        HOUSE: _house(calendar, seed),
        SITE: _site(calendar, seed),
    }


def _office(calendar: Calendar, seed: str) -> tuple[Meter, ...]:
    """SIM cards: most in use, one begins in mid-month, one rests, one never begins, two are new."""
    begins = {6: instant(calendar.last + timedelta(days=13), 9)}
    ends = {5: instant(calendar.this - timedelta(days=6))}
    loads = {
        number: _between(_surfing(3_000_000 * number), begins.get(number), ends.get(number)) for number in range(1, 7)
    }
    cards = {number: loads.get(number, _nothing) for number in range(1, 10)}
    return tuple(
        Meter(
            log="office",
            device=f"sim-{number:02}",
            meter="data",
            unit="By",
            rate_max=RATES["By"],
            display=_drawn(seed, f"sim-{number}", 10**9) if number < 7 else 0,
            load=load,
        )
        for number, load in cards.items()
    )


def _garage(calendar: Calendar, seed: str) -> tuple[Meter, ...]:
    """Chargers: two regulars, one for the weekend, and one that a new neighbour takes into use this month."""
    loads = {
        "charger-1": _charging(f"{seed}/1", 0.55, range(18, 22)),
        "charger-2": _charging(f"{seed}/2", 0.40, range(22, 24)),
        "charger-3": _weekend(_charging(f"{seed}/3", 0.7, range(10, 15))),
        "charger-4": _between(
            _charging(f"{seed}/4", 0.9, range(17, 23)), instant(calendar.this + timedelta(days=1), 15), None
        ),
    }
    return tuple(
        Meter(
            log="garage",
            device=device,
            meter="energy",
            unit="Wh",
            rate_max=RATES["Wh"],
            display=_drawn(seed, device, 10**7),
            load=load,
        )
        for device, load in loads.items()
    )


def _house(calendar: Calendar, seed: str) -> tuple[Meter, ...]:
    """Water, heat and electricity of two flats and of the house, each in a log of its own customer."""
    found = []
    swap = Swap(at=instant(calendar.last + timedelta(days=9), 10), serial="WM-7735", display=0)
    for log, size in (("flat-1", 2), ("flat-2", 3), ("house", 5)):
        loads = {"water": _water(size), "heat": _heat(size), "power": _power(size)}
        for kind, load in loads.items():
            if (log, kind) == ("house", "water"):
                continue
            swapped = (log, kind) == ("flat-2", "water")
            found.append(
                Meter(
                    log=log,
                    device=f"{kind}-{log}",
                    meter=kind,
                    unit="L" if kind == "water" else "Wh",
                    rate_max=RATES["L" if kind == "water" else "Wh"],
                    display=_drawn(seed, f"{kind}-{log}", 10**6),
                    load=load,
                    serial="WM-2201" if swapped else "",
                    swap=swap if swapped else None,
                )
            )
    return tuple(found)


def _site(_: Calendar, seed: str) -> tuple[Meter, ...]:
    """Machines that are rented by the hour of operation; one of them hardly runs."""
    loads = {
        "excavator-1": _working(0.8),
        "loader-1": _working(0.5),
        "crane-1": _working(0.3),
        "compressor-1": _tuesdays(_working(0.5), hour=8),
    }
    return tuple(
        Meter(
            log="site",
            device=device,
            meter="running",
            unit="s",
            rate_max=RATES["s"],
            display=_drawn(seed, device, 10**7),
            load=load,
        )
        for device, load in loads.items()
    )


def _drawn(seed: str, name: str, most: int) -> int:
    return random.Random(f"{seed}/{name}/display").randrange(most)


def _nothing(_at: datetime, _draw: random.Random) -> int:
    return 0


def _between(load: Load, first: int | None, last: int | None) -> Load:
    def bounded(at: datetime, draw: random.Random) -> int:
        amount, now = load(at, draw), int(at.timestamp())
        return amount if (first is None or now >= first) and (last is None or now < last) else 0

    return bounded


def _weekend(load: Load) -> Load:
    return lambda at, draw: load(at, draw) if at.weekday() >= 5 else 0


def _tuesdays(load: Load, hour: int) -> Load:
    return lambda at, draw: load(at, draw) if (at.weekday(), at.hour) == (1, hour) else 0


def _surfing(most: int) -> Load:
    def load(at: datetime, draw: random.Random) -> int:
        busy = at.weekday() < 5 and 8 <= at.hour < 18
        # Whole hundredths of a megabyte read better on an invoice.
        return draw.randrange(most // 4, most) // 10_000 * 10_000 if busy else 0

    return load


def _charging(name: str, chance: float, hours: range) -> Load:
    def load(at: datetime, draw: random.Random) -> int:
        tonight = random.Random(f"{name}/{at.date()}").random() < chance
        return draw.randrange(6_200, 7_400) if tonight and at.hour in hours else 0

    return load


def _water(people: int) -> Load:
    def load(at: datetime, draw: random.Random) -> int:
        awake = at.hour in (6, 7, 8, 17, 18, 19, 20, 21)
        return draw.randrange(4, 14) * people if awake else draw.randrange(3)

    return load


def _heat(size: int) -> Load:
    def load(at: datetime, draw: random.Random) -> int:
        # The colder the month, the more: January is the coldest.
        cold = abs((at.month + 5) % 12 - 6)
        return draw.randrange(150, 260) * size * (7 - cold) // 4

    return load


def _power(size: int) -> Load:
    def load(at: datetime, draw: random.Random) -> int:
        evening = 17 <= at.hour < 23
        return draw.randrange(250, 520) * size if evening else draw.randrange(60, 180) * size

    return load


def _working(share: float) -> Load:
    def load(at: datetime, draw: random.Random) -> int:
        works = at.weekday() < 5 and 7 <= at.hour < 16 and at.hour != 11
        # Whole tenths of an hour.
        return min(HOUR, int(HOUR * draw.triangular(share - 0.3, share + 0.2)) // 360 * 360) if works else 0

    return load


def _month_before(first: date) -> date:
    return (first - timedelta(days=1)).replace(day=1)


def _days(first: date, end: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((end - first).days)]


def _changes(day: date) -> bool:
    return instant(day + timedelta(days=1)) - instant(day) != 24 * HOUR
