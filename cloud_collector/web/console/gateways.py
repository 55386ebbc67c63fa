"""Gateways: when each last spoke, and what is missing of its chains."""

from typing import Final

from fastapi import APIRouter, Request

from cloud_collector.web.console.screen import Screen, serve
from cloud_collector.web.site import Look, Moment, Site, iso
from cloud_collector.web.table import Cell, Column, Mood, Table, row

LATE_SECONDS: Final = 2 * 3600
"""A gateway that has said nothing for this long is late; the default window is a quarter of an hour."""
SILENT_SECONDS: Final = 24 * 3600
_COLUMNS: Final = (
    Column(title="Gateway", key="gateway"),
    Column(title="State", key="state", whole=True),
    Column(title="Last line", key="last_received_at", whole=True),
    Column(title="Lines", key="lines", number=True),
    Column(title="Missing", key="missing", number=True),
    Column(title="Alarms", key="alarms", number=True),
)


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""
    serve(router, site, "/gateways", _screen)


def table(look: Look) -> Table:
    """Every gateway, when it last spoke, what is missing of its chains."""
    moment = look.moment
    rows = []
    for name, _added, lines, received, missing, alarms in look.store.rows("web_gateways"):
        state = _state(moment, received, missing, alarms)
        last = "never" if received is None else moment.ago(received)
        rows.append(
            row(
                _COLUMNS,
                Cell(text=name, value=name),
                state,
                Cell(text=last, value=None if received is None else iso(received // 1000)),
                Cell(text=f"{lines:,}", value=lines),
                Cell(text=str(missing), value=missing),
                Cell(text=str(alarms), value=alarms),
            )
        )
    return Table(
        title="Gateways",
        path="/gateways",
        command="cloud-collector gateway list",
        empty="No gateway yet. Add one with: cloud-collector gateway add NAME --key FILE",
        columns=_COLUMNS,
        rows=tuple(rows),
    )


def _screen(look: Look, _: Request) -> Screen:
    made = table(look)
    return Screen(title=made.title, data=made.records(), table=made)


def _state(moment: Moment, received: int | None, missing: int, alarms: int) -> Cell:
    if received is None:
        return Cell(text="never seen", value="never_seen", mood=Mood.IDLE)
    silence = (moment.now_ms - received) // 1000
    if silence > SILENT_SECONDS:
        return Cell(text="silent", value="silent", mood=Mood.BAD)
    if alarms:
        return Cell(text="alarm", value="alarm", mood=Mood.BAD)
    if missing:
        return Cell(text="catching up", value="catching_up", mood=Mood.WARN)
    if silence > LATE_SECONDS:
        return Cell(text="late", value="late", mood=Mood.WARN)
    return Cell(text="online", value="online", mood=Mood.GOOD)
