"""What lies under a figure of an account: its days, a day's intervals, and the signed line that says each of them."""

from datetime import date, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query

from cloud_collector.client.days import DeviceDay, DeviceMonth, Interval, MeterDays, SignedLine
from cloud_collector.client.opened import ChannelDays
from cloud_collector.client.page import Page
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.money import plain
from cloud_collector.contracts.period import boundary, local_date
from cloud_collector.insight.by_day import unit_of as rate_unit
from cloud_collector.insight.channel_days import Window, days_of, stretch_of, together
from cloud_collector.insight.detail import Interval as Told
from cloud_collector.insight.device_month import device_month
from cloud_collector.insight.look import NotRunning, look
from cloud_collector.insight.meter_days import meter_days
from cloud_collector.insight.owned import owned, zone_of
from cloud_collector.insight.owned_detail import DayOf, owned_days, owned_intervals, unit_of
from cloud_collector.insight.owned_line import NotShown, owned_line
from cloud_collector.store.view import StoreView
from cloud_collector.usage.quantity import UnlikeUnits
from cloud_collector.usage.span import ChannelName
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.devices import OfDevice, OfGateway
from cloud_collector.web.api.problem import Refusal, absent, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.shape import shaped
from cloud_collector.web.api.sight import Here, Sight, seen
from cloud_collector.web.api.written import Written
from cloud_collector.web.gate import Asking
from shared.errors import DatabaseError, MetersealError

router = APIRouter(route_class=ApiRoute, tags=["usage"])
SEQ_MAX: Final = 10**15
OfDay = Annotated[
    str,
    Path(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="In the account's zone.", examples=["2026-10-05"]),
]
OfMeter = Annotated[str, Path(max_length=32, examples=["energy"])]
Stretch = tuple[int, int]
Start = Annotated[Written | None, Query(description="From this instant on; without it, the local month.")]
End = Annotated[Written | None, Query(description="Up to this instant, not included; without it, today.")]
InWindow = Annotated[str | None, Query(max_length=64, description="Of a charge's window: all three together.")]


@router.get("/accounts/{account}/days/{day}", response_model=Page[DeviceDay])
def day_of_account(site: Here, viewer: Asking, account: str, day: OfDay, part: Part) -> Any:
    """What each device of the account used on a local day, by device, meter and time, while it was the account's."""
    with seen(site, viewer) as sight:
        catalog, zone, time = _day(sight, account, day)
        after = part.after(("", "", 0)) or ("", "", -(2**62))
        mine = [each for each in owned(catalog, account) if each.device >= str(after[0])]
        found = owned_days(sight.view, catalog, mine, time, sight.now, zone)
        return told(page((each for each in found if _key(each) > after), part, _key), _device_day)


@router.get("/accounts/{account}/days/{day}/{gateway}/{device}/{meter}", response_model=Page[Interval])
def intervals_of_day(
    site: Here,
    viewer: Asking,
    account: str,
    day: OfDay,
    gateway: OfGateway,
    device: OfDevice,
    meter: OfMeter,
    part: Part,
) -> Any:
    """A local day of a meter, interval by interval: each with the signed line that says it, or why nothing is known."""
    with seen(site, viewer) as sight:
        catalog, _, time = _day(sight, account, day)
        channel = ChannelName(gateway=gateway, device=device, meter=meter)
        found = owned_intervals(sight.view, catalog, account, channel, time, sight.now)
        if found is None:
            raise absent()
        after = part.after((0,)) or (-(2**62),)
        unit = unit_of(catalog, meter)
        later = (each for each in found if (each.start,) > after)
        return told(page(later, part, lambda each: (each.start,)), lambda each: _interval(gateway, unit, each))


