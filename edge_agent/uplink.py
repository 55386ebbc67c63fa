"""The uplink: sends what waits until receipts confirm it, through any number of sessions (P7, P8).

The broker's acknowledgement means nothing here but that the next payload may go.
"""

import asyncio
import itertools
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

from edge_agent.flights import Flights
from edge_agent.limits import (
    COMMANDS_WAITING_MAX,
    DRAIN_DELAY_SECONDS_MAX,
    HEALTH_SECONDS,
    OUTAGE_SECONDS_MIN,
    PUBLISH_SECONDS_MAX,
    RECONNECT_SECONDS_MAX,
    RECONNECT_SECONDS_MIN,
    RECONNECT_STABLE_SECONDS,
    SEND_AGAIN_RANGES_MAX,
    UPLINK_BACKLOG_LINES,
    UPLINK_PAYLOAD_BYTES,
)
from edge_agent.receipts import HeardAs
from edge_agent.sealable import ForgottenContent
from edge_agent.sealed import Place
from edge_agent.spool import Spool
from shared.effects.clock import Clock
from shared.effects.link import Link, Message, Session, Will
from shared.errors import LinkError, LinkLost, Refused
from shared.key import PublicKey
from shared.limits import INTEGER_MAX, PAYLOAD_LINES_MAX
from shared.line import parse
from shared.payload import pack, unpack
from shared.receipt import Receipt, read_receipt
from shared.topic import PREFIX, Leaf, topic_of

_LOG: Final = logging.getLogger(__name__)
ONLINE: Final = b'{"state":"online"}'
OFFLINE: Final = b'{"state":"offline"}'
Obey = Callable[[bytes], Awaitable[bytes | None]]
"""Does what a command says and returns the sealed answer, or None for what deserves none."""
_RECONNECT_DOUBLINGS_MAX: Final = 10


class _Closed(Exception):
    """The farewell was said."""


