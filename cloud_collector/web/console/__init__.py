"""The operator's pages; each file is one of them."""

from fastapi import APIRouter, Depends

from cloud_collector.web import gate
from cloud_collector.web.console import (
    accounts,
    alarms,
    audit,
    billing,
    contracts,
    device,
    devices,
    fleet,
    gateway,
    invoices,
    overview,
    unmatched,
    warnings,
)
from cloud_collector.web.site import Site

PAGES = (
    overview,
    fleet,
    gateway,
    devices,
    device,
    accounts,
    contracts,
    billing,
    invoices,
    warnings,
    alarms,
    unmatched,
    audit,
)


def routes(site: Site) -> APIRouter:
    """Every page of the console."""
    # Who is no operator sees none of it.
    router = APIRouter(dependencies=[Depends(gate.operator)])
    for each in PAGES:
        each.add(router, site)
    return router
