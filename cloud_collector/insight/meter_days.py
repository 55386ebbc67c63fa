"""A period day by day: each meter of a contract over all of its devices, and those of one device."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from cloud_collector.contracts.catalog import Aggregate, Catalog, Contract, Meter
from cloud_collector.contracts.period import Period
from cloud_collector.contracts.week import Times
from cloud_collector.insight.by_day import by_day, unit_of
from cloud_collector.insight.detail import Day, days
from cloud_collector.usage.span import ChannelName, UsageView

CHARTED_DEVICES_MAX: Final = 50
"""Devices of a contract whose days are added up; beyond it each is looked at by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterDays:
    """One meter's days."""

    meter: str
    unit: str
    days: tuple[Day, ...]

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {"meter": self.meter, "unit": self.unit, "days": [each.to_json() for each in self.days]}


def meter_days(catalog: Catalog, contract: Contract, view: UsageView, period: Period, now: int) -> list[MeterDays]:
    """Each meter of the contract by day, over all of its devices; nothing where there are too many."""
    if len(contract.devices) > CHARTED_DEVICES_MAX:
        return []
    time = ((period.start, period.end),)
    by_meter: dict[str, list[list[Day]]] = {}
    others: dict[str, list[tuple[ChannelName, Times]]] = {}
    for device in contract.devices:
        for channel in view.channels(*_split(device.id)):
            meter = catalog.meters.get(channel.meter)
            if meter is not None and meter.aggregate is Aggregate.SUM:
                by_meter.setdefault(channel.meter, []).append(
                    days(view, channel, meter.unit, time[0], now, period.timezone)
                )
            elif meter is not None:
                others.setdefault(channel.meter, []).append((channel, time))
    summed = [
        MeterDays(meter=name, unit=catalog.meters[name].unit, days=tuple(map(_together, zip(*each, strict=True))))
        for name, each in by_meter.items()
    ]
    found = [_of_others(view, held, catalog.meters[name], period.timezone, now) for name, held in others.items()]
    return sorted([*summed, *found], key=lambda each: each.meter)


def device_days(
    catalog: Catalog, device: str, view: UsageView, period: Period, now: int, zone: str
) -> tuple[MeterDays, ...]:
    """Each meter of one device by local day."""
    time, found = (period.start, period.end), []
    for channel in view.channels(*_split(device)):
        meter = catalog.meters.get(channel.meter)
        if meter is not None and meter.aggregate is Aggregate.SUM:
            held = tuple(days(view, channel, meter.unit, time, now, zone))
            found.append(MeterDays(meter=meter.name, unit=meter.unit, days=held))
        elif meter is not None:
            found.append(_of_others(view, [(channel, (time,))], meter, zone, now))
    return tuple(found)


def _of_others(
    view: UsageView, held: Sequence[tuple[ChannelName, Times]], meter: Meter, zone: str, now: int
) -> MeterDays:
    """What is not summed, by its own aggregate: the day's peak, its mean, how often, how long."""
    return MeterDays(meter=meter.name, unit=unit_of(meter), days=tuple(by_day(view, held, meter, zone, now)))


def _split(device: str) -> tuple[str, str]:
    gateway, _, name = device.rpartition("/")
    return gateway, name


def _together(found: Sequence[Day]) -> Day:
    known = [each.quantity for each in found if each.quantity is not None]
    return Day(
        day=found[0].day,
        start=found[0].start,
        end=found[0].end,
        quantity=sum(known, Decimal(0)) if known else None,
        estimated=any(each.estimated for each in found),
        gap_seconds=max(each.gap_seconds for each in found),
    )
