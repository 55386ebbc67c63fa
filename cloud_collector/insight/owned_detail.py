"""An account's devices day by day and interval by interval, in the times in which they were its own (P20)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cloud_collector.contracts.catalog import Catalog
from cloud_collector.insight.detail import Day, Interval, days, intervals
from cloud_collector.insight.owned import Owned, owned_within
from cloud_collector.usage.span import ChannelName, UsageView

Stretch = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOf:
    """One channel on one local day, in the catalog's unit."""

    channel: ChannelName
    unit: str
    day: Day


def owned_days(
    view: UsageView, catalog: Catalog, mine: Iterable[Owned], time: Stretch, now: int, zone: str
) -> Iterator[DayOf]:
    """What each of these devices used on each local day while it was the account's, by device, meter and time."""
    held: dict[str, list[Stretch]] = {}
    for each in mine:
        stretch = max(time[0], each.since), min(time[1], each.until)
        if stretch[0] < stretch[1]:
            held.setdefault(each.device, []).append(stretch)
    for device, stretches in held.items():
        gateway, _, name = device.rpartition("/")
        for channel in view.channels(gateway, name):
            unit = unit_of(catalog, channel.meter)
            for stretch in stretches:
                for day in days(view, channel, unit, stretch, now, zone):
                    yield DayOf(channel=channel, unit=unit, day=day)


def owned_intervals(
    view: UsageView, catalog: Catalog, account: str, channel: ChannelName, time: Stretch, now: int
) -> list[Interval] | None:
    """Everything known of the channel in that time; None where nothing of it is the account's."""
    stretches = owned_within(catalog, account, f"{channel.gateway}/{channel.device}", *time)
    if not stretches or channel not in view.channels(channel.gateway, channel.device):
        return None
    unit = unit_of(catalog, channel.meter)
    return [each for stretch in stretches for each in intervals(view, channel, unit, stretch, now)]


def unit_of(catalog: Catalog, meter: str) -> str:
    """The catalog's unit of a meter; empty where it has none."""
    found = catalog.meters.get(meter)
    return "" if found is None else found.unit
