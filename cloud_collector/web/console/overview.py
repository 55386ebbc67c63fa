"""Overview: what is held, and every table that has something to say."""

from fastapi import APIRouter, Request, Response

from cloud_collector.web.console import gateways, invoices, subscriptions, unmatched
from cloud_collector.web.console.screen import NAV
from cloud_collector.web.shell import page
from cloud_collector.web.site import Look, Site


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""

    @router.get("/", include_in_schema=False)
    def overview(request: Request) -> Response:
        with site.look() as look:
            found = (
                gateways.table(look),
                subscriptions.table(site.subscriptions(look.store, look.moment.now), look.moment),
                invoices.table(look),
                unmatched.table(look),
            )
            shown = [table for table in found if table.rows or table.title != "Unmatched"]
            told = {"cards": _cards(look), "tables": shown}
            return page(request, "console/overview.html", title="Overview", nav=NAV, moment=look.moment, told=told)


def _cards(look: Look) -> list[dict[str, str]]:
    lines, known, issued, strangers, last = look.store.row("web_counts") or (0, 0, 0, 0, None)
    return [
        {"value": f"{known:,}", "label": "gateways"},
        {"value": f"{lines:,}", "label": "sealed lines held"},
        {"value": f"{issued:,}", "label": "invoices issued"},
        {"value": f"{strangers:,}", "label": "unmatched"},
        {"value": "—" if last is None else look.moment.ago(last), "label": "last line"},
    ]
