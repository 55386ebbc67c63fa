"""Your data: whose it is, who may see it, who looked and when; take it along, ask for detail to be deleted."""

import io
import json
import zipfile
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from cloud_collector.access import trail
from cloud_collector.access.viewer import Deed
from cloud_collector.billing.absent import deletions
from cloud_collector.billing.disputes import disputes
from cloud_collector.billing.export import NotHandedOut, as_it_stands
from cloud_collector.contracts.period import boundary, iso
from cloud_collector.insight.account_cost import account_cost
from cloud_collector.insight.detail import intervals
from cloud_collector.insight.owned import owned
from cloud_collector.insight.owned_detail import unit_of
from cloud_collector.insight.ownership import ask_deletion, requests, terms_of_data
from cloud_collector.insight.wishes import wish_of
from cloud_collector.store.view import StoreView
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.portal.frame import (
    Visiting,
    catalog_of,
    contracts_of,
    moment_of,
    owner,
    show,
    twins,
)
from cloud_collector.web.portal.invoices import invoice_of
from cloud_collector.web.shell import fields
from cloud_collector.web.site import Look, Site
from cloud_collector.web.table import Cell, Column, Table, row

SEEN_MAX: Final = 300
EXPORT_DAYS_MAX: Final = 400
"""Days of readings that one export holds; older ones are asked for with `until`."""
EXPORT_ROWS_MAX: Final = 2_000_000
DAY: Final = 86_400
_COLUMNS: Final = (
    Column(title="When", key="at", whole=True),
    Column(title="Who", key="who"),
    Column(title="As", key="role"),
    Column(title="How", key="by"),
    Column(title="Did", key="deed"),
    Column(title="What", key="what", wrap=True),
)
_READINGS: Final = tuple(
    Column(title=each, key=each) for each in ("device", "meter", "start", "end", "quantity", "unit", "known", "line")
)
Form = Annotated[dict[str, str], Depends(fields)]


def add(router: APIRouter, site: Site) -> None:
    """The pages are served."""
    _add_page(router, site)
    _add_export(router, site)
    _add_deletion(router, site)


