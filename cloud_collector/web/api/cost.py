"""What a contract costs so far, and what it will come to: the invoice's own code on the running period."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from cloud_collector.client.money import Cost
from cloud_collector.insight.look import NotRunning, look
from cloud_collector.store.view import StoreView
from cloud_collector.usage.quantity import UnlikeUnits
from cloud_collector.web.api.problem import Refusal, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.shape import shaped
from cloud_collector.web.api.sight import Here, Sight, instant, seen
from cloud_collector.web.api.written import Written
from cloud_collector.web.gate import Asking

router = APIRouter(route_class=ApiRoute, tags=["cost"])


@router.get("/contracts/{contract}/cost", response_model=Cost, responses=documented(409))
def contract_cost(
    site: Here,
    viewer: Asking,
    contract: str,
    as_of: Annotated[
        Written | None,
        Query(description="What it cost at an earlier instant, by what had been received then (with its offset)."),
    ] = None,
) -> Any:
    """The running period's cost by charge and device, its forecast, and how commitments stand. 409: none runs then."""
    with seen(site, viewer) as sight:
        sight.contract(contract)
        at_ms = _at(as_of, sight.now_ms)
        try:
            # What is asked of an earlier instant rests on other facts than what was foretold a moment ago.
            memory = sight.kept if as_of is None else None
            found = look(sight.store, sight.known, contract, at_ms, StoreView, past=as_of is not None, memory=memory)
            return found.cost(memory=memory).to_json()
        except (NotRunning, UnlikeUnits) as error:
            raise Refusal(409, str(error)) from None


def cost_of(sight: Sight, contract: str) -> Cost | None:
    """The cost now; None where no period runs, or where units do not fit (P19)."""
    try:
        found = look(sight.store, sight.known, contract, sight.now_ms, StoreView, memory=sight.kept)
        return shaped(Cost, found.cost(memory=sight.kept).to_json())
    except (NotRunning, UnlikeUnits):
        return None


def _at(as_of: datetime | None, now_ms: int) -> int:
    if as_of is None:
        return now_ms
    if as_of > instant(now_ms // 1_000):
        raise Refusal(409, "as_of lies in the future, and nothing is known of that; see `forecast`")
    return int(as_of.timestamp()) * 1_000
