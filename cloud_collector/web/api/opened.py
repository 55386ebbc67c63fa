"""Lines opened onto what they rest on, of the cost so far and of documents; and a document's evidence checked."""

from contextlib import suppress
from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response

from cloud_collector.access.viewer import Deed
from cloud_collector.billing.again import by_its_own_keys
from cloud_collector.billing.export import Invoice, NotHandedOut, as_it_stands
from cloud_collector.client.money import Line
from cloud_collector.client.opened import Check, NamedLine, OpenedInvoiceLine, OpenedLine
from cloud_collector.client.page import Page
from cloud_collector.insight.billed_line import opened_billed
from cloud_collector.insight.draft_line import Charged, charged, lines_of
from cloud_collector.insight.look import NotRunning
from cloud_collector.insight.opened_line import counter_of
from cloud_collector.proof.verify import summary
from cloud_collector.usage.quantity import UnlikeUnits
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.disputes import invoice_in
from cloud_collector.web.api.problem import Refusal, absent, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.shape import shaped
from cloud_collector.web.api.sight import Here, Sight, seen
from cloud_collector.web.gate import Asking, must, record
from cloud_collector.web.site import Site

router = APIRouter(route_class=ApiRoute)
PLACES_MAX: Final = 10**6
ZIP: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The bundle.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}
Of = Annotated[str, Query(max_length=128)]
Ended = Annotated[date | None, Query(examples=["2026-10-01"])]
"""The local date on which a period began that has ended; without it the running one is meant."""


@router.get(
    "/contracts/{contract}/cost/lines", response_model=Page[NamedLine], tags=["cost"], responses=documented(409)
)
def cost_lines(
    site: Here,
    viewer: Asking,
    contract: str,
    part: Part,
    charge: Of = "",
    device: Of = "",
    tax: Of = "",
    period: Ended = None,
) -> Any:
    """Lines of the cost so far, or of an ended `period`, by id; of one charge, device or tax. 409: none runs.

    With `period` those of a period that has ended and is not billed yet, as it would be billed now. 404: none such.
    """
    with seen(site, viewer) as sight:
        draft = _charged(sight, contract, period).draft
        after = part.after((0,)) or (-1,)
        every = enumerate(lines_of(draft, charge=charge, device=device, tax=tax))
        found = page((each for each in every if (each[0],) > after), part, lambda each: (each[0],))
        return told(found, lambda each: _named(each[1].to_json()))


@router.get(
    "/contracts/{contract}/cost/lines/{line}", response_model=OpenedLine, tags=["cost"], responses=documented(409)
)
def cost_line(
    site: Here, viewer: Asking, contract: str, line: Annotated[str, Path(max_length=32)], period: Ended = None
) -> Any:
    """A line of the cost so far with all that it rests on: devices or their states, counters, what decides a maximum.

    404: the cost has no such line any more. 409: no period runs.
    """
    with seen(site, viewer) as sight:
        at = _charged(sight, contract, period)
        try:
            found = at.opened(line)
            if found is None:
                raise absent()
            said = found.to_json()
        except (NotRunning, UnlikeUnits) as error:
            raise Refusal(409, str(error)) from None
        rest = {"id": said["line"], "line": said, "currency": found.draft.currency}
        return shaped(OpenedLine, said | rest)


@router.get("/invoices/{number}/lines/{place}", response_model=OpenedInvoiceLine, tags=["invoices"])
def invoice_line(site: Here, viewer: Asking, number: str, place: Annotated[int, Path(ge=1, lt=PLACES_MAX)]) -> Any:
    """A line of an issued document with all that it rests on, by its sealed counters and what the store has of them."""
    with seen(site, viewer) as sight:
        found = invoice_in(sight, number)
        lines = found.body["lines"]
        if place > len(lines):
            raise absent()
        line = lines[place - 1]
        said: dict[str, Any] = {"devices": [], "states": [], "deciding": None}
        said["counters"] = [counter_of(each) for each in line["reads"]]
        rests = opened_billed(sight.store, found, line, sight.now_ms, sight.kept)
        # P19: what cannot be said now is not guessed; the sealed counters stand all the same.
        with suppress(UnlikeUnits):
            said = said if rests is None else rests.to_json()
        head = {"number": number, "place": place, "line": shaped(Line, line), "currency": found.body["currency"]}
        return shaped(OpenedInvoiceLine, said | head)


@router.get("/invoices/{number}/check", response_model=Check, tags=["invoices"], responses=documented(409))
def check(site: Here, viewer: Asking, number: str) -> Any:
    """What the server finds in the document's evidence as it stands, by the keys in it; the sure check is your own.

    409: its evidence is not handed out.
    """
    with seen(site, viewer) as sight:
        made = _evidence(site, sight, invoice_in(sight, number))
        return shaped(Check, summary(by_its_own_keys(made)))


@router.get(
    "/invoices/{number}/evidence",
    response_class=Response,
    tags=["invoices"],
    responses=documented(409) | ZIP,
)
def evidence(request: Request, site: Here, viewer: Asking, number: str) -> Response:
    """The document's evidence as the store holds it now, checked by nobody yet: for whoever checks it himself.

    409: it is not handed out.
    """
    with seen(site, viewer) as sight:
        found = invoice_in(sight, number)
        must(viewer, Deed.EXPORT)
        made = _evidence(site, sight, found)
    told_of = f"evidence of invoice {number}"
    record(request, Deed.EXPORT, told_of, account=str(found.body["account"]["id"]))
    headers = {"Content-Disposition": f'attachment; filename="{number}-evidence.zip"'}
    return Response(made, media_type="application/zip", headers=headers)


def _evidence(site: Site, sight: Sight, found: Invoice) -> bytes:
    if site.key is None:
        raise Refusal(409, "this collector has no key to hand out evidence with")
    try:
        return as_it_stands(sight.store, found, site.key)
    except NotHandedOut as error:
        raise Refusal(409, str(error)) from None


def _charged(sight: Sight, contract: str, period: date | None) -> Charged:
    """The contract in its running period, or in one that ended; raises Refusal (404, 409)."""
    sight.contract(contract)
    try:
        begins = "" if period is None else period.isoformat()
        found = charged(sight.store, sight.known, contract, sight.now_ms, begins, memory=sight.kept)
    except (NotRunning, UnlikeUnits) as error:
        raise Refusal(409, str(error)) from None
    if found is None:
        raise absent()
    return found


def _named(said: dict[str, Any]) -> NamedLine:
    return NamedLine(id=said["line"], line=shaped(Line, said))
