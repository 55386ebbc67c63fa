"""Audit log: who did what, who looked at whose data; and what operators did with commands."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter

from cloud_collector.access.trail import entries
from cloud_collector.web.console.cells import text, when
from cloud_collector.web.console.screen import Ask, Screen, serve, web_path
from cloud_collector.web.site import Look, Site
from cloud_collector.web.table import Column, Table, row

PAGE_ROWS: Final = 100
WHOLE_ROWS: Final = 100_000
_COLUMNS: Final = (
    Column(title="When", key="at", whole=True),
    Column(title="Who", key="who"),
    Column(title="As", key="role", whole=True),
    Column(title="By", key="by", whole=True),
    Column(title="Deed", key="deed", whole=True),
    Column(title="What", key="what", wrap=True),
    Column(title="Account", key="account"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """An entry of the log."""

    at: datetime
    who: str
    role: str
    by: str
    deed: str
    what: str
    account: str


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""
    serve(router, site, "/audit", _screen)


def _screen(look: Look, ask: Ask) -> Screen:
    who, account = ask.text("who"), ask.text("account")
    most = WHOLE_ROWS if ask.whole else PAGE_ROWS
    found = [
        Entered(
            at=datetime.fromtimestamp(each.at_ms // 1000, UTC),
            who=each.who,
            role=each.role,
            by=each.means,
            deed=each.deed,
            what=each.what,
            account=each.account,
        )
        for each in entries(look.store, account=account or None, who=who or None, limit=most)
    ]
    return Screen(
        title="Audit log",
        data=found,
        table=Table(
            title="Audit log",
            path="/audit",
            command="cloud-collector audit-log list",
            empty="Nothing like that has been done.",
            columns=_COLUMNS,
            rows=tuple(
                row(
                    _COLUMNS,
                    when(look.moment, each.at),
                    text(each.who),
                    text(each.role),
                    text(each.by),
                    text(each.deed),
                    text(each.what),
                    text(each.account, link=web_path("accounts", each.account) if each.account else ""),
                )
                for each in found
            ),
        ),
        template="console/audit.html",
        told={"who": who, "account": account, "most": most, "full": len(found) == most},
    )
