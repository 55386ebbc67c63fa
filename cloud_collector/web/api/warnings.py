"""Who was warned of what, and what was withdrawn."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from cloud_collector.client.operations import Warned
from cloud_collector.client.page import Page
from cloud_collector.insight.alerts import public
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.invoices import BEYOND, newest_of
from cloud_collector.web.api.problem import absent
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.shape import shaped
from cloud_collector.web.api.sight import Here, seen
from cloud_collector.web.gate import Asking

router = APIRouter(route_class=ApiRoute, tags=["warnings"])


@router.get("/warnings", response_model=Page[Warned])
def warnings(
    site: Here,
    viewer: Asking,
    part: Part,
    account: Annotated[str | None, Query(max_length=64, description="Of this account alone.")] = None,
    contract: Annotated[str | None, Query(max_length=64, description="Of this contract alone.")] = None,
    *,
    standing: Annotated[bool, Query(description="Only what fired and nothing has withdrawn.")] = False,
) -> Any:
    """Every threshold that fired and every one that was withdrawn, the newest first."""
    with seen(site, viewer) as sight:
        after = part.after((0,)) or (BEYOND,)
        named, limit = contract or "", part.limit + 1
        rows = newest_of(sight, "api_warnings", account, after[0], named, named, int(standing), limit)
        return told(page(rows, part, lambda row: (row[0],)), lambda row: shaped(Warned, public(row)))


@router.get("/contracts/{contract}/warnings", response_model=list[Warned], tags=["contracts"])
def standing(site: Here, viewer: Asking, contract: str) -> Any:
    """The warnings of the contract that stand now: fired, and not withdrawn."""
    with seen(site, viewer) as sight:
        sight.contract(contract)
        return [public(row) for row in sight.store.rows("warnings_standing", contract, sight.now)]


@router.get("/warnings/{warning}", response_model=Warned)
def warning(site: Here, viewer: Asking, warning: Annotated[int, Path(ge=1, lt=BEYOND)]) -> Any:
    """One of them."""
    with seen(site, viewer) as sight:
        row = sight.store.row("warning_one", warning)
        if row is None or not viewer.sees(row[2]):
            raise absent()
        return public(row)