@router.get("/accounts/{account}/lines/{gateway}/{log}/{epoch}/{seq}", response_model=SignedLine)
def signed_line(
    site: Here,
    viewer: Asking,
    account: str,
    gateway: OfGateway,
    log: str,
    epoch: str,
    seq: Annotated[int, Path(ge=1, lt=SEQ_MAX)],
) -> Any:
    """A line byte for byte as its gateway sealed it, whether its signature is right, and the words of its key.

    404 as well where the line tells of a device that is another account's, or where its detail was deleted.
    """
    with seen(site, viewer) as sight:
        sight.account(account)
        found = owned_line(sight.store, sight.known[-1].catalog, account, (gateway, log, epoch), seq)
        if isinstance(found, NotShown):
            raise Refusal(404, found.why) if found.why else absent()
        return shaped(SignedLine, found.to_json() | {"received_at": found.received_at_ms // 1_000})


@router.get("/accounts/{account}/devices/{gateway}/{device}", response_model=DeviceMonth)
def device_of_account(site: Here, viewer: Asking, account: str, gateway: OfGateway, device: OfDevice) -> Any:
    """A device of a running contract of the account: its state, what it costs so far, and each meter day by day."""
    with seen(site, viewer) as sight:
        sight.account(account)
        zone = zone_of(sight.known[-1].catalog, account)
        found = device_month(sight.store, account, f"{gateway}/{device}", sight.now_ms, zone, sight.kept)
        if found is None:
            raise absent()
        return shaped(DeviceMonth, found.to_json())


@router.get(
    "/accounts/{account}/usage/{gateway}/{device}/{meter}", response_model=ChannelDays, responses=documented(409)
)
def days_of_channel(
    site: Here,
    viewer: Asking,
    account: str,
    gateway: OfGateway,
    device: OfDevice,
    meter: OfMeter,
    start: Start = None,
    end: End = None,
    contract: InWindow = None,
    charge: InWindow = None,
    window: InWindow = None,
) -> Any:
    """A device's meter by local day while it was the account's, by the meter's own aggregate, and what it comes to.

    With `contract`, `charge` and `window` in the times of that window alone. At most 400 days. 409: it cannot be said.
    """
    with seen(site, viewer) as sight:
        sight.account(account)
        catalog = sight.known[-1].catalog
        zone = zone_of(catalog, account)
        today = local_date(zone, sight.now)
        begins = boundary(zone, today.replace(day=1)) if start is None else int(start.timestamp())
        ends = boundary(zone, today + timedelta(days=1)) if end is None else int(end.timestamp())
        if begins >= ends:
            raise Refusal(409, "query.end: it lies before `start`, or is the same")
        held = Window(contract=contract or "", charge=charge or "", name=window) if window else None
        channel = ChannelName(gateway=gateway, device=device, meter=meter)
        try:
            found = stretch_of(sight.store, catalog, account, channel, (begins, ends), window=held, now=sight.now)
        except DatabaseError:
            raise
        except MetersealError as error:
            raise Refusal(409, str(error)) from None
        if found is None:
            raise absent()
        cut = days_of(sight.view, found, zone, sight.now)
        total = together(sight.view, found, zone, cut)
        said = {
            "device": f"{gateway}/{device}",
            "meter": meter,
            "unit": rate_unit(found.meter),
            "total": None if total is None else plain(total),
            "days": [each.to_json() for each in cut],
        }
        return shaped(ChannelDays, said)


@router.get("/contracts/{contract}/days", response_model=list[MeterDays], responses=documented(409))
def days_of_contract(site: Here, viewer: Asking, contract: str) -> Any:
    """Each meter of the contract by day of its running period, over all devices; nothing of more than 50.

    409: no period runs.
    """
    with seen(site, viewer) as sight:
        agreed = sight.contract(contract)
        try:
            period = look(sight.store, sight.known, contract, sight.now_ms, StoreView, memory=sight.kept).period
        except (NotRunning, UnlikeUnits) as error:
            raise Refusal(409, str(error)) from None
        found = meter_days(sight.known[-1].catalog, agreed, sight.view, period, sight.now)
        return [shaped(MeterDays, each.to_json()) for each in found]


def _day(sight: Sight, account: str, text: str) -> tuple[Catalog, str, Stretch]:
    """The catalog, the account's zone, and its day in it; raises Refusal (404) where there is no such day."""
    sight.account(account)
    catalog = sight.known[-1].catalog
    zone = zone_of(catalog, account)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise absent() from None
    if not 2000 <= day.year <= 2200:
        raise absent()
    return catalog, zone, (boundary(zone, day), boundary(zone, day + timedelta(days=1)))


def _key(each: DayOf) -> tuple[str | int, ...]:
    return f"{each.channel.gateway}/{each.channel.device}", each.channel.meter, each.day.start


def _device_day(each: DayOf) -> DeviceDay:
    told_of = {
        "device": f"{each.channel.gateway}/{each.channel.device}",
        "meter": each.channel.meter,
        "unit": each.unit,
        "day": each.day.to_json(),
    }
    return shaped(DeviceDay, told_of)


def _interval(gateway: str, unit: str, each: Told) -> Interval:
    said = each.to_json()
    line = None if said["line"] is None else {"gateway": gateway, **said["line"]}
    return shaped(Interval, said | {"unit": unit, "line": line})
