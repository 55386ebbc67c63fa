"""The enrolment desk: answers a claim or a renewal with credentials, whoever carries it here.

Certificates are made when they are due and not before: the same request again gets the same certificate, so
that a replay is worth nothing and nobody fills the store.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cloud_collector.fleet.authority import GATEWAY_DAYS, PENDING_DAYS, Authority, Issued
from cloud_collector.fleet.invitations import Known, Turned, claim, standing_of
from cloud_collector.store.store import Store
from shared.enrolment import Claim, Credentials, Renewal, Standing
from shared.errors import Refused
from shared.key import PublicKey

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What every gateway is told, and the CA that signs for it."""

    authority: Authority
    receipt_key: PublicKey
    recovery_key: PublicKey | None
    broker_host: str
    broker_port: int
    prefix: str

    def enrol(self, store: Store, body: object, *, now_ms: int, claimed_from: str) -> Credentials | Turned:
        """Credentials for whoever shows a claim code and proves to hold its key."""
        request = Claim.read(body)
        if isinstance(request, Refused):
            return Turned(status=400, reason=request.reason)
        return self._answer(store, claim(store, request, now_ms=now_ms, claimed_from=claimed_from), now_ms)

    def renew(self, store: Store, body: object, *, now_ms: int) -> Credentials | Turned:
        """Credentials for a key that is known and not revoked, also where its certificate has expired."""
        request = Renewal.read(body)
        if isinstance(request, Refused):
            return Turned(status=400, reason=request.reason)
        return self._answer(store, standing_of(store, request.gateway, request.public), now_ms)

    def _answer(self, store: Store, known: Known | Turned, now_ms: int) -> Credentials | Turned:
        if isinstance(known, Turned):
            return known
        issued = self._certificate(store, known, now_ms)
        return Credentials(
            gateway=known.gateway,
            standing=known.standing,
            certificate=issued.pem,
            renew_at=issued.renew_at,
            ends_at=issued.ends_at,
            receipt_key=self.receipt_key.pem,
            recovery_key="" if self.recovery_key is None else self.recovery_key.pem,
            broker_host=self.broker_host,
            broker_port=self.broker_port,
            prefix=self.prefix,
        )

    def _certificate(self, store: Store, known: Known, now_ms: int) -> Issued:
        days = GATEWAY_DAYS if known.standing is Standing.ENROLLED else PENDING_DAYS
        newest = store.row("certificate_newest", known.gateway, known.public.id)
        if newest is not None:
            pem, made_at, ends_at = newest
            issued = Issued.from_pem(pem)
            lasts = ends_at - made_at > (days - 1) * DAY_MS
            if lasts and now_ms < issued.renew_at * 1_000 and self.authority.signed(issued):
                return issued
        now = datetime.fromtimestamp(now_ms / 1_000, UTC)
        issued = self.authority.issue_gateway(known.gateway, known.public, now, days=days)
        with store.atomic():
            times = (now_ms, issued.ends_at * 1_000)
            store.run("certificate_put", issued.serial, known.gateway, known.public.id, issued.pem, *times)
        return issued


class Failures:
    """How often each address has asked in vain: a few times at once is free, then it has to wait (P9, P10)."""

    def __init__(self, *, at_once: int, seconds: int, addresses: int) -> None:
        self._room_ms = at_once * seconds * 1_000
        self._each_ms = seconds * 1_000
        self._addresses = addresses
        self._forgotten_at: dict[str, int] = {}
        """When all failures of an address are forgotten; the longest silent one first."""

    def wait_seconds(self, address: str, now_ms: int) -> int:
        """0 where it may ask now, else how long it has to wait."""
        ahead = self._forgotten_at.get(address, 0) + self._each_ms - now_ms
        return max(0, -(-(ahead - self._room_ms) // 1_000))

    def count(self, address: str, now_ms: int) -> None:
        """It has asked in vain."""
        forgotten_at = max(self._forgotten_at.pop(address, 0), now_ms)
        if len(self._forgotten_at) >= self._addresses:
            del self._forgotten_at[next(iter(self._forgotten_at))]
        self._forgotten_at[address] = forgotten_at + self._each_ms
