"""Devices: whose they are, where they stand, what happened to them, and their channels."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from cloud_collector.activity.holding import Holding, holdings
from cloud_collector.client.agreements import Channel, Event, Held, Standing
from cloud_collector.client.page import Page
from cloud_collector.insight.device_life import chapters_of
from cloud_collector.insight.event import Event as Told
from cloud_collector.insight.timeline import timeline
from cloud_collector.web.api.contracts import standing_of
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, Sight, instant, seen, until
from cloud_collector.web.gate import Asking

router = APIRouter(route_class=ApiRoute, tags=["devices"])
OfGateway = Annotated[str, Path(description="The gateway's id.", examples=["roof-1"])]
OfDevice = Annotated[str, Path(description="The device's name there.", examples=["sdm630-1"])]


@router.get("/devices", response_model=Page[Held])
def devices(
    site: Here,
    viewer: Asking,
    part: Part,
    account: Annotated[str | None, Query(max_length=64, description="Of this account alone.")] = None,
    contract: Annotated[str | None, Query(max_length=64, description="Of this contract alone.")] = None,
) -> Any:
    """Every device in sight with each of its times under a contract, by name and time."""
    with seen(site, viewer) as sight:
        after = part.after(("", 0)) or ("", -1)
        every = holdings(sight.known[-1].catalog) if sight.known else {}
        wanted = (
            (device, held)
            for device in sorted(name for name in every if name >= str(after[0]))
            for held in every[device]
            if (device, held.start) > after
            and viewer.sees(held.account)
            and account in (None, held.account)
            and contract in (None, held.contract)
        )
        return told(page(wanted, part, lambda each: (each[0], each[1].start)), lambda each: _held(*each))


@router.get("/devices/{gateway}/{device}", response_model=list[Standing])
def device(site: Here, viewer: Asking, gateway: OfGateway, device: OfDevice) -> Any:
    """Where the device stands, in each of its times under a contract that is in sight, the earliest first."""
    with seen(site, viewer) as sight:
        name = f"{gateway}/{device}"
        mine = {(each.contract, each.start) for each in sight.held(name)}
        found = chapters_of(sight.store, sight.view, sight.known, name, sight.now, sight.kept)
        return [standing_of(each, sight.now) for each in found if (each.held.contract, each.held.start) in mine]


@router.get("/devices/{gateway}/{device}/timeline", response_model=Page[Event])
def device_timeline(site: Here, viewer: Asking, gateway: OfGateway, device: OfDevice, part: Part) -> Any:
    """Everything that happened to the device while it was in sight, and what is expected, in order of time."""
    with seen(site, viewer) as sight:
        name = f"{gateway}/{device}"
        mine = sight.held(name)
        # P20: an operator sees what happened in nobody's time as well, as on his page.
        whole = viewer.accounts is None
        told_of = timeline(sight.store, sight.view, sight.known, name, sight.now, sight.kept)
        after = part.after((0, 0)) or (-(2**62), 0)
        return told(
            page(
                (each for each in _numbered(told_of, mine, whole=whole) if each[:2] > after),
                part,
                lambda each: each[:2],
            ),
            lambda each: Event(
                at=instant(each[2].at),
                what=each[2].what,
                told=each[2].told,
                details=list(each[2].details),
                expected=each[2].expected,
                data=dict(each[2].data),
            ),
        )


@router.get("/devices/{gateway}/{device}/channels", response_model=list[Channel])
def channels(site: Here, viewer: Asking, gateway: OfGateway, device: OfDevice) -> Any:
    """The meters of the device that have ever reported."""
    with seen(site, viewer) as sight:
        name = f"{gateway}/{device}"
        sight.held(name)
        return [
            Channel(device=name, meter=meter, unit=unit, exponent=exponent)
            for meter, unit, exponent in _channels(sight, gateway, device)
        ]


def _channels(sight: Sight, gateway: str, device: str) -> list[tuple[str, str | None, int | None]]:
    found = []
    for (meter,) in sight.store.rows("channels_of_device", gateway, device):
        row = sight.store.row("view_channel", gateway, device, meter)
        found.append((meter, None, None) if row is None else (meter, row[1], row[2]))
    return found


def _numbered(events: list[Told], mine: tuple[Holding, ...], *, whole: bool) -> Iterator[tuple[int, int, Told]]:
    """What of them is in sight, each with its instant and its place among those of the same instant."""
    places: Counter[int] = Counter()
    for each in events:
        if whole or (any(_within(each.at, held) for held in mine) and _is_of(each.data, mine)):
            places[each.at] += 1
            yield each.at, places[each.at], each


def _within(at: int, held: Holding) -> bool:
    """An end belongs to the contract that it ends."""
    return held.start <= at <= held.end


def _is_of(data: Any, mine: tuple[Holding, ...]) -> bool:
    """P20: what is said of another account's contract is not said."""
    contract = data.get("contract")
    return contract is None or contract in {each.contract for each in mine}


def _held(device: str, held: Holding) -> Held:
    return Held(
        device=device, contract=held.contract, account=held.account, start=instant(held.start), end=until(held.end)
    )
