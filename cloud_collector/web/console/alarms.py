"""Alarms: what is wrong now, one for each root cause, and what was."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter

from cloud_collector.upkeep.incidents import Incident, newest_incidents, open_incidents
from cloud_collector.web.console.cells import text, when
from cloud_collector.web.console.screen import Ask, Screen, serve
from cloud_collector.web.paging import pager
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Column, Mood, Table, row

NEWEST: Final = 200
_COLUMNS: Final = (
    Column(title="What is wrong", key="text", wrap=True),
    Column(title="Kind", key="kind", whole=True),
    Column(title="Gateway", key="gateway", unseen=True),
    Column(title="Part", key="part", unseen=True),
    Column(title="Since", key="begun_at", whole=True),
    Column(title="Until", key="ended_at", whole=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An alarm as the page has it."""

    kind: str
    gateway: str
    part: str
    text: str
    begun_at: datetime
    ended_at: datetime | None


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""
    serve(router, site, "/alarms", _screen)


def table(found: list[Alarm], moment: Moment, *, every: bool) -> Table:
    """The oldest open ones first, or all, the newest first."""
    return Table(
        title="Alarms",
        path="/alarms",
        command="cloud-collector alarms" + (" --all" if every else ""),
        empty="Nothing is wrong.",
        columns=_COLUMNS,
        rows=tuple(
            row(
                _COLUMNS,
                text(each.text, shown=moment.told(each.text), link=f"/gateways/{each.gateway}" if each.gateway else ""),
                text(each.kind, shown=each.kind.replace("_", " "), mood=Mood.IDLE if each.ended_at else Mood.BAD),
                text(each.gateway),
                text(each.part),
                when(moment, each.begun_at),
                when(moment, each.ended_at) if each.ended_at else text("", shown="still so"),
            )
            for each in found
        ),
    )


def alarm_of(found: Incident) -> Alarm:
    """The alarm for people."""
    return Alarm(
        kind=found.spot.cause.value,
        gateway=found.spot.gateway,
        part=found.spot.part,
        text=found.text,
        begun_at=datetime.fromtimestamp(found.begun_at // 1000, UTC),
        ended_at=None if found.ended_at is None else datetime.fromtimestamp(found.ended_at // 1000, UTC),
    )


def _screen(look: Look, ask: Ask) -> Screen:
    every = ask.text("all") == "1"
    found = newest_incidents(look.store, NEWEST) if every else open_incidents(look.store)
    alarms = [alarm_of(each) for each in found]
    page = pager(ask.request, len(alarms))
    return Screen(
        title="Alarms",
        data=alarms,
        table=table(alarms if ask.whole else alarms[page.rows], look.moment, every=every),
        template="console/alarms.html",
        told={"every": every, "pager": page},
    )
