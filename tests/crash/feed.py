"""What meters count in a crash run, and what that comes to: by this code alone, which knows nothing of the product."""

import csv
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

READINGS_A_LINE: Final = 5
WRAP: Final = 2**32
WRAPPING: Final = 3
"""Which meter is 32 bits wide."""


class Feed:
    """A CSV that grows while it is replayed: plain counters, and the fourth of 32 bits that rolls over."""

    def __init__(self, path: Path, seed: int, meters: int = 4) -> None:
        self.path = path
        self._rng = random.Random(seed)
        self._at = 1_790_000_000 // 300 * 300
        self._displays = [self._rng.randrange(10**6) for _ in range(meters)]
        self._displays[WRAPPING] = WRAP - self._rng.randrange(20_000, 60_000)
        path.write_text("at,device,meter,value\n", encoding="ascii")

    @property
    def last_at(self) -> int:
        """The time of the last reading, Unix seconds."""
        return self._at - 60

    def append(self, readings: int, *, idle: bool = False) -> None:
        """Add that many minutes; idle, nothing is used in them."""
        rows = []
        for _ in range(readings):
            at = datetime.fromtimestamp(self._at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            rows += [f"{at},meter-{place},energy,{display % WRAP}\n" for place, display in enumerate(self._displays)]
            if not idle:
                self._displays = [display + self._rng.randrange(0, 40) for display in self._displays]
            self._at += 60
        with self.path.open("a", encoding="ascii") as file:
            file.write("".join(rows))

    def finish(self) -> None:
        """Three windows in which nothing is used, so that the total is sealed for certain."""
        self.append(1)
        self.append(READINGS_A_LINE * 3, idle=True)


def totals(path: Path) -> dict[str, int]:
    """What each meter counted between its first and its last reading, by this code alone."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    wraps: Counter[str] = Counter()
    with path.open(encoding="ascii") as file:
        for row in csv.DictReader(file):
            value = int(row["value"])
            first.setdefault(row["device"], value)
            wraps[row["device"]] += value < last.get(row["device"], 0)
            last[row["device"]] = value
    return {name: last[name] - first[name] + wraps[name] * WRAP for name in first}
