"""One suite for the real and the in-memory implementation of each effect: Clock, Link, Database, Workers.

The suite of Link is a class without tests of its own kind: Mosquitto runs it in
`tests/system/test_link_mosquitto.py`.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import aiomqtt
import paho.mqtt.client as paho
import pytest

from shared.effects.clock import Clock, SystemClock
from shared.effects.link import Link, Message, Session, Will
from shared.effects.memory import MemoryBroker, MemoryLink, SimpleClock, matches
from shared.effects.sqlite import SqliteDatabase
from shared.effects.wire import Wire
from shared.effects.workers import InlineWorkers, ThreadWorkers, Workers
from shared.errors import (
    DatabaseBusy,
    DatabaseCorrupt,
    DatabaseError,
    DatabaseFailed,
    DatabaseFull,
    LinkLost,
    LinkRefused,
)
from tests.brokers import Amqtt, amqtt_broker
from tests.requirements import require

PATIENCE = 10.0


async def received(session: Session, count: int, *, acknowledge: bool = True) -> list[Message]:
    """The next `count` messages."""
    messages = []
    for _ in range(count):
        message = await asyncio.wait_for(session.receive(), PATIENCE)
        if acknowledge:
            session.acknowledge(message)
        messages.append(message)
    return messages


async def silence(session: Session, seconds: float = 0.15) -> None:
    """Nothing arrives for a moment."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(session.receive(), seconds)


class Broker(Protocol):
    """What the suite asks of a broker."""

    healthy_redelivery: bool
    shares: bool

    def link(self, name: str) -> Link:
        """A link under a client name, which is also the user's."""

    async def cut(self, name: str) -> None:
        """End a client's connection without a farewell."""


