"""A device's meter by day, in any stretch of time: what lies between a line's quantity and its intervals."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from cloud_collector.contracts.money import plain
from cloud_collector.contracts.period import boundary, iso, local_date
from cloud_collector.insight.by_day import WORDS, unit_of
from cloud_collector.insight.channel_days import Stretch, Window, days_of, stretch_of, together
from cloud_collector.insight.detail import Day
from cloud_collector.invoice.locale import Locale, locale_named
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import ChannelName
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.portal.frame import Visiting, catalog_of, moment_of, owner, show, twins
from cloud_collector.web.portal.month import state_of
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Cell, Column, Table, row
from shared.errors import DatabaseError, MetersealError

_DAYS: Final = (
    Column(title="Day", key="day", whole=True),
    Column(title="From", key="start", whole=True, unseen=True),
    Column(title="To", key="end", whole=True, unseen=True),
    Column(title="Used", key="quantity", number=True),
    Column(title="Unit", key="unit"),
    Column(title="State", key="state"),
)


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""
    path = "/portal/{account}/usage/{gateway}/{device}/{meter}"

    def whole(look: Look, parts: Mapping[str, str]) -> Table:
        account, channel = parts["account"], ChannelName(parts["gateway"], parts["device"], parts["meter"])
        return _table(look, account, _asked(look, parts, account, channel), moment_of(look, account))[0]

    twins(router, site, path, whole)

    @router.get(path, include_in_schema=False)
    def usage(request: Request, account: str, gateway: str, device: str, meter: str, viewer: Visiting) -> Response:
        with site.look() as look:
            moment = moment_of(look, account)
            asked = _asked(look, request.query_params, account, ChannelName(gateway, device, meter))
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


def _asked(look: Look, asked: Mapping[str, str], account: str, channel: ChannelName) -> Stretch:
    """What the address asks for; raises Closed with 404 where it is not the account's (P20), or makes no sense."""
    owner(look.store, account)
    catalog, moment = catalog_of(look.store), moment_of(look, account)
    assert catalog is not None, "the account is in it"
    today = local_date(moment.zone, moment.now)
    start = _instant(asked.get("from", ""), moment.zone, boundary(moment.zone, today.replace(day=1)))
    end = _instant(asked.get("until", ""), moment.zone, boundary(moment.zone, today + timedelta(days=1)))
    name = asked.get("window", "")
    window = Window(contract=asked.get("contract", ""), charge=asked.get("charge", ""), name=name) if name else None
    try:
        found = stretch_of(look.store, catalog, account, channel, (start, end), window=window, now=moment.now)
    except DatabaseError:
        raise
    except MetersealError as error:
        raise gate.Closed(409, str(error)) from error
    if found is None:
        raise gate.Closed(404, gate.NOT_THERE)
    return found


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
    view = StoreView(look.store)
    found = days_of(view, asked, moment.zone, moment.now)
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
    total = together(view, asked, moment.zone, found)
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
