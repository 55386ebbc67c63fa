"""Webhooks, and the log of everything that was delivered or tried."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from cloud_collector.access.viewer import Deed
from cloud_collector.client.operations import Delivery, Webhook
from cloud_collector.client.page import Page
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.invoices import BEYOND, newest_of
from cloud_collector.web.api.once import Once
from cloud_collector.web.api.problem import absent, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, Sight, moment, seen
from cloud_collector.web.gate import Asking, must, record
from shared.effects.database import Row

router = APIRouter(route_class=ApiRoute, tags=["webhooks"])
Id = Annotated[int, Path(ge=1, lt=BEYOND)]


@router.get("/webhooks", response_model=Page[Webhook])
def webhooks(site: Here, viewer: Asking, part: Part) -> Any:
    """Every webhook in sight, by name; one that is for every account is the operator's."""
    with seen(site, viewer) as sight:
        after = part.after(("",)) or ("",)
        rows = (row for row in sight.store.rows("webhooks") if (row[0],) > after and _is_mine(sight, row[2]))
        return told(page(rows, part, lambda row: (row[0],)), _webhook)


@router.get("/webhooks/{webhook}", response_model=Webhook)
def webhook(site: Here, viewer: Asking, webhook: str) -> Any:
    """One webhook."""
    with seen(site, viewer) as sight:
        row = sight.store.row("webhook_one", webhook)
        if row is None or not _is_mine(sight, row[2]):
            raise absent()
        return _webhook(row)


@router.get("/deliveries", response_model=Page[Delivery])
def deliveries(site: Here, viewer: Asking, part: Part) -> Any:
    """Every warning on its way to someone, by webhook and by e-mail, the newest first."""
    with seen(site, viewer) as sight:
        after = part.after((0,)) or (BEYOND,)
        rows = newest_of(sight, "api_deliveries", None, after[0], part.limit + 1)
        return told(page(rows, part, lambda row: (row[0],)), _delivery)


@router.get("/deliveries/{delivery}", response_model=Delivery)
def delivery(site: Here, viewer: Asking, delivery: Id) -> Any:
    """One delivery, and what came of the last try."""
    with seen(site, viewer) as sight:
        return _delivery(_row(sight, delivery))


@router.post(
    "/deliveries/{delivery}/replay",
    response_model=Delivery,
    status_code=202,
    dependencies=[Once],
    responses=documented(409, 413),
)
def replay(request: Request, site: Here, viewer: Asking, delivery: Id) -> Any:
    """Send it once more with the running collector's next tick, whatever came of it; receivers know its id."""
    must(viewer, Deed.WARN)
    with seen(site, viewer) as sight:
        account = _row(sight, delivery)[8]
    with site.writing() as store, store.atomic():
        store.run("delivery_again", site.clock.utc_ms(), delivery)
        record(request, Deed.WARN, f"delivery {delivery} again", account=account, store=store)
    with seen(site, viewer) as sight:
        return _delivery(_row(sight, delivery))


def _is_mine(sight: Sight, account: str) -> bool:
    return sight.viewer.sees(account) if account else sight.viewer.accounts is None


def _row(sight: Sight, delivery: int) -> Row:
    row = sight.store.row("api_delivery", delivery)
    if row is None or not sight.viewer.sees(row[8]):
        raise absent()
    return row


def _webhook(row: Row) -> Webhook:
    name, url, account, added_at, stopped_at, why = row
    return Webhook(
        name=name,
        url=url,
        account=account or None,
        added_at=moment(added_at),
        stopped_at=None if stopped_at is None else moment(stopped_at),
        why=why or None,
    )


def _delivery(row: Row) -> Delivery:
    id_, warning, way, target, state, attempts, next_at, contract, account, said, last = row
    return Delivery(
        id=id_,
        warning=warning,
        way=way,
        to=target,
        state=state,
        attempts=attempts,
        next_at=moment(next_at) if state == "due" else None,
        contract=contract,
        account=account,
        said=said,
        last=last,
    )
