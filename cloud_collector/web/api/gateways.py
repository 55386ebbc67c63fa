"""The fleet: how each gateway stands by the collector's clock, what is missing of it, what nobody knows."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from cloud_collector.client.operations import (
    Alarm,
    Chain,
    ChainAlarm,
    GatewayDetail,
    GatewayState,
    Hole,
    Key,
    Unmatched,
)
from cloud_collector.client.page import Page
from cloud_collector.fleet.holes import complete_until, missing
from cloud_collector.fleet.invitations import standings
from cloud_collector.fleet.positions import chain_of
from cloud_collector.fleet.roster import Seen, roster, seen_one
from cloud_collector.store.store import Store
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.invoices import BEYOND
from cloud_collector.web.api.problem import absent
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, instant, moment, seen
from cloud_collector.web.gate import Operating
from shared.effects.database import Row
from shared.key import PublicKey

router = APIRouter(route_class=ApiRoute, tags=["gateways"])


@router.get("/gateways", response_model=Page[GatewayState])
def gateways(site: Here, viewer: Operating, part: Part) -> Any:
    """Every gateway by name: how it stands, when it was last heard, how many lines are held of it."""
    with seen(site, viewer) as sight:
        after = part.after(("",)) or ("",)
        found = roster(sight.store, sight.now_ms, after=str(after[0]), rows=part.limit + 1).gateways
        stand, parked = standings(sight.store, sight.now_ms), _parked(sight.store)
        return told(page(found, part, lambda each: (each.gateway,)), lambda each: _state(each, stand, parked))


@router.get("/gateways/{gateway}", response_model=GatewayDetail)
def gateway(site: Here, viewer: Operating, gateway: str) -> Any:
    """One gateway with its keys, chains, holes, and what its chains contradict."""
    with seen(site, viewer) as sight:
        store = sight.store
        state = seen_one(store, gateway, sight.now_ms)
        if state is None:
            raise absent()
        complete = complete_until(store, gateway)
        return GatewayDetail(
            gateway=_state(state, standings(store, sight.now_ms), _parked(store)),
            complete_until=None if complete is None else instant(complete),
            keys=[_key(row) for row in store.rows("gateway_keys", gateway)],
            chains=[
                Chain(log=log, epoch=epoch, standing=stands, through=through, top=top, asides=asides)
                for log, epoch, stands, _, through, top, asides in store.rows("chains_of_gateway", gateway)
            ],
            holes=holes_of(store, gateway),
            alarms=[
                ChainAlarm(kind=kind, log=log, text=text, raised_at=moment(raised))
                for kind, log, text, raised in store.rows("alarms_of_gateway", gateway)
            ],
        )


@router.get("/gateways/{gateway}/holes", response_model=list[Hole])
def holes(site: Here, viewer: Operating, gateway: str) -> Any:
    """The ranges of lines of the gateway that are missing, the lowest of each log first."""
    with seen(site, viewer) as sight:
        if sight.store.row("gateway_one", gateway) is None:
            raise absent()
        return holes_of(sight.store, gateway)


@router.get("/unmatched", response_model=Page[Unmatched], tags=["operations"])
def unmatched(site: Here, viewer: Operating, part: Part) -> Any:
    """What arrived and belongs to nobody that is known, with the reason and the nearest name."""
    with seen(site, viewer) as sight:
        after = part.after((0,)) or (BEYOND,)
        rows = sight.store.rows("api_unmatched", after[0], part.limit + 1)
        return told(page(rows, part, lambda row: (row[-1],)), _unmatched)


@router.get("/alarms", response_model=Page[Alarm], tags=["operations"])
def alarms(
    site: Here,
    viewer: Operating,
    part: Part,
    *,
    open: Annotated[bool, Query(description="Only what is wrong now.")] = True,  # noqa: A002  its name in the URL
) -> Any:
    """What is wrong, or was: one for each root cause, the newest first."""
    with seen(site, viewer) as sight:
        after = part.after((0,)) or (BEYOND,)
        rows = sight.store.rows("api_incidents", after[0], int(open), part.limit + 1)
        return told(page(rows, part, lambda row: (row[0],)), _alarm)


def holes_of(store: Store, gateway: str) -> list[Hole]:
    """Every range that is missing of a gateway; of each chain the lowest alone, as many as a receipt asks for."""
    found = []
    for row in store.rows("chains_of_gateway", gateway):
        chain = chain_of(store.rows("chain_by_name", gateway, row[0], row[1])[0])
        if chain.through < chain.top:
            found += [
                Hole(gateway=gateway, log=row[0], epoch=row[1], first=first, last=last)
                for first, last in missing(store, chain)
            ]
    return found


def _parked(store: Store) -> frozenset[str]:
    return frozenset(row[0] for row in store.rows("gateways_parked"))


def _state(each: Seen, stand: dict[str, str], parked: frozenset[str]) -> GatewayState:
    return GatewayState(
        gateway=each.gateway,
        enrolment=stand.get(each.gateway, "enrolled"),
        state=each.standing.value,
        added_at=each.added_at.replace(microsecond=0),
        heard_at=None if each.heard_at is None else each.heard_at.replace(microsecond=0),
        lines=each.lines,
        backlog=each.backlog,
        alarms=each.alarms,
        clock=each.clock,
        ahead_seconds=each.ahead_seconds,
        parked=each.gateway in parked,
    )


def _key(row: Row) -> Key:
    key, public, log, epoch, first, last, added_at = row
    return Key(
        key=key,
        words=PublicKey(bytes(public)).words,
        log=log or None,
        epoch=epoch or None,
        first=first,
        last=last,
        added_at=moment(added_at),
    )


def _unmatched(row: Row) -> Unmatched:
    topic, gateway, reason, nearest, messages, first_at, last_at, _ = row
    return Unmatched(
        topic=topic,
        gateway=gateway,
        reason=reason,
        nearest=nearest or None,
        messages=messages,
        first_at=moment(first_at),
        last_at=moment(last_at),
    )


def _alarm(row: Row) -> Alarm:
    id_, kind, gateway, part, text, begun_at, ended_at = row
    return Alarm(
        id=id_,
        kind=kind,
        gateway=gateway or None,
        part=part or None,
        text=text,
        begun_at=moment(begun_at),
        ended_at=None if ended_at is None else moment(ended_at),
    )
