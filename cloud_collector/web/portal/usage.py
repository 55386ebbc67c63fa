"""A device's meter by day, in any stretch of time: what lies between a line's quantity and its intervals."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.catalog import Aggregate, Meter
from cloud_collector.contracts.money import plain
from cloud_collector.contracts.period import boundary, iso, local_date
from cloud_collector.contracts.week import Times, times_of
from cloud_collector.insight.agreement import Agreement
from cloud_collector.insight.by_day import WORDS, by_day, figure, unit_of
from cloud_collector.insight.detail import Day
from cloud_collector.insight.grounds import clip
from cloud_collector.insight.owned import owned_within
from cloud_collector.invoice.locale import Locale, locale_named
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import ChannelName
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.portal.frame import Visiting, as_csv, as_json, catalog_of, moment_of, owner, show
from cloud_collector.web.portal.month import state_of
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Cell, Column, Table, row
from shared.errors import MetersealError

DAYS_MAX: Final = 400
"""In one answer."""
_DAYS: Final = (
    Column(title="Day", key="day", whole=True),
    Column(title="From", key="start", whole=True, unseen=True),
    Column(title="To", key="end", whole=True, unseen=True),
    Column(title="Used", key="quantity", number=True),
    Column(title="Unit", key="unit"),
    Column(title="State", key="state"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What was asked for: a channel, from when until when, and in which part of the week."""

    channel: ChannelName
    meter: Meter
    start: int
    end: int
    times: Times
    window: str


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""
    path = "/portal/{account}/usage/{gateway}/{device}/{meter}"

    @router.get(f"{path}.json", include_in_schema=False)
    def as_data(request: Request, account: str, gateway: str, device: str, meter: str, viewer: Visiting) -> Response:
        del viewer
        with site.look() as look:
            asked = _asked(look, request, account, ChannelName(gateway, device, meter))
            return as_json(_table(look, account, asked, moment_of(look, account))[0].records())

    @router.get(f"{path}.csv", include_in_schema=False)
    def as_sheet(request: Request, account: str, gateway: str, device: str, meter: str, viewer: Visiting) -> Response:
        del viewer
        with site.look() as look:
            asked = _asked(look, request, account, ChannelName(gateway, device, meter))
            return as_csv(_table(look, account, asked, moment_of(look, account))[0])

    @router.get(path, include_in_schema=False)
    def usage(request: Request, account: str, gateway: str, device: str, meter: str, viewer: Visiting) -> Response:
        with site.look() as look:
            moment = moment_of(look, account)
            asked = _asked(look, request, account, ChannelName(gateway, device, meter))
            table, total = _table(look, account, asked, moment)
            told = {
                "stretch": asked,
                "total": total,
                "unit": unit_of(asked.meter),
                "word": WORDS[asked.meter.aggregate],
                "query": f"?{request.url.query}" if request.url.query else "",
            }
            answer = show(request, look, account, "usage.html", title=f"{device} {meter}", table=table, told=told)
        looked(site, request, viewer, account, f"days of {gateway}/{device} {meter}")
        return answer


def _asked(look: Look, request: Request, account: str, channel: ChannelName) -> Stretch:
    """What the address asks for; raises Closed with 404 where it is not the account's (P20), or makes no sense."""
    owner(look.store, account)
    catalog, moment = catalog_of(look.store), moment_of(look, account)
    assert catalog is not None, "the account is in it"
    meter = catalog.meters.get(channel.meter)
    today = local_date(moment.zone, moment.now)
    asked = request.query_params
    start = _instant(asked.get("from", ""), moment.zone, boundary(moment.zone, today.replace(day=1)))
    end = _instant(asked.get("until", ""), moment.zone, boundary(moment.zone, today + timedelta(days=1)))
    end = min(end, start + DAYS_MAX * 86_400)
    mine = owned_within(catalog, account, f"{channel.gateway}/{channel.device}", start, end) if start < end else []
    known = StoreView(look.store).channels(channel.gateway, channel.device)
    if not mine or meter is None or channel not in known:
        raise gate.Closed(404, gate.NOT_THERE)
    window = asked.get("window", "")
    times = tuple(sorted(mine))
    if window:
        held = _window(look, account, asked.get("contract", ""), asked.get("charge", ""), window, (start, end))
        times = tuple(piece for low, high in times for piece in clip(held, low, high))
    return Stretch(channel=channel, meter=meter, start=start, end=end, times=times, window=window)