class Uplink:
    """One gateway's way to the collector."""

    def __init__(
        self,
        *,
        spool: Spool,
        receipt_keys: Sequence[PublicKey],
        clock: Clock,
        link: Link,
        random: Random,
        on_contradicted: Callable[[], None],
        obey: Obey | None = None,
        on_lost: Callable[[str, Sequence[ForgottenContent]], None] = lambda _, __: None,
        health: Callable[[], Mapping[str, Any]] = dict,
        state: Callable[[], bytes] = lambda: ONLINE,
        prefix: str = PREFIX,
        drain_delay_seconds: float = DRAIN_DELAY_SECONDS_MAX,
        reconnect_seconds_max: float = RECONNECT_SECONDS_MAX,
    ) -> None:
        self._drain_delay_seconds = drain_delay_seconds
        self._reconnect_seconds_max = reconnect_seconds_max
        self._draining = False
        self._spool = spool
        self._receipt_keys = {key.id: key for key in receipt_keys}
        self._clock = clock
        self._link = link
        self._random = random
        self._on_contradicted = on_contradicted
        self._on_lost = on_lost
        self._health = health
        self._state = state
        self._state_changed = asyncio.Event()
        self._topic = {leaf: topic_of(spool.gateway, leaf, prefix) for leaf in Leaf}
        self._flights = Flights(random)
        self._asked: dict[tuple[str, str], tuple[tuple[int, int], ...]] = {}
        self._obey = obey
        self._commands: asyncio.Queue[bytes] = asyncio.Queue(COMMANDS_WAITING_MAX)
        self._again: list[tuple[str, str, int, int]] = []
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._lost_ms: int | None = None
        self._clock_offset_ms: int | None = None

    async def run(self) -> None:
        """Keep a session until `close`; raises DatabaseError and what the contradiction's handler raises."""
        failures = 0
        while not self._closing.is_set():
            began_ms = self._clock.boot_ms()
            try:
                await self._keep_session()
            except LinkError as error:
                _LOG.warning('event=link_down why="%s"', error)
            if self._closing.is_set():
                return
            now_ms = self._clock.boot_ms()
            if now_ms - began_ms >= RECONNECT_STABLE_SECONDS * 1_000:
                failures = 0
            failures += 1
            bound = min(
                self._reconnect_seconds_max, RECONNECT_SECONDS_MIN * 2.0 ** min(failures, _RECONNECT_DOUBLINGS_MAX)
            )
            await _wait(self._closing, self._random.uniform(0, bound))

    def close(self) -> None:
        """Make `run` say farewell and return."""
        self._closing.set()

    def trust(self, receipt_keys: Sequence[PublicKey]) -> None:
        """From now on these keys sign receipts."""
        self._receipt_keys = {key.id: key for key in receipt_keys}

    def send_again(self, log: str, epoch: str, first: int, last: int) -> None:
        """Send what is held of this range once more, receipted or not."""
        self._again = [*self._again, (log, epoch, first, last)][-SEND_AGAIN_RANGES_MAX:]
        self._changed.set()

    def wake(self) -> None:
        """Lines were sealed: look at the spool again."""
        self._changed.set()

    def announce(self) -> None:
        """What `state` says has changed: tell those who watch the state topic."""
        self._state_changed.set()

    async def _keep_session(self) -> None:
        will = Will(self._topic[Leaf.STATE], OFFLINE)
        async with self._link.session(will=will) as session:
            self._state_changed.clear()
            await self._publish(session, Leaf.STATE, self._state(), retain=True)
            await session.subscribe(self._topic[Leaf.RECEIPT])
            if self._obey is not None:
                await session.subscribe(self._topic[Leaf.COMMAND])
            now_ms = self._clock.boot_ms()
            drain_ms = now_ms + self._drain_delay_ms(now_ms)
            self._flights.reconnect(now_ms=drain_ms)
            _LOG.info("event=link_up waiting_lines=%d", self._spool.waiting_count)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._hear(session))
                    tasks.create_task(self._send(session, drain_ms))
                    tasks.create_task(self._tell_health(session))
                    tasks.create_task(self._tell_state(session))
                    tasks.create_task(self._say_farewell(session))
                    if self._obey is not None:
                        tasks.create_task(self._answer(session, self._obey))
            except BaseExceptionGroup as group:
                _raise_weightiest(group)
            finally:
                self._lost_ms = self._clock.boot_ms()

    def _drain_delay_ms(self, now_ms: int) -> int:
        """P8: after an outage a fleet must not come back as one."""
        if self._lost_ms is None:
            outage = self._spool.waiting_count > UPLINK_BACKLOG_LINES
        else:
            outage = now_ms - self._lost_ms >= OUTAGE_SECONDS_MIN * 1_000
        return int(self._random.uniform(0, self._drain_delay_seconds) * 1_000) if outage else 0

    async def _send(self, session: Session, drain_ms: int) -> None:
        while True:
            self._changed.clear()
            now_ms = self._clock.boot_ms()
            draining = now_ms >= drain_ms
            # A key that nobody has heard of signs in vain: what announces it goes before anything else.
            announcing = self._spool.handover.waiting(self._spool.heard_epoch)
            asked = [*announcing, *(self._asked_places() if draining else ())]
            oldest = self._spool.waiting(UPLINK_BACKLOG_LINES) if draining else []
            newest = self._spool.waiting_newest()
            self._note_drain(draining=draining)
            due = self._flights.choose(asked=asked, oldest=oldest, newest=newest, now_ms=now_ms)
            for _, payload in _payloads(self._spool, self._next_again() if draining else ()):
                await self._publish(session, Leaf.REPORT, payload)
            for places, payload in _payloads(self._spool, due):
                self._flights.send(places, newest=newest, now_ms=now_ms)
                await self._publish(session, Leaf.REPORT, payload)
            if not due and not self._again:
                until_ms = self._flights.next_due_ms((*asked, *oldest)) if draining else drain_ms
                await _wait(self._changed, None if until_ms is None else max(0, until_ms - now_ms + 1) / 1_000)

    def _note_drain(self, *, draining: bool) -> None:
        """Say when a backlog begins to leave and when it is gone."""
        waiting = self._spool.waiting_count
        if draining and not self._draining and waiting > UPLINK_BACKLOG_LINES:
            self._draining = True
            _LOG.debug("event=drain_begun waiting_lines=%d", waiting)
        elif self._draining and waiting <= 1:
            self._draining = False
            _LOG.debug("event=drain_ended waiting_lines=%d", waiting)

    def _asked_places(self) -> list[Place]:
        places: list[Place] = []
        for (log, epoch), ranges in self._asked.items():
            for first, last in ranges:
                room = UPLINK_BACKLOG_LINES - len(places)
                if room <= 0:
                    return places
                places += self._spool.waiting_within(log, epoch, first, last, room)
        return places

    async def _hear(self, session: Session) -> None:
        while True:
            message = await session.receive()
            if message.topic == self._topic[Leaf.COMMAND]:
                self._take_command(message)
            for receipt in self._receipts_in(message):
                self._follow(receipt)
            session.acknowledge(message)

    def _take_command(self, message: Message) -> None:
        # A command that was retained is of another time. P9: what there is no room for comes again.
        if message.retained or self._obey is None:
            return
        raws = unpack(message.payload)
        for raw in [] if isinstance(raws, Refused) else raws:
            if not self._commands.full():
                self._commands.put_nowait(raw)

    async def _answer(self, session: Session, obey: Obey) -> None:
        while True:
            answer = await obey(await self._commands.get())
            if answer is not None:
                await self._publish(session, Leaf.RESPONSE, answer)

    def _next_again(self) -> list[Place]:
        """The next lines that a command has asked for."""
        if not self._again:
            return []
        (log, epoch, first, last), *rest = self._again
        places = self._spool.handover.held_from(log, epoch, first, last, PAYLOAD_LINES_MAX)
        left = bool(places) and places[-1].seq < last
        self._again = [(log, epoch, places[-1].seq + 1, last), *rest] if left else rest
        return places

    def _receipts_in(self, message: Message) -> Iterator[Receipt]:
        # Some brokers mark everything that queued while the session was away as retained, so that flag says
        # nothing: `at` tells a receipt of another time (P7).
        if message.topic != self._topic[Leaf.RECEIPT]:
            return
        raws = unpack(message.payload)
        for raw in [] if isinstance(raws, Refused) else raws:
            receipt = self._verified(raw)
            if isinstance(receipt, Refused):
                _LOG.warning('event=receipt_refused why="%s"', receipt.reason)
            else:
                yield receipt

    def _verified(self, raw: bytes) -> Receipt | Refused:
        line = parse(raw)
        if isinstance(line, Refused):
            return line
        # P10: the signature first, and only then the body.
        signer = next((key for key in self._receipt_keys.values() if line.verified_by(key)), None)
        if signer is None:
            return Refused("no pinned receipt key has signed it")
        receipt = read_receipt(line)
        if isinstance(receipt, Refused):
            return receipt
        if receipt.gateway != self._spool.gateway:
            return Refused(f"it is for the gateway {receipt.gateway}")
        return receipt if receipt.key == signer.id else Refused("it names another key than the one that signed it")

    def _follow(self, receipt: Receipt) -> None:
        heard = self._spool.receive(receipt)
        if heard.meaning is HeardAs.STALE:
            return
        log, epoch, through = receipt.log, receipt.epoch, receipt.through
        self._clock_offset_ms = receipt.at - self._clock.utc_ms()
        if heard.meaning is HeardAs.CONFIRMED:
            self._flights.land(log, epoch, through)
        chain = self._spool.chain(log, epoch)
        if chain is not None and chain.contradicted:
            self._spool.rest(self._flights.answer(log, epoch, through))
        self._asked.pop((log, epoch), None)
        if receipt.missing and chain is not None:
            self._asked[log, epoch] = receipt.missing
            self._flights.hasten(self._asked_places(), now_ms=self._clock.boot_ms())
            lost = self._spool.lost(log, epoch, receipt.missing)
            if lost:
                self._on_lost(log, lost)
            if epoch != self._spool.epoch:
                self._rest_beyond_holes(receipt)
        if heard.reopened_lines:
            _LOG.warning("event=collector_restored log=%s lines=%d", log, heard.reopened_lines)
        if heard.aside_lines:
            _LOG.warning("event=lines_aside log=%s lines=%d", log, heard.aside_lines)
        if self._spool.contradicted:
            _LOG.error("event=contradicted log=%s epoch=%s through=%d", log, epoch, through)
            self._on_contradicted()
        self._changed.set()

    def _rest_beyond_holes(self, receipt: Receipt) -> None:
        """P8: what lies beyond a hole that nobody can fill any more is not sent for ever, nor does it block the rest.

        Such holes are what a damaged spool leaves. Between two holes the collector has said that it holds the
        lines; beyond the last one it has not, so those are sent often enough first. All of them stay on disk.
        """
        log, epoch, missing = receipt.log, receipt.epoch, receipt.missing
        held = [(end + 1, first - 1) for (_, end), (first, _) in itertools.pairwise(missing)]
        for first, last in held:
            self._flights.land(log, epoch, last, above=first - 1)
        beyond = self._flights.answer(log, epoch, INTEGER_MAX, above=missing[-1][1])
        self._spool.rest(beyond, held=[(log, epoch, first, last) for first, last in held])

    async def _tell_state(self, session: Session) -> None:
        while True:
            await self._state_changed.wait()
            self._state_changed.clear()
            await self._publish(session, Leaf.STATE, self._state(), retain=True)

    async def _tell_health(self, session: Session) -> None:
        while True:
            payload = json.dumps(self._health_now(), separators=(",", ":")).encode()
            await self._publish(session, Leaf.HEALTH, payload)
            await self._clock.sleep(HEALTH_SECONDS)

    def _health_now(self) -> dict[str, Any]:
        return {
            "backlog": self._spool.waiting_count,
            "oldest": self._spool.waiting_oldest_sealed_at(),
            "disk_bytes_used": self._spool.bytes_used,
            "disk_bytes_max": self._spool.bytes_max,
            "clock_offset_ms": self._clock_offset_ms,
            "last_receipt": self._spool.last_receipt_at,
            **self._health(),
        }

    async def _say_farewell(self, session: Session) -> None:
        await self._closing.wait()
        await self._publish(session, Leaf.STATE, OFFLINE, retain=True)
        raise _Closed

    async def _publish(self, session: Session, leaf: Leaf, payload: bytes, *, retain: bool = False) -> None:
        try:
            async with asyncio.timeout(PUBLISH_SECONDS_MAX):
                await session.publish(self._topic[leaf], payload, retain=retain)
        except TimeoutError:
            raise LinkLost(f"the broker did not take a message within {PUBLISH_SECONDS_MAX:.0f} seconds") from None


def _payloads(spool: Spool, places: Sequence[Place]) -> Iterator[tuple[list[Place], bytes]]:
    """The lines packed into as few payloads as the bounds allow (P9)."""
    batch: list[Place] = []
    raws: list[bytes] = []
    room = UPLINK_PAYLOAD_BYTES
    for place in places:
        raw = spool.raw(place)
        if raw is None:
            continue
        if raws and (len(raw) + 1 > room or len(raws) == PAYLOAD_LINES_MAX):
            yield batch, pack(raws)
            batch, raws, room = [], [], UPLINK_PAYLOAD_BYTES
        batch.append(place)
        raws.append(raw)
        room -= len(raw) + 1
    if raws:
        yield batch, pack(raws)


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def _raise_weightiest(group: BaseExceptionGroup[BaseException]) -> None:
    """Raise what ends the process before what ends the session; return where the farewell was said."""
    errors = [error for error in group.exceptions if not isinstance(error, (LinkError, _Closed))]
    if errors:
        raise errors[0]
    if not any(isinstance(error, _Closed) for error in group.exceptions):
        raise group.exceptions[0]
