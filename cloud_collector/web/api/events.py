"""Streams of what happens, as server-sent events: costs that move, warnings, gateways, alarms."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from cloud_collector.access.viewer import Viewer
from cloud_collector.web.api.problem import Refusal
from cloud_collector.web.api.pulse import Pulse, TooMany
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, seen
from cloud_collector.web.gate import Asking
from cloud_collector.web.site import Site

router = APIRouter(route_class=ApiRoute, tags=["events"])
LastId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=80,
        description="The id of the last event that was heard: what came since is told.",
    ),
]
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events, for ten minutes; then come back with the last id.",
        "content": {
            "text/event-stream": {
                "itemSchema": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string"},
                        "event": {"enum": ["cost", "warning", "gateway", "alarm", "reset"]},
                        "data": {"type": "string", "contentMediaType": "application/json"},
                        "retry": {"type": "integer"},
                    },
                },
                "example": (
                    "id: 1790802000000-7-2\nevent: cost\n"
                    'data: {"account":"acme","contract":"acme-chargers","net":"12.30","currency":"EUR"}\n\n'
                ),
            }
        },
    }
}


@router.get("/events", response_class=StreamingResponse, responses=ANSWERS)
async def events(request: Request, site: Here, viewer: Asking, last: LastId = None) -> StreamingResponse:
    """What happens in sight, within a second: `cost`, `warning`, `gateway`, `alarm`; `reset` where some were missed."""
    return await stream_of(request, site, viewer, None, last)


@router.get("/accounts/{account}/events", response_class=StreamingResponse, responses=ANSWERS)
async def account_events(
    request: Request, site: Here, viewer: Asking, account: str, last: LastId = None
) -> StreamingResponse:
    """What happens to one account, within a second."""
    return await stream_of(request, site, viewer, account, last)


async def stream_of(
    request: Request, site: Site, viewer: Viewer, account: str | None, last: str | None
) -> StreamingResponse:
    """What this viewer hears, of one account or of all in sight; raises Refusal."""
    pulse: Pulse = request.app.state.pulse
    contracts = await run_in_threadpool(_contracts, site, viewer, account)
    try:
        stream = await pulse.listen(viewer, account=account, contracts=contracts, last=last)
    except TooMany:
        raise Refusal(
            503, "so many listen already that nobody else can: try again in a minute", headers={"Retry-After": "60"}
        ) from None
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


def _contracts(site: Site, viewer: Viewer, account: str | None) -> list[str]:
    """The contracts that are listened to; raises Refusal (404)."""
    with seen(site, viewer) as sight:
        if account is not None:
            sight.account(account)
        return [name for name, each in sight.contracts.items() if account in (None, each.account)]
