"""/portal: whoever has one account is there at once, whoever has several chooses."""

from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from cloud_collector.access.viewer import Viewer
from cloud_collector.contracts.catalog import Account
from cloud_collector.web import gate
from cloud_collector.web.paging import pager
from cloud_collector.web.portal.frame import as_csv, as_json, catalog_of
from cloud_collector.web.shell import page
from cloud_collector.web.site import Look, Site
from cloud_collector.web.table import Cell, Column, Table, row

ACCOUNTS: Final = 120
"""Of one page."""
_ACCOUNTS: Final = (
    Column(title="Account", key="account"),
    Column(title="Name", key="name"),
    Column(title="Page", key="page"),
)


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""

    @router.get("/portal.json", include_in_schema=False)
    def data(viewer: gate.Asking) -> Response:
        with site.look() as look:
            return as_json(_table(_mine(look, viewer)).records())

    @router.get("/portal.csv", include_in_schema=False)
    def sheet(viewer: gate.Asking) -> Response:
        with site.look() as look:
            return as_csv(_table(_mine(look, viewer)))

    @router.get("/portal", include_in_schema=False)
    def home(request: Request, viewer: gate.Asking) -> Response:
        with site.look() as look:
            mine = _mine(look, viewer)
            if len(mine) == 1:
                return RedirectResponse(f"/portal/{mine[0].key}", 303)
            shown = pager(request, len(mine), size=ACCOUNTS)
            told = {"accounts": mine[shown.rows], "table": _table(mine), "pager": shown}
            return page(request, "portal/home.html", title="Accounts", nav=(), moment=look.moment, told=told)


def _mine(look: Look, viewer: Viewer) -> list[Account]:
    """The accounts that the viewer may see, by name (P20)."""
    catalog = catalog_of(look.store)
    held = {} if catalog is None else catalog.accounts
    return [held[name] for name in sorted(held) if viewer.sees(name)]


def _table(mine: Sequence[Account]) -> Table:
    return Table(
        title="Accounts",
        path="/portal",
        command="cloud-collector account list",
        empty="There is no account that you may see yet. Your operator adds you to one.",
        columns=_ACCOUNTS,
        rows=tuple(
            row(
                _ACCOUNTS,
                Cell(text=each.key, value=each.key),
                Cell(text=each.name, value=each.name),
                Cell(text=f"/portal/{each.key}", value=f"/portal/{each.key}"),
            )
            for each in mine
        ),
    )
