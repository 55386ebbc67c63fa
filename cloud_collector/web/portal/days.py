"""A day: what each device used in it, interval by interval, each with the line that says it."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from fastapi import APIRouter, Request, Response

from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.money import plain
from cloud_collector.contracts.period import boundary, iso
from cloud_collector.insight.detail import Interval
from cloud_collector.insight.owned import owned
from cloud_collector.insight.owned_detail import owned_days, owned_intervals, unit_of
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import ChannelName
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.paging import Pager, pager
from cloud_collector.web.portal.frame import Visiting, catalog_of, moment_of, owner, show, twins
from cloud_collector.web.portal.month import state_of
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Cell, Column, Table, row

_CHANNELS: Final = (
    Column(title="Device", key="device"),
    Column(title="Meter", key="meter"),
    Column(title="Used", key="quantity", number=True),
    Column(title="Unit", key="unit"),
    Column(title="State", key="state"),
)
_INTERVALS: Final = (
    Column(title="From", key="start", whole=True),
    Column(title="To", key="end", whole=True),
    Column(title="Used", key="quantity", number=True),
    Column(title="Unit", key="unit"),
    Column(title="How it is known", key="why"),
    Column(title="Line", key="line"),
)


def add(router: APIRouter, site: Site) -> None:
    """The pages are served."""
    _add_day(router, site)
    _add_intervals(router, site)


def _add_day(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/days/{day}"

    def found(look: Look, account: str, day: str, request: Request | None = None) -> tuple[Table, Pager | None]:
        owner(look.store, account)
        return _day_table(look, account, day_of(day), moment_of(look, account), request)

    twins(router, site, path, lambda look, parts: found(look, parts["account"], parts["day"])[0])

    @router.get(path, include_in_schema=False)
    def day(request: Request, account: str, day: str, viewer: Visiting) -> Response:
        with site.look() as look:
            (table, page), asked = found(look, account, day, request), day_of(day)
            told = {
                "before": asked - timedelta(days=1),
                "after": asked + timedelta(days=1),
                "day": asked,
                "hours": _hours(asked, moment_of(look, account).zone),
                "pager": page,
            }
            answer = show(request, look, account, "day.html", title=table.title, table=table, told=told)
        looked(site, request, viewer, account, f"usage of {day}")
        return answer


def _add_intervals(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/days/{day}/{gateway}/{device}/{meter}"

    def found(
        look: Look, account: str, day: str, channel: ChannelName, request: Request | None = None
    ) -> tuple[Table, Pager | None]:
        owner(look.store, account)
        return _interval_table(look, account, day_of(day), channel, moment_of(look, account), request)

    def whole(look: Look, parts: Mapping[str, str]) -> Table:
        channel = ChannelName(gateway=parts["gateway"], device=parts["device"], meter=parts["meter"])
        return found(look, parts["account"], parts["day"], channel)[0]

    twins(router, site, path, whole)

    @router.get(path, include_in_schema=False)
    def detail(
        request: Request, account: str, day: str, gateway: str, device: str, meter: str, viewer: Visiting
    ) -> Response:
        channel = ChannelName(gateway=gateway, device=device, meter=meter)
        with site.look() as look:
            table, page = found(look, account, day, channel, request)
            hours = _hours(day_of(day), moment_of(look, account).zone)
            told = {"day": day_of(day), "channel": channel, "pager": page, "hours": hours}
            title = f"{device} on {moment_of(look, account).written(day_of(day))}"
            answer = show(request, look, account, "intervals.html", title=title, table=table, told=told)
        looked(site, request, viewer, account, f"intervals of {gateway}/{device} {meter} on {day}")
        return answer


def day_of(text: str) -> date:
    """A date of an address; raises Closed with 404 where it is none."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise gate.Closed(404, gate.NOT_THERE) from None
    if not 2000 <= found.year <= 2200 or found.isoformat() != text:
        raise gate.Closed(404, gate.NOT_THERE)
    return found


def _bounds(day: date, zone: str) -> tuple[int, int]:
    return boundary(zone, day), boundary(zone, day + timedelta(days=1))


