"""What nobody knows, and the two answers to it: accept enrols or assigns, block silences.

Gateways, keys and topics knock through intake, which keeps each with its reason and the nearest known name. A device
that a known gateway reports and no contract has is a stranger too: it is metered and never billed.
"""

import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from cloud_collector.billing import revisions
from cloud_collector.billing.revisions import Applied, NoCatalog
from cloud_collector.contracts.assignment import assigned
from cloud_collector.fleet import invitations
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.fleet.invitations import pending
from cloud_collector.insight.device_index import device_index
from cloud_collector.insight.kept import Kept
from cloud_collector.limits import BLOCKS_MAX
from cloud_collector.store.store import Store
from shared.errors import MetersealError
from shared.key import PublicKey

_KEY: Final = re.compile(r"the key (\S+) is not enrolled for this gateway")
DEVICES_MAX: Final = 1_000
"""Devices without a contract that are listed."""
NEAR_MAX: Final = 4
"""Devices that never reported, before and after in the order of names, among which the nearest is looked for."""
REASON_CHARS_MAX: Final = 256


class Kind(StrEnum):
    """What it is that nobody knows."""

    GATEWAY = "gateway"
    KEY = "key"
    DEVICE = "device"
    TOPIC = "topic"


class UnknownStranger(MetersealError):
    """Nothing of that name waits, or is blocked."""


class NotAccepted(MetersealError):
    """It cannot be let in like this."""


class TooManyBlocks(MetersealError):
    """The list of what is blocked is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """Something that knocks."""

    kind: Kind
    gateway: str
    what: str
    """A key's id, a device, a topic; empty for a gateway."""
    topic: str
    reason: str
    nearest: str
    messages: int
    first_at: int | None
    """Unix milliseconds; None for a device, whose usage says when."""
    last_at: int | None
    pending: bool = False
    """Whether a key of this gateway has claimed an invitation and waits for its words to be compared."""

    @property
    def name(self) -> str:
        """How people and commands call it."""
        match self.kind:
            case Kind.GATEWAY:
                return self.gateway
            case Kind.KEY:
                return f"{self.gateway}#{self.what}"
            case Kind.DEVICE:
                return f"{self.gateway}/{self.what}"
            case Kind.TOPIC:
                return self.what

    @property
    def next(self) -> str:
        """What lets it in."""
        match self.kind:
            case Kind.DEVICE:
                return f"cloud-collector unmatched accept {self.name} --contract CONTRACT"
            case Kind.TOPIC:
                return "nothing to accept: look at the prefix and the gateway's name in this topic"
            case _ if self.pending:
                return f"cloud-collector unmatched accept {self.name} --words"
            case _:
                return f"cloud-collector gateway invite {self.gateway}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What is not to be heard of again."""

    name: str
    kind: Kind
    gateway: str
    what: str
    at: int
    """Unix milliseconds."""
    by_whom: str
    reason: str


def strangers(store: Store, memory: Kept | None = None) -> list[Stranger]:
    """Everything that knocks and is not blocked: messages, the newest first, then devices by name."""
    waiting = {each.gateway for each in pending(store)}
    found = [_stranger(row, waiting) for row in store.rows("strangers")]
    blocked = {(each.kind, each.gateway, each.what) for each in blocks(store)}
    return [
        *found,
        *(each for each in _devices(store, memory or Kept()) if (each.kind, each.gateway, each.what) not in blocked),
    ]


def stranger_of(store: Store, name: str) -> Stranger:
    """The newest one of that name; raises UnknownStranger with the nearest."""
    known = strangers(store)
    found = next((each for each in known if each.name == name), None)
    if found is None:
        near = get_close_matches(name, [each.name for each in known], 1)
        hint = f"; did you mean {near[0]}?" if near else ": see `cloud-collector unmatched list`"
        raise UnknownStranger(f"nothing unmatched is called {name}{hint}")
    return found


def accept_words(store: Store, name: str, words: Sequence[str], *, now_ms: int) -> str:
    """The pending key of this gateway with these words is enrolled: its id. AcceptanceRefused, NothingPending."""
    gateway = name.partition("#")[0]
    accepted, _ = invitations.accept(store, gateway, words, now_ms=now_ms)
    _welcome(store, gateway, accepted.public.id)
    return accepted.public.id


def accept_key(store: Store, name: str, public: PublicKey, *, now_ms: int) -> bool:
    """The gateway has this key; False where it had it before. Raises NotAccepted where another key knocks."""
    gateway, _, key = name.partition("#")
    if key not in ("", public.id):
        raise NotAccepted(f"the key that knocks as {gateway} is {key}, and this file has {public.id}")
    new = add_gateway(store, gateway, public, now_ms)
    _welcome(store, gateway, public.id)
    return new


def accept_device(store: Store, name: str, contract: str, start: date | None, *, now_ms: int) -> Applied:
    """The newest catalog with this device in that contract is the next revision. CannotAssign, CannotBill."""
    stranger = stranger_of(store, name)
    if stranger.kind is not Kind.DEVICE:
        raise NotAccepted(f"{name} is no device of a known gateway: only those belong to contracts")
    newest = revisions.revisions(store)[-1]
    made = assigned(newest.catalog, contract, name, start)
    return revisions.apply(store, made, now_ms=now_ms)


