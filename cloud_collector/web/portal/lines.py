"""One signed line as the gateway sealed it: its bytes, whether its signature is right, and the words of its key."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from cloud_collector.insight.owned_line import NotShown, owned_line
from cloud_collector.store.store import Store
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.portal.frame import Visiting, catalog_of, owner, show, twins
from cloud_collector.web.site import Look, Site
from cloud_collector.web.table import Cell, Column, Table

SEQ_DIGITS_MAX: Final = 15
PATH: Final = "/portal/{account}/lines/{gateway}/{log}/{epoch}/{seq}"


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""

    def found(look: Look, parts: Mapping[str, str]) -> dict[str, Any]:
        owner(look.store, parts["account"])
        chain = parts["gateway"], parts["log"], parts["epoch"]
        return _line(look.store, parts["account"], chain, parts["seq"])

    twins(router, site, PATH, lambda look, parts: _table(parts["account"], found(look, parts)), found)

    @router.get(PATH, include_in_schema=False)
    def line(
        request: Request, account: str, gateway: str, log: str, epoch: str, seq: str, viewer: Visiting
    ) -> Response:
        with site.look() as look:
            line = found(look, request.path_params)
            table = _table(account, line)
            answer = show(request, look, account, "line.html", title=f"Report {seq}", table=table, told={"line": line})
        looked(site, request, viewer, account, f"report {seq} of {gateway} {log} {epoch}")
        return answer


def _table(account: str, line: Mapping[str, Any]) -> Table:
    """The line as one row, as it stands on the page below each other."""
    place = f"{line['gateway']}/{line['log']}/{line['epoch']}/{line['seq']}"
    columns = tuple(Column(title=name.replace("_", " ").capitalize(), key=name) for name in line)
    values = ("yes" if value is True else "no" if value is False else value for value in line.values())
    return Table(
        title=f"Report {line['seq']}",
        path=f"/portal/{account}/lines/{place}",
        command=f"cloud-collector gateway line {place.replace('/', ' ')}",
        empty="",
        columns=columns,
        rows=(tuple(Cell(text=str(value), value=value) for value in values),),
    )


def _line(store: Store, account: str, chain: tuple[str, str, str], seq: str) -> dict[str, Any]:
    """The line with what is to be said of it; raises Closed with 404 where it is not the account's alone (P20)."""
    catalog = catalog_of(store)
    number = int(seq) if seq.isascii() and seq.isdecimal() and len(seq) <= SEQ_DIGITS_MAX else 0
    if catalog is None:
        raise gate.Closed(404, gate.NOT_THERE)
    found = owned_line(store, catalog, account, chain, number)
    if isinstance(found, NotShown):
        raise gate.Closed(404, found.why or gate.NOT_THERE)
    return found.to_json()
