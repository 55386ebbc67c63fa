"""Webhooks, and the log of everything that was delivered or tried."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from cloud_collector.access.viewer import Deed
from cloud_collector.client.operations import Delivery, NewWebhook, Webhook
from cloud_collector.client.page import Page
from cloud_collector.limits import WEBHOOKS_EVER_OF_ACCOUNT_MAX, WEBHOOKS_OF_ACCOUNT_MAX
from cloud_collector.notify.webhook import SECRET_BYTES_MIN, new_secret
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.invoices import BEYOND, newest_of
from cloud_collector.web.api.once import Once
from cloud_collector.web.api.problem import Refusal, absent, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, Sight, moment, seen
from cloud_collector.web.gate import Asking, must, record
from shared.effects.database import Row

router = APIRouter(route_class=ApiRoute, tags=["webhooks"])
URL: Final = r"^https://([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?(:[1-9][0-9]{0,4})?(/[!-~]*)?$"
"""By https alone: where a name leads into the operator's own network, no certificate there bears it."""
_NEW: Final = TypeAdapter(NewWebhook)
Id = Annotated[int, Path(ge=1, lt=BEYOND)]


@router.get("/webhooks", response_model=Page[Webhook])
def webhooks(
    site: Here,
    viewer: Asking,
    part: Part,
    account: Annotated[str | None, Query(max_length=64, description="Of this account alone.")] = None,
) -> Any:
    """Every webhook in sight, by name; one that is for every account is the operator's."""
    with seen(site, viewer) as sight:
        if account is not None:
            sight.account(account)
        after = part.after(("",)) or ("",)
        rows = (
            row
            for row in sight.store.rows("webhooks")
            if (row[0],) > after and account in (None, row[2]) and _is_mine(sight, row[2])
        )
        return told(page(rows, part, lambda row: (row[0],)), _webhook)


class Wanted(BaseModel):
    """A webhook that is to be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "billing-bot", "url": "https://bot.example/hooks", "account": "acme"}]
        },
    )

    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,31}$")]
    """Never used twice."""
    url: Annotated[str, Field(pattern=URL, max_length=500)]
    """Where warnings are posted to: by https, at a host with a name."""
    account: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Whose warnings. Null: everybody's, which is the operator's."""


@router.post(
    "/webhooks",
    response_model=NewWebhook,
    status_code=201,
    dependencies=[Once],
    responses=documented(409, 413),
)
def add(request: Request, site: Here, viewer: Asking, wanted: Wanted) -> Any:
    """New warnings are posted there from now on. The secret that checks their signatures is told this once.

    The same request sent again under its `Idempotency-Key` is answered without the secret. 409: the name was used.
    """
    must(viewer, Deed.WARN)
    account = wanted.account or ""
    with seen(site, viewer) as sight:
        if account:
            sight.account(account)
        elif viewer.accounts is not None:
            raise Refusal(
                403, f"one for every account is the operator's: name one of {', '.join(sorted(viewer.accounts))}"
            )
        else:
            must(viewer, Deed.CONFIGURE)
    if site.keep_secret is None:
        raise Refusal(503, "this collector has no place for a webhook's secret")
    secret = new_secret(site.chance(SECRET_BYTES_MIN))
    with site.writing() as store, store.atomic():
        held = [row[4] is None for row in store.rows("webhooks") if row[2] == account]
        if sum(held) >= WEBHOOKS_OF_ACCOUNT_MAX or len(held) >= WEBHOOKS_EVER_OF_ACCOUNT_MAX:
            raise Refusal(
                409,
                f"there are {sum(held)} webhooks of {account or 'everybody'} already, {len(held)} with those stopped",
            )
        # The name first: of two that come at once, one gets it, and the other's secret replaces nothing.
        if not store.rows("webhook_take", wanted.name, wanted.url, account, site.clock.utc_ms()):
            raise Refusal(409, f"there is, or was, a webhook {wanted.name}, and a name is never used twice")
        try:
            site.keep_secret(wanted.name, secret)
        except OSError as error:
            raise Refusal(503, f"the secret cannot be kept: {error.strerror}") from None
        record(request, Deed.WARN, f"webhook {wanted.name} to {wanted.url}", account=account, store=store)
    with seen(site, viewer) as sight:
        made = _webhook(sight.store.rows("webhook_one", wanted.name)[0])
    # What is kept of the answer lies in the store, and in its backups: no secret does.
    request.state.kept = Response(_NEW.dump_json(_with_secret(made, None)), 201, None, "application/json")
    return _with_secret(made, secret)


@router.post(
    "/webhooks/{webhook}/stop",
    response_model=Webhook,
    dependencies=[Once],
    responses=documented(409, 413),
)
def stop(request: Request, site: Here, viewer: Asking, webhook: str) -> Any:
    """Nothing is sent there any more; what was sent stays in the log. One that is stopped stays as it is."""
    must(viewer, Deed.WARN)
    with seen(site, viewer) as sight:
        found = _hook(sight, webhook)
    if not found[2]:
        must(viewer, Deed.CONFIGURE)
    if found[4] is None:
        with site.writing() as store, store.atomic():
            store.run("webhook_stop", site.clock.utc_ms(), f"stopped by {viewer.name}", webhook)
            record(request, Deed.WARN, f"webhook {webhook} stopped", account=found[2], store=store)
    with seen(site, viewer) as sight:
        return _webhook(_hook(sight, webhook))


@router.get("/webhooks/{webhook}", response_model=Webhook)
def webhook(site: Here, viewer: Asking, webhook: str) -> Any:
    """One webhook."""
    with seen(site, viewer) as sight:
        return _webhook(_hook(sight, webhook))


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


def _hook(sight: Sight, name: str) -> Row:
    row = sight.store.row("webhook_one", name)
    if row is None or not _is_mine(sight, row[2]):
        raise absent()
    return row


def _with_secret(made: Webhook, secret: str | None) -> NewWebhook:
    return NewWebhook(
        name=made.name,
        url=made.url,
        account=made.account,
        added_at=made.added_at,
        stopped_at=made.stopped_at,
        why=made.why,
        secret=secret,
    )


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
