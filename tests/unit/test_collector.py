"""The collector as a whole, on a broker and a clock in memory: acknowledged after the commit, answered, stopped."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cloud_collector.collector import Collector
from cloud_collector.config import ConfigInvalid, load
from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.account import account
from cloud_collector.store.store import Store
from shared.effects.database import Parameters, Row
from shared.effects.link import Message
from shared.effects.memory import MemoryBroker, MemoryLink, SimpleClock
from shared.effects.sqlite import SqliteDatabase
from shared.effects.workers import InlineWorkers
from shared.errors import DatabaseBusy, DatabaseFull
from shared.line import Line, parse
from shared.payload import pack
from shared.receipt import Receipt, read_receipt
from tests.sealing import NOW_MS, OPERATOR, PaperGateway

PUMP = ("pump", "energy")
RECEIPTS = "meterseal/v1/gw-1/receipt"


class TroubledDatabase(SqliteDatabase):
    """Raises what it is told to when a line is about to be written."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.trouble: list[Exception] = []

    def execute(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        if self.trouble and "max(id), 0) from line" in sql:
            raise self.trouble.pop()
        return super().execute(sql, parameters)


class Site:
    """A broker, a gateway on paper and a collector that is started and stopped."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.clock = SimpleClock(utc_ms=NOW_MS)
        self.database = TroubledDatabase()
        self.store = Store(self.database)
        self.gateway = PaperGateway()
        self.chores: list[int] = []
        self.settings = CollectorSettings(holes_seconds=60)
        add_gateway(self.store, self.gateway.name, self.gateway.key.public, 0)

    def collector(self) -> Collector:
        """A collector as after a start."""
        return Collector(
            self.settings,
            key=OPERATOR,
            store=self.store,
            clock=self.clock,
            link=MemoryLink(self.broker, "_collector"),
            workers=InlineWorkers(),
            random=random.Random(1),
            chores=[lambda _, now: self.chores.append(now)],
        )

    async def run_on(self, seconds: float = 5.0) -> None:
        """Let virtual time pass."""
        for _ in range(int(seconds * 20)):
            for _ in range(12):
                await asyncio.sleep(0)
            self.clock.advance(50)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Collector]:
        """Within, a collector runs."""
        collector = self.collector()
        task = asyncio.ensure_future(collector.run())
        await self.run_on(1)
        yield collector
        collector.stop()
        await self.run_on(1)
        await asyncio.wait_for(task, 1)

    async def publish(self, lines: list[bytes]) -> None:
        """The gateway's lines, a message each."""
        async with MemoryLink(self.broker, "gw-1").session() as session:
            for line in lines:
                await session.publish(self.gateway.topic, pack([line]))

    async def listen(self) -> asyncio.Queue[Message]:
        """Every receipt of the gateway from now on."""
        heard: asyncio.Queue[Message] = asyncio.Queue()
        ready = asyncio.Event()

        async def ear() -> None:
            async with MemoryLink(self.broker, "ear").session() as session:
                await session.subscribe(RECEIPTS)
                ready.set()
                while True:
                    heard.put_nowait(await session.receive())

        self.ear = asyncio.ensure_future(ear())
        await ready.wait()
        return heard


@pytest.fixture(name="site")
async def _site() -> AsyncIterator[Site]:
    site = Site()
    site.gateway.birth((*PUMP, 0, 0))
    for number in range(4):
        site.gateway.usage((*PUMP, number, [1]))
    yield site
    ear = getattr(site, "ear", None)
    if ear is not None:
        ear.cancel()


def receipt_of(message: Message) -> Receipt:
    line = parse(message.payload)
    assert isinstance(line, Line)
    receipt = read_receipt(line)
    assert isinstance(receipt, Receipt)
    return receipt


async def test_what_arrives_is_counted_and_answered(site: Site) -> None:
    heard = await site.listen()
    async with site.running() as collector:
        await site.publish(site.gateway.lines)
        await site.run_on(2)
        assert collector.verdicts["accepted"] == 5
    assert receipt_of(heard.get_nowait()).through == 5
    assert account(site.store)[0].counted == 4


async def test_what_queued_while_the_collector_was_away_is_taken_when_it_is_back(site: Site) -> None:
    async with site.running():
        pass
    await site.publish(site.gateway.lines)
    async with site.running() as collector:
        await site.run_on(2)
        assert collector.verdicts["accepted"] == 5


async def test_a_session_that_ends_is_begun_again_and_nothing_is_lost(site: Site) -> None:
    async with site.running() as collector:
        await site.publish(site.gateway.lines[:2])
        site.broker.drop("_collector")
        await site.publish(site.gateway.lines[2:])
        await site.run_on(20)
        assert collector.connected
    assert account(site.store)[0].counted == 4


async def test_a_broker_that_is_away_is_tried_again(site: Site) -> None:
    site.broker.stop()
    async with site.running() as collector:
        await site.run_on(10)
        assert not collector.connected
        site.broker.start()
        await site.run_on(70)
        assert collector.connected


async def test_a_full_disk_ends_the_collector_and_acknowledges_nothing(site: Site) -> None:
    """P3, P6: the broker keeps what was not committed; with room, all of it is taken."""
    collector = site.collector()
    task = asyncio.ensure_future(collector.run())
    await site.run_on(1)
    site.database.trouble = [DatabaseFull()]
    await site.publish(site.gateway.lines)
    await site.run_on(2)
    with pytest.raises(DatabaseFull):
        await task
    assert account(site.store) == []
    async with site.running() as again:
        await site.run_on(2)
        assert again.verdicts["accepted"] == 5


async def test_a_store_that_another_process_holds_is_waited_for(site: Site) -> None:
    async with site.running() as collector:
        site.database.trouble = [DatabaseBusy(), DatabaseBusy()]
        await site.publish(site.gateway.lines)
        await site.run_on(6)
        assert collector.verdicts["accepted"] == 5


async def test_a_tick_asks_for_what_is_missing_and_does_its_chores(site: Site) -> None:
    heard = await site.listen()
    async with site.running() as collector:
        await site.publish([site.gateway.lines[0], site.gateway.lines[2]])
        await site.run_on(2)
        assert receipt_of(heard.get_nowait()).missing == ((2, 2),)
        await site.run_on(60)
        await collector.tick(site.clock.utc_ms())
        await site.run_on(1)
        again = receipt_of(heard.get_nowait())
        assert (again.through, again.missing) == (1, ((2, 2),))
    assert site.chores == [site.chores[0]]


async def test_a_duplicate_that_came_too_soon_is_answered_a_second_later(site: Site) -> None:
    heard = await site.listen()
    async with site.running():
        await site.publish([site.gateway.lines[0]])
        await site.run_on(0.3)
        await site.publish([site.gateway.lines[0]])
        await site.run_on(0.3)
        assert heard.qsize() == 1
        await site.run_on(2)
        assert heard.qsize() == 2


def write(folder: Path, text: str) -> Path:
    file = folder / "collector.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_an_unknown_key_is_named_with_its_line_and_the_nearest(tmp_path: Path) -> None:
    file = write(tmp_path, 'store_path = "c.db"\n\n[broker]\nhots = "b"\n')
    with pytest.raises(ConfigInvalid, match=r"collector.toml:4: unknown key broker.hots, did you mean host\?"):
        load(file, environment={})


def test_flags_rank_above_environment_above_conf_d_above_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'tick_seconds = 1\nholes_seconds = 1\nstore_path = "c.db"\n[broker]\nport = 1\n')
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text("tick_seconds = 2\nholes_seconds = 2\n[broker]\nport = 2\n")
    environment = {"METERSEAL_COLLECTOR__HOLES_SECONDS": "3", "METERSEAL_COLLECTOR__BROKER__PORT": "3"}
    config = load(file, environment=environment, flags=["broker.port=4"])
    known = config.settings
    assert (known.tick_seconds, known.holes_seconds, known.broker.port) == (2, 3, 4)
    assert known.store_path == tmp_path / "c.db"
    assert config.origin(("tick_seconds",)).endswith("conf.d/a.toml:1")
    assert config.origin(("batch_messages",)) == "default"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tick_seconds = 0", "tick_seconds must be at least 1"),
        ('tick_seconds = "x"', "tick_seconds"),
        ("tick_seconds = ", "this is not TOML"),
        ("batch_messages = 1000", "batch_messages is 1000"),
        ("broker = 3", "unknown key broker"),
        ("[web]\nport = 70000", "port is 70000"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_place(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigInvalid, match=reason) as found:
        load(write(tmp_path, text), environment={})
    assert "collector.toml" in str(found.value)


def test_the_example_configuration_is_valid() -> None:
    example = Path(__file__).parents[2] / "config" / "collector.toml"
    assert load(example, environment={}).settings.client_id == "_collector"
