"""A device's meter by day, in any stretch of time in which it is an account's, or in a charge's window of it."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.catalog import Aggregate, Catalog, Meter
from cloud_collector.contracts.period import boundary
from cloud_collector.contracts.week import Times, times_of
from cloud_collector.insight.agreement import Agreement
from cloud_collector.insight.by_day import by_day, figure
from cloud_collector.insight.detail import Day
from cloud_collector.insight.grounds import clip
from cloud_collector.insight.owned import owned_within
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import ChannelName, UsageView

DAYS_MAX: Final = 400
"""In one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A charge's window, such as the nights of a tariff."""

    contract: str
    charge: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A channel, from when until when, and in which part of the week."""

    channel: ChannelName
    meter: Meter
    start: int
    end: int
    times: Times
    window: str


def stretch_of(
    store: Store,
    catalog: Catalog,
    account: str,
    channel: ChannelName,
    time: tuple[int, int],
    *,
    window: Window | None,
    now: int,
) -> Stretch | None:
    """So much of the time as is the account's; None where nothing is (P20). Raises MetersealError."""
    start, end = time[0], min(time[1], time[0] + DAYS_MAX * 86_400)
    meter = catalog.meters.get(channel.meter)
    mine = owned_within(catalog, account, f"{channel.gateway}/{channel.device}", start, end) if start < end else []
    known = StoreView(store).channels(channel.gateway, channel.device)
    if not mine or meter is None or channel not in known:
        return None
    times: Times = tuple(sorted(mine))
    if window is not None:
        held = _held(store, account, window, (start, end), now)
        if held is None:
            return None
        times = tuple(piece for low, high in times for piece in clip(held, low, high))
    name = "" if window is None else window.name
    return Stretch(channel=channel, meter=meter, start=start, end=end, times=times, window=name)


def days_of(view: UsageView, asked: Stretch, zone: str, now: int) -> list[Day]:
    """Its local days that have begun."""
    return by_day(view, [(asked.channel, asked.times)], asked.meter, zone, now)


def together(view: UsageView, asked: Stretch, zone: str, days: list[Day]) -> Fraction | None:
    """What the days come to by the meter's aggregate; None where nothing is known."""
    whole = [each.quantity for each in days if each.quantity is not None]
    if not whole:
        return None
    if asked.meter.aggregate is Aggregate.SUM:
        return Fraction(sum(whole))
    return figure(view, [(asked.channel, asked.times)], asked.meter, zone, asked.end - asked.start)


def _held(store: Store, account: str, window: Window, time: tuple[int, int], now: int) -> Times | None:
    """When a window of a charge holds, by the prices of that time."""
    known = revisions(store)
    held = known[-1].catalog.contracts.get(window.contract)
    if held is None or held.account != account:
        return None
    terms = Agreement.of(store, known, window.contract, now).terms(time[0])
    begun = [each for each in terms.stretches if boundary(terms.timezone, each.start) <= time[0]]
    stretch = begun[-1] if begun else terms.stretches[0]
    for each in stretch.charges:
        names = [one.name for one in each.windows]
        if each.name == window.charge and window.name in names:
            return times_of(each.windows, stretch.holidays, terms.timezone, *time)[names.index(window.name)]
    return None
