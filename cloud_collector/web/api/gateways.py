"""The fleet: how each gateway stands by the collector's clock, what is missing of it, what is wrong."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from cloud_collector.client.operations import (
    Alarm,
    Chain,
    ChainAlarm,
    GatewayDetail,
    GatewayState,
    Hole,
    Incident,
    Key,
    Metered,
    Range,
)
from cloud_collector.client.orders import Command
from cloud_collector.client.page import Page
from cloud_collector.fleet.asking import Hole as Missing
from cloud_collector.fleet.asking import holes_of
from cloud_collector.fleet.invitations import standings
from cloud_collector.fleet.roster import CHOICES, Seen, roster
from cloud_collector.fleet.survey import Epoch, Given, HeldKey, survey
from cloud_collector.store.store import Store
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.deed import said
from cloud_collector.web.api.invoices import BEYOND
from cloud_collector.web.api.problem import absent
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, moment, seen
from cloud_collector.web.gate import Operating
from shared.effects.database import Row

router = APIRouter(route_class=ApiRoute, tags=["gateways"])
Choice = Annotated[
    str | None,
    Query(
        pattern=f"^({'|'.join(CHOICES)})$",
        description="Those that stood so at the last look, or of which lines are missing (`holes`).",
    ),
]


@router.get("/gateways", response_model=Page[GatewayState])
def gateways(
    site: Here,
    viewer: Operating,
    part: Part,
    state: Choice = None,
    search: Annotated[str, Query(max_length=64, description="Those whose name contains this.")] = "",
) -> Any:
    """Every gateway by name: how it stands, when it was last heard, how many lines are held of it."""
    with seen(site, viewer) as sight:
        after = part.after(("",)) or ("",)
        choice, name = state or "", str(after[0])
        found = roster(
            sight.store, sight.now_ms, after=name, search=search, choice=choice, rows=part.limit + 1
        ).gateways
        stand, parked = standings(sight.store, sight.now_ms), _parked(sight.store)
        return told(page(found, part, lambda each: (each.gateway,)), lambda each: _state(each, stand, parked))


@router.get("/gateways/{gateway}", response_model=GatewayDetail)
def gateway(site: Here, viewer: Operating, gateway: str) -> Any:
    """One gateway with its keys, chains, holes, what is wrong, what it was asked for and what it meters."""
    with seen(site, viewer) as sight, said():
        store = sight.store
        found = survey(store, gateway, sight.now_ms)
        return GatewayDetail(
            gateway=_state(found.seen, standings(store, sight.now_ms), _parked(store)),
            agent=found.agent or None,
            complete_until=None if found.complete_until is None else found.complete_until,
            refused=found.refused,
            keys=[_key(each) for each in found.keys],
            chains=[_chain(each) for each in found.epochs],
            holes=[_hole(each) for each in holes_of(store, gateway)],
            alarms=[
                ChainAlarm(kind=each.kind, log=each.part, text=each.text, raised_at=each.begun_at)
                for each in found.contradictions
            ],
            incidents=[
                Incident(
                    kind=each.kind,
                    part=each.part or None,
                    text=each.text,
                    begun_at=each.begun_at,
                    ended_at=each.ended_at,
                )
                for each in found.alarms
            ],
            commands=[_command(each) for each in found.commands],
            meters=[
                Metered(device=f"{gateway}/{each.device}", meter=each.meter, unit=each.unit or None)
                for each in found.meters
            ],
        )


@router.get("/gateways/{gateway}/holes", response_model=list[Hole])
def holes(site: Here, viewer: Operating, gateway: str) -> Any:
    """The ranges of lines of the gateway that are missing, the lowest of each log first."""
    with seen(site, viewer) as sight:
        if sight.store.row("gateway_one", gateway) is None:
            raise absent()
        return [_hole(each) for each in holes_of(sight.store, gateway)]


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


def _hole(each: Missing) -> Hole:
    return Hole(gateway=each.gateway, log=each.log, epoch=each.epoch, first=each.first, last=each.last)


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


def _key(each: HeldKey) -> Key:
    return Key(
        key=each.key,
        words=each.words,
        log=each.log or None,
        epoch=each.epoch or None,
        first=each.first,
        last=each.last,
        added_at=each.added_at,
        revoked_at=each.revoked_at,
    )


def _chain(each: Epoch) -> Chain:
    return Chain(
        log=each.log,
        epoch=each.epoch,
        standing=each.standing,
        through=each.through,
        top=each.top,
        asides=each.aside,
        gone=[Range(first=first, last=last) for first, last in each.gone],
    )


def _command(each: Given) -> Command:
    return Command(
        command=each.counter,
        order=each.do,
        details=each.details,
        given_at=each.given_at,
        state=each.state,
        answered_at=each.answered_at,
        why=each.why or None,
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
