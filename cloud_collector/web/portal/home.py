"""/portal: whoever has one account is there at once, whoever has several chooses."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from cloud_collector.web import gate
from cloud_collector.web.portal.frame import catalog_of
from cloud_collector.web.shell import page
from cloud_collector.web.site import Site


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""

    @router.get("/portal", include_in_schema=False)
    def home(request: Request, viewer: gate.Asking) -> Response:
        with site.look() as look:
            catalog = catalog_of(look.store)
            held = {} if catalog is None else catalog.accounts
            mine = [held[name] for name in sorted(held) if viewer.sees(name)]
            if len(mine) == 1:
                return RedirectResponse(f"/portal/{mine[0].key}", 303)
            told = {"accounts": mine}
            return page(request, "portal/home.html", title="Accounts", nav=(), moment=look.moment, told=told)
