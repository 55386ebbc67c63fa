"""What operators tell gateways and devices to do: send again, read now; suspend, resume, end, activate."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from cloud_collector.access.viewer import Deed
from cloud_collector.billing.revisions import revisions
from cloud_collector.client.orders import AskedAgain, DeviceDone, Ordered
from cloud_collector.fleet.asking import ask_again
from cloud_collector.fleet.orders import give_order
from cloud_collector.fleet.survey import require_gateway
from cloud_collector.insight.device_deeds import REASON_CHARS_MAX, Word, do
from cloud_collector.store.view import StoreView
from cloud_collector.web.api.deed import said
from cloud_collector.web.api.devices import OfDevice, OfGateway
from cloud_collector.web.api.once import Once
from cloud_collector.web.api.problem import Refusal, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, instant
from cloud_collector.web.api.written import PRINTABLE, Written
from cloud_collector.web.gate import Operating, must, record
from shared.command import ReadNow

AHEAD_SECONDS_MAX: Final = 366 * 86_400
"""How far ahead a device's state can be said: its life is foreseen up to there."""
router = APIRouter(route_class=ApiRoute, dependencies=[Once], responses=documented(409, 413))


@router.post("/gateways/{gateway}/resend", response_model=AskedAgain, status_code=202, tags=["gateways"])
def resend(request: Request, site: Here, viewer: Operating, gateway: OfGateway) -> Any:
    """Ask the gateway, by signed commands, for every line that is missing and that it was not asked for before.

    409: it has not spoken yet, or so many commands wait for its answer that no more fit.
    """
    must(viewer, Deed.COMMAND)
    with site.writing() as store, said():
        require_gateway(store, gateway)
        made = ask_again(store, gateway, site.clock.utc_ms())
        if made.why and not made.counters:
            raise Refusal(409, made.why)
        if made.lines:
            record(request, Deed.COMMAND, f"gateway resend {gateway}: {made.lines} lines", store=store)
    return AskedAgain(
        gateway=gateway,
        missing=sum(hole.lines for hole in made.wanted),
        lines=made.lines,
        commands=list(made.counters),
        why=made.why or None,
    )


@router.post("/gateways/{gateway}/read", response_model=Ordered, status_code=202, tags=["gateways"])
def read(request: Request, site: Here, viewer: Operating, gateway: OfGateway) -> Any:
    """Ask the gateway, by a signed command, to read its meters now. 409: too many commands wait for its answer."""
    must(viewer, Deed.COMMAND)
    with site.writing() as store, said():
        require_gateway(store, gateway)
        counter = give_order(store, gateway, ReadNow(), site.clock.utc_ms())
        record(request, Deed.COMMAND, f"gateway command {gateway} read_now", store=store)
    return Ordered(gateway=gateway, command=counter)


class Wanted(BaseModel):
    """What is to be said of a device, and why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"word": "suspend", "reason": "laid up for the winter"}]}
    )

    word: Word
    reason: Annotated[str, Field(min_length=1, max_length=REASON_CHARS_MAX, pattern=PRINTABLE)]
    """It is kept."""
    at: Written | None = None
    """From when on, at most a year ahead; null: from now on."""
    dry_run: Annotated[bool, Field(strict=True)] = False
    """Say what would come of it, and keep nothing."""


@router.post("/devices/{gateway}/{device}/state", response_model=DeviceDone, tags=["devices"])
def state(request: Request, site: Here, viewer: Operating, gateway: OfGateway, device: OfDevice, wanted: Wanted) -> Any:
    """Suspend the device, resume, end or activate it, from an instant on. 409: it cannot be done to it as it is."""
    must(viewer, Deed.COMMAND)
    name, now_ms = f"{gateway}/{device}", site.clock.utc_ms()
    if not wanted.reason.strip():
        raise Refusal(409, "body.reason: say why: it is kept")
    at = now_ms // 1_000 if wanted.at is None else int(wanted.at.timestamp())
    if at > now_ms // 1_000 + AHEAD_SECONDS_MAX:
        raise Refusal(409, "body.at: it lies more than a year ahead, and nobody knows who has the device then")
    with site.writing() as store, said():
        done = do(
            store,
            StoreView(store),
            revisions(store),
            wanted.word,
            device=name,
            at=at,
            now_ms=now_ms,
            by_whom=viewer.name,
            reason=wanted.reason.strip(),
            dry_run=wanted.dry_run,
        )
        if not wanted.dry_run:
            record(request, Deed.COMMAND, f"device {wanted.word.value} {name}: {wanted.reason}", store=store)
    return DeviceDone(
        device=name,
        contract=done.contract,
        state=done.deed.state.value,
        at=instant(done.deed.at),
        before=done.before,
        new=done.new,
        billed=list(done.billed),
    )
