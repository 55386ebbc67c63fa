"""Keeps Home Assistant informed through the site's own broker; nothing that is metered depends on it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from edge_agent.home_assistant import (
    OFFLINE,
    ONLINE,
    HomeAssistantSettings,
    alert_topic,
    availability_topic,
    discovered,
    states,
)
from shared.effects.clock import Clock
from shared.effects.link import Link, Session, Will
from shared.errors import LinkError

_LOG: Final = logging.getLogger(__name__)
RETRY_SECONDS: Final = 30.0
FAREWELL_SECONDS: Final = 2.0
ALERT_BYTES_MAX: Final = 16 * 1024
"""A warning that is longer is not passed on."""


class HomeLink:
    """Publishes what `status` says: configurations when they change, registers often, warnings as they come."""

    def __init__(
        self, settings: HomeAssistantSettings, link: Link, clock: Clock, standing: Callable[[], dict[str, Any]]
    ) -> None:
        self._settings = settings
        self._link = link
        self._clock = clock
        self._standing = standing
        self._alert: bytes | None = None
        self._woken = asyncio.Event()
        self._configs: dict[str, bytes] = {}

    def pass_on(self, alert: bytes) -> None:
        """A warning of the collector's, as it came; an empty one takes it back."""
        if len(alert) <= ALERT_BYTES_MAX:
            self._alert = alert
            self._woken.set()

    async def run(self) -> None:
        """Keep a session until cancelled; a broker that is away is tried again."""
        while not (status := self._standing()):
            await self._clock.sleep(1.0)
        gateway = status["gateway"]
        availability = availability_topic(self._settings, gateway)
        while True:
            try:
                async with self._link.session(will=Will(availability, OFFLINE)) as session:
                    _LOG.info("event=home_assistant_up")
                    try:
                        await self._keep(session, gateway)
                    finally:
                        async with asyncio.timeout(FAREWELL_SECONDS):
                            await session.publish(availability, OFFLINE, retain=True)
            except (LinkError, TimeoutError) as error:
                _LOG.warning('event=home_assistant_down why="%s"', error)
            await self._clock.sleep(RETRY_SECONDS)

    async def _keep(self, session: Session, gateway: str) -> None:
        known: dict[str, bytes] = {}
        await session.publish(availability_topic(self._settings, gateway), ONLINE, retain=True)
        while True:
            self._woken.clear()
            status = self._standing()
            if status:
                configs = discovered(self._settings, status)
                # What is no longer metered is taken back by an empty configuration.
                for topic in self._configs.keys() - configs.keys():
                    await session.publish(topic, b"", retain=True)
                for topic, payload in configs.items():
                    if known.get(topic) != payload:
                        await session.publish(topic, payload, retain=True)
                known = self._configs = configs
                for topic, payload in states(self._settings, status):
                    await session.publish(topic, payload, retain=True)
            if self._alert is not None:
                await session.publish(alert_topic(self._settings, gateway), self._alert, retain=True)
                self._alert = None
            try:
                async with asyncio.timeout(self._settings.publish_seconds):
                    await self._woken.wait()
            except TimeoutError:
                pass
