"""The customer's pages, under /portal; each file is one of them."""

from fastapi import APIRouter

from cloud_collector.web.portal import (
    billed,
    check,
    credit,
    data,
    days,
    devices,
    disputes,
    home,
    invoices,
    lines,
    live,
    made,
    month,
    usage,
    warnings,
)
from cloud_collector.web.site import Site


def routes(site: Site) -> APIRouter:
    """Every route of this room; each begins with the gate."""
    router = APIRouter()
    for each in (
        home,
        month,
        live,
        made,
        days,
        usage,
        lines,
        devices,
        disputes,
        credit,
        billed,
        check,
        invoices,
        warnings,
        data,
    ):
        each.add(router, site)
    return router
