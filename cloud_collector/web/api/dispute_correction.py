"""What operators make of a dispute that is right: a credit note with its reason, and the period billed again."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from cloud_collector.access.viewer import Deed
from cloud_collector.billing.accounts import NOTE_MAX
from cloud_collector.billing.dispute_correction import bill_disputed_again
from cloud_collector.billing.dispute_correction import credit as credited
from cloud_collector.client.money import Correction
from cloud_collector.web.api.corrections import correction_of, means_of
from cloud_collector.web.api.deed import said
from cloud_collector.web.api.disputes import Id, held_of
from cloud_collector.web.api.once import Once
from cloud_collector.web.api.problem import documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, seen
from cloud_collector.web.api.written import PRINTABLE
from cloud_collector.web.gate import Operating, must, record

router = APIRouter(route_class=ApiRoute, tags=["disputes"], dependencies=[Once], responses=documented(409, 413))


class Reason(BaseModel):
    """Why the disputed invoice is taken back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "the tariff was wrong"}]})

    reason: Annotated[str, Field(max_length=NOTE_MAX, pattern=PRINTABLE)] = ""
    """It stands on the credit note; empty: the words by which the dispute was upheld."""


@router.post("/disputes/{dispute}/credit", response_model=Correction)
def credit(request: Request, site: Here, viewer: Operating, dispute: Id, wanted: Reason) -> Any:
    """Take the disputed invoice back in full by a credit note, or draft that where documents are approved.

    409: the dispute is not upheld, or the invoice was taken back before.
    """
    must(viewer, Deed.BILL)
    with seen(site, viewer) as sight:
        found = held_of(sight, dispute)
    reason = wanted.reason.strip() or found.reason
    with site.writing() as store:
        with said():
            means, now_ms = means_of(site), site.clock.utc_ms()
            made = credited(store, found, reason=reason, by=viewer.name, now_ms=now_ms, means=means)
        what = f"dispute {found.id}: credit note for {found.number}"
        record(request, Deed.BILL, what, account=found.account, store=store)
    return correction_of(made)


@router.post("/disputes/{dispute}/rebill", response_model=Correction)
def rebill(request: Request, site: Here, viewer: Operating, dispute: Id) -> Any:
    """Bill the period of the disputed invoice again, or draft that where documents are approved.

    409: it was not taken back, or its period was billed again before.
    """
    must(viewer, Deed.BILL)
    with seen(site, viewer) as sight:
        found = held_of(sight, dispute)
    with site.writing() as store:
        with said():
            means, now_ms = means_of(site), site.clock.utc_ms()
            made = bill_disputed_again(store, found, by=viewer.name, now_ms=now_ms, means=means)
        what = f"dispute {found.id}: bill again the period of {found.number}"
        record(request, Deed.BILL, what, account=found.account, store=store)
    return correction_of(made)
