"""Unmatched: what knocks and nobody knows, with its reason and the nearest name; accept it, or hear of it no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from fastapi import APIRouter

from cloud_collector.access.viewer import Deed
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.insight.strangers import (
    Block,
    Kind,
    Stranger,
    accept_device,
    accept_words,
    block,
    blocks,
    strangers,
    unblock,
)
from cloud_collector.store.store import Store
from cloud_collector.web.console.cells import ago, count, text, when
from cloud_collector.web.console.screen import Ask, Asked, Did, Screen, act, serve
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Column, Mood, Table, row

SHOWN: Final = 50
_COLUMNS: Final = (
    Column(title="Who", key="name"),
    Column(title="Kind", key="kind", whole=True),
    Column(title="Topic", key="topic", unseen=True),
    Column(title="Why", key="reason", wrap=True),
    Column(title="Nearest name", key="nearest"),
    Column(title="Messages", key="messages", number=True),
    Column(title="Last", key="last_at", whole=True),
)
_BLOCKS: Final = (
    Column(title="Who", key="name"),
    Column(title="Kind", key="kind", whole=True),
    Column(title="By", key="by"),
    Column(title="Why", key="reason", wrap=True),
    Column(title="Since", key="at", whole=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knocking:
    """Something that knocks, as the page has it."""

    name: str
    kind: str
    gateway: str
    topic: str
    reason: str
    nearest: str
    messages: int
    first_at: datetime | None
    last_at: datetime | None
    pending: bool
    next: str
    """The command that lets it in."""


def add(router: APIRouter, site: Site) -> None:
    """The page and what can be done on it are served."""
    serve(router, site, "/unmatched", _screen)
    act(router, site, "/unmatched/accept", Deed.ENROL, _accept, back="/unmatched")
    act(router, site, "/unmatched/assign", Deed.CONFIGURE, _assign, back="/unmatched")
    act(router, site, "/unmatched/block", Deed.ENROL, _block, back="/unmatched")
    act(router, site, "/unmatched/unblock", Deed.ENROL, _unblock, back="/unmatched")


def _screen(look: Look, ask: Ask) -> Screen:
    known = [_knocking(each) for each in strangers(look.store, look.kept)]
    held = blocks(look.store)
    try:
        contracts = sorted(revisions(look.store)[-1].catalog.contracts)
    except NoCatalog:
        contracts = []
    shown = known if ask.whole else known[:SHOWN]
    return Screen(
        title="Unmatched",
        data={"unmatched": shown, "blocked": [_blocked(each) for each in held]},
        table=_table(shown, look.moment),
        template="console/unmatched.html",
        told={
            "found": shown,
            "more": len(known) - len(shown),
            "blocked": _blocks(held, look.moment),
            "held": held,
            "contracts": contracts[:500],
            "device": Kind.DEVICE.value,
        },
    )


def _table(found: Sequence[Knocking], moment: Moment) -> Table:
    return Table(
        title="Unmatched",
        path="/unmatched",
        command="cloud-collector unmatched list",
        empty="Nothing: every message that arrived is of a known gateway and key.",
        columns=_COLUMNS,
        rows=tuple(
            row(
                _COLUMNS,
                text(each.name),
                text(each.kind, mood=Mood.WARN),
                text(each.topic),
                text(each.reason),
                text(each.nearest),
                count(each.messages),
                ago(moment, each.last_at),
            )
            for each in found
        ),
    )


def _blocks(found: Sequence[Block], moment: Moment) -> Table:
    return Table(
        title="Blocked",
        path="",
        command="",
        empty="Nothing is blocked.",
        columns=_BLOCKS,
        rows=tuple(
            row(
                _BLOCKS,
                text(each.name),
                text(each.kind.value),
                text(each.by_whom),
                text(each.reason),
                when(moment, datetime.fromtimestamp(each.at // 1000, UTC)),
            )
            for each in found
        ),
    )


def _knocking(each: Stranger) -> Knocking:
    return Knocking(
        name=each.name,
        kind=each.kind.value,
        gateway=each.gateway,
        topic=each.topic,
        reason=each.reason,
        nearest=each.nearest,
        messages=each.messages,
        first_at=None if each.first_at is None else datetime.fromtimestamp(each.first_at // 1000, UTC),
        last_at=None if each.last_at is None else datetime.fromtimestamp(each.last_at // 1000, UTC),
        pending=each.pending,
        next=each.next,
    )


def _blocked(each: Block) -> dict[str, object]:
    at = datetime.fromtimestamp(each.at // 1000, UTC)
    return {"name": each.name, "kind": each.kind, "by": each.by_whom, "reason": each.reason, "at": at}


def _accept(store: Store, asked: Asked) -> Did:
    name, words = asked.text("name"), asked.text("words").replace(",", " ").split()
    key = accept_words(store, name, words, now_ms=asked.now_ms)
    gateway = name.partition("#")[0]
    return Did(
        told=f"{gateway} is enrolled with the key {key}",
        to=f"/gateways/{gateway}",
        what=f"unmatched accept {name}: key {key}",
    )


def _assign(store: Store, asked: Asked) -> Did:
    name, contract, start = asked.text("name"), asked.text("contract"), asked.text("from")
    try:
        day = date.fromisoformat(start) if start else None
    except ValueError:
        return Did(told=f"{start[:20]} is no date such as 2026-11-01", to="/unmatched", well=False)
    applied = accept_device(store, name, contract, day, now_ms=asked.now_ms)
    return Did(
        told=f"{name} belongs to {contract}; the catalog's revision {applied.number} says so",
        to="/unmatched",
        what=f"unmatched accept {name} --contract {contract}: revision {applied.number}",
    )


def _block(store: Store, asked: Asked) -> Did:
    name, reason = asked.text("name"), asked.text("reason")
    made = block(store, name, by_whom=asked.viewer.name, reason=reason or "by the page", now_ms=asked.now_ms)
    return Did(
        told=f"{made.name} is heard of no more; it can be unblocked below",
        to="/unmatched",
        what=f"unmatched block {made.name}: {reason}",
    )


def _unblock(store: Store, asked: Asked) -> Did:
    made = unblock(store, asked.text("name"))
    return Did(told=f"{made.name} may knock again", to="/unmatched", what=f"unmatched unblock {made.name}")
