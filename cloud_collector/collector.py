"""The collector's orchestrator: wiring, tasks, shutdown; no rule lives here."""

import asyncio
import hashlib
import logging
import random as random_module
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, TypeVar

from cloud_collector.ingest.sealing import OwnLogs
from cloud_collector.intake.batch import Inbox
from cloud_collector.intake.intake import Intake, Outcome
from cloud_collector.intake.outbox import Outbox
from cloud_collector.intake.parting import Parting
from cloud_collector.intake.receipts import FindKey
from cloud_collector.limits import BUSY_RETRIES_MAX, TOPIC_CHARS_MAX
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.clock import Clock
from shared.effects.link import Link, Message, Session
from shared.effects.workers import Workers
from shared.errors import DatabaseBusy, LinkError, LinkLost
from shared.key import SigningKey
from shared.limits import RECEIPT_REPEAT_SECONDS
from shared.topic import GROUP, Leaf, filter_of

Chore = Callable[[Store, int], object]
"""What a tick does besides intake's own: `(store, now in milliseconds)`, on the workers, one at a time."""
STABLE_SECONDS: Final = 120
"""A session that lived this long ends the backoff."""

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger("meterseal.collector")


def group_of(settings: CollectorSettings, key: SigningKey) -> str:
    """Those with whom this collector takes turns; empty where it is alone.

    P21: a broker that goes by an access list lets any gateway join a group whose name it knows, and what falls to it
    is lost to everybody until it is sent again. A name that only holders of the receipt key can say is not joined.
    """
    if not settings.shared_subscription:
        return ""
    if settings.shared_group == GROUP:
        return GROUP
    drawn = hashlib.sha256(b"meterseal shared group " + key.seed).hexdigest()
    return f"{GROUP}-{drawn[:16]}"