def _window(look: Look, account: str, contract: str, charge: str, window: str, time: tuple[int, int]) -> Times:
    """When a window of a charge holds, by the prices of that time."""
    known = revisions(look.store)
    held = known[-1].catalog.contracts.get(contract)
    if held is None or held.account != account:
        raise gate.Closed(404, gate.NOT_THERE)
    try:
        terms = Agreement.of(look.store, known, contract, look.moment.now).terms(time[0])
    except MetersealError as error:
        raise gate.Closed(409, str(error)) from error
    begun = [each for each in terms.stretches if boundary(terms.timezone, each.start) <= time[0]]
    stretch = begun[-1] if begun else terms.stretches[0]
    for each in stretch.charges:
        names = [one.name for one in each.windows]
        if each.name == charge and window in names:
            return times_of(each.windows, stretch.holidays, terms.timezone, *time)[names.index(window)]
    raise gate.Closed(404, gate.NOT_THERE)


def _instant(text: str, zone: str, without: int) -> int:
    """A local date or an instant of an address; raises Closed with 404 where it is none."""
    if not text:
        return without
    try:
        found = datetime.fromisoformat(text)
        day = date.fromisoformat(text) if found.tzinfo is None else found.date()
    except ValueError:
        raise gate.Closed(404, gate.NOT_THERE) from None
    if not 2000 <= day.year <= 2200:
        raise gate.Closed(404, gate.NOT_THERE)
    return boundary(zone, day) if found.tzinfo is None else int(found.timestamp())


def _table(look: Look, account: str, asked: Stretch, moment: Moment) -> tuple[Table, str]:
    """The days, and what they come to."""
    people = locale_named(owner(look.store, account).locale)
    view, held = StoreView(look.store), [(asked.channel, asked.times)]
    found = by_day(view, held, asked.meter, moment.zone, moment.now)
    place = "/".join(quote(part, safe="") for part in asked.channel)
    table = Table(
        title="Days",
        path=f"/portal/{account}/usage/{place}",
        command=f"cloud-collector usage days {asked.channel.gateway}/{asked.channel.device} --account {account} "
        f"--from {local_date(moment.zone, asked.start)} --to {local_date(moment.zone, asked.end - 1)}",
        empty="None of these days has begun.",
        columns=_DAYS,
        rows=tuple(_row(account, place, each, unit_of(asked.meter), moment, people) for each in found),
    )
    whole = [each.quantity for each in found if each.quantity is not None]
    if asked.meter.aggregate is Aggregate.SUM:
        total = Fraction(sum(whole)) if whole else None
    else:
        total = figure(view, held, asked.meter, moment.zone, asked.end - asked.start) if whole else None
    return table, "—" if total is None else people.number(plain(total))


def _row(account: str, place: str, day: Day, unit: str, moment: Moment, people: Locale) -> tuple[Cell, ...]:
    link = f"/portal/{account}/days/{day.day}/{place}"
    value = None if day.quantity is None else plain(Fraction(day.quantity))
    word = state_of(day, moment.now)[0]
    return row(
        _DAYS,
        Cell(text=moment.written(day.day), value=day.day.isoformat(), link=link, time=True),
        Cell(text=moment.local(day.start), value=iso(day.start), time=True),
        Cell(text=moment.local(day.end), value=iso(day.end), time=True),
        Cell(text="—" if value is None else people.number(value), value=value, link=link),
        Cell(text=unit, value=unit),
        Cell(text=word, value=word),
    )
