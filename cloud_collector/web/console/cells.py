"""Cells of the console's tables, made from what they show."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from cloud_collector.web.site import Moment
from cloud_collector.web.table import Cell, Mood

DASH: Final = "—"


def text(value: str, *, link: str = "", note: str = "", mood: Mood | None = None, shown: str = "") -> Cell:
    """Words; `shown` is for people where programs get others, a dash where there are none."""
    return Cell(text=shown or value or DASH, value=value, link=link, note=note, mood=mood)


def count(value: int | None, *, link: str = "", note: str = "") -> Cell:
    """A number of things."""
    return Cell(text=DASH if value is None else f"{value:,}", value=value, link=link, note=note)


def money(value: Decimal | str | None, currency: str = "", *, signed: bool = False) -> Cell:
    """An amount, exact to its last digit."""
    if value is None:
        return Cell(text=DASH, value=None)
    amount = Decimal(value)
    said = f"{amount:+,f}" if signed else f"{amount:,f}"
    return Cell(text=f"{said} {currency}".strip(), value=f"{amount:f}")


def when(moment: Moment, instant: datetime | None, *, note: str = "") -> Cell:
    """An instant, in the page's zone for people and in UTC for programs."""
    return Cell(text=moment.at(instant), value=utc(instant), note=note)


def ago(moment: Moment, instant: datetime | None) -> Cell:
    """How long ago."""
    return Cell(text=moment.since(instant), value=utc(instant))


def utc(instant: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    return None if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
