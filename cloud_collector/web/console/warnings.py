"""Warnings: thresholds that fired, actual and projected, and what withdrew them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter

from cloud_collector.insight.alerts import public
from cloud_collector.store.store import Store
from cloud_collector.web.console.cells import text, when
from cloud_collector.web.console.screen import Ask, Screen, serve, web_path
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Column, Mood, Table, row

PAGE_ROWS: Final = 100
WHOLE_ROWS: Final = 100_000
NEWEST: Final = 2**62
"""Beyond every warning."""
_COLUMNS: Final = (
    Column(title="When", key="at", whole=True),
    Column(title="Warning", key="said", wrap=True),
    Column(title="Contract", key="contract"),
    Column(title="Account", key="account"),
    Column(title="Against", key="against"),
    Column(title="Way", key="way", whole=True),
    Column(title="State", key="what", whole=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """A threshold that fired, or was withdrawn."""

    id: int
    at: datetime
    contract: str
    account: str
    against: str
    side: str
    way: str
    what: str
    said: str
    standing: bool
    """It fired, and nothing has withdrawn it."""


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""
    serve(router, site, "/warnings", _screen)


def standing_warnings(store: Store, contracts: Sequence[str], now: int) -> list[Warned]:
    """What stands of running periods."""
    return [_warned(row_, standing=True) for name in contracts for row_ in store.rows("warnings_standing", name, now)]


def table(found: Sequence[Warned], moment: Moment, path: str = "/warnings") -> Table:
    """A row a warning."""
    return Table(
        title="Warnings",
        path=path,
        command="cloud-collector warnings",
        empty="Nobody was warned.",
        columns=_COLUMNS,
        rows=tuple(
            row(
                _COLUMNS,
                when(moment, each.at),
                text(each.said),
                text(each.contract, link=web_path("contracts", each.contract)),
                text(each.account, link=web_path("accounts", each.account)),
                text(each.against),
                text(each.way, note=each.side),
                text(
                    each.what,
                    shown="stands" if each.standing else "withdrawn" if each.what == "withdrawn" else "withdrawn since",
                    mood=Mood.WARN if each.standing else Mood.IDLE,
                ),
            )
            for each in found
        ),
    )


def _screen(look: Look, ask: Ask) -> Screen:
    only = ask.text("standing") == "1"
    before = int(ask.text("after")) if ask.text("after").isdecimal() else None
    most = WHOLE_ROWS if ask.whole else PAGE_ROWS
    rows = look.store.rows("warnings_before", NEWEST if before is None else min(before, NEWEST), int(only), most + 1)
    shown = [_warned(each[:-1], standing=bool(each[-1])) for each in rows]
    further = str(shown[most - 1].id) if len(shown) > most else ""
    return Screen(
        title="Warnings",
        data=shown[:most],
        table=table(shown[:most], look.moment),
        template="console/warnings.html",
        told={
            "only": only,
            "further": ask.also(after=further) if further else "",
            "first": ask.also(after="") if before is not None else "",
        },
    )


def _warned(row_: Sequence[Any], *, standing: bool) -> Warned:
    told = public(tuple(row_))
    return Warned(
        id=row_[0],
        at=datetime.fromtimestamp(row_[11] // 1000, UTC),
        contract=row_[1],
        account=row_[2],
        against=row_[5],
        side=row_[6],
        way=row_[7],
        what=row_[10],
        said=str(told["said"]),
        standing=standing,
    )
