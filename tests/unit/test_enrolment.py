"""Enrolment at the collector: invited, claimed, compared, accepted, replaced, revoked (P10)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cloud_collector.fleet import invitations
from cloud_collector.fleet.authority import GATEWAY_DAYS, PENDING_DAYS, Authority, Issued
from cloud_collector.fleet.desk import Desk, Failures
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.fleet.invitations import AcceptanceRefused, InvitationRefused, NothingPending, Turned
from cloud_collector.limits import ENROLMENT_FAILURES_MAX
from cloud_collector.store.store import Store
from cloud_collector.web.enrolment import create_enrolment_app
from shared.claim import ClaimCode
from shared.effects.memory import SimpleClock
from shared.effects.sqlite import SqliteDatabase
from shared.enrolment import AUTHORITY_PATH, ENROL_PATH, RENEW_PATH, Claim, Credentials, Renewal, Standing
from shared.key import SigningKey
from shared.limits import ENROLMENT_BYTES_MAX

NOW = 1_795_000_000_000
DAY = 86_400_000
OLD, NEW, THIEF = (SigningKey(bytes([number] * 32)) for number in (1, 2, 3))
AUTHORITY = Authority.create("Test CA", datetime.fromtimestamp(NOW / 1_000, UTC))


@dataclass
class Site:
    store: Store
    desk: Desk
    codes: int = 0

    def invite(self, name: str = "house-7", *, at: int = NOW, hours: int = 24, replaces: bool = False) -> ClaimCode:
        self.codes += 1
        code = ClaimCode.draw((self.codes << 8).to_bytes(8), AUTHORITY.issued.der)
        invitations.invite(self.store, name, code, now_ms=at, hours=hours, replaces=replaces)
        return code

    def enrol(self, code: ClaimCode, key: SigningKey = NEW, *, at: int = NOW) -> Credentials | Turned:
        return self.desk.enrol(self.store, Claim.signed(code.secret, key).body, now_ms=at, claimed_from="10.0.0.9")

    def renew(self, name: str = "house-7", key: SigningKey = NEW, *, at: int = NOW) -> Credentials | Turned:
        return self.desk.renew(self.store, Renewal.signed(name, key).body, now_ms=at)

    def accept(self, key: SigningKey = NEW, name: str = "house-7", *, at: int = NOW) -> tuple[str, ...]:
        return invitations.accept(self.store, name, [key.public.words], now_ms=at)[1]

    def enrolled(self, name: str = "house-7") -> set[str]:
        return set(invitations.enrolled_keys(self.store, name))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    desk = Desk(
        authority=AUTHORITY,
        receipt_key=SigningKey(bytes([9] * 32)).public,
        recovery_key=None,
        broker_host="broker.example",
        broker_port=8883,
        prefix="meterseal/v1",
    )
    return Site(Store(SqliteDatabase(tmp_path / "collector.db")), desk)


def given(answer: Credentials | Turned) -> Credentials:
    assert isinstance(answer, Credentials), answer
    return answer


def status(answer: Credentials | Turned) -> int:
    assert isinstance(answer, Turned), answer
    return answer.status


def days_of(answer: Credentials | Turned, at: int = NOW) -> int:
    return round((given(answer).ends_at * 1_000 - at) / DAY)


def test_a_claimed_key_is_pending_until_its_words_are_compared(site: Site) -> None:
    code = site.invite()
    found = given(site.enrol(code))
    assert (found.gateway, found.standing) == ("house-7", Standing.PENDING)
    assert site.enrolled() == set(), "nothing that it says is taken"
    with pytest.raises(AcceptanceRefused):
        invitations.accept(site.store, "house-7", [THIEF.public.words], now_ms=NOW)
    assert invitations.standings(site.store, NOW) == {"house-7": "pending"}
    spoken = NEW.public.words.replace("-", " ").upper().split()
    invitations.accept(site.store, "house-7", spoken, now_ms=NOW)
    assert site.enrolled() == {NEW.public.id}
    assert given(site.renew()).standing is Standing.ENROLLED
    assert invitations.standings(site.store, NOW) == {"house-7": "enrolled"}
    with pytest.raises(NothingPending):
        invitations.accept(site.store, "house-7", spoken, now_ms=NOW)


def test_a_code_is_for_one_key_and_the_same_again_goes_on(site: Site) -> None:
    code = site.invite()
    first = given(site.enrol(code))
    assert site.enrol(code) == first, "a lost answer is given again"
    assert status(site.enrol(code, THIEF)) == 409
    assert given(site.enrol(code, at=NOW + 3 * DAY)).standing is Standing.PENDING


def test_a_code_expires_and_a_newer_one_makes_it_void(site: Site) -> None:
    late = site.invite("late", hours=1)
    assert status(site.enrol(late, at=NOW + 3_600_001)) == 410
    first, second = site.invite(), site.invite()
    assert status(site.enrol(first)) == 404
    assert given(site.enrol(second)).gateway == "house-7"
    assert status(site.enrol(ClaimCode.draw(bytes(8), b""))) == 404


def test_the_store_holds_no_code(site: Site, tmp_path: Path) -> None:
    code = site.invite()
    site.store.close()
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert code.secret.encode() not in held
    assert code.text.encode() not in held


@pytest.mark.parametrize(("name", "hours"), [("House", 24), ("house-7", 0), ("house-7", 721)])
def test_an_invitation_that_cannot_be_is_refused(site: Site, name: str, hours: int) -> None:
    with pytest.raises(InvitationRefused):
        site.invite(name, hours=hours)


def test_new_hardware_takes_over_at_acceptance_and_not_before(site: Site) -> None:
    add_gateway(site.store, "house-7", OLD.public, NOW)
    with pytest.raises(InvitationRefused, match="--replace"):
        site.invite()
    with pytest.raises(InvitationRefused, match="no enrolled key"):
        site.invite("house-8", replaces=True)
    given(site.enrol(site.invite(replaces=True)))
    assert site.enrolled() == {OLD.public.id}
    assert given(site.renew(key=OLD)).standing is Standing.ENROLLED
    assert site.accept() == (OLD.public.id,)
    assert site.enrolled() == {NEW.public.id}
    assert status(site.renew(key=OLD)) == 403
    serials = [row[0] for row in site.store.rows("certificates_revoked", NOW)]
    assert len(serials) == 1


def test_certificates_are_short_while_pending_and_renewed_when_a_third_is_left(site: Site) -> None:
    code = site.invite()
    assert days_of(site.enrol(code)) == PENDING_DAYS
    site.accept()
    lasting = site.renew()
    assert days_of(lasting) == GATEWAY_DAYS
    assert site.renew(at=NOW + 100 * DAY) == lasting, "asking again makes no new one"
    due = given(lasting).renew_at * 1_000
    assert site.renew(at=due - 1_000) == lasting
    assert days_of(site.renew(at=due + 1_000), due) == GATEWAY_DAYS
    long_expired = NOW + 4 * 365 * DAY
    assert days_of(site.renew(at=long_expired), long_expired) == GATEWAY_DAYS, "by the key alone"


def test_a_gateways_certificate_is_for_its_key_and_opens_nothing_but_clients(site: Site) -> None:
    issued = Issued.from_pem(given(site.enrol(site.invite())).certificate)
    assert AUTHORITY.signed(issued)
    assert issued.name == "house-7"
    assert issued.x509.public_key().public_bytes_raw() == NEW.public.raw  # type: ignore[union-attr]
    assert issued.hosts == ()
    other = Authority.create("Test CA", datetime.fromtimestamp(NOW / 1_000, UTC))
    assert not other.signed(issued), "another CA of the same name is another CA"


def test_revocation_ends_keys_claims_invitations_and_certificates(site: Site) -> None:
    given(site.enrol(site.invite()))
    invitations.withdraw(site.store, "house-7", NOW)
    assert status(site.renew()) == 403
    with pytest.raises(NothingPending):
        site.accept()
    given(site.enrol(site.invite(), OLD))
    site.accept(OLD)
    invitations.revoke(site.store, "house-7", OLD.public.id, now_ms=NOW)
    assert site.enrolled() == set()
    assert status(site.renew(key=OLD)) == 403
    assert len(site.store.rows("certificates_revoked", NOW)) == 2
    assert site.store.rows("certificates_revoked", NOW + 1_000 * DAY) == [], "what has expired needs no revocation"
    assert invitations.standings(site.store, NOW) == {"house-7": "revoked"}
    assert status(site.enrol(site.invite(), OLD)) == 403, "a revoked key does not come back"


def test_a_key_that_was_added_by_hand_gets_its_certificate_too(site: Site) -> None:
    add_gateway(site.store, "house-7", OLD.public, NOW)
    assert given(site.renew(key=OLD)).standing is Standing.ENROLLED
    assert status(site.renew(key=THIEF)) == 404
    assert status(site.renew("house-8", OLD)) == 404


def test_one_address_may_fail_a_few_times_and_then_slowly() -> None:
    """P9: guessing is slow, and counting it is bounded."""
    failures = Failures(at_once=3, seconds=6, addresses=2)
    for _ in range(3):
        assert failures.wait_seconds("a", NOW) == 0
        failures.count("a", NOW)
    assert failures.wait_seconds("a", NOW) == 6
    assert failures.wait_seconds("a", NOW + 5_000) == 1
    assert failures.wait_seconds("a", NOW + 6_000) == 0
    assert failures.wait_seconds("b", NOW) == 0
    for address in ("b", "c"):
        failures.count(address, NOW)
    assert failures.wait_seconds("a", NOW) == 0, "the longest silent was forgotten"


class Port:
    """The enrolment port, asked from one address."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request."""

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app, client=("10.0.0.9", 1))
            async with httpx.AsyncClient(transport=transport, base_url="https://collector") as client:
                return await client.request(method, path, **more)

        return asyncio.run(asked())

    def post(self, path: str, **more: Any) -> httpx.Response:
        """One request with a body."""
        return self.ask("POST", path, **more)


