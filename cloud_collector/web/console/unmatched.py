"""Unmatched: what nobody knows, with its reason; the first hour's most common trouble."""

from typing import Final

from fastapi import APIRouter

from cloud_collector.web.console.screen import Ask, Screen, serve
from cloud_collector.web.site import Look, Site, iso
from cloud_collector.web.table import Cell, Column, Table, row

_COLUMNS: Final = (
    Column(title="Topic", key="topic"),
    Column(title="Messages", key="messages", number=True),
    Column(title="Why", key="reason", wrap=True),
    Column(title="Nearest name", key="nearest"),
    Column(title="Last", key="last_at", whole=True),
)


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""
    serve(router, site, "/unmatched", _screen)


def table(look: Look) -> Table:
    """What arrived and belongs to nobody that is known."""
    return Table(
        title="Unmatched",
        path="/unmatched",
        command="cloud-collector unmatched list",
        empty="Nothing: every message that arrived is of a known gateway and key.",
        columns=_COLUMNS,
        rows=tuple(
            row(
                _COLUMNS,
                Cell(text=topic, value=topic),
                Cell(text=str(messages), value=messages),
                Cell(text=reason, value=reason),
                Cell(text=nearest or "—", value=nearest),
                Cell(text=look.moment.ago(last), value=iso(last // 1000)),
            )
            for topic, _gateway, reason, nearest, messages, last in look.store.rows("web_unmatched")
        ),
    )


def _screen(look: Look, _: Ask) -> Screen:
    made = table(look)
    return Screen(title=made.title, data=made.records(), table=made)
