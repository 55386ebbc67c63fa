"""Disputes: what is said to be wrong with a bill, the evidence kept with it, both sides' words, and what came of it."""

import heapq
from collections.abc import Iterable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from cloud_collector.billing.again import worked_again
from cloud_collector.billing.disputes import WORDS_MAX, DisputeRefused, What, disputes
from cloud_collector.billing.disputes import Dispute as Held
from cloud_collector.billing.disputes import dispute as dispute_of
from cloud_collector.billing.export import Invoice
from cloud_collector.billing.kept_invoice import issued_to
from cloud_collector.client.disputes import Again, Dispute, DisputeDetail
from cloud_collector.client.money import Line
from cloud_collector.client.page import Page
from cloud_collector.store.store import Store
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.invoices import BEYOND, row_of
from cloud_collector.web.api.once import Once
from cloud_collector.web.api.problem import Refusal, absent, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.shape import shaped
from cloud_collector.web.api.sight import Here, Sight, seen
from cloud_collector.web.disputing import answer, begin
from cloud_collector.web.gate import Asking
from shared.errors import Refused

router = APIRouter(route_class=ApiRoute, tags=["disputes"])
LINES_MAX: Final = 100_000
"""Above the place of every line."""
Id = Annotated[int, Path(ge=1, lt=BEYOND)]
Said = Annotated[str, Field(min_length=1, max_length=WORDS_MAX, pattern=r"^[^\x00]*$")]
"""Some lines; PostgreSQL keeps no NUL."""


class Complaint(BaseModel):
    """What is said to be wrong."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"line": 2, "why": "The charger was off that week."}]}
    )

    line: Annotated[int, Field(ge=1, le=LINES_MAX)] | None = None
    """The invoice's line, from 1. Null: the whole invoice."""
    why: Said


class Answer(BaseModel):
    """What one side says to a dispute."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"what": "said", "said": "See the meter's photo."}]}
    )

    what: What = What.SAID
    """`said` by either side; `withdrawn` by the customer; `upheld` or `rejected` by the operator."""
    said: Said


@router.get("/disputes", response_model=Page[Dispute])
def listed(
    site: Here,
    viewer: Asking,
    part: Part,
    account: Annotated[str | None, Query(min_length=1, max_length=64, description="Of this account alone.")] = None,
) -> Any:
    """Every dispute in sight, the newest first, with what both sides said and how it stands."""
    with seen(site, viewer) as sight:
        after = part.after((0,)) or (BEYOND,)
        found = _newest(sight, account, int(after[0]), part.limit + 1)
        return told(page(found, part, lambda each: (each.id,)), lambda each: shaped(Dispute, each.to_json()))


@router.get("/disputes/{dispute}", response_model=DisputeDetail)
def one(site: Here, viewer: Asking, dispute: Id) -> Any:
    """One dispute with the line that it is about, and the invoice worked out again from the evidence as it stands."""
    with seen(site, viewer) as sight:
        found = held_of(sight, dispute)
        invoice = _invoice(sight.store, found.account, found.number)
        return DisputeDetail(
            dispute=shaped(Dispute, found.to_json()),
            line=shaped(Line, invoice.body["lines"][found.place - 1]) if found.place else None,
            again=shaped(Again, worked_again(sight.store, invoice, site.key).to_json()),
        )


@router.get("/disputes/{dispute}/copy", response_model=dict[str, Any], responses=documented(409))
def copy(site: Here, viewer: Asking, dispute: Id) -> Any:
    """The re-rated copy: what the invoice would say now, by its evidence as it stands. 409: nothing comes out."""
    with seen(site, viewer) as sight:
        found = held_of(sight, dispute)
        again = worked_again(sight.store, _invoice(sight.store, found.account, found.number), site.key)
    if again.body is None:
        raise Refusal(409, "; ".join(again.sentences))
    return again.body


@router.post(
    "/invoices/{number}/disputes",
    response_model=Dispute,
    status_code=201,
    dependencies=[Once],
    responses=documented(409, 413),
)
def opened(request: Request, site: Here, viewer: Asking, number: str, complaint: Complaint) -> Any:
    """Say that an invoice, or a line of it, is wrong: its evidence as it stands now is kept with the dispute.

    409: it is disputed already, there is no such line, or its evidence is not handed out.
    """
    with seen(site, viewer) as sight:
        invoice = invoice_in(sight, number)
    try:
        id_ = begin(request, site, viewer, invoice, place=complaint.line or 0, why=complaint.why)
    except DisputeRefused as error:
        raise Refusal(409, str(error)) from None
    with seen(site, viewer) as sight:
        return shaped(Dispute, held_of(sight, id_).to_json())


@router.post("/disputes/{dispute}/words", response_model=Dispute, dependencies=[Once], responses=documented(409, 413))
def said(request: Request, site: Here, viewer: Asking, dispute: Id, words: Answer) -> Any:
    """Say something to a dispute, withdraw it, or, for the operator, uphold or reject it. 409: it is not so to end."""
    with seen(site, viewer) as sight:
        found = held_of(sight, dispute)
    try:
        answer(request, site, viewer, found, words.what, words.said)
    except DisputeRefused as error:
        raise Refusal(409, str(error)) from None
    with seen(site, viewer) as sight:
        return shaped(Dispute, held_of(sight, dispute).to_json())


def held_of(sight: Sight, id_: int) -> Held:
    """The dispute; raises Refusal (404) where it is none, or another account's (P20)."""
    found = dispute_of(sight.store, id_)
    if found is None or not sight.viewer.sees(found.account):
        raise absent()
    return found


def invoice_in(sight: Sight, number: str) -> Invoice:
    """An issued document in sight, as it is sealed; raises Refusal (404)."""
    return _invoice(sight.store, str(row_of(sight, number)[3]), number)


def _invoice(store: Store, account: str, number: str) -> Invoice:
    found = issued_to(store, account, number)
    if found is None:
        raise absent()
    if isinstance(found, Refused):
        raise Refusal(500, f"{number} cannot be read any more: the archive of issued invoices has it whole")
    return found


def _newest(sight: Sight, account: str | None, below: int, limit: int) -> Iterable[Held]:
    """By descending id: of one account, of those in sight, or of all (P20)."""
    sees = sight.viewer.accounts
    if account is None and sees is None:
        return disputes(sight.store, below=below, limit=limit)
    wanted = sorted(sees or ()) if account is None else [account] if sight.viewer.sees(account) else []
    each = [disputes(sight.store, name, below=below, limit=limit) for name in wanted]
    return heapq.merge(*each, key=lambda held: held.id, reverse=True)