@pytest.fixture
def client(site: Site, tmp_path: Path) -> Port:
    @contextmanager
    def open_store() -> Iterator[Store]:
        store = Store(SqliteDatabase(tmp_path / "collector.db"), migrated=True)
        yield store
        store.close()

    return Port(create_enrolment_app(site.desk, open_store, SimpleClock(utc_ms=NOW)))


def test_the_port_answers_in_json_and_refuses_with_a_problem(site: Site, client: Port) -> None:
    assert client.ask("GET", AUTHORITY_PATH).text == AUTHORITY.issued.pem
    code = site.invite()
    answer = client.post(ENROL_PATH, json=Claim.signed(code.secret, NEW).body)
    assert answer.status_code == 200
    assert isinstance(Credentials.read(answer.json()), Credentials)
    assert invitations.pending(site.store)[0].claimed_from == "10.0.0.9"
    assert client.post(RENEW_PATH, json=Renewal.signed("house-7", NEW).body).json()["standing"] == "pending"
    refused = client.post(RENEW_PATH, json=Renewal.signed("house-7", THIEF).body)
    assert (refused.status_code, refused.headers["content-type"]) == (404, "application/problem+json")
    assert "enrol it with a new claim code" in refused.json()["detail"]
    assert client.post(ENROL_PATH, content=b"x" * (ENROLMENT_BYTES_MAX + 1)).status_code == 413
    assert client.post(ENROL_PATH, content=b"[" * 60_000).status_code == 400
    assert client.post(ENROL_PATH, json=[]).status_code == 400


def test_guessing_is_slowed_down(site: Site, client: Port) -> None:
    for number in range(ENROLMENT_FAILURES_MAX):
        assert client.post(ENROL_PATH, json=Claim.signed(f"{number:015x}", THIEF).body).status_code == 404
    refused = client.post(ENROL_PATH, json=Claim.signed(site.invite().secret, NEW).body)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
