"""The operator's pages; each file is one of them."""

from fastapi import APIRouter, Depends

from cloud_collector.web import gate
from cloud_collector.web.console import alarms, fleet, gateway, invoices, overview, subscriptions, unmatched
from cloud_collector.web.site import Site


def routes(site: Site) -> APIRouter:
    """Every page of the console."""
    # Who is no operator sees none of it.
    router = APIRouter(dependencies=[Depends(gate.operator)])
    for each in (overview, fleet, gateway, subscriptions, invoices, unmatched, alarms):
        each.add(router, site)
    return router
