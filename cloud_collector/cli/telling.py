"""Beside the running collector: who is to be warned, and what is on its way to them.

It has a connection of its own, so that nobody's slow web server holds up intake. What fails in a round is logged,
and the next round begins from the store.
"""

import asyncio
import logging
import os
import random
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from cloud_collector.billing.revisions import revisions
from cloud_collector.insight.alerts import alerts
from cloud_collector.insight.look import Look
from cloud_collector.insight.warnings import Notice
from cloud_collector.insight.watch import Watch
from cloud_collector.insight.wishes import wish_of
from cloud_collector.notify.deliveries import Ways, deliver_due, plan
from cloud_collector.notify.post import smtp
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.place import open_database
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.effects.clock import Clock
from shared.effects.link import Link
from shared.effects.mqtt import MqttLink
from shared.effects.web_post import web_post
from shared.errors import DatabaseError, LinkError
from shared.topic import Leaf, topic_of

REST_TIMES: Final = 4
"""Between two contracts, in a thread of its own, so many times what the last one took: where intake is busy each takes
longer, and the rest as well."""
REST_SECONDS: Final = 0.1
REST_SECONDS_MAX: Final = 1.0
_log: Final = logging.getLogger(__name__)


@asynccontextmanager
async def telling(
    settings: CollectorSettings, link: Link, clock: Clock, elected: Callable[[], bool]
) -> AsyncIterator[None]:
    """Within, thresholds are watched, and what fires is delivered: of several collectors by the elected one."""
    closing = threading.Event()
    turns = Turns(closing, clock)
    watch = watch_of(settings, rest=turns.rest)
    task = asyncio.create_task(_tell(settings, watch, turns, link, clock, elected))
    try:
        yield
    finally:
        # A round on its thread is waited for by whoever ends: it rests no more.
        closing.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Turns:
    """The watch's, beside intake, which has the processor in between. Whoever ends waits for no rest."""

    def __init__(self, closing: threading.Event, clock: Clock) -> None:
        self._closing = closing
        self._clock = clock
        self._began = clock.boot_ms()

    def begin(self) -> None:
        """A contract is looked at from now on."""
        self._began = self._clock.boot_ms()

    def rest(self) -> None:
        """It has been looked at, and the next one's turn comes after a rest."""
        took = (self._clock.boot_ms() - self._began) / 1_000
        self._closing.wait(min(max(REST_TIMES * took, REST_SECONDS), REST_SECONDS_MAX))
        self.begin()


def alert_link(settings: CollectorSettings) -> Link:
    """A way to the broker beside intake's, under the collector's own user, so that one access list lets both in."""
    user = settings.broker.username or settings.client_id
    return MqttLink(replace(settings.broker, username=user), f"{settings.client_id}-alerts", durable=False)


def ways_of(settings: CollectorSettings) -> Ways:
    """How warnings leave this machine, as it is configured."""
    mail = settings.mail
    return Ways(
        web=web_post,
        secret=lambda name: secret_of(settings, name),
        source=f"urn:meterseal:{settings.client_id}",
        post=smtp(mail, _password(mail.password_file)) if mail.host else None,
        sender=mail.sender,
        random=random.SystemRandom(),
    )


def secret_path(settings: CollectorSettings, name: str) -> Path:
    """Where a webhook's secret lies."""
    return (settings.webhooks_path or settings.store_path.with_name("webhooks")) / f"{name}.secret"


def keep_secret(settings: CollectorSettings, name: str, secret: str) -> Path:
    """A webhook's secret lies in its file, readable by its owner alone; raises OSError."""
    path = secret_path(settings, name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(secret + "\n")
    return path


def secret_of(settings: CollectorSettings, name: str) -> str | None:
    """A webhook's secret; None where it cannot be read."""
    try:
        return secret_path(settings, name).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def watch_of(settings: CollectorSettings, rest: Callable[[], object] = lambda: None) -> Watch:
    """A watch whose warnings are planned to be delivered."""
    mails = bool(settings.mail.host)

    def told(store: Store, id_: int, _: Notice, seen: Look) -> None:
        account = seen.known.terms.account
        held = revisions(store)[-1].catalog.accounts.get(account)
        plan(store, id_, account, held.email if mails and held is not None else None, now_ms=seen.as_of_ms)
        contract = revisions(store)[-1].catalog.contracts[seen.known.terms.contract]
        for address in wish_of(store, contract).mail if mails else ():
            store.run("delivery_add", id_, "email", address, seen.as_of_ms)

    return Watch(StoreView, told, rest=rest)


async def _tell(
    settings: CollectorSettings, watch: Watch, turns: Turns, link: Link, clock: Clock, elected: Callable[[], bool]
) -> None:
    ways = ways_of(settings)
    shown: dict[str, bytes] = {}
    while True:
        await clock.sleep(settings.tick_seconds)
        if not elected():
            # Another one says meanwhile what stands.
            shown.clear()
            continue
        try:
            wanted = await asyncio.to_thread(_round, settings, watch, turns, ways, clock.utc_ms())
        except DatabaseError as error:
            _log.warning('event=warnings_waiting why="%s"', error)
            continue
        except Exception:  # noqa: BLE001  the one at the top of a long-lived task
            # Whoever is not warned of one thing is warned of the next.
            _log.exception("event=warnings_failed")
            continue
        changed = {gateway: payload for gateway, payload in wanted.items() if shown.get(gateway) != payload}
        if changed:
            shown |= await _published(settings, link, changed)


def _round(settings: CollectorSettings, watch: Watch, turns: Turns, ways: Ways, now_ms: int) -> dict[str, bytes]:
    store = Store(open_database(settings), migrated=True)
    try:
        turns.begin()
        for kept in watch.round(store, now_ms):
            _log.info("event=warning contract=%s what=%s", kept.contract, kept.warning.what.value)
        for each in deliver_due(store, now_ms, ways):
            if not each.ok:
                _log.warning('event=delivery_failed way=%s to=%s why="%s"', each.way, each.target, each.why)
        return alerts(store, now_ms)
    finally:
        store.close()


async def _published(settings: CollectorSettings, link: Link, changed: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the broker has taken; the rest is tried again in the next round."""
    taken: dict[str, bytes] = {}
    try:
        async with link.session() as session:
            for gateway, payload in changed.items():
                await session.publish(topic_of(gateway, Leaf.ALERT, settings.prefix), payload, retain=True)
                taken[gateway] = payload
    except LinkError as error:
        _log.warning('event=alerts_waiting why="%s"', error)
    return taken


def _password(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        # The server's refusal will say it, at every try, in the delivery's log.
        return None
