"""A device's usage day by day or hour by hour: exact, with what is estimated and what nobody knows kept apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from cloud_collector.contracts.period import local_days
from cloud_collector.usage.span import ChannelName, UsageView

HOUR_SECONDS: Final = 3_600
BARS_MAX: Final = 400
"""Stretches in one curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One stretch of a curve."""

    start: datetime
    end: datetime
    amount: Decimal | None
    """None: nothing is known of it."""
    estimated: bool
    gap_seconds: int
    """How much of it nobody metered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A channel's usage."""

    device: str
    meter: str
    unit: str
    bars: tuple[Bar, ...]

    @property
    def total(self) -> Decimal:
        """Everything that is known."""
        return sum((each.amount for each in self.bars if each.amount is not None), Decimal(0))


def by_day(view: UsageView, channel: ChannelName, timezone: str, start: int, end: int) -> Curve:
    """Local days, also those of 23 and 25 hours."""
    return _curve(view, channel, [(first, last) for first, last in local_days(timezone, start, end)])


def by_hour(view: UsageView, channel: ChannelName, start: int, end: int) -> Curve:
    """Hours on the clock of UTC."""
    first = start - start % HOUR_SECONDS
    return _curve(view, channel, [(at, at + HOUR_SECONDS) for at in range(first, end, HOUR_SECONDS)])


def _curve(view: UsageView, channel: ChannelName, stretches: Sequence[tuple[int, int]]) -> Curve:
    # P9: however long was asked for.
    bars, unit = [], ""
    for start, end in stretches[-BARS_MAX:]:
        measured = view.measure(channel, start, end)
        gaps = () if measured is None else measured.gaps
        unit = unit if measured is None else measured.unit
        lost = sum(min(gap.end, end) - max(gap.start, start) for gap in gaps)
        bars.append(
            Bar(
                start=datetime.fromtimestamp(start, UTC),
                end=datetime.fromtimestamp(end, UTC),
                amount=None
                if measured is None or measured.deleted
                else Decimal(measured.units).scaleb(measured.exponent),
                estimated=measured is not None and measured.estimated and not measured.deleted,
                gap_seconds=end - start if measured is None else lost,
            )
        )
    return Curve(device=f"{channel.gateway}/{channel.device}", meter=channel.meter, unit=unit, bars=tuple(bars))
