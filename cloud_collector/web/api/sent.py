"""Usage that has no gateway: CloudEvents, each counted once, or refused with the place and the reason."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError

from cloud_collector.access.viewer import Deed
from cloud_collector.activity.holding import holdings
from cloud_collector.client.sent import TakenEvent, TakenEvents
from cloud_collector.contracts.node import nearest
from cloud_collector.ingest.event import BATCH, JSON, STRUCTURED, Event, Fault, OtherType, read_events
from cloud_collector.ingest.taking import Refusal as NotTaken
from cloud_collector.ingest.taking import Sender, Taken, Why, take
from cloud_collector.web.api.once import Once
from cloud_collector.web.api.problem import Refusal, absent, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, Sight, instant, seen
from cloud_collector.web.gate import Asking, must

router = APIRouter(route_class=ApiRoute, tags=["events"])
RETRY_SECONDS: Final = 60
_EVENT: Final = {
    "specversion": "1.0",
    "id": "order-1017",
    "source": "https://shop.example/checkout",
    "type": "orders",
    "subject": "shop-1/till-3",
    "time": "2026-11-05T12:00:00Z",
    "data": {"value": "1", "unit": "1"},
}
_DATA: Final = {
    "type": "object",
    "required": ["value", "unit"],
    "properties": {
        "value": {
            "description": "How much, exactly: decimal text, or a number.",
            "anyOf": [
                {"type": "string", "pattern": r"^(0|[1-9][0-9]*)(\.[0-9]+)?$", "maxLength": 32},
                {"type": "number", "minimum": 0},
            ],
        },
        "unit": {"type": "string", "description": "The meter's, as UCUM writes it."},
    },
}
_TEXT: Final = {"type": "string", "pattern": "^[ -~]{1,200}$"}
_SCHEMA: Final = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {**_TEXT, "description": "With `source` it names the event for good."},
        "source": _TEXT,
        "type": {"type": "string", "pattern": "^[a-z0-9_.-]{1,32}$", "description": "The meter."},
        "subject": {
            "type": "string",
            "pattern": "^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?/[a-z0-9_.-]{1,32}$",
            "description": "The device, as the catalog names it: LOG/DEVICE.",
        },
        "time": {"type": "string", "format": "date-time", "description": "When it was used."},
        "datacontenttype": {"const": JSON},
        "data": _DATA,
    },
}
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            STRUCTURED: {"schema": _SCHEMA, "example": _EVENT},
            BATCH: {"schema": {"type": "array", "maxItems": 1_000, "items": _SCHEMA}, "example": [_EVENT]},
        },
    }
}


async def sent(request: Request) -> bytes:
    """What the request carries, bounded by its route."""
    return await request.body()


@router.post(
    "/events",
    response_model=TakenEvents,
    status_code=202,
    dependencies=[Once],
    responses=documented(409, 413, 415),
    openapi_extra=_BODY,
)
def deliver(request: Request, site: Here, viewer: Asking, body: Annotated[bytes, Depends(sent)]) -> Any:
    """Count events of usage: all of the request, or none. What is answered with 202 is kept, and sealed in minutes.

    CloudEvents 1.0, one structured, a batch, or one in binary mode. The same `source` and `id` again with the same
    content is counted once; with other content: 409.
    """
    must(viewer, Deed.INGEST)
    events = read_events(request.headers, body)
    if isinstance(events, OtherType):
        raise Refusal(415, events.why)
    found = [each for each in events if isinstance(each, Event)]
    if len(found) < len(events):
        raise _invalid([each for each in events if isinstance(each, Fault)])
    with seen(site, viewer) as sight, site.writing() as store:
        sender = Sender(
            name=viewer.name, sees=viewer.sees, fault=lambda device, account: _fault(sight, device, account)
        )
        taken = take(store, found, sender, sight.now_ms)
    if isinstance(taken, NotTaken):
        raise _refused(taken)
    told = [_told(each) for each in taken]
    new = sum(each.new for each in taken)
    return TakenEvents(accepted=new, duplicates=len(told) - new, events=told)


def _fault(sight: Sight, device: str, account: str) -> str | None:
    """Why the account has no such device; what is another's is as what there is not (P20)."""
    every = holdings(sight.known[-1].catalog) if sight.known else {}
    if any(each.account == account for each in every.get(device, ())):
        return None
    own = [name for name, held in every.items() if any(each.account == account for each in held)]
    return f"no contract of {account} has the device {device}{nearest(device, own)}"


def _refused(taken: NotTaken) -> Exception:
    match taken.why:
        case Why.ABSENT:
            return absent()
        case Why.FAULTY:
            return _invalid(taken.faults)
        case Why.TAKEN:
            first = taken.faults[0]
            return Refusal(409, f"{'.'.join(map(str, first.at))}: {first.why}")
        case Why.FULL:
            why = "too many events wait to be sealed: come again, and tell the operator that a log is not sealed"
            return Refusal(503, why, headers={"Retry-After": str(RETRY_SECONDS)})


def _invalid(faults: Any) -> RequestValidationError:
    return RequestValidationError([{"loc": each.at, "msg": each.why, "type": "value_error"} for each in faults])


def _told(each: Taken) -> TakenEvent:
    return TakenEvent(
        id=each.event.id,
        source=each.event.source,
        subject=each.event.subject,
        type=each.event.meter,
        state="accepted" if each.new else "duplicate",
        counted_from=instant(each.placed),
        late=each.late,
    )
