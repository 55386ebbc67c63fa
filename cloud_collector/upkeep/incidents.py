"""Alarms of operation: what is wrong, since when, until when. Facts with a beginning and an end, one for each cause."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cloud_collector.store.store import Store


class Cause(StrEnum):
    """What can be wrong; the root of it, not what follows."""

    RESTORED = "restored"
    """The store was put back from a backup, and billing waits for a person."""
    BROKER = "broker"
    """The collector has no session with the broker."""
    FLEET_SILENT = "fleet_silent"
    """So many gateways are silent at once that it is not their fault."""
    SILENT = "silent"
    """A gateway has sent nothing for several of its windows."""
    METERS = "meters"
    """A gateway sends, and none of its meters answers."""
    METER = "meter"
    """A gateway sends, and a device of it does not answer."""
    HOLE = "hole"
    """Lines of a log are missing that later ones prove to exist."""
    CLOCK = "clock"
    """A gateway's clock lies, or is not set."""
    CLONED = "cloned"
    """Two machines speak as one gateway; its account is parked."""
    PARKED = "parked"
    """Contracts cannot be billed."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Spot:
    """Where something is wrong; empty parts mean everywhere."""

    cause: Cause
    gateway: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One alarm."""

    id: int
    spot: Spot
    text: str
    begun_at: int
    """Unix milliseconds."""
    ended_at: int | None = None


def open_incidents(store: Store) -> list[Incident]:
    """What is wrong now, the oldest first."""
    return [_incident((*row, None)) for row in store.rows("incidents_open")]


def newest_incidents(store: Store, most: int) -> list[Incident]:
    """The newest alarms, open or not, the newest first."""
    return [_incident(row) for row in store.rows("incidents_newest", most)]


def untold_incidents(store: Store, most: int) -> list[Incident]:
    """Those whose beginning or end nobody has been told."""
    return [_incident(row) for row in store.rows("incidents_untold", most)]


def tell(store: Store, told: Collection[Incident], now_ms: int) -> None:
    """What these say has been told; an end that came meanwhile has not."""
    with store.atomic():
        for each in told:
            store.run("incident_told_begin", now_ms, each.id)
            if each.ended_at is not None:
                store.run("incident_told_end", now_ms, each.id)


def settle(store: Store, found: Mapping[Spot, str], judged: Collection[Cause], now_ms: int) -> tuple[int, int]:
    """What is found is open, and what is open of the causes that were judged and not found has ended.

    How many began and ended. Call it within a transaction.
    """
    held = {each.spot: each for each in open_incidents(store)}
    begun = sorted(found.keys() - held.keys())
    ended = [each for spot, each in held.items() if spot.cause in judged and spot not in found]
    for spot in begun:
        store.run("incident_begin", spot.cause.value, spot.gateway, spot.part, found[spot], now_ms)
    for spot in found.keys() & held.keys():
        if held[spot].text != found[spot]:
            store.run("incident_say", found[spot], held[spot].id)
    for each in ended:
        store.run("incident_end", now_ms, each.id)
    return len(begun), len(ended)


def _incident(row: tuple[object, ...]) -> Incident:
    id_, cause, gateway, part, text, begun_at, ended_at = row
    return Incident(
        id=int(str(id_)),
        spot=Spot(cause=Cause(str(cause)), gateway=str(gateway), part=str(part)),
        text=str(text),
        begun_at=int(str(begun_at)),
        ended_at=None if ended_at is None else int(str(ended_at)),
    )
