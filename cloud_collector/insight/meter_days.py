"""A period day by day: each meter of a contract over all of its devices, and those of one device."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from cloud_collector.contracts.catalog import Aggregate, Catalog, Contract
from cloud_collector.contracts.period import Period
from cloud_collector.insight.detail import Day, days
from cloud_collector.usage.span import UsageView

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
    """Each summed meter of the contract by day, over all of its devices; nothing where there are too many."""
    if len(contract.devices) > CHARTED_DEVICES_MAX:
        return []
    by_meter: dict[str, list[list[Day]]] = {}
    for device in contract.devices:
        for channel in view.channels(*_split(device.id)):
            meter = catalog.meters.get(channel.meter)
            if meter is not None and meter.aggregate is Aggregate.SUM:
                time = (period.start, period.end)
                by_meter.setdefault(channel.meter, []).append(
                    days(view, channel, meter.unit, time, now, period.timezone)
                )
    return [
        MeterDays(meter=name, unit=catalog.meters[name].unit, days=tuple(map(_together, zip(*each, strict=True))))
        for name, each in sorted(by_meter.items())
    ]


def device_days(
    catalog: Catalog, device: str, view: UsageView, period: Period, now: int, zone: str
) -> tuple[MeterDays, ...]:
    """Each meter of one device by local day."""
    return tuple(
        MeterDays(
            meter=channel.meter,
            unit=catalog.meters[channel.meter].unit,
            days=tuple(days(view, channel, catalog.meters[channel.meter].unit, (period.start, period.end), now, zone)),
        )
        for channel in view.channels(*_split(device))
        if channel.meter in catalog.meters
    )


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
