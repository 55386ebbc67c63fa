"""Partitions of the usage rows for the months to come, where the engine has any.

Why there are: docs/decisions/0007-usage-rows-by-month.md.
"""

from datetime import UTC, datetime
from typing import Final

from cloud_collector.store.store import Store

MONTHS_AHEAD: Final = 2
"""Months after this one that have a partition before a row of them comes."""


class Months:
    """A chore of the collector's tick: this month, the last one and those ahead have their partitions."""

    def __init__(self) -> None:
        self._kept: tuple[int, int] | None = None

    def __call__(self, store: Store, now_ms: int) -> None:
        """Looked at once a month."""
        now = datetime.fromtimestamp(now_ms // 1000, UTC)
        if self._kept == (now.year, now.month):
            return
        keep_months(store, now.year, now.month - 1, now.month + MONTHS_AHEAD)
        self._kept = (now.year, now.month)


def keep_months(store: Store, year: int, first: int, last: int) -> list[str]:
    """The partitions that these months got now; months count on beyond the year's ends."""
    made = []
    for month in range(first, last + 1):
        begin, end = _first_of(year, month), _first_of(year, month + 1)
        name = f"span_{begin:%Y_%m}"
        if store.rows("month_keep", name, int(begin.timestamp()), int(end.timestamp()))[0][0]:
            made.append(name)
    return made


def _first_of(year: int, month: int) -> datetime:
    over, index = divmod(month - 1, 12)
    return datetime(year + over, index + 1, 1, tzinfo=UTC)
