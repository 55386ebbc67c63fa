"""What the portal's pages have in common: whose they are, the way between them, and that it is kept who looked."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from cloud_collector.access.viewer import Deed, Viewer
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.contracts.catalog import Account, Catalog, Contract
from cloud_collector.insight.owned import zone_of
from cloud_collector.invoice.locale import locale_named
from cloud_collector.store.store import Store
from cloud_collector.web import gate
from cloud_collector.web.api.sight import site_of
from cloud_collector.web.looking import looked
from cloud_collector.web.shell import Nav, page
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Table

CSV: Final = "text/csv; charset=utf-8"
DATA_FORMS: Final = frozenset({"csv", "json"})


def visiting(request: Request, account: str, viewer: gate.Asking) -> Iterator[Viewer]:
    """For a route's signature: who asks may see this account; for everyone else there is nothing here (P20).

    That a page was taken as data is kept as well, once it was there.
    """
    gate.must_see(viewer, account)
    gate.must(viewer, Deed.READ)
    request.state.looked = False
    yield viewer
    page_of, _, form = request.url.path.removeprefix(f"/portal/{account}").rpartition(".")
    if form in DATA_FORMS and not request.state.looked:
        looked(site_of(request), request, viewer, account, f"{page_of.strip('/') or 'this month'} as {form.upper()}")


Visiting = Annotated[Viewer, Depends(visiting)]


def catalog_of(store: Store) -> Catalog | None:
    """The catalog that is in force, where there is one."""
    try:
        return revisions(store)[-1].catalog
    except NoCatalog:
        return None


def owner(store: Store, account: str) -> Account:
    """The account as the catalog has it; raises Closed with 404 where there is none (P20)."""
    catalog = catalog_of(store)
    found = None if catalog is None else catalog.accounts.get(account)
    if found is None:
        raise gate.Closed(404, gate.NOT_THERE)
    return found


def contracts_of(store: Store, account: str) -> list[Contract]:
    """The account's contracts, in order of name."""
    catalog = catalog_of(store)
    held = {} if catalog is None else catalog.contracts
    return [held[name] for name in sorted(held) if held[name].account == account]


def moment_of(look: Look, account: str) -> Moment:
    """The page speaks in the zone of the account's contract, and writes dates and figures as its people do."""
    catalog = catalog_of(look.store)
    if catalog is None or account not in catalog.accounts:
        return look.moment
    locale = locale_named(catalog.accounts[account].locale)
    return Moment(now_ms=look.moment.now_ms, zone=zone_of(catalog, account), locale=locale)


def running(look: Look, account: str) -> str:
    """What the running period of the account's contracts is called, after its cycle; `Now` where they differ."""
    cycles = {contract.plan.cycle for contract in contracts_of(look.store, account)}
    return f"This {cycles.pop().value}" if len(cycles) == 1 else "Now"


def nav_of(account: str, now: str) -> Nav:
    """The way between an account's pages; `now` is what the first is called."""
    base = f"/portal/{account}"
    return (
        (now, base),
        ("Devices", f"{base}/devices"),
        ("Invoices", f"{base}/invoices"),
        ("Warnings", f"{base}/warnings"),
        ("Disputes", f"{base}/disputes"),
        ("Your data", f"{base}/data"),
    )


def show(
    request: Request,
    look: Look,
    account: str,
    template: str,
    *,
    title: str,
    table: Table | None,
    told: Mapping[str, Any],
) -> Response:
    """A page of the portal."""
    now = running(look, account)
    context = {"account": owner(look.store, account), "base": f"/portal/{account}", "now": now, "table": table, **told}
    moment = moment_of(look, account)
    return page(request, f"portal/{template}", title=title, nav=nav_of(account, now), moment=moment, told=context)


def twins(
    router: APIRouter,
    site: Site,
    path: str,
    table: Callable[[Look, Mapping[str, str]], Table],
    facts: Callable[[Look, Mapping[str, str]], Any] | None = None,
) -> None:
    """The page's table at `path.csv`, its facts at `path.json`: the table's records where it has no others.

    Both are asked with what the address names, in its path and behind it. Called before the page, whose last parameter
    would take both for names.
    """

    def as_data(request: Request, viewer: Visiting) -> Response:
        del viewer
        with site.look() as look:
            return as_json(table(look, _named(request)).records() if facts is None else facts(look, _named(request)))

    def as_sheet(request: Request, viewer: Visiting) -> Response:
        del viewer
        with site.look() as look:
            return as_csv(table(look, _named(request)))

    router.add_api_route(f"{path}.json", as_data, methods=["GET"], include_in_schema=False)
    router.add_api_route(f"{path}.csv", as_sheet, methods=["GET"], include_in_schema=False)


def _named(request: Request) -> Mapping[str, str]:
    return {**request.query_params, **request.path_params}


def as_csv(table: Table) -> Response:
    """A page's main table for spreadsheets."""
    return Response(table.csv(), media_type=CSV)


def as_json(data: Any) -> Response:
    """A page's facts for programs."""
    return JSONResponse(data)
