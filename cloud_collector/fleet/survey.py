"""One gateway whole: how it stands, its logs with their epochs and holes, keys, alarms, commands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cloud_collector.fleet.gateways import nearest
from cloud_collector.fleet.holes import complete_until, missing
from cloud_collector.fleet.invitations import enrolled_keys, pending
from cloud_collector.fleet.orders import told
from cloud_collector.fleet.positions import chain_of
from cloud_collector.fleet.roster import Seen, seen_one
from cloud_collector.store.store import Store
from shared.errors import MetersealError
from shared.key import PublicKey
from shared.line import Line
from shared.report import Birth, read

EPOCHS_MAX: Final = 24
"""Epochs that are shown, the newest of each log first."""
HOLES_MAX: Final = 40
"""Ranges that are shown of an epoch."""
COMMANDS_MAX: Final = 20
ALARMS_MAX: Final = 20
METERS_MAX: Final = 500


class UnknownGateway(MetersealError):
    """There is no such gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch of one log: which positions are held, which are missing, which are said to be gone."""

    log: str
    epoch: str
    standing: str
    through: int
    top: int
    aside: int
    holes: tuple[tuple[int, int], ...]
    gone: tuple[tuple[int, int], ...]

    @property
    def missing(self) -> int:
        """How many lines are missing, of the ranges that are shown."""
        return sum(last - first + 1 for first, last in self.holes)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """A key that may sign."""

    key: str
    words: str
    """Its fingerprint as people compare it; empty for one that a `rotate` line introduced."""
    log: str
    epoch: str
    first: int
    last: int | None
    added_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A command and what became of it."""

    counter: int
    do: str
    details: str
    given_at: datetime
    state: str
    answered_at: datetime | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something that is or was wrong."""

    kind: str
    part: str
    text: str
    begun_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """A channel."""

    device: str
    meter: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Everything about one gateway."""

    seen: Seen
    state: str
    """Its place in enrolment: `invited`, `pending`, `enrolled` …"""
    agent: str
    """The program it said it runs when it last began."""
    complete_until: datetime | None
    refused: int
    parked: bool
    """Two machines speak as it, and its account is not billed until one is adopted."""
    epochs: tuple[Epoch, ...]
    keys: tuple[HeldKey, ...]
    alarms: tuple[Noted, ...]
    contradictions: tuple[Noted, ...]
    """What its lines say that cannot be true together."""
    commands: tuple[Given, ...]
    meters: tuple[Metered, ...]


def survey(store: Store, gateway: str, now_ms: int) -> Survey:
    """The gateway as the store has it; raises UnknownGateway with the nearest name."""
    seen = seen_one(store, gateway, now_ms)
    if seen is None:
        raise _unknown(store, gateway)
    until = complete_until(store, gateway)
    refused = store.row("refusals_of", gateway)
    return Survey(
        seen=seen,
        state=_state(store, gateway),
        agent=_agent(store, gateway),
        complete_until=None if until is None else datetime.fromtimestamp(until, UTC),
        refused=0 if refused is None else refused[0],
        parked=(gateway,) in store.rows("gateways_parked"),
        epochs=tuple(_epoch(store, row) for row in store.rows("chains_drawn", gateway, EPOCHS_MAX)),
        keys=_keys(store, gateway),
        alarms=tuple(
            Noted(
                kind=kind, part=part, text=text, begun_at=_utc(begun), ended_at=None if ended is None else _utc(ended)
            )
            for _, kind, _, part, text, begun, ended in store.rows("incidents_of_gateway", gateway, ALARMS_MAX)
        ),
        contradictions=tuple(
            Noted(kind=kind, part=log, text=text, begun_at=_utc(raised), ended_at=None)
            for kind, log, text, raised in store.rows("alarms_of_gateway", gateway)[:ALARMS_MAX]
        ),
        commands=tuple(_given(row) for row in told(store, gateway, COMMANDS_MAX)),
        meters=tuple(
            Metered(device=device, meter=meter, unit=unit or "")
            for device, meter, unit, _ in store.rows("devices_of_gateway", gateway, METERS_MAX)
        ),
    )


def require_gateway(store: Store, gateway: str) -> None:
    """There is a gateway of this name; raises UnknownGateway with the nearest."""
    if store.row("gateway_one", gateway) is None:
        raise _unknown(store, gateway)


def _unknown(store: Store, gateway: str) -> UnknownGateway:
    near = nearest(gateway, [row[0] for row in store.rows("gateway_names")])
    return UnknownGateway(f"there is no gateway {gateway[:64]}" + (f", did you mean {near}?" if near else ""))


def _state(store: Store, gateway: str) -> str:
    if pending(store, gateway):
        return "pending"
    return "enrolled" if enrolled_keys(store, gateway) else "revoked"


def _epoch(store: Store, row: tuple[Any, ...]) -> Epoch:
    id_, log, epoch, standing, _, through, top, gone, asides = row
    chain = chain_of(store.rows("chain_by_id", id_)[0])
    return Epoch(
        log=log,
        epoch=epoch,
        standing=standing,
        through=through,
        top=top,
        aside=asides,
        holes=missing(store, chain, HOLES_MAX) if through < top else (),
        gone=tuple((first, last) for first, last in store.rows("gone_of", id_)[:HOLES_MAX]) if gone else (),
    )


def _keys(store: Store, gateway: str) -> tuple[HeldKey, ...]:
    revoked = {row[0]: _utc(row[1]) for row in store.rows("revocations_told", gateway)}
    held = [
        HeldKey(
            key=key,
            words=PublicKey(bytes(public)).words,
            log=log,
            epoch=epoch,
            first=first,
            last=last,
            added_at=_utc(added),
            revoked_at=revoked.get(key),
        )
        for key, public, log, epoch, first, last, added in store.rows("gateway_keys", gateway)
    ]
    introduced = [
        HeldKey(
            key=key,
            words=PublicKey(bytes(public)).words,
            log=log,
            epoch=epoch,
            first=seq + 1,
            last=None,
            added_at=None,
            revoked_at=revoked.get(key),
        )
        for log, epoch, seq, _, key, public in store.rows("rotations_of", gateway)
    ]
    return (*held, *introduced)


def _given(row: Mapping[str, Any]) -> Given:
    shown = {name: value for name, value in row["with"].items() if name != "proof"}
    parts = {name: "-".join(map(str, value)) if isinstance(value, list) else value for name, value in shown.items()}
    return Given(
        counter=row["counter"],
        do=row["do"],
        details=" ".join(f"{name}={value}" for name, value in parts.items())[:120],
        given_at=_utc(row["given_at"]),
        state=row["state"],
        answered_at=None if row["answered_at"] is None else _utc(row["answered_at"]),
        why=row["why"],
    )


def _agent(store: Store, gateway: str) -> str:
    row = store.row("newest_birth", gateway)
    birth = None if row is None else read(Line("MS1", bytes(row[0])))
    return birth.agent if isinstance(birth, Birth) else ""


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC)
