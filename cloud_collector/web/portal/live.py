"""What moves on the month's page: told as it moves, by the stream that the API tells; and its figures alone, anew."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from cloud_collector.insight.account_cost import account_cost
from cloud_collector.invoice.locale import locale_named
from cloud_collector.store.view import StoreView
from cloud_collector.web.api.events import LastId, stream_of
from cloud_collector.web.looking import looked
from cloud_collector.web.portal.frame import Visiting, moment_of, owner
from cloud_collector.web.portal.month import MONTH, Say
from cloud_collector.web.shell import page
from cloud_collector.web.site import Site


def add(router: APIRouter, site: Site) -> None:
    """The figures and the stream are served."""
    path = "/portal/{account}"

    @router.get(f"{path}/live", include_in_schema=False)
    def live(request: Request, account: str, viewer: Visiting, *, ahead: bool = False) -> Response:
        with site.look() as look:
            who, moment = owner(look.store, account), moment_of(look, account)
            found = account_cost(look.store, account, look.moment.now_ms, StoreView, foretold=ahead, memory=look.kept)
            told = {
                "cost": found,
                "say": Say(locale_named(who.locale), moment),
                "base": f"/portal/{account}",
                "ahead": ahead,
            }
            answer = page(request, "portal/live.html", title="", nav=(), moment=moment, told=told)
        looked(site, request, viewer, account, MONTH)
        return answer

    @router.get(f"{path}/events", response_class=StreamingResponse, include_in_schema=False)
    async def events(request: Request, account: str, viewer: Visiting, last: LastId = None) -> StreamingResponse:
        # P20: only what concerns this account, whatever else its viewer may see.
        answer = await stream_of(request, site, viewer, account, last)
        await run_in_threadpool(looked, site, request, viewer, account, MONTH)
        return answer