class LinkContract:
    """What every Link keeps, whatever broker it speaks to."""

    async def test_a_message_reaches_a_subscriber_and_is_acknowledged_once(self, broker: Broker) -> None:
        """P5, P6: what is acknowledged does not come again."""
        async with broker.link("b").session() as b:
            await b.subscribe("t/+/report")
            async with broker.link("a").session() as a:
                await a.publish("t/a/report", b"one")
                await a.publish("t/a/other", b"not for b")
                await a.publish("t/a/report", b"two")
            first, second = await received(b, 2)
            assert (first.topic, first.payload, first.retained) == ("t/a/report", b"one", False)
            assert second.payload == b"two"
        async with broker.link("b").session() as b:
            await silence(b)

    async def test_an_unacknowledged_message_comes_again_in_the_next_session(self, broker: Broker) -> None:
        """P6: a crash before the commit loses nothing."""
        if not broker.healthy_redelivery:
            pytest.skip("amqtt loses unacknowledged messages on reconnect; receipts heal it")
        async with broker.link("b").session() as b:
            await b.subscribe("t/#")
            async with broker.link("a").session() as a:
                for number in range(4):
                    await a.publish("t/x", b"%d" % number)
            first, *_ = await received(b, 4, acknowledge=False)
            b.acknowledge(first)
        async with broker.link("b").session() as b:
            assert [message.payload for message in await received(b, 3)] == [b"1", b"2", b"3"]
            await silence(b)

    async def test_an_acknowledgement_of_a_session_that_is_over_does_nothing(self, broker: Broker) -> None:
        """P6: a late commit of an old session never acknowledges a new delivery."""
        if not broker.healthy_redelivery:
            pytest.skip("amqtt loses unacknowledged messages on reconnect; receipts heal it")
        async with broker.link("b").session() as b:
            await b.subscribe("t/#")
            async with broker.link("a").session() as a:
                await a.publish("t/x", b"late")
            (message,) = await received(b, 1, acknowledge=False)
        async with broker.link("b").session() as again:
            again.acknowledge(message)
            b.acknowledge(message)
            assert (await received(again, 1))[0].payload == b"late"

    async def test_messages_wait_in_order_for_a_named_client(self, broker: Broker) -> None:
        async with broker.link("b").session() as b:
            await b.subscribe("t/#")
        async with broker.link("a").session() as a:
            for number in range(20):
                await a.publish("t/x", b"%d" % number)
        async with broker.link("b").session() as b:
            assert [int(message.payload) for message in await received(b, 20)] == list(range(20))

    async def test_a_retained_message_is_kept_replaced_and_cleared(self, broker: Broker) -> None:
        async with broker.link("a").session() as a:
            await a.publish("t/a/state", b"old", retain=True)
            await a.publish("t/a/state", b"new", retain=True)
            await a.publish("t/b/state", b"gone", retain=True)
            await a.publish("t/b/state", b"", retain=True)
        async with broker.link("late").session() as late:
            await late.subscribe("t/+/state")
            (message,) = await received(late, 1)
            assert (message.payload, message.retained) == (b"new", True)
            await silence(late)

    async def test_a_will_is_published_when_a_connection_breaks_and_not_after_a_farewell(self, broker: Broker) -> None:
        async with broker.link("watch").session() as watch:
            await watch.subscribe("t/+/state")
            async with broker.link("polite").session(will=Will("t/polite/state", b"dead")):
                pass
            async with broker.link("broken").session(will=Will("t/broken/state", b"dead")) as broken:
                await broker.cut("broken")
                with pytest.raises(LinkLost):
                    await asyncio.wait_for(broken.receive(), PATIENCE)
            (message,) = await received(watch, 1)
            assert (message.topic, message.payload) == ("t/broken/state", b"dead")
            await silence(watch)

    async def test_a_broken_session_says_so_to_everyone_who_waits(self, broker: Broker) -> None:
        async with broker.link("a").session() as a:
            waiting = asyncio.ensure_future(a.receive())
            await asyncio.sleep(0)
            await broker.cut("a")
            with pytest.raises(LinkLost):
                await asyncio.wait_for(waiting, PATIENCE)
            with pytest.raises(LinkLost):
                await asyncio.wait_for(a.subscribe("t/x"), PATIENCE)
            with pytest.raises(LinkLost):
                await asyncio.wait_for(a.publish("t/x", b""), PATIENCE)

    async def test_a_second_client_of_the_same_name_takes_over(self, broker: Broker) -> None:
        async with broker.link("a").session() as first:
            waiting = asyncio.ensure_future(first.receive())
            await asyncio.sleep(0)
            async with broker.link("a").session() as second:
                with pytest.raises(LinkLost):
                    await asyncio.wait_for(waiting, PATIENCE)
                await second.publish("t/x", b"alive")

    async def test_subscribers_of_a_share_take_turns(self, broker: Broker) -> None:
        if not broker.shares:
            pytest.skip("amqtt grants $share and never delivers")
        async with broker.link("c1").session() as one, broker.link("c2").session() as two:
            await one.subscribe("$share/collectors/t/+/report")
            await two.subscribe("$share/collectors/t/+/report")
            async with broker.link("a").session() as a:
                for number in range(10):
                    await a.publish("t/a/report", b"%d" % number)
            mine, yours = await received(one, 5), await received(two, 5)
            assert sorted(int(message.payload) for message in mine + yours) == list(range(10))

    async def test_an_unreliable_message_needs_no_acknowledgement(self, broker: Broker) -> None:
        async with broker.link("b").session() as b:
            await b.subscribe("t/#", qos=0)
            async with broker.link("a").session() as a:
                await a.publish("t/x", b"hello", qos=0)
            (message,) = await received(b, 1)
            assert message.payload == b"hello"

    async def test_a_large_payload_travels_whole(self, broker: Broker) -> None:
        """P9: the wire's largest payload is 256 KiB."""
        payload = bytes(range(256)) * 1024
        async with broker.link("b").session() as b:
            await b.subscribe("t/#")
            async with broker.link("a").session() as a:
                await a.publish("t/x", payload)
            assert (await received(b, 1))[0].payload == payload

    async def test_many_publishes_at_once_all_arrive(self, broker: Broker) -> None:
        async with broker.link("b").session() as b:
            await b.subscribe("t/#")
            async with broker.link("a").session() as a:
                await asyncio.gather(*(a.publish("t/x", b"%d" % number) for number in range(200)))
            assert {int(message.payload) for message in await received(b, 200)} == set(range(200))


class Memory:
    """The broker in memory, as the suite sees it."""

    healthy_redelivery = True
    shares = True

    def __init__(self) -> None:
        self.broker = MemoryBroker()

    def link(self, name: str) -> Link:
        return MemoryLink(self.broker, name)

    async def cut(self, name: str) -> None:
        self.broker.drop(name)


