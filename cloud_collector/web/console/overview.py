"""Overview: what needs a person now, and where everything stands."""

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter

from cloud_collector.fleet.standing import Standing
from cloud_collector.insight.overview import overview
from cloud_collector.upkeep.incidents import open_incidents
from cloud_collector.web.console.alarms import alarm_of
from cloud_collector.web.console.cells import count, text
from cloud_collector.web.console.screen import Ask, Screen, serve
from cloud_collector.web.site import Look, Site
from cloud_collector.web.table import Column, Mood, Table, row

_COLUMNS: Final = (
    Column(title="What", key="what"),
    Column(title="How many", key="count", number=True),
    Column(title="Note", key="note", wrap=True),
)
ALARMS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number, what it counts, where it leads."""

    what: str
    count: int
    note: str
    link: str
    needs: bool = False
    """Somebody should look."""


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""
    serve(router, site, "/", _screen)


def figures(look: Look) -> list[Figure]:
    """What there is, and what waits."""
    found = overview(look.store, look.moment.now_ms)
    away = found.standings[Standing.LATE.value] + found.standings[Standing.SILENT.value]
    last, alarms, parked = found.last_line_at, found.alarms, found.parked
    heard = "nothing has arrived yet" if last is None else f"last line {look.moment.ago(last)}"
    note = f"{away} late or silent" if away else heard
    return [
        Figure(what="gateways", count=found.gateways, note=note, link="/gateways"),
        Figure(what="sealed lines held", count=found.lines, note=heard, link="/gateways"),
        Figure(what="alarms open", count=alarms, note="", link="/alarms", needs=alarms > 0),
        Figure(what="unmatched", count=found.unmatched, note="", link="/unmatched", needs=found.unmatched > 0),
        Figure(what="contracts parked", count=parked, note="", link="/billing", needs=parked > 0),
        Figure(what="drafts to approve", count=found.drafts, note="", link="/billing", needs=found.drafts > 0),
        Figure(what="invoices issued", count=found.invoices, note="", link="/invoices"),
    ]


def _screen(look: Look, _: Ask) -> Screen:
    found = figures(look)
    return Screen(
        title="Overview",
        data=found,
        table=Table(
            title="Overview",
            path="/overview",
            command="cloud-collector alarms",
            empty="",
            columns=_COLUMNS,
            rows=tuple(
                row(
                    _COLUMNS,
                    text(each.what, link=each.link, mood=Mood.WARN if each.needs else None),
                    count(each.count),
                    text(each.note),
                )
                for each in found
            ),
        ),
        template="console/overview.html",
        told={"figures": found, "alarms": [alarm_of(each) for each in open_incidents(look.store)][:ALARMS_SHOWN]},
    )
