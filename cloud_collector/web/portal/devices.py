"""The account's devices: in use, waiting, resting; what each costs so far, and its days."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from cloud_collector.contracts.catalog import State
from cloud_collector.contracts.money import as_written, plain
from cloud_collector.contracts.period import iso
from cloud_collector.insight.account_cost import AccountCost, account_cost
from cloud_collector.insight.cost import Cost, DeviceCost
from cloud_collector.insight.device_month import DeviceMonth, device_month
from cloud_collector.insight.meter_days import MeterDays
from cloud_collector.invoice.locale import locale_named
from cloud_collector.store.view import StoreView
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.paging import pager
from cloud_collector.web.portal.frame import Visiting, moment_of, owner, show, twins
from cloud_collector.web.portal.month import Say, state_of
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Cell, Column, Mood, Table, row

_DEVICES: Final = (
    Column(title="Device", key="device"),
    Column(title="Contract", key="contract"),
    Column(title="State", key="state", whole=True),
    Column(title="Since", key="since", whole=True),
    Column(title="Used", key="used"),
    Column(title="Net so far", key="net", number=True),
    Column(title="Currency", key="currency"),
)
_DAYS: Final = (
    Column(title="Day", key="day", whole=True),
    Column(title="Meter", key="meter"),
    Column(title="Used", key="quantity", number=True),
    Column(title="Unit", key="unit"),
    Column(title="State", key="state"),
)
_WORDS: Final = {
    State.ACTIVE: ("in use", Mood.GOOD),
    State.PROVISIONED: ("waiting for first use", Mood.IDLE),
    State.SUSPENDED: ("suspended", Mood.WARN),
    State.ENDED: ("ended", Mood.IDLE),
}


def add(router: APIRouter, site: Site) -> None:
    """The pages are served."""
    path = "/portal/{account}/devices"

    twins(router, site, path, lambda look, parts: _table(look, parts["account"])[0])

    @router.get(path, include_in_schema=False)
    def devices(request: Request, account: str, viewer: Visiting) -> Response:
        with site.look() as look:
            table, _ = _table(look, account)
            page = pager(request, len(table.rows))
            table, told = replace(table, rows=table.rows[page.rows]), {"pager": page}
            answer = show(request, look, account, "table.html", title="Devices", table=table, told=told)
        looked(site, request, viewer, account, "devices")
        return answer

    _add_one(router, site)


def _add_one(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/devices/{gateway}/{device}"

    def facts(look: Look, parts: Mapping[str, str]) -> Any:
        return _sheet(look, parts["account"], parts["gateway"], parts["device"])[0].to_json()

    def sheet(look: Look, parts: Mapping[str, str]) -> Table:
        return _sheet(look, parts["account"], parts["gateway"], parts["device"])[1]

    twins(router, site, path, sheet, facts)

    @router.get(path, include_in_schema=False)
    def one(request: Request, account: str, gateway: str, device: str, viewer: Visiting) -> Response:
        with site.look() as look:
            sheet, table = _sheet(look, account, gateway, device)
            told = {
                "device": sheet.device,
                "cost": sheet.cost,
                "meters": sheet.meters,
                "say": Say(locale_named(owner(look.store, account).locale), moment_of(look, account)),
                "state_of": state_of,
                "word": _WORDS[sheet.device.state][0],
            }
            title = f"{gateway}/{device}"
            answer = show(request, look, account, "device.html", title=title, table=table, told=told)
        looked(site, request, viewer, account, f"device {gateway}/{device}")
        return answer


def _sheet(look: Look, account: str, gateway: str, name: str) -> tuple[DeviceMonth, Table]:
    """A device in its running period, and its days as a table; raises Closed with 404 where it is none (P20)."""
    owner(look.store, account)
    moment = moment_of(look, account)
    found = device_month(look.store, account, f"{gateway}/{name}", look.moment.now_ms, moment.zone, look.kept)
    if found is None:
        raise gate.Closed(404, gate.NOT_THERE)
    return found, _days_table(account, found.device.device, found.meters, moment)


def _days_table(account: str, device: str, meters: Sequence[MeterDays], moment: Moment) -> Table:
    """Every day of every meter, as the page has them under its charts."""
    rows = []
    for meter in meters:
        for each in meter.days:
            quantity = None if each.quantity is None else plain(Fraction(each.quantity))
            rows.append(
                row(
                    _DAYS,
                    Cell(text=moment.written(each.day), value=each.day.isoformat(), time=True),
                    Cell(text=meter.meter, value=meter.meter),
                    Cell(text="—" if quantity is None else moment.number(quantity), value=quantity),
                    Cell(text=meter.unit, value=meter.unit),
                    Cell(text=state_of(each, moment.now)[0], value=state_of(each, moment.now)[0]),
                )
            )
    return Table(
        title="Day by day",
        path=f"/portal/{account}/devices/{device}",
        command=f"cloud-collector usage days {device} --account {account}",
        empty="It has not reported anything yet.",
        columns=_DAYS,
        rows=tuple(rows),
    )


def _table(look: Look, account: str) -> tuple[Table, AccountCost]:
    owner(look.store, account)
    moment = moment_of(look, account)
    found = account_cost(look.store, account, look.moment.now_ms, StoreView, foretold=False, memory=look.kept)
    return (
        Table(
            title="Devices",
            path=f"/portal/{account}/devices",
            command=f"cloud-collector cost {account}",
            empty="No device belongs to a running contract.",
            columns=_DEVICES,
            rows=tuple(_row(account, each, held, moment) for each in found.contracts for held in each.devices),
        ),
        found,
    )


def _row(account: str, cost: Cost, held: DeviceCost, moment: Moment) -> tuple[Cell, ...]:
    words, mood = _WORDS[held.state]
    note = "" if held.starts_at is None else f"grace ends {moment.local(held.starts_at)}"
    return row(
        _DEVICES,
        Cell(text=held.device, value=held.device, link=f"/portal/{account}/devices/{held.device}"),
        Cell(text=cost.contract, value=cost.contract),
        Cell(text=words, value=held.state.value, mood=mood, note=note),
        Cell(text=moment.local(held.since), value=iso(held.since), time=True),
        Cell(text="yes" if held.used else "not this period", value="yes" if held.used else "no"),
        Cell(
            text=moment.number(as_written(held.net)),
            value=as_written(held.net),
            link=f"/portal/{account}/cost/{cost.contract}?{urlencode({'device': held.device})}",
        ),
        Cell(text=cost.draft.currency, value=cost.draft.currency),
    )