class TestMemoryLink(LinkContract):
    """The suite on the broker in memory."""

    @pytest.fixture
    def broker(self) -> Memory:
        return Memory()

    async def test_a_stopped_broker_refuses_and_keeps_its_sessions(self) -> None:
        broker = MemoryBroker()
        async with MemoryLink(broker, "b").session() as b:
            await b.subscribe("t")
        async with MemoryLink(broker, "a").session() as a:
            await a.publish("t", b"kept")
            broker.stop()
            with pytest.raises(LinkLost):
                await a.publish("t", b"lost")
        with pytest.raises(LinkRefused, match="refused"):
            async with MemoryLink(broker, "b").session():
                pass
        broker.start()
        async with MemoryLink(broker, "b").session() as b:
            assert (await received(b, 1))[0].payload == b"kept"

    async def test_an_access_list_drops_publishes_and_refuses_subscriptions(self) -> None:
        """P10: as MQTT 3.1.1 has it, a publish that is not allowed is acknowledged and dropped."""
        broker = MemoryBroker(access=lambda user, _act, topic: f"/{user}/" in topic)
        async with MemoryLink(broker, "b").session() as b, MemoryLink(broker, "a").session() as a:
            await b.subscribe("t/b/x")
            await a.publish("t/b/x", b"not mine")
            await silence(b)
            with pytest.raises(LinkRefused, match="t/b/x"):
                await a.subscribe("t/b/x")

    async def test_a_full_queue_drops_and_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """P9: as brokers do, and so PUBACK is no receipt."""
        monkeypatch.setattr("shared.effects.memory.QUEUED_MAX", 3)
        broker = MemoryBroker()
        async with MemoryLink(broker, "b").session() as b:
            await b.subscribe("t")
        async with MemoryLink(broker, "a").session() as a:
            for _ in range(5):
                await a.publish("t", b"")
        assert broker.dropped == 2

    async def test_no_more_than_the_window_is_on_its_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shared.effects.memory.INFLIGHT_MAX", 2)
        broker = MemoryBroker()
        async with MemoryLink(broker, "b").session() as b, MemoryLink(broker, "a").session() as a:
            await b.subscribe("t")
            for number in range(5):
                await a.publish("t", b"%d" % number)
            first, _ = await received(b, 2, acknowledge=False)
            await silence(b)
            b.acknowledge(first)
            assert (await received(b, 1))[0].payload == b"2"

    @pytest.mark.parametrize(
        ("topic_filter", "topic", "takes"),
        [
            ("a/b", "a/b", True),
            ("a/+", "a/b", True),
            ("a/+", "a/b/c", False),
            ("+/+/report", "a/b/report", True),
            ("a/#", "a", True),
            ("#", "a/b/c", True),
            ("a/#", "ab", False),
            ("#", "$SYS/x", False),
            ("+/x", "$SYS/x", False),
            ("$SYS/#", "$SYS/x", True),
            ("a/+/c", "a//c", True),
        ],
    )
    def test_filters_match_as_the_standard_says(self, topic_filter: str, topic: str, *, takes: bool) -> None:
        assert matches(topic_filter, topic) is takes


class TestMqttLinkOnAmqtt(LinkContract):
    """The suite on the real Link and a broker in this process; what amqtt cannot is skipped by name."""

    @pytest.fixture
    async def broker(self) -> AsyncIterator[Amqtt]:
        require("amqtt")
        async with amqtt_broker() as broker:
            yield broker


class TestTheAdapterUnderneathAiomqtt:
    """Fails when an upgrade of aiomqtt or paho moves what `Wire` holds on to."""

    async def test_every_hidden_name_is_where_it_was(self) -> None:
        client = aiomqtt.Client("localhost", identifier="x")
        assert isinstance(client._client, paho.Client)
        assert isinstance(client._connected, asyncio.Future)
        assert isinstance(client._disconnected, asyncio.Future)
        assert callable(client._on_disconnect)
        assert callable(client._on_socket_open)
        assert callable(client._client._sock_close)
        Wire(client).close()

    async def test_acknowledging_by_hand_is_on_before_anything_can_arrive(self) -> None:
        """P6: a durable session delivers at once on connect, before any call of ours could switch it on."""
        client = aiomqtt.Client("localhost", identifier="x", clean_session=False)
        wire = Wire(client)
        assert client._client._manual_ack is True
        assert client._client.on_message == wire._on_message
        wire.close()


