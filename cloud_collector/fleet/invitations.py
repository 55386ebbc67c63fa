"""Invitations and claims: how a key that nobody knows comes to be one that is enrolled (P10).

    invited ── claim with the code ──> pending ── words compared ──> enrolled ── revoked
                                          └──────── refused ─────────────────────────┘

A code is used once: by the first key that shows it, which may show it again. A pending key has a certificate,
so that it can speak, and is enrolled nowhere, so that nothing it says is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cloud_collector.fleet.decisions import LogPositions, revoke_key
from cloud_collector.fleet.gateways import add_gateway, keyring, names
from cloud_collector.fleet.validity import validity
from cloud_collector.limits import GATEWAY_KEYS_MAX, INVITATION_HOURS_MAX
from cloud_collector.store.store import Store
from shared.claim import ClaimCode, stored
from shared.enrolment import Claim, Standing
from shared.errors import MetersealError
from shared.grammar import GATEWAY_PATTERN
from shared.key import PublicKey

HOUR_MS: Final = 3_600_000


class InvitationRefused(MetersealError):
    """The gateway cannot be invited."""


class InvitationWrong(InvitationRefused):
    """What was asked for is no invitation."""


class AcceptanceRefused(MetersealError):
    """The words are those of no pending key."""


class NothingPending(MetersealError):
    """No key of this gateway awaits acceptance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """A request that is turned down: an HTTP status, and one sentence for the installer."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A key and how it stands with its gateway."""

    gateway: str
    public: PublicKey
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A key that awaits acceptance."""

    gateway: str
    public: PublicKey
    replaces: bool
    claimed_at: int
    claimed_from: str


def invite(store: Store, name: str, code: ClaimCode, *, now_ms: int, hours: int, replaces: bool) -> None:
    """The code may be claimed for this gateway, once, until it expires; an earlier one no longer. InvitationRefused."""
    if GATEWAY_PATTERN.fullmatch(name) is None:
        raise InvitationWrong(
            f"{name[:48]!r} is no gateway id: at most 32 lower case letters, digits and hyphens, no hyphen at the ends"
        )
    if not 1 <= hours <= INVITATION_HOURS_MAX:
        raise InvitationWrong(f"an invitation lasts from 1 to {INVITATION_HOURS_MAX} hours, not {hours}")
    with store.atomic():
        enrolled = enrolled_keys(store, name)
        if enrolled and not replaces:
            raise InvitationRefused(
                f"{name} is enrolled already; --replace invites new hardware that takes its place once it is accepted"
            )
        if replaces and not enrolled:
            raise InvitationRefused(f"{name} has no enrolled key that could be replaced: invite it without --replace")
        store.rows("invitation_withdraw", name)
        store.run("invitation_put", stored(code.secret), name, int(replaces), now_ms, now_ms + hours * HOUR_MS)


def claim(store: Store, request: Claim, *, now_ms: int, claimed_from: str) -> Known | Turned:
    """The code is bound to this key, and the key pending; the same again changes nothing."""
    secret, key = stored(request.secret), request.public.id
    with store.atomic():
        found = store.row("invitation_one", secret)
        if found is None:
            return Turned(status=404, reason="this claim code is not known here: ask for a new invitation")
        gateway, replaces, ends_at, claimed_by = found
        if claimed_by not in (None, key):
            return Turned(status=409, reason="this claim code was used by another gateway: ask for a new invitation")
        if claimed_by is None:
            if now_ms > ends_at:
                return Turned(status=410, reason="this claim code has expired: ask for a new invitation")
            store.run("invitation_claim", key, now_ms, secret)
            if key not in enrolled_keys(store, gateway):
                claimed = (gateway, key, request.public.raw, replaces, now_ms, claimed_from[:64])
                store.run("claimed_put", *claimed)
    return standing_of(store, gateway, request.public)


def standing_of(store: Store, gateway: str, public: PublicKey) -> Known | Turned:
    """How the key stands; a key that was never claimed or is revoked is turned down."""
    if public.raw in enrolled_keys(store, gateway).values():
        return Known(gateway=gateway, public=public, standing=Standing.ENROLLED)
    claimed = store.row("claimed_one", gateway, public.id)
    once = [each.public.raw for each in keyring(store, [gateway]).get(gateway, ())]
    if public.raw in once or (claimed is not None and claimed[4] is not None):
        return Turned(
            status=403,
            reason=f"this key of {gateway} was revoked: move its key_file away, and enrol with a new claim code",
        )
    if claimed is None or bytes(claimed[0]) != public.raw:
        return Turned(status=404, reason=f"this key is not known for {gateway}: enrol it with a new claim code")
    return Known(gateway=gateway, public=public, standing=Standing.PENDING)


def pending(store: Store, gateway: str = "") -> list[Pending]:
    """Keys that await acceptance, of one gateway or of all."""
    return [
        Pending(
            gateway=name, public=PublicKey(bytes(public)), replaces=bool(replaces), claimed_at=at, claimed_from=source
        )
        for name, _, public, replaces, at, source in store.rows("claimed_waiting")
        if gateway in ("", name)
    ]


def accept(store: Store, gateway: str, words: Sequence[str], *, now_ms: int) -> tuple[Pending, tuple[str, ...]]:
    """The pending key with these words is enrolled, and the keys that it replaces revoked. AcceptanceRefused."""
    waiting = pending(store, gateway)
    if not waiting:
        raise NothingPending(f"no key of {gateway} awaits acceptance: has `edge-agent enrol` been run there?")
    chosen = next((each for each in waiting if each.public.words == spelled(words)), None)
    if chosen is None:
        raise AcceptanceRefused(
            f"these are not the words of a key that claimed {gateway}; if they stand on the gateway's screen, somebody "
            f"else has used its code: `cloud-collector gateway revoke {gateway}`, and invite it again"
        )
    if len({row[0] for row in store.rows("gateway_keys", gateway)}) >= GATEWAY_KEYS_MAX:
        raise AcceptanceRefused(
            f"{gateway} has had {GATEWAY_KEYS_MAX} keys, and no more fit: invite it by another name"
        )
    old = tuple(enrolled_keys(store, gateway)) if chosen.replaces else ()
    # Revoked first: what ends between the two leaves the gateway without a key, never with a stranger's beside it.
    for key in old:
        revoke(store, gateway, key, now_ms=now_ms)
    add_gateway(store, gateway, chosen.public, now_ms)
    store.run("claimed_accept", now_ms, gateway, chosen.public.id)
    return chosen, old


def spelled(words: Sequence[str]) -> str:
    """Words as people type them, in the one spelling of a fingerprint."""
    return "-".join(" ".join(words).replace("-", " ").lower().split())


def enrolled_keys(store: Store, gateway: str) -> dict[str, bytes]:
    """The keys that the gateway may sign new epochs with, by id: enrolled, or introduced by one, and not revoked."""
    known = validity(store, gateway)
    keys = {each.public.id: each.public.raw for each in keyring(store, [gateway]).get(gateway, ())}
    return {key: raw for key, raw in keys.items() if known.fault("", "", 1, key) is None}


def revoke(store: Store, gateway: str, key: str, *, positions: LogPositions | None = None, now_ms: int) -> None:
    """The key is valid up to these positions, of other logs up to the last accepted, its certificates not at all."""
    revoke_key(store, gateway, key, positions or {}, now_ms)
    with store.atomic():
        store.run("claimed_revoke", now_ms, gateway, key)
        store.run("certificates_revoke", now_ms, gateway, key)


def standings(store: Store, now_ms: int) -> dict[str, str]:
    """Every gateway that is known or was invited: invited, expired, pending, enrolled or revoked.

    What awaits people comes first.
    """
    found = {name: "enrolled" if enrolled_keys(store, name) else "revoked" for name in names(store)}
    found |= {row[0]: "revoked" for row in store.rows("claimed_gateways") if row[0] not in found}
    found |= {
        name: "invited" if now_ms <= ends_at else found.get(name, "expired")
        for name, ends_at in store.rows("invitations_open")
        if found.get(name) != "enrolled"
    }
    return found | {each.gateway: "pending" for each in pending(store)}


def withdraw(store: Store, gateway: str, now_ms: int, *, key: str = "") -> bool:
    """Pending keys, or this one, are turned down; without a key, an open invitation is void: whether there was one."""
    with store.atomic():
        for each in pending(store, gateway):
            if key in ("", each.public.id):
                store.run("claimed_revoke", now_ms, gateway, each.public.id)
                store.run("certificates_revoke", now_ms, gateway, each.public.id)
        return not key and bool(store.rows("invitation_withdraw", gateway))
