"""P7, P8, P10: what waits is sent until receipts that verify confirm it, and broker faults only delay."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from edge_agent.limits import (
    DRAIN_DELAY_SECONDS_MAX,
    PUBLISH_SECONDS_MAX,
    RECONNECT_SECONDS_MAX,
    RESEND_SECONDS_MIN,
)
from edge_agent.sealed import Place
from edge_agent.spool import Spool
from edge_agent.uplink import OFFLINE, ONLINE, Uplink
from shared.errors import DatabaseFailed
from shared.key import SigningKey
from shared.line import hash_of
from shared.receipt import seal_receipt
from shared.topic import Leaf, topic_of
from tests.spools import COLLECTOR_KEY, GATEWAY, birth, held_hash, open_spool, receipt, usage
from tests.wire import VirtualClock, Wire, run


class Bench:
    """A spool with lines, an uplink on it, and the wire."""

    def __init__(self, path: Path, lines: int) -> None:
        self.spool: Spool = open_spool(path)
        self.wire = Wire()
        self.contradictions = 0
        self.spool.seal([birth(), *(usage(number) for number in range(lines - 1))], {})
        self.uplink = Uplink(
            spool=self.spool,
            receipt_keys=[COLLECTOR_KEY.public],
            clock=VirtualClock(),
            link=self.wire,
            random=Random(1),
            on_contradicted=self._contradict,
            health=lambda: {"rss_bytes": 1},
        )

    def _contradict(self) -> None:
        self.contradictions += 1
        self.spool.begin_epoch([birth()], {}, random=Random(9))

    def seal(self, number: int) -> None:
        self.spool.seal([usage(number)], {})
        self.uplink.wake()

    def sent_seqs(self, since: int = 0) -> list[list[int]]:
        return [[_seq(line) for line in lines] for _, lines in self.wire.reports()[since:]]


def _seq(line: bytes) -> int:
    return int(json.loads(line.split(b"|")[1])["seq"])


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Bench]:
    task = asyncio.create_task(bench.uplink.run())
    await asyncio.sleep(0.1)
    yield bench
    task.cancel()


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[int], Bench]:
    return lambda lines: Bench(tmp_path / "spool.db", lines)


Make = Callable[[int], Bench]


def test_a_session_says_online_leaves_a_will_and_listens_for_receipts(bench: Make) -> None:
    async def story() -> None:
        async with running(bench(1)) as b:
            assert b.wire.states() == [ONLINE]
            will = b.wire.wills[0]
            assert will is not None
            assert (will.topic, will.payload) == (topic_of(GATEWAY, Leaf.STATE), OFFLINE)
            assert b.wire.subscribed == [topic_of(GATEWAY, Leaf.RECEIPT)]

    run(story())


def test_the_backlog_goes_out_packed_in_one_payload_and_drains_receipt_by_receipt(bench: Make) -> None:
    async def story() -> None:
        async with running(bench(100)) as b:
            while len(b.wire.reports()) < 2:  # noqa: ASYNC110 - virtual time.
                await asyncio.sleep(0.1)
            for at, through in enumerate((31, 62, 93), 1):
                b.wire.answer(receipt(b.spool, through, at=at))
                await asyncio.sleep(0.1)
            windows = [[100], [*range(1, 32)], [*range(32, 63)], [*range(63, 94)], [*range(94, 100)]]
            assert b.sent_seqs() == windows
            b.wire.answer(receipt(b.spool, 100, at=9))
            await asyncio.sleep(0.1)
            assert b.spool.waiting_count == 0

    run(story())


def test_the_brokers_acknowledgement_confirms_nothing(bench: Make) -> None:
    async def story() -> None:
        async with running(bench(3)) as b:
            await asyncio.sleep(3_600)
            assert b.spool.waiting_count == 3
            assert len(b.wire.reports()) > 3

    run(story())


def test_without_receipts_resends_thin_out(bench: Make) -> None:
    async def story() -> None:
        async with running(bench(3)) as b:
            await asyncio.sleep(6 * 3_600)
            assert sum(len(lines) for _, lines in b.wire.reports()) < 3 * 100

    run(story())


def test_a_new_line_is_published_at_once_even_behind_a_full_window(bench: Make) -> None:
    async def story() -> None:
        async with running(bench(200)) as b:
            await asyncio.sleep(DRAIN_DELAY_SECONDS_MAX + 1)
            before = len(b.wire.reports())
            b.seal(500)
            await asyncio.sleep(0.05)
            assert b.sent_seqs(before) == [[201]]

    run(story())


def test_what_the_collector_misses_is_sent_first(bench: Make) -> None:
    async def story() -> None:
        async with running(bench(300)) as b:
            await asyncio.sleep(DRAIN_DELAY_SECONDS_MAX + 1)
            before = len(b.wire.reports())
            b.wire.answer(receipt(b.spool, 2, at=1, missing=((150, 151), (170, 170))))
            await asyncio.sleep(0.1)
            assert b.sent_seqs(before)[0][:3] == [150, 151, 170]

    run(story())


def test_receipts_are_followed_only_when_everything_about_them_is_right(bench: Make) -> None:
    async def story() -> None:
        async with running(bench(3)) as b:
            good = receipt(b.spool, 3, at=10)
            stranger = SigningKey(b"x" * 32)
            sealed = seal_receipt(good, COLLECTOR_KEY)
            b.wire.deliver(seal_receipt(replace(good, key=stranger.public.id), stranger))
            b.wire.deliver(seal_receipt(replace(good, gateway="gw-2"), COLLECTOR_KEY))
            b.wire.deliver(sealed.replace(b'"at":10', b'"at":11'))
            b.wire.deliver(sealed, leaf=Leaf.COMMAND)
            b.wire.deliver(b"")
            b.wire.deliver(b"\x78rubbish")
            await asyncio.sleep(1)
            assert b.spool.waiting_count == 3
            assert len(b.wire.acknowledged) == 6, "a poison message must not come again for ever"
            # amqtt marks everything that queued while the gateway was away as retained.
            b.wire.deliver(sealed, retained=True)
            await asyncio.sleep(1)
            assert b.spool.waiting_count == 0

    run(story())


def test_a_contradiction_begins_a_new_epoch_at_once_and_old_lines_rest_in_the_end(bench: Make) -> None:
    async def story() -> None:
        async with running(bench(3)) as b:
            old, other = b.spool.epoch, hash_of(b"another")
            b.wire.answer(receipt(b.spool, 9, head=other, at=1))
            await asyncio.sleep(0.1)
            assert b.contradictions == 1
            assert b.spool.epoch != old
            for at in range(2, 60):
                b.wire.answer(receipt(b.spool, 9, head=other, epoch=old, at=at))
                await asyncio.sleep(RESEND_SECONDS_MIN)
            assert b.contradictions == 1
            assert [place.epoch for place in b.spool.waiting(9)] == [b.spool.epoch]

    run(story())


def test_beyond_a_hole_that_nobody_can_fill_lines_rest_on_disk_and_block_nothing(bench: Make) -> None:
    """P8: a damaged spool leaves such holes; what lies beyond is never confirmed and must not hold up the rest."""

    async def story() -> None:
        b = bench(100)
        old = b.spool.epoch
        b.spool._database.execute("delete from line where seq in (5, 6)")
        b.spool.begin_epoch([birth()], {}, random=Random(9))
        async with running(b):
            head = held_hash(b.spool, "main", old, 4)
            for at in range(1, 200):
                b.wire.answer(receipt(b.spool, 4, head=head, epoch=old, missing=((5, 6), (90, 90)), at=at))
                await asyncio.sleep(RESEND_SECONDS_MIN)
            sent = {seq for seqs in b.sent_seqs() for seq in seqs}
            assert {90, *range(91, 101)} <= sent, "what the collector lacks, or has not said that it holds, was sent"
            waiting = {(place.epoch, place.seq) for place in b.spool.waiting(200)}
            assert waiting == {(old, 90), (b.spool.epoch, 1)}, "the collector asks for 90, and the new epoch goes on"
            assert b.spool.raw(Place("main", old, 50)) is not None, "nothing is deleted without a receipt (P7)"
            b.wire.answer(receipt(b.spool, 2, head=held_hash(b.spool, "main", old, 2), epoch=old, at=500))
            await asyncio.sleep(1)
            assert b.spool.waiting_count > 90, "a restored collector gets all of it again (P22)"

    run(story())


def test_a_fleet_does_not_come_back_from_an_outage_as_one(bench: Make) -> None:
    async def story() -> None:
        async with running(bench(100)) as b:
            await asyncio.sleep(100)
            b.wire.cut()
            await asyncio.sleep(3_600)
            before = len(b.wire.reports())
            b.seal(500)
            b.wire.up = True
            while len(b.wire.states()) < 2:  # noqa: ASYNC110 - virtual time.
                await asyncio.sleep(0.1)
            up = asyncio.get_running_loop().time()
            await asyncio.sleep(DRAIN_DELAY_SECONDS_MAX + 90)
            times = [at - up for at, _ in b.wire.reports()[before:]]
            assert b.sent_seqs(before)[0] == [101], "the newest says at once that the gateway lives"
            assert times[0] < 1
            assert times[1] > 1
            assert sorted({seq for seqs in b.sent_seqs(before) for seq in seqs})[:31] == [*range(1, 32)]

    run(story())


def test_reconnecting_backs_off_and_starts_over_only_after_a_stable_session(bench: Make) -> None:
    async def story() -> None:
        b = bench(1)
        b.wire.up = False
        async with running(b):
            await asyncio.sleep(4 * 3_600)
            gaps = [later - earlier for earlier, later in zip(b.wire.sessions, b.wire.sessions[1:], strict=False)]
            assert max(gaps) <= RECONNECT_SECONDS_MAX + 1
            assert 50 < len(gaps) < 250
            b.wire.up = True
            await asyncio.sleep(RECONNECT_SECONDS_MAX + 1)
            await asyncio.sleep(600)
            count = len(b.wire.sessions)
            b.wire.cut()
            await asyncio.sleep(30)
            assert len(b.wire.sessions) > count + 1

    run(story())


def test_a_broker_that_stops_answering_costs_the_session_not_the_lines(bench: Make) -> None:
    async def story() -> None:
        async with running(bench(2)) as b:
            b.wire.takes = False
            b.seal(7)
            await asyncio.sleep(PUBLISH_SECONDS_MAX + 10)
            assert len(b.wire.sessions) > 1
            b.wire.takes = True
            await asyncio.sleep(120)
            assert {3} <= {seq for seqs in b.sent_seqs() for seq in seqs}

    run(story())


def test_health_is_told_every_minute(bench: Make) -> None:
    async def story() -> None:
        async with running(bench(2)) as b:
            b.wire.answer(receipt(b.spool, 1, at=1_800_000_005_000))
            await asyncio.sleep(301)
            told = [json.loads(payload) for _, topic, payload, _ in b.wire.published if topic.endswith("/health")]
            assert len(told) == 6
            assert told[-1]["backlog"] == 1
            assert told[-1]["oldest"] == 1_800_000_060
            assert told[-1]["last_receipt"] == 1_800_000_005_000
            assert told[-1]["rss_bytes"] == 1
            assert 4_000 < told[-1]["clock_offset_ms"] < 5_000
            assert told[-1]["disk_bytes_used"] <= told[-1]["disk_bytes_max"]

    run(story())


def test_closing_says_offline_and_returns(bench: Make) -> None:
    async def story() -> None:
        b = bench(2)
        task = asyncio.create_task(b.uplink.run())
        await asyncio.sleep(10)
        b.uplink.close()
        await task
        assert b.wire.states() == [ONLINE, OFFLINE]

    run(story())


def test_a_disk_that_fails_ends_the_uplink_with_its_error(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        b = bench(2)
        task = asyncio.create_task(b.uplink.run())
        await asyncio.sleep(1)

        def fail(*_: object) -> None:
            raise DatabaseFailed("input or output error")

        monkeypatch.setattr(b.spool, "receive", fail)
        b.wire.answer(receipt(b.spool, 1, at=1))
        with pytest.raises(DatabaseFailed):
            await task

    run(story())