def _add_page(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/data"

    def table(look: Look, parts: Mapping[str, str]) -> Table:
        return _table(look, parts["account"])

    def facts(look: Look, parts: Mapping[str, str]) -> Any:
        account = parts["account"]
        return {
            "terms": terms_of_data(owner(look.store, account)).to_json(),
            "requests": [each.to_json() for each in requests(look.store, account)],
            "deleted": [each.to_json() for each in deletions(look.store, account)],
            "seen": table(look, parts).records(),
        }

    twins(router, site, path, table, facts)

    @router.get(path, include_in_schema=False)
    def data(request: Request, account: str, viewer: Visiting) -> Response:
        looked(site, request, viewer, account, "who looked at the data")
        with site.look() as look:
            told = {
                "terms": terms_of_data(owner(look.store, account)).to_json(),
                "deletions": requests(look.store, account),
                "deleted": [each for each in deletions(look.store, account) if each.lines],
                "may": viewer.may(Deed.DISPUTE),
            }
            return show(request, look, account, "data.html", title="Your data", table=_table(look, account), told=told)


def _add_export(router: APIRouter, site: Site) -> None:
    path = "/portal/{account}/export"

    @router.get(f"{path}.csv", include_in_schema=False)
    def readings(request: Request, account: str, viewer: Visiting, until: str = "") -> Response:
        gate.must(viewer, Deed.EXPORT)
        with site.look() as look:
            made = _readings(look, account, _until(until, look)).csv()
        looked(site, request, viewer, account, "all readings as CSV", Deed.EXPORT)
        return _file(made.encode(), f"{account}-readings.csv", "text/csv; charset=utf-8")

    @router.get(f"{path}.json", include_in_schema=False)
    def everything(request: Request, account: str, viewer: Visiting, until: str = "") -> Response:
        gate.must(viewer, Deed.EXPORT)
        with site.look() as look:
            made = json.dumps(_everything(look, account, _until(until, look)), indent=1, ensure_ascii=False).encode()
        looked(site, request, viewer, account, "everything as JSON", Deed.EXPORT)
        return _file(made, f"{account}.json", "application/json")

    @router.get(f"{path}.zip", include_in_schema=False)
    def bundle(request: Request, account: str, viewer: Visiting, until: str = "") -> Response:
        gate.must(viewer, Deed.EXPORT)
        with site.look() as look:
            made = _bundle(site, look, account, _until(until, look))
        looked(site, request, viewer, account, "everything with its evidence", Deed.EXPORT)
        return _file(made, f"{account}.zip", "application/zip")


def _add_deletion(router: APIRouter, site: Site) -> None:
    @router.post("/portal/{account}/deletion", include_in_schema=False)
    def deletion(request: Request, account: str, viewer: Visiting, form: Form) -> Response:
        gate.must(viewer, Deed.DISPUTE)
        with site.writing() as store:
            owner(store, account)
            try:
                until = date.fromisoformat(form.get("until", ""))
            except ValueError:
                raise gate.Closed(409, "write the date as 2026-01-31") from None
            with store.atomic():
                told = ask_deletion(store, account, until, who=viewer.name, now_ms=site.clock.utc_ms())
                gate.record(request, Deed.DISPUTE, told, account=account, store=store)
        return RedirectResponse(f"/portal/{account}/data", 303)


def _table(look: Look, account: str) -> Table:
    """Who looked, and what left the house, the newest first."""
    owner(look.store, account)
    moment = moment_of(look, account)
    return Table(
        title="Who looked, and when",
        path=f"/portal/{account}/data",
        command=f"cloud-collector audit-log list --account {account}",
        empty="Nobody has looked yet.",
        columns=_COLUMNS,
        rows=tuple(
            row(
                _COLUMNS,
                Cell(text=moment.local(each.at_ms // 1_000), value=iso(each.at_ms // 1_000), time=True),
                Cell(text=each.who, value=each.who),
                Cell(text=each.role, value=each.role),
                Cell(text=each.means, value=each.means),
                Cell(text=each.deed, value=each.deed),
                Cell(text=each.what, value=each.what),
            )
            for each in trail.entries(look.store, account=account, limit=SEEN_MAX)
        ),
    )


def _until(text: str, look: Look) -> int:
    """The end of an export: now, or the local start of a day."""
    if not text:
        return look.moment.now
    try:
        return min(look.moment.now, boundary(look.moment.zone, date.fromisoformat(text)))
    except ValueError:
        raise gate.Closed(409, "write the date as 2026-01-31") from None


def _readings(look: Look, account: str, until: int) -> Table:
    """Every interval of every device while it was the account's, as far back as one export goes."""
    owner(look.store, account)
    catalog, view = catalog_of(look.store), StoreView(look.store)
    assert catalog is not None, "the account is in it"
    rows: list[tuple[Cell, ...]] = []
    for each in owned(catalog, account):
        gateway, _, name = each.device.rpartition("/")
        start, end = max(each.since, until - EXPORT_DAYS_MAX * DAY), min(each.until, until)
        for channel in view.channels(gateway, name) if start < end else ():
            unit = unit_of(catalog, channel.meter)
            for found in intervals(view, channel, unit, (start, end), look.moment.now):
                line = f"{gateway}/{found.log}/{found.epoch}/{found.seq}" if found.seq else None
                known = found.why or ("estimated" if found.estimated else "metered")
                quantity = None if found.quantity is None else format(found.quantity, "f")
                values = (each.device, channel.meter, iso(found.start), iso(found.end), quantity, unit, known, line)
                rows.append(tuple(Cell(text="", value=value) for value in values))
                if len(rows) > EXPORT_ROWS_MAX:
                    raise gate.Closed(409, "that is too much at once: export less with ?until=2026-01-31")
    return Table(title="Readings", path="", command="", empty="", columns=_READINGS, rows=tuple(rows))


def _everything(look: Look, account: str, until: int) -> dict[str, Any]:
    store = look.store
    numbers = [row[0] for row in store.rows("portal_invoices", account)]
    return {
        "account": account,
        "made_at": iso(look.moment.now),
        "terms": terms_of_data(owner(store, account)).to_json(),
        "cost": account_cost(store, account, look.moment.now_ms, StoreView, memory=look.kept).to_json(),
        "wishes": [wish_of(store, each).to_json() for each in contracts_of(store, account)],
        "deleted": [each.to_json() for each in deletions(store, account)],
        "disputes": [each.to_json() for each in disputes(store, account)],
        "seen": _table(look, account).records(),
        "invoices": [invoice_of(store, account, number).body for number in numbers],
        "readings": _readings(look, account, until).records(),
    }


def _bundle(site: Site, look: Look, account: str, until: int) -> bytes:
    """One zip: the JSON, the readings, and the evidence of every invoice as it stands."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:

        def put(name: str, content: bytes) -> None:
            # The same facts make the same bytes: no file says when it was packed.
            made.writestr(zipfile.ZipInfo(name), content, compress_type=zipfile.ZIP_DEFLATED)

        put("everything.json", json.dumps(_everything(look, account, until), indent=1, ensure_ascii=False).encode())
        put("readings.csv", _readings(look, account, until).csv().encode())
        for number, *_ in look.store.rows("portal_invoices", account):
            found = invoice_of(look.store, account, number)
            put(f"invoices/{number}.ms", found.line)
            if site.key is None:
                continue
            try:
                put(f"evidence/{number}.zip", as_it_stands(look.store, found, site.key))
            except NotHandedOut as error:
                put(f"evidence/{number}.txt", f"{error}\n".encode())
    return out.getvalue()


def _file(content: bytes, name: str, media: str) -> Response:
    disposition = f'attachment; filename="{name}"'
    return Response(content, media_type=media, headers={"Content-Disposition": disposition})
