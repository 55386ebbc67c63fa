"""The customer's pages, under /portal."""

from fastapi import APIRouter

from cloud_collector.web.site import Site


def routes(site: Site) -> APIRouter:
    """Every route of this room."""
    del site
    return APIRouter()
