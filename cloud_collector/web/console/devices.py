"""Devices: every device of every contract, its state, since when and by which rule."""

from typing import Final

from fastapi import APIRouter

from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.insight.device_life import TESTING
from cloud_collector.insight.device_list import PAGE_ROWS, WHOLE_ROWS, DeviceList, Listed, device_list
from cloud_collector.store.view import StoreView
from cloud_collector.web.console.cells import text, when
from cloud_collector.web.console.screen import Ask, Screen, serve, web_path
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Cell, Column, Mood, Table, row

MOODS: Final = {
    "active": Mood.GOOD,
    "provisioned": Mood.IDLE,
    TESTING: Mood.IDLE,
    "suspended": Mood.WARN,
    "ended": Mood.IDLE,
}
WORDS: Final = {"active": "in use", "provisioned": "waiting for first use", TESTING: "being tested"}
_COLUMNS: Final = (
    Column(title="Device", key="device"),
    Column(title="Account", key="account"),
    Column(title="Contract", key="contract"),
    Column(title="State", key="state", whole=True),
    Column(title="Since", key="since", whole=True),
    Column(title="Why", key="why", wrap=True),
)


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""
    serve(router, site, "/devices", _screen)


def state(word: str) -> Cell:
    """A state with its mark and its word."""
    return text(word, shown=WORDS.get(word, word), mood=MOODS.get(word, Mood.IDLE))


def table(found: DeviceList, moment: Moment, path: str = "/devices") -> Table:
    """A row a device and contract."""
    return Table(
        title="Devices",
        path=path,
        command="cloud-collector device list",
        empty="No device is like that."
        if found.total
        else "No contract yet. Write one into the catalog, then: cloud-collector catalog apply catalog.toml",
        columns=_COLUMNS,
        rows=tuple(_row(each, moment) for each in found.devices),
    )


def _row(each: Listed, moment: Moment) -> tuple[Cell, ...]:
    return row(
        _COLUMNS,
        text(each.device, link=web_path("devices", *each.device.split("/", 1))),
        text(each.account, shown=each.account_name, link=web_path("accounts", each.account)),
        text(each.contract, note=each.plan, link=web_path("contracts", each.contract)),
        state(each.state),
        when(moment, each.since),
        text(each.why),
    )


def _screen(look: Look, ask: Ask) -> Screen:
    asked = {name: ask.text(name) for name in ("contract", "account")}
    try:
        found = device_list(
            look.store,
            StoreView(look.store),
            revisions(look.store),
            look.moment.now,
            after=ask.text("after"),
            search=ask.text("q"),
            contract=asked["contract"],
            account=asked["account"],
            rows=WHOLE_ROWS if ask.whole else PAGE_ROWS,
            memory=look.kept,
        )
    except NoCatalog:
        found = DeviceList(total=0, devices=(), next=None)
    return Screen(
        title="Devices",
        data=found,
        table=table(found, look.moment),
        template="console/devices.html",
        told={
            "q": ask.text("q"),
            "asked": asked,
            "found": found,
            "further": ask.also(after=found.next or ""),
            "first": ask.also(after="") if ask.text("after") else "",
        },
    )
