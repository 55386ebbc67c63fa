"""Lengths of time as a catalog writes them, such as `48h` or `12mo`."""

from dataclasses import dataclass
from enum import StrEnum


class DurationUnit(StrEnum):
    """`d` and `mo` are local calendar days and months; `h` and `m` are exact."""

    MINUTE = "m"
    HOUR = "h"
    DAY = "d"
    MONTH = "mo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """A length of time as the catalog writes it, such as `48h` or `12mo`."""

    count: int
    unit: DurationUnit

    @property
    def seconds(self) -> int:
        """Of minutes and hours, which are exact."""
        return self.count * {DurationUnit.MINUTE: 60, DurationUnit.HOUR: 3_600}[self.unit]

    def __str__(self) -> str:
        return f"{self.count}{self.unit.value}"
