"""What nobody knows, with its reason and the nearest name; accept it, or hear of it no more."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from cloud_collector.access.viewer import Deed
from cloud_collector.client.page import Page
from cloud_collector.client.strangers import Accepted, Assigned, Blocked, Unmatched
from cloud_collector.insight import strangers as known
from cloud_collector.insight.strangers import REASON_CHARS_MAX, Block, Kind, Stranger, strangers
from cloud_collector.limits import TOPIC_CHARS_MAX
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.deed import said
from cloud_collector.web.api.once import Once
from cloud_collector.web.api.problem import documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, moment, seen
from cloud_collector.web.api.written import PRINTABLE, Day
from cloud_collector.web.gate import Operating, must, record

router = APIRouter(route_class=ApiRoute, tags=["operations"])
REFUSALS = documented(409, 413)
Name = Annotated[str, Field(min_length=1, max_length=TOPIC_CHARS_MAX, pattern=PRINTABLE)]


@router.get("/unmatched", response_model=Page[Unmatched])
def unmatched(site: Here, viewer: Operating, part: Part) -> Any:
    """What arrived and belongs to nobody that is known, with the reason and the nearest name; the newest first.

    Devices that are metered and in no contract stand last.
    """
    with seen(site, viewer) as sight:
        after = part.after((0, "")) or (-(2**62), "")
        found = sorted(strangers(sight.store, sight.kept), key=_place)
        return told(page((each for each in found if _place(each) > after), part, _place), _unmatched)


@router.get("/unmatched/blocked", response_model=Page[Blocked])
def blocked(site: Here, viewer: Operating, part: Part) -> Any:
    """What is heard of no more: who said so, when, and why."""
    with seen(site, viewer) as sight:
        after = part.after(("", "")) or ("", "")
        found = sorted(known.blocks(sight.store), key=_name)
        return told(page((each for each in found if _name(each) > after), part, _name), _blocked)


class Wanted(BaseModel):
    """Who is let in, and how one knows."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "roof-3", "words": "acid-bird-cafe-dune"}]}
    )

    name: Name
    words: Annotated[str, Field(min_length=1, max_length=256, pattern=PRINTABLE)]
    """Those that stand on the gateway's own screen."""


@router.post("/unmatched/accept", response_model=Accepted, dependencies=[Once], responses=REFUSALS)
def accept(request: Request, site: Here, viewer: Operating, wanted: Wanted) -> Any:
    """Enrol the pending key of a gateway that has these words. 409: none waits, or the words are another key's."""
    must(viewer, Deed.ENROL)
    words = wanted.words.replace(",", " ").split()
    with site.writing() as store, said():
        key = known.accept_words(store, wanted.name, words, now_ms=site.clock.utc_ms())
        record(request, Deed.ENROL, f"unmatched accept {wanted.name}: key {key}", store=store)
    return Accepted(gateway=wanted.name.partition("#")[0], key=key)


class Assignment(BaseModel):
    """Whose a device is to be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "roof-1/new", "contract": "acme-chargers", "start": "2026-11-01"}]},
    )

    name: Name
    contract: Annotated[str, Field(min_length=1, max_length=64)]
    start: Day | None = None
    """Its first day there; null: the contract's own."""


@router.post("/unmatched/assign", response_model=Assigned, dependencies=[Once], responses=REFUSALS)
def assign(request: Request, site: Here, viewer: Operating, wanted: Assignment) -> Any:
    """Put a device that nobody has into a contract: the next revision of the catalog says so. 409: it cannot be."""
    must(viewer, Deed.CONFIGURE)
    with seen(site, viewer) as sight:
        sight.contract(wanted.contract)
    with site.writing() as store, said():
        made = known.accept_device(store, wanted.name, wanted.contract, wanted.start, now_ms=site.clock.utc_ms())
        what = f"unmatched accept {wanted.name} --contract {wanted.contract}: revision {made.number}"
        record(request, Deed.CONFIGURE, what, store=store)
    return Assigned(device=wanted.name, contract=wanted.contract, revision=made.number)


class Silence(BaseModel):
    """What is to be heard of no more."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "roof-3", "reason": "a neighbour's"}]}
    )

    name: Name
    reason: Annotated[str, Field(max_length=REASON_CHARS_MAX, pattern=PRINTABLE)] = ""


@router.post("/unmatched/block", response_model=Blocked, dependencies=[Once], responses=REFUSALS)
def block(request: Request, site: Here, viewer: Operating, wanted: Silence) -> Any:
    """Hear of it no more; what was kept of its knocking is forgotten. 409: no more names fit."""
    must(viewer, Deed.ENROL)
    with site.writing() as store, said():
        made = known.block(
            store,
            wanted.name,
            by_whom=viewer.name,
            reason=wanted.reason or "over HTTP",
            now_ms=site.clock.utc_ms(),
        )
        record(request, Deed.ENROL, f"unmatched block {made.name}: {wanted.reason}", store=store)
    return _blocked(made)


class Named(BaseModel):
    """What is to be heard of again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "roof-3"}]})

    name: Name


@router.post("/unmatched/unblock", response_model=Blocked, dependencies=[Once], responses=REFUSALS)
def unblock(request: Request, site: Here, viewer: Operating, wanted: Named) -> Any:
    """It may knock again; told is what had been kept of it."""
    must(viewer, Deed.ENROL)
    with site.writing() as store, said():
        made = known.unblock(store, wanted.name)
        record(request, Deed.ENROL, f"unmatched unblock {made.name}", store=store)
    return _blocked(made)


def _place(each: Stranger) -> tuple[int, str]:
    """When it first came and what it is: neither changes while it knocks, so that pages hold."""
    if each.kind is Kind.DEVICE:
        return 0, each.name
    return -(each.first_at or 0), hashlib.sha256(f"{each.topic}\n{each.reason}".encode()).hexdigest()[:32]


def _name(each: Block) -> tuple[str, str]:
    return each.name, each.kind.value


def _unmatched(each: Stranger) -> Unmatched:
    return Unmatched(
        name=each.name,
        kind=each.kind.value,
        topic=each.topic or None,
        gateway=each.gateway,
        reason=each.reason,
        nearest=each.nearest or None,
        messages=each.messages,
        first_at=None if each.first_at is None else moment(each.first_at),
        last_at=None if each.last_at is None else moment(each.last_at),
        pending=each.pending,
        next=each.next,
    )


def _blocked(each: Block) -> Blocked:
    return Blocked(name=each.name, kind=each.kind.value, by=each.by_whom, reason=each.reason, at=moment(each.at))
