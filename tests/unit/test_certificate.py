"""When a gateway renews its certificate: in time, when refused, when its key changed; never in a storm (P8, P13)."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from edge_agent.certificate import CertificateKeeper
from edge_agent.enrolment import Enrolment, NotEnrolled
from edge_agent.limits import RENEWAL_LOOK_SECONDS, RENEWAL_RETRY_SECONDS
from shared.effects.memory import SimpleClock

NOW = 1_795_000_000
FRESH = Enrolment(url="https://c", gateway="house-7", key="aa", renew_at=NOW + 86_400, ends_at=NOW + 90_000)


class Site:
    """A keeper, and what it has done."""

    def __init__(self, enrolment: Enrolment | None = FRESH, *, synchronised: bool = True, key: str = "aa") -> None:
        self.clock = SimpleClock(utc_ms=NOW * 1_000, synchronised=synchronised)
        self.enrolment = enrolment
        self.why = ""
        self.renewals: list[int] = []
        self.keeper = CertificateKeeper(
            clock=self.clock, random=Random(7), read=self._read, key_id=lambda: key, renew=self._renew
        )

    def _read(self) -> Enrolment:
        if self.enrolment is None:
            raise NotEnrolled
        return self.enrolment

    async def _renew(self) -> str:
        self.renewals.append(self.clock.boot_ms() // 1_000)
        if self.enrolment is not None and not self.why:
            self.enrolment = replace(self.enrolment, key="aa", renew_at=NOW + 10**9)
        return self.why

    async def after(self, seconds: float, *, meanwhile: Callable[[], None] = lambda: None) -> list[int]:
        """At which seconds it has renewed within this time."""
        keeping = asyncio.ensure_future(self.keeper.keep())
        await asyncio.sleep(0)
        meanwhile()
        for _ in range(int(seconds // 60)):
            for _ in range(4):
                await asyncio.sleep(0)
            self.clock.advance(60_000)
        await asyncio.sleep(0)
        keeping.cancel()
        return self.renewals


async def test_a_certificate_is_renewed_within_an_hour_of_being_due() -> None:
    site = Site(replace(FRESH, renew_at=NOW + 7_000))
    renewed = await site.after(6 * RENEWAL_LOOK_SECONDS)
    assert len(renewed) == 1
    assert 7_000 <= renewed[0] <= 7_000 + RENEWAL_LOOK_SECONDS


async def test_one_that_lasts_is_left_alone() -> None:
    assert await Site().after(12 * 3_600) == []


async def test_an_untrusted_clock_makes_nothing_due() -> None:
    """P13: after years without power a clock may say anything."""
    assert await Site(replace(FRESH, renew_at=0), synchronised=False).after(12 * 3_600) == []


async def test_a_refusal_by_the_broker_renews_at_once_and_then_slowly() -> None:
    """P8: a broker that refuses everybody brings no storm."""
    site = Site(synchronised=False)
    site.why = "the collector does not answer"

    def refuse_for_ever() -> None:
        site.keeper.refused()
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(again()))

    async def again() -> None:
        while True:
            site.keeper.refused()
            await asyncio.sleep(0)

    renewed = await site.after(10 * RENEWAL_RETRY_SECONDS, meanwhile=refuse_for_ever)
    assert renewed[0] <= 60
    assert 5 <= len(renewed) <= 20
    assert min(later - earlier for earlier, later in pairwise(renewed)) >= RENEWAL_RETRY_SECONDS / 2


async def test_a_certificate_of_another_key_is_due() -> None:
    """A key that has replaced the old one needs its own."""
    assert len(await Site(key="bb").after(120)) == 1


async def test_what_cannot_be_read_is_said_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    assert await Site(None).after(2 * RENEWAL_LOOK_SECONDS) == []
    assert "certificate_not_renewed" in caplog.text