@asynccontextmanager
async def _passing(clock: Clock, milliseconds: int, doing: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(doing)
    await asyncio.sleep(0)
    if isinstance(clock, SimpleClock):
        clock.advance(milliseconds)
    await asyncio.wait_for(task, PATIENCE)
    yield


@pytest.fixture(
    params=[SystemClock, lambda: SimpleClock(boot_ms=5, utc_ms=1_800_000_000_000)], ids=["system", "simple"]
)
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


class TestClock:
    """What every Clock keeps (P13)."""

    async def test_sleeping_moves_the_monotonic_clock_by_at_least_as_much(self, clock: Clock) -> None:
        before = clock.boot_ms()
        async with _passing(clock, 20, clock.sleep(0.02)):
            assert clock.boot_ms() - before >= 20

    async def test_no_time_to_sleep_returns_at_once(self, clock: Clock) -> None:
        await asyncio.wait_for(clock.sleep(0), PATIENCE)

    def test_its_readings_are_whole_milliseconds_and_its_boot_has_a_name(self, clock: Clock) -> None:
        assert isinstance(clock.boot_ms(), int)
        assert clock.utc_ms() > 1_700_000_000_000
        assert len(clock.boot_id()) == 8
        int(clock.boot_id(), 16)
        assert isinstance(clock.synchronised(), bool)

    async def test_sleepers_wake_in_the_order_of_their_times(self) -> None:
        clock, woken = SimpleClock(), list[str]()

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append(name)

        tasks = [asyncio.ensure_future(sleeper("late", 2.0)), asyncio.ensure_future(sleeper("early", 1.0))]
        await asyncio.sleep(0)
        clock.advance(999)
        await asyncio.sleep(0)
        assert not woken
        clock.advance(5_000)
        await asyncio.gather(*tasks)
        assert woken == ["early", "late"]

    def test_a_step_of_the_wall_clock_leaves_the_monotonic_one(self) -> None:
        clock = SimpleClock(boot_ms=7, utc_ms=1)
        clock.step(utc_ms=1_800_000_000_000, synchronised=False)
        assert (clock.boot_ms(), clock.utc_ms(), clock.synchronised()) == (7, 1_800_000_000_000, False)


@pytest.fixture(params=["threads", "inline"])
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    if request.param == "inline":
        yield InlineWorkers()
        return
    with ThreadPoolExecutor(2) as pool:
        yield ThreadWorkers(pool)


class TestWorkers:
    """What every Workers keeps."""

    async def test_a_result_comes_back(self, workers: Workers) -> None:
        assert await workers.run(divmod, 7, 2) == (3, 1)

    async def test_an_error_comes_back(self, workers: Workers) -> None:
        with pytest.raises(ZeroDivisionError):
            await workers.run(divmod, 7, 0)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    opened = SqliteDatabase(tmp_path / "x.db")
    opened.execute("create table t (a integer primary key, b text not null) strict")
    yield opened
    opened.close()


class TestDatabase:
    """What a Database keeps (P2)."""

    def test_a_transaction_is_there_after_the_block(self, database: SqliteDatabase, tmp_path: Path) -> None:
        with database.atomic():
            database.execute("insert into t values (?, ?)", (1, "x"))
            database.executemany("insert into t values (?, ?)", [(2, "y"), (3, "z")])
        other = SqliteDatabase(tmp_path / "x.db")
        assert other.execute("select a, b from t order by a") == [(1, "x"), (2, "y"), (3, "z")]
        other.close()

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
    def test_a_transaction_that_raises_leaves_nothing(
        self, database: SqliteDatabase, error: type[BaseException]
    ) -> None:
        def insert_and_fail() -> None:
            with database.atomic():
                database.execute("insert into t values (1, 'x')")
                raise error

        with pytest.raises(error):
            insert_and_fail()
        assert database.execute("select * from t") == []
        with database.atomic():
            database.execute("insert into t values (1, 'x')")
        assert database.execute("select count(*) from t") == [(1,)]

    def test_transactions_do_not_nest(self, database: SqliteDatabase) -> None:
        with pytest.raises(DatabaseError), database.atomic(), database.atomic():
            pass

    def test_a_row_that_the_schema_forbids_is_refused_with_its_reason(self, database: SqliteDatabase) -> None:
        database.execute("insert into t values (1, 'x')")
        with pytest.raises(DatabaseFailed, match="UNIQUE"):
            database.execute("insert into t values (1, 'y')")
        with pytest.raises(DatabaseFailed, match="no such table"):
            database.execute("select * from u")

    def test_what_is_open_at_the_close_is_rolled_back(self, database: SqliteDatabase, tmp_path: Path) -> None:
        database.execute("begin immediate")
        database.execute("insert into t values (1, 'x')")
        database.close()
        other = SqliteDatabase(tmp_path / "x.db")
        assert other.execute("select * from t") == []
        other.close()

    def test_a_commit_reaches_the_disk_before_it_returns(self, database: SqliteDatabase) -> None:
        assert database.execute("pragma synchronous") == [(2,)]
        assert database.execute("pragma journal_mode") == [("wal",)]
        assert database.execute("pragma foreign_keys") == [(1,)]

    def test_no_room_is_said_as_such_and_what_was_there_stays(self, database: SqliteDatabase) -> None:
        """P9: the bound is a file of so many pages; the transaction that passes it is rolled back."""
        (pages,) = database.execute("pragma page_count")[0]
        database.execute(f"pragma max_page_count = {pages + 4}")
        database.execute("insert into t values (1, 'small')")
        with pytest.raises(DatabaseFull, match="no room"), database.atomic():
            database.executemany("insert into t (b) values (?)", [("x" * 4000,) for _ in range(32)])
        assert database.execute("select b from t") == [("small",)]
        database.execute(f"pragma max_page_count = {pages + 400}")
        with database.atomic():
            database.executemany("insert into t (b) values (?)", [("x" * 4000,) for _ in range(32)])
        assert database.execute("select count(*) from t") == [(33,)]

    def test_a_file_that_is_no_database_is_corrupt(self, tmp_path: Path) -> None:
        (tmp_path / "x.db").write_bytes(b"not a database, and long enough to be looked at" * 100)
        with pytest.raises(DatabaseCorrupt, match="damaged"):
            SqliteDatabase(tmp_path / "x.db").execute("select * from sqlite_master")

    def test_a_damaged_page_is_corrupt(self, database: SqliteDatabase, tmp_path: Path) -> None:
        with database.atomic():
            database.executemany("insert into t (b) values (?)", [("x" * 3000,) for _ in range(64)])
        database.execute("pragma wal_checkpoint(truncate)")
        database.close()
        raw = bytearray((tmp_path / "x.db").read_bytes())
        raw[4096:] = b"\xaa" * (len(raw) - 4096)
        (tmp_path / "x.db").write_bytes(raw)
        damaged = SqliteDatabase(tmp_path / "x.db")
        with pytest.raises(DatabaseCorrupt, match="damaged"):
            damaged.execute("select sum(length(b)) from t")
        damaged.close()

    def test_a_held_file_is_refused_to_others_with_a_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """P2: a second agent on the same spool must not begin."""
        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **(k | {"timeout": 0.05})))
        holder = SqliteDatabase(tmp_path / "x.db", exclusive=True)
        for exclusive in (True, False):
            with pytest.raises(DatabaseBusy, match="another process holds"):
                SqliteDatabase(tmp_path / "x.db", exclusive=exclusive).execute("select * from sqlite_master")
        holder.close()
        SqliteDatabase(tmp_path / "x.db", exclusive=True).close()

    def test_reading_only_cannot_write(self, database: SqliteDatabase, tmp_path: Path) -> None:
        database.execute("insert into t values (1, 'x')")
        reader = SqliteDatabase(tmp_path / "x.db", read_only=True)
        assert reader.execute("select * from t") == [(1, "x")]
        with pytest.raises(DatabaseFailed, match="readonly"):
            reader.execute("insert into t values (2, 'y')")
        reader.close()