def block(store: Store, name: str, *, by_whom: str, reason: str, now_ms: int) -> Block:
    """It is heard of no more, and what was kept of it is forgotten; raises UnknownStranger, TooManyBlocks."""
    stranger = stranger_of(store, name)
    place = (stranger.kind.value, stranger.gateway, stranger.what)
    with store.atomic():
        # P9: a list that strangers could fill would be theirs.
        if store.rows("blocks_count")[0][0] >= BLOCKS_MAX:
            raise TooManyBlocks(
                f"{BLOCKS_MAX:,} are blocked already, and no more fit: `cloud-collector unmatched unblock` one, or let "
                "the broker refuse what should not come"
            )
        store.run("block_put", *place, now_ms, by_whom[:64], reason[:REASON_CHARS_MAX])
        for each in strangers(store):
            silent = each.kind is not Kind.DEVICE and (each.kind.value, each.gateway, each.what) == place
            if silent or (stranger.kind is Kind.GATEWAY and each.kind is Kind.KEY and each.gateway == stranger.gateway):
                store.run("stranger_forget", each.topic, each.reason)
    return next(each for each in blocks(store) if (each.kind.value, each.gateway, each.what) == place)


def unblock(store: Store, name: str) -> Block:
    """It may knock again; raises UnknownStranger."""
    held = blocks(store)
    found = next((each for each in held if each.name == name), None)
    if found is None:
        near = get_close_matches(name, [each.name for each in held], 1)
        hint = f"; did you mean {near[0]}?" if near else ": see `cloud-collector unmatched blocked`"
        raise UnknownStranger(f"nothing blocked is called {name}{hint}")
    store.rows("block_drop", found.kind.value, found.gateway, found.what)
    return found


def blocks(store: Store) -> list[Block]:
    """Everything that is blocked."""
    return [
        Block(
            name=_bare(Kind(kind), gateway, what).name,
            kind=Kind(kind),
            gateway=gateway,
            what=what,
            at=at,
            by_whom=by_whom,
            reason=reason,
        )
        for kind, gateway, what, at, by_whom, reason in store.rows("blocks")
    ]


def _welcome(store: Store, gateway: str, key: str) -> None:
    """Who was let in is not silenced any more, and what was kept of its knocking is forgotten."""
    with store.atomic():
        store.run("blocks_of_gateway_drop", gateway, key)
        for each in strangers(store):
            if each.gateway == gateway and (each.kind is Kind.GATEWAY or (each.kind is Kind.KEY and each.what == key)):
                store.run("stranger_forget", each.topic, each.reason)


def _stranger(row: Sequence[object], waiting: set[str]) -> Stranger:
    topic, gateway, reason, near, messages, first_at, last_at = row
    key = _KEY.fullmatch(str(reason))
    if key is not None:
        kind, what = Kind.KEY, key[1]
    elif gateway and str(reason).startswith("the gateway "):
        kind, what = Kind.GATEWAY, ""
    else:
        kind, what = Kind.TOPIC, str(topic)
    return Stranger(
        kind=kind,
        gateway=str(gateway),
        what=what,
        topic=str(topic),
        reason=str(reason),
        nearest=str(near),
        messages=int(str(messages)),
        first_at=int(str(first_at)),
        last_at=int(str(last_at)),
        pending=gateway in waiting and kind is not Kind.TOPIC,
    )


def _bare(kind: Kind, gateway: str, what: str) -> Stranger:
    return Stranger(
        kind=kind, gateway=gateway, what=what, topic="", reason="", nearest="", messages=0, first_at=None, last_at=None
    )


def _devices(store: Store, memory: Kept) -> Iterator[Stranger]:
    """Devices that report and stand in no contract of the newest catalog; none where nothing has been agreed to."""
    try:
        catalog = revisions.revisions(store)[-1].catalog
    except NoCatalog:
        return
    agreed, heard = device_index(catalog).names, memory.heard.names(store)
    alone = sorted(tuple(name.partition("/")[::2]) for name in heard.difference(agreed))[:DEVICES_MAX]
    if not alone:
        return
    # Alike by their beginning, or by their end: to compare each with all of a large fleet would take minutes.
    ahead = sorted(agreed.difference(heard))
    behind = sorted(name[::-1] for name in ahead)
    for gateway, device in alone:
        name = f"{gateway}/{device}"
        near = {*_around(ahead, name), *(each[::-1] for each in _around(behind, name[::-1]))}
        yield Stranger(
            kind=Kind.DEVICE,
            gateway=gateway,
            what=device,
            topic="",
            reason="the device is in no contract: what it meters is kept and billed to nobody",
            nearest=next(iter(get_close_matches(name, sorted(near), 1)), ""),
            messages=0,
            first_at=None,
            last_at=None,
        )


def _around(names: Sequence[str], name: str) -> Sequence[str]:
    at = bisect(names, name)
    return names[max(at - NEAR_MAX, 0) : at + NEAR_MAX]