class Collector:
    """Takes what arrives into the store and answers with receipts, until stopped.

    `verdicts` counts by verdict's name. A failing database ends `run` with its DatabaseError:
    DatabaseFull means exit 75. Nothing that was not committed has been acknowledged (P6).
    """

    def __init__(
        self,
        settings: CollectorSettings,
        *,
        key: SigningKey,
        store: Store,
        clock: Clock,
        link: Link,
        workers: Workers,
        random: random_module.Random,
        chores: Sequence[Chore] = (),
        find_key: FindKey = lambda _: None,
        holder: int = 1,
        own: OwnLogs | None = None,
    ) -> None:
        """`holder` is a number that no other collector on the same store has; `own` are logs that are sealed here."""
        self.verdicts: Counter[str] = Counter()
        self.connected = False
        self.rounds = 0
        """Batches and ticks that are done: while this moves, the store answers."""
        self.elected = False
        """Whether this collector does what is due; without others it always does."""
        self._settings = settings
        self._group = group_of(settings, key)
        self._store = store
        self._clock = clock
        self._link = link
        self._workers = workers
        self._random = random
        self._chores = tuple(chores)
        self._intake = Intake(store, settings, key, find_key, holder=holder)
        self._own = own
        self._parting = Parting()
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._owing = asyncio.Event()
        self._inbox: Inbox | None = None
        self._outbox: Outbox | None = None
        self._holes_at = 0

    async def run(self) -> None:
        """Take until `stop`; reconnect with backoff and full jitter; raises DatabaseError."""
        await self._take_own(self._clock.utc_ms())
        failures = 0
        while not self._stopping.is_set():
            began = self._clock.boot_ms()
            try:
                async with self._link.session() as session:
                    for leaf in (Leaf.REPORT, Leaf.RESPONSE):
                        await session.subscribe(filter_of(leaf, self._settings.prefix, group=self._group))
                    await self._serve(session)
            except LinkError as error:
                _log.warning('event=link_down why="%s"', error)
            if self._clock.boot_ms() - began >= STABLE_SECONDS * 1000:
                failures = 0
            failures += 1
            await self._pause(self._backoff(failures))

    def stop(self) -> None:
        """Let `run` finish its batch and return."""
        self._stopping.set()
        if self._inbox is not None:
            self._inbox.wake()

    async def tick(self, now_ms: int) -> None:
        """Do what is due now: decisions, commands, receipts of logs with holes, then the chores in their order.

        Of several collectors on one store the database elects the one that does it; when that one is gone, another.
        """
        await self._in_store(self._intake.follow_decisions)
        elected = (await self._in_store(self._store.rows, "scheduler_take"))[0][0]
        if elected != self.elected:
            _log.info("event=scheduler elected=%s", "yes" if elected else "no")
            self.elected = bool(elected)
        if not elected:
            self.rounds += 1
            return
        await self._take_own(now_ms)
        outbox = self._outbox
        if outbox is not None:
            outbox.put_commands(await self._in_store(self._intake.take_commands, now_ms))
        if outbox is not None and now_ms - self._holes_at >= self._settings.holes_seconds * 1000:
            self._holes_at = now_ms
            outbox.put(await self._in_store(self._intake.answer_holes, now_ms))
        for chore in self._chores:
            await self._in_store(chore, self._store, now_ms)
        self.rounds += 1

    async def _serve(self, session: Session) -> None:
        inbox, outbox = Inbox(session), Outbox(session, self._settings.prefix)
        self._inbox, self._outbox = inbox, outbox
        self.connected = True
        _log.info("event=link_up")
        beside = [
            asyncio.ensure_future(task) for task in (inbox.fill(), self._publish(inbox, outbox), self._wake(inbox))
        ]
        try:
            while not self._stopping.is_set():
                messages = await inbox.batch(
                    self._clock, most=self._settings.batch_messages, milliseconds=self._settings.batch_milliseconds
                )
                if messages:
                    await self._take(session, messages, outbox)
                elif inbox.lost is not None:
                    raise inbox.lost
                if self._intake.owes:
                    outbox.put(await self._in_store(self._intake.answer_owed, self._clock.utc_ms()))
                if self._intake.owes:
                    self._owing.set()
        finally:
            self.connected = False
            self._inbox = self._outbox = None
            for task in beside:
                task.cancel()
            # What a task died of beside the link's end is a fault of ours and must be heard.
            for ended in await asyncio.gather(*beside, return_exceptions=True):
                if isinstance(ended, Exception):
                    _log.error("event=task_ended", exc_info=ended)

    async def _take(self, session: Session, messages: list[Message], outbox: Outbox) -> None:
        async def take(part: Sequence[Message]) -> None:
            # Retained or not: some brokers mark what queued while the session was away, a position is taken once (P5).
            raw = [(message.topic, message.payload) for message in part]
            keys = await self._in_store(self._intake.keys_for, [topic for topic, _ in raw])
            admitted = await self._workers.run(self._intake.open, raw, keys)
            _log.debug("event=commit_begun messages=%d", len(part))
            outcome = await self._in_store(self._intake.commit, admitted, self._clock.utc_ms())
            _log.debug("event=commit_ended lines=%d", len(outcome.verdicts))
            done(part, outcome)

        async def set_apart(message: Message, error: Exception) -> None:
            topic = ascii(message.topic[:TOPIC_CHARS_MAX])
            _log.error("event=message_set_apart topic=%s", topic, exc_info=error)
            told = message.topic, message.payload, error
            done([message], await self._in_store(self._intake.set_apart, *told, self._clock.utc_ms()))

        def done(part: Sequence[Message], outcome: Outcome) -> None:
            self.verdicts.update(outcome.counts())
            # P6: acknowledged, and receipts published, only after the commit.
            for message in part:
                session.acknowledge(message)
            outbox.put(outcome.receipts)

        await self._parting.take(messages, take, set_apart)
        self.rounds += 1

    async def _take_own(self, now_ms: int) -> None:
        """What is sealed here passes through intake as what came from the broker does; its receipts stay here."""
        if self._own is None:
            return
        raw = await self._in_store(self._own.due, self._store, now_ms)
        if not raw:
            return
        keys = await self._in_store(self._intake.keys_for, [topic for topic, _ in raw])
        admitted = await self._workers.run(self._intake.open, raw, keys)
        outcome = await self._in_store(self._intake.commit, admitted, now_ms)
        self.verdicts.update(outcome.counts())
        await self._in_store(self._own.settle, self._store, outcome.receipts)

    async def _publish(self, inbox: Inbox, outbox: Outbox) -> None:
        try:
            await outbox.drain()
        except LinkLost as error:
            # A session that takes no receipts is of no use for reports either (P8).
            inbox.end(error)

    async def _in_store(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run what touches the store, one call at a time; wait where another process holds it."""
        async with self._turn:
            for _ in range(BUSY_RETRIES_MAX):
                try:
                    return await self._alone(function, *args, **kwargs)
                except DatabaseBusy as error:
                    _log.warning('event=store_busy why="%s"', error)
                    await self._clock.sleep(1.0)
            return await self._alone(function, *args, **kwargs)

    async def _alone(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        job = asyncio.ensure_future(self._workers.run(function, *args, **kwargs))
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            # A transaction on a thread is not left to run beside the next one.
            await asyncio.wait({job})
            raise

    async def _wake(self, inbox: Inbox) -> None:
        while True:
            await self._owing.wait()
            self._owing.clear()
            await self._clock.sleep(RECEIPT_REPEAT_SECONDS)
            inbox.wake()

    async def _pause(self, seconds: float) -> None:
        if self._stopping.is_set():
            return
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        sleeping.cancel()
        stopping.cancel()

    def _backoff(self, failures: int) -> float:
        most = min(
            self._settings.reconnect_seconds_max, self._settings.reconnect_seconds_min * 2.0 ** min(failures, 16)
        )
        return self._random.uniform(0.0, most)
