"""The account's devices: in use, waiting, resting; what each costs so far, and its days."""

from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from cloud_collector.contracts.catalog import State
from cloud_collector.contracts.money import as_written
from cloud_collector.contracts.period import iso
from cloud_collector.insight.account_cost import AccountCost, account_cost
from cloud_collector.insight.cost import Cost, DeviceCost
from cloud_collector.insight.detail import days
from cloud_collector.invoice.locale import locale_named
from cloud_collector.store.view import StoreView
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.portal.frame import Visiting, as_csv, as_json, catalog_of, moment_of, owner, show
from cloud_collector.web.portal.month import MeterDays, Say, state_of
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
_WORDS: Final = {
    State.ACTIVE: ("in use", Mood.GOOD),
    State.PROVISIONED: ("waiting for first use", Mood.IDLE),
    State.SUSPENDED: ("suspended", Mood.WARN),
    State.ENDED: ("ended", Mood.IDLE),
}


def add(router: APIRouter, site: Site) -> None:
    """The pages are served."""
    path = "/portal/{account}/devices"

    @router.get(f"{path}.json", include_in_schema=False)
    def as_data(account: str, viewer: Visiting) -> Response:
        del viewer
        with site.look() as look:
            return as_json(_table(look, account)[0].records())

    @router.get(f"{path}.csv", include_in_schema=False)
    def as_sheet(account: str, viewer: Visiting) -> Response:
        del viewer
        with site.look() as look:
            return as_csv(_table(look, account)[0])

    @router.get(path, include_in_schema=False)
    def devices(request: Request, account: str, viewer: Visiting) -> Response:
        with site.look() as look:
            table, _ = _table(look, account)
            answer = show(request, look, account, "table.html", title="Devices", table=table, told={})
        looked(site, request, viewer, account, "devices")
        return answer

    @router.get(f"{path}/{{gateway}}/{{device}}", include_in_schema=False)
    def one(request: Request, account: str, gateway: str, device: str, viewer: Visiting) -> Response:
        with site.look() as look:
            who, moment = owner(look.store, account), moment_of(look, account)
            _, found = _table(look, account)
            held = _held(found, f"{gateway}/{device}")
            told = {
                "device": held[1],
                "cost": held[0],
                "meters": _meters(look, held[0], gateway, device, moment),
                "say": Say(locale_named(who.locale), moment),
                "state_of": state_of,
                "word": _WORDS[held[1].state][0],
            }
            answer = show(request, look, account, "device.html", title=f"{gateway}/{device}", table=None, told=told)
        looked(site, request, viewer, account, f"device {gateway}/{device}")
        return answer


def _held(found: AccountCost, device: str) -> tuple[Cost, DeviceCost]:
    for each in found.contracts:
        for held in each.devices:
            if held.device == device:
                return each, held
    raise gate.Closed(404, gate.NOT_THERE)


def _meters(look: Look, found: Cost, gateway: str, name: str, moment: Moment) -> list[MeterDays]:
    catalog, view, period = catalog_of(look.store), StoreView(look.store), found.draft.period
    assert catalog is not None, "the device is in it"
    return [
        MeterDays(
            meter=channel.meter,
            unit=catalog.meters[channel.meter].unit,
            days=tuple(
                days(
                    view,
                    channel,
                    catalog.meters[channel.meter].unit,
                    (period.start, period.end),
                    moment.now,
                    moment.zone,
                )
            ),
        )
        for channel in view.channels(gateway, name)
        if channel.meter in catalog.meters
    ]


def _table(look: Look, account: str) -> tuple[Table, AccountCost]:
    owner(look.store, account)
    moment = moment_of(look, account)
    found = account_cost(look.store, account, look.moment.now_ms, StoreView, foretold=False)
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
        Cell(text=moment.local(held.since), value=iso(held.since)),
        Cell(text="yes" if held.used else "not this period", value="yes" if held.used else "no"),
        Cell(
            text=as_written(held.net),
            value=as_written(held.net),
            link=f"/portal/{account}/cost/{cost.contract}?{urlencode({'device': held.device})}",
        ),
        Cell(text=cost.draft.currency, value=cost.draft.currency),
    )
