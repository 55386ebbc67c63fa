"""The audit log, as the console's page has it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from cloud_collector.access import trail
from cloud_collector.client.page import Page
from cloud_collector.client.trail import Entry
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, moment, seen
from cloud_collector.web.api.written import Written
from cloud_collector.web.gate import Operating

router = APIRouter(route_class=ApiRoute, tags=["operations"])


@router.get("/audit", response_model=Page[Entry])
def audit(
    site: Here,
    viewer: Operating,
    part: Part,
    who: Annotated[str | None, Query(max_length=256, description="What this one did alone.")] = None,
    account: Annotated[str | None, Query(max_length=64, description="What was done to its data alone.")] = None,
    since: Annotated[Written | None, Query(description="From this instant on alone (with its offset).")] = None,
) -> Any:
    """Who did what, and who looked at whose data, the newest first; nobody can change or delete it."""
    with seen(site, viewer) as sight:
        after = part.after((0,)) or (trail.NEWEST,)
        found = trail.entries(
            sight.store,
            account=account,
            who=who,
            after_ms=0 if since is None else int(since.timestamp() * 1_000),
            before=int(after[0]),
            limit=part.limit + 1,
        )
        return told(page(found, part, lambda each: (each.id,)), entry_of)


def entry_of(each: trail.Entry) -> Entry:
    """An entry as programs read it."""
    return Entry(
        id=each.id,
        at=moment(each.at_ms),
        who=each.who,
        role=each.role,
        by=each.means,
        deed=each.deed,
        what=each.what,
        account=each.account or None,
    )
