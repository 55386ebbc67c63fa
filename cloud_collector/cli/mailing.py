"""Alarms by e-mail, beside the collector: its store is never held while a mail server thinks."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from cloud_collector.notify.alarm_letter import SHOWN_MAX, alarm_letter
from cloud_collector.notify.letter import NoAddress
from cloud_collector.notify.post import Fate, Post, smtp
from cloud_collector.settings import CollectorSettings, MailSettings
from cloud_collector.store.place import open_database
from cloud_collector.store.store import Store
from cloud_collector.upkeep.incidents import tell, untold_incidents
from shared.effects.clock import Clock
from shared.errors import DatabaseError

_log: Final = logging.getLogger(__name__)


@asynccontextmanager
async def mailing(known: CollectorSettings, clock: Clock) -> AsyncIterator[None]:
    """Within, whoever is to be told of alarms is; without an address or a mail server, nobody."""
    if not known.alarms.recipients or not known.mail.host:
        yield
        return
    task = asyncio.ensure_future(_mail(known, clock))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def mail_once(known: CollectorSettings, store: Store, post: Post, now_ms: int) -> str | None:
    """What nobody was told yet is told; why it could not be, or None. It is told again until the server takes it."""
    waiting = untold_incidents(store, 4 * SHOWN_MAX)
    if not waiting:
        return None
    try:
        message = alarm_letter(
            waiting,
            sender=known.mail.sender,
            recipients=known.alarms.recipients,
            now_ms=now_ms,
            name=known.client_id.lstrip("_"),
        )
    except NoAddress as error:
        return str(error)
    outcome = post(message)
    # One that may have arrived is not sent again: it would be sent for ever where the server is slow to answer.
    if outcome.fate is not Fate.REFUSED:
        tell(store, waiting, now_ms)
    return None if outcome.fate is Fate.SENT else outcome.why


def password_of(mail: MailSettings) -> str | None:
    """The password of the server's name, where there is one; raises OSError and UnicodeDecodeError."""
    return None if mail.password_file is None else mail.password_file.read_text(encoding="utf-8").strip()


async def _mail(known: CollectorSettings, clock: Clock) -> None:
    said = None
    while True:
        await clock.sleep(max(known.alarms.look_seconds, 1) / 2)
        why = await asyncio.to_thread(_once, known, clock)
        if why is not None and why != said:
            _log.warning('event=alarms_not_mailed why="%s"', why)
        said = why


def _once(known: CollectorSettings, clock: Clock) -> str | None:
    try:
        store = Store(open_database(known), migrated=True)
        try:
            return mail_once(known, store, smtp(known.mail, password_of(known.mail)), clock.utc_ms())
        finally:
            store.close()
    except (DatabaseError, OSError, UnicodeDecodeError) as error:
        return str(error)
