"""Keeps this gateway's certificate from ending: renewed in time, and when the broker refuses it (P8, P13).

Decides only when; how is handed in. A clock that nobody has set says nothing about time, but a broker's
refusal does.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from edge_agent.enrolment import Enrolment
from edge_agent.limits import RENEWAL_LOOK_SECONDS, RENEWAL_RETRY_SECONDS
from shared.effects.clock import Clock
from shared.errors import MetersealError

_LOG: Final = logging.getLogger(__name__)


class CertificateKeeper:
    """`read` says what is on disk, `key_id` which key signs now, `renew` returns why not, or nothing."""

    def __init__(
        self,
        *,
        clock: Clock,
        random: Random,
        read: Callable[[], Enrolment],
        key_id: Callable[[], str],
        renew: Callable[[], Awaitable[str]],
    ) -> None:
        self._clock = clock
        self._random = random
        self._read = read
        self._key_id = key_id
        self._renew = renew
        self._refused = asyncio.Event()

    def refused(self) -> None:
        """The broker does not take the certificate."""
        self._refused.set()

    async def keep(self) -> None:
        """Look once an hour, and when the broker refuses; never return."""
        while True:
            if self._refused.is_set() or self._due():
                self._refused.clear()
                await self._try()
                # P8: a broker that refuses a whole fleet must not bring all of it to the collector's door at once.
                await self._clock.sleep(RENEWAL_RETRY_SECONDS * self._random.uniform(0.5, 1.5))
            else:
                await self._rest()

    async def _try(self) -> None:
        why = await self._renew()
        if why:
            _LOG.warning('event=certificate_not_renewed why="%s"', why)
        else:
            _LOG.info("event=certificate_renewed")

    def _due(self) -> bool:
        try:
            enrolment = self._read()
            if enrolment.key != self._key_id():
                return True
        except MetersealError as error:
            _LOG.warning('event=certificate_not_renewed why="%s"', error)
            return False
        # P13: what an untrusted clock says of dates is not believed.
        return self._clock.synchronised() and self._clock.utc_ms() >= enrolment.renew_at * 1_000

    async def _rest(self) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(RENEWAL_LOOK_SECONDS))
        refused = asyncio.ensure_future(self._refused.wait())
        try:
            await asyncio.wait({sleeping, refused}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            refused.cancel()