def _hours(day: date, zone: str) -> int:
    """How many hours the day has; where the clocks change not 24."""
    start, end = _bounds(day, zone)
    return round((end - start) / 3_600)


def _catalog(store: Store) -> Catalog:
    catalog = catalog_of(store)
    assert catalog is not None, "the account is in it"
    return catalog


def _day_table(
    look: Look, account: str, day: date, moment: Moment, request: Request | None
) -> tuple[Table, Pager | None]:
    """What each device used; of a page only those of its devices are looked up."""
    catalog, view = _catalog(look.store), StoreView(look.store)
    start, end = _bounds(day, moment.zone)
    mine = owned(catalog, account)
    devices = sorted({each.device for each in mine})
    page = None if request is None else pager(request, len(devices))
    shown = set(devices if page is None else devices[page.rows])
    mine = [each for each in mine if each.device in shown]
    found = owned_days(view, catalog, mine, (start, end), moment.now, moment.zone)
    base = f"/portal/{account}/days/{day}"
    table = Table(
        title=moment.written(day),
        path=base,
        command=f"cloud-collector usage days --account {account} --from {day} --to {day}",
        empty="Nothing is known of this day.",
        columns=_CHANNELS,
        rows=tuple(
            row(
                _CHANNELS,
                Cell(
                    text=f"{each.channel.gateway}/{each.channel.device}",
                    value=f"{each.channel.gateway}/{each.channel.device}",
                    link=f"{base}/{each.channel.gateway}/{each.channel.device}/{each.channel.meter}",
                ),
                Cell(text=each.channel.meter, value=each.channel.meter),
                _quantity(each.day.quantity, moment),
                Cell(text=each.unit, value=each.unit),
                Cell(text=state_of(each.day, moment.now)[0], value=state_of(each.day, moment.now)[0]),
            )
            for each in found
        ),
    )
    return table, page


def _interval_table(
    look: Look, account: str, day: date, channel: ChannelName, moment: Moment, request: Request | None
) -> tuple[Table, Pager | None]:
    """The intervals, from the first that is asked for on; read by the minute a day has more than a page holds."""
    catalog = _catalog(look.store)
    device = f"{channel.gateway}/{channel.device}"
    time, unit = _bounds(day, moment.zone), unit_of(catalog, channel.meter)
    found = owned_intervals(StoreView(look.store), catalog, account, channel, time, moment.now)
    if found is None:
        # P20: what is another account's at that time is not there.
        raise gate.Closed(404, gate.NOT_THERE)
    page = None if request is None else pager(request, len(found))
    table = Table(
        title=f"{channel.device} {channel.meter}",
        path=f"/portal/{account}/days/{day}/{device}/{channel.meter}",
        command=f"cloud-collector usage intervals {device} {channel.meter} --day {day}",
        empty="Nothing is known of this day.",
        columns=_INTERVALS,
        rows=tuple(
            _interval_row(account, channel.gateway, each, unit, moment)
            for each in (found if page is None else found[page.rows])
        ),
    )
    return table, page


def _interval_row(account: str, gateway: str, each: Interval, unit: str, moment: Moment) -> tuple[Cell, ...]:
    words = {"": "metered", "gap": "not metered, known by the counters on both sides", "bridge": "between two reports"}
    words["deleted"] = "the detail was deleted as agreed: only the total of a longer time is known"
    why = words.get(each.why, f"not known: {each.why.replace('_', ' ')}")
    if each.estimated and not each.why:
        why = "estimated"
    place = f"{gateway}/{each.log}/{each.epoch}/{each.seq}"
    line = Cell(text="—", value=None)
    if each.seq:
        line = Cell(text=f"report {each.seq}", value=place, link=f"/portal/{account}/lines/{place}")
    return row(
        _INTERVALS,
        Cell(text=moment.clock(each.start), value=iso(each.start)),
        Cell(text=moment.clock(each.end), value=iso(each.end)),
        _quantity(each.quantity, moment),
        Cell(text=unit, value=unit),
        Cell(text=why, value=why),
        line,
    )


def _quantity(value: Decimal | None, moment: Moment) -> Cell:
    if value is None:
        return Cell(text="—", value=None)
    return Cell(text=moment.number(plain(Fraction(value))), value=plain(Fraction(value)))
