"""P2, P3, P9: the agent starts from what the disk holds, seals before it sends, and ends in a known way."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from edge_agent.agent import Agent
from edge_agent.disk import FileDisk
from edge_agent.limits import BACKLOG_LINES_MAX, READ_SECONDS_MAX, READINGS_CHUNK_MAX, UPLINK_BACKLOG_LINES
from edge_agent.reading import ChannelSpec, Kind, Reading, Source, SourceDown
from edge_agent.sealed import Place
from edge_agent.settings import AgentSettings
from edge_agent.spool import Spool
from edge_agent.uplink import OFFLINE, ONLINE
from shared.errors import Refused
from shared.line import hash_of, parse
from shared.receipt import Receipt
from shared.report import Birth, Cause, Clock, Forgotten, Gap, Report, Summary, Usage, read
from tests.spools import COLLECTOR_KEY, DAY_MS, GATEWAY, KEY, birth, open_spool, receipt, usage
from tests.wire import UTC_MS, VirtualClock, Wire, run


def spec(
    meter: str = "in", *, kind: Kind = Kind.COUNTER, source: str = "counter", historic: bool = False
) -> ChannelSpec:
    return ChannelSpec(
        device="eth0",
        meter=meter,
        unit="By",
        exponent=0,
        kind=kind,
        source=source,
        log="past" if historic else "main",
        rate_max=1_000_000,
        historic=historic,
    )


class Counter:
    """A meter that counts ten a second, and can be made to fail."""

    def __init__(self, meter: str = "in", *, poll_seconds: float = 10.0) -> None:
        self.name = f"counter-{meter}"
        self.channels: tuple[ChannelSpec, ...] = (spec(meter),)
        self.poll_seconds = poll_seconds
        self.fails: Exception | None = None
        self.hangs = False
        self.reads = 0
        self.closed = False

    async def read(self) -> Sequence[Reading]:
        if self.hangs:
            await asyncio.sleep(10 * READ_SECONDS_MAX)
        if self.fails is not None:
            raise self.fails
        self.reads += 1
        now = asyncio.get_running_loop().time()
        return [Reading(device="eth0", meter=self.channels[0].meter, value=int(now * 10), at_ms=int(now * 1_000))]

    async def close(self) -> None:
        self.closed = True


class History:
    """Many readings of the past, one a minute, handed over in lots."""

    def __init__(self, minutes: int, *, lot: int = 2_000) -> None:
        self.name = "history"
        self.channels: tuple[ChannelSpec, ...] = (spec(source="history", historic=True),)
        self.poll_seconds = 60.0
        self.caught_up = False
        self.resumed: int | None = None
        self.lots = 0
        self._lot = lot
        self._left = [(UTC_MS // 1_000 - 60 * (minutes - at), at) for at in range(minutes)]

    def resume(self, utc: int) -> None:
        self.resumed = utc
        self._left = [(at, value) for at, value in self._left if at > utc]

    async def read(self) -> Sequence[Reading]:
        self.lots += 1
        lot, self._left = self._left[: self._lot], self._left[self._lot :]
        self.caught_up = not self._left
        return [Reading(device="eth0", meter="in", value=value, at_ms=0, utc=utc) for utc, value in lot]

    async def close(self) -> None:
        return


class Site:
    """A gateway's machine: what outlives its agent."""

    def __init__(self, folder: Path, *sources: Source, spool_bytes_max: int = 16 * 1024 * 1024) -> None:
        self.path = folder / "spool.db"
        self.sources = sources
        self.wire = Wire()
        self.starts = 0
        self.settings = AgentSettings(
            gateway=GATEWAY,
            interval_count=5,
            commit_seconds=300,
            spool_path=self.path,
            spool_bytes_max=spool_bytes_max,
        )

    def agent(self) -> Agent:
        self.starts += 1
        return Agent(
            self.settings,
            key=KEY,
            receipt_keys=[COLLECTOR_KEY.public],
            sources=self.sources,
            clock=VirtualClock(),
            link=self.wire,
            disk=FileDisk(self.path),
            random=Random(self.starts),
        )

    def reports(self) -> list[Report]:
        """Everything that was published, once each, in the order of publishing."""
        seen: dict[bytes, Report] = {}
        for _, raws in self.wire.reports():
            for raw in raws:
                line = parse(raw)
                assert not isinstance(line, Refused)
                report = read(line)
                assert not isinstance(report, Refused)
                seen.setdefault(raw, report)
        return list(seen.values())


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[Agent]:
    """An agent that is killed at the end: its task is simply gone."""
    agent = site.agent()
    task = asyncio.create_task(agent.run())
    await asyncio.sleep(0.5)
    assert not task.done() or task.result() is None
    yield agent
    task.cancel()
    await asyncio.wait([task])


def used(reports: Sequence[Report]) -> int:
    return sum(sum(row.deltas) for report in reports if isinstance(report, Usage) for row in report.rows)


def test_an_agent_says_where_its_channels_stand_before_anything_else(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, Counter())
        async with running(site):
            await asyncio.sleep(60)
            first = site.reports()[0]
            assert isinstance(first, Birth)
            assert (first.cause, first.previous, first.header.seq) == (Cause.START, None, 1)
            assert first.header.clock is Clock.SYNCHRONISED

    run(story())


def test_every_window_is_sealed_when_it_ends_and_what_the_meter_counted_is_all_there(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, Counter())
        async with running(site):
            await asyncio.sleep(3_600)
            windows = [report for report in site.reports() if isinstance(report, Usage)]
            assert len(windows) >= 11
            assert all(later.start == earlier.end for earlier, later in itertools.pairwise(windows))
            assert abs(used(windows) - 10 * (windows[-1].end - UTC_MS // 1_000)) <= 100

    run(story())


def test_a_killed_agent_goes_on_in_its_epoch_and_loses_nothing_of_a_counter(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, Counter())
        async with running(site):
            await asyncio.sleep(1_000)
        await asyncio.sleep(500)
        async with running(site):
            await asyncio.sleep(1_500)
        reports = site.reports()
        assert len({report.header.epoch for report in reports}) == 1
        seqs = sorted(report.header.seq for report in reports)
        assert seqs == list(range(1, len(seqs) + 1))
        gaps = [row for report in reports if isinstance(report, Gap) for row in report.rows]
        bridged = sum(row.after - row.before for row in gaps if row.after is not None and row.before is not None)
        last = max(report.end for report in reports if isinstance(report, Usage))
        assert abs(used(reports) + bridged - 10 * (last - UTC_MS // 1_000)) <= 100

    run(story())


def test_a_failing_a_broken_and_a_silent_source_do_not_stop_the_others(tmp_path: Path) -> None:
    async def story() -> None:
        sources = [Counter(name) for name in ("down", "broken", "silent", "well")]
        sources[0].fails = SourceDown("no answer from the meter")
        sources[1].fails = ZeroDivisionError("a bug in a source")
        sources[2].hangs = True
        site = Site(tmp_path, *sources)
        async with running(site) as agent:
            await asyncio.sleep(700)
            assert sources[3].reads > 60
            downs = {entry["name"]: entry["down"] for entry in agent.status()["sources"]}
            assert downs["counter-down"] == "no answer from the meter"
            assert downs["counter-broken"] == "ZeroDivisionError: a bug in a source"
            assert downs["counter-silent"] == "no answer within 30 seconds"
            assert downs["counter-well"] is None
            sources[0].fails = None
            await asyncio.sleep(20)
            assert agent.status()["sources"][0]["down"] is None

    run(story())


@pytest.mark.deep
def test_the_longest_waits_are_those_that_were_configured(tmp_path: Path) -> None:
    """P8: what `reconnect_seconds_max` and `drain_delay_seconds` say reaches the uplink."""

    async def story() -> None:
        site = Site(tmp_path, Counter())
        site.settings = replace(site.settings, reconnect_seconds_max=1, drain_delay_seconds=0)
        site.wire.up = False
        async with running(site):
            await asyncio.sleep(20_000)
            assert len(site.wire.sessions) > 20_000
            site.wire.up = True
            await asyncio.sleep(3)
            assert len(site.reports()) > UPLINK_BACKLOG_LINES

    run(story())


def test_stopping_commits_says_offline_and_leaves_the_open_window_in_the_spool(tmp_path: Path) -> None:
    async def story() -> None:
        counter = Counter()
        site = Site(tmp_path, counter)
        agent = site.agent()
        task = asyncio.create_task(agent.run())
        await asyncio.sleep(130)
        await agent.stop()
        await task
        assert site.wire.states() == [ONLINE, OFFLINE]
        assert counter.closed
        assert used(site.reports()) == 0
        async with running(site):
            await asyncio.sleep(400)
        assert used(site.reports()) == 10 * 300

    run(story())


def test_stopping_does_not_wait_for_a_broker_that_hangs(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, Counter())
        site.wire.takes = False
        agent = site.agent()
        task = asyncio.create_task(agent.run())
        await asyncio.sleep(5)
        await asyncio.wait_for(agent.stop(), 15)
        await task

    run(story())


def test_a_contradiction_begins_a_new_epoch_whose_birth_follows_the_collectors_line(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, Counter())
        async with running(site) as agent:
            await asyncio.sleep(700)
            old = agent.status()["epoch"]
            site.wire.answer(
                Receipt(
                    gateway=GATEWAY,
                    log="main",
                    key=COLLECTOR_KEY.public.id,
                    epoch=old,
                    through=999,
                    head=hash_of(b"of the true history"),
                    missing=(),
                    aside=(),
                    at=1,
                )
            )
            await asyncio.sleep(700)
            births = [report for report in site.reports() if isinstance(report, Birth) and report.header.epoch != old]
            assert births[0].header.seq == 1
            assert births[0].cause is Cause.EPOCH
            assert births[0].previous == (old, 999, hash_of(b"of the true history"))
            assert any(isinstance(report, Usage) and report.header.epoch != old for report in site.reports())

    run(story())


def test_history_is_metered_under_its_own_time_and_waits_while_the_backlog_is_long(tmp_path: Path) -> None:
    async def story() -> None:
        minutes = 5 * BACKLOG_LINES_MAX + 10_000
        history = History(minutes)
        site = Site(tmp_path, history)
        async with running(site) as agent:
            await asyncio.sleep(600)
            waiting = agent.status()["backlog_lines"]
            assert BACKLOG_LINES_MAX <= waiting <= BACKLOG_LINES_MAX + READINGS_CHUNK_MAX
            assert not history.caught_up
        windows = [report for report in site.reports() if isinstance(report, Usage)]
        assert min(report.start for report in windows) == UTC_MS // 1_000 - 60 * minutes

    run(story())


def test_history_goes_on_after_a_kill_where_metering_stopped(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, History(3_000, lot=700))
        async with running(site):
            pass
        again = Site(tmp_path, second := History(3_000, lot=700))
        again.starts = 1
        async with running(again) as agent:
            await asyncio.sleep(10)
            assert second.resumed is not None
            assert second.caught_up
            spool: Spool = agent._spool
            lines = [spool.raw(place) for place in spool.waiting(10_000)]
            reports = [read(line) for raw in lines if raw and not isinstance(line := parse(raw), Refused)]
            assert used([report for report in reports if not isinstance(report, Refused)]) >= 2_990

    run(story())


def test_a_full_spool_folds_and_the_agent_goes_on(tmp_path: Path) -> None:
    """P3: weeks offline on a spool of hours."""

    async def story() -> None:
        site = Site(tmp_path, Counter(poll_seconds=300.0), spool_bytes_max=256 * 1024)
        site.wire.up = False
        async with running(site) as agent:
            await asyncio.sleep(8 * 86_400)
            spool: Spool = agent._spool
            assert spool.bytes_used <= 264 * 1024
            reports = [read(line) for line in map(parse, held_lines(spool)) if not isinstance(line, Refused)]
            assert any(isinstance(report, Summary) for report in reports)
            rows = [row for report in reports if isinstance(report, Usage | Summary) for row in report.rows]
            assert max(row.register + sum(row.deltas) for row in rows) == pytest.approx(8 * 864_000, abs=6_000)

    run(story())


def held_lines(spool: Spool) -> list[bytes]:
    return [raw for place in spool.waiting(100_000) if (raw := spool.raw(place)) is not None]


async def clogged(site: Site) -> Spool:
    """A spool full of an earlier epoch's lines, which nobody may fold any more."""
    agent = site.agent()
    task = asyncio.create_task(agent.run())
    await asyncio.sleep(60)
    await agent.stop()
    await task
    spool = open_spool(site.path, bytes_max=site.settings.spool_bytes_max)
    while spool.bytes_used < site.settings.spool_bytes_max - 12_288:
        spool.seal([usage(spool.waiting_count, intervals=1_000)], spool.snapshot())
    spool.begin_epoch([birth(cause=Cause.EPOCH)], spool.snapshot(), random=Random(3))
    assert not spool.relieve(), (spool.bytes_used, spool.bytes_max, spool.waiting_count)
    return spool


def test_a_spool_in_which_nothing_can_be_folded_is_drained_before_the_agent_meters_again(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, Counter(poll_seconds=60.0), spool_bytes_max=256 * 1024)
        spool = await clogged(site)
        old = spool.waiting(1)[0].epoch
        spool.close()
        agent = site.agent()
        task = asyncio.create_task(agent.run())
        await asyncio.sleep(60)
        assert agent.status()["making_room"], "without room nothing is metered"
        for at in (1, 2 * DAY_MS):
            chain = agent._spool.chain("main", old)
            assert chain is not None
            site.wire.answer(receipt(agent._spool, chain.seq, epoch=old, at=at))
            await asyncio.sleep(20)
        assert agent.status()["backlog_lines"] > 0
        await agent.stop()
        await task

    run(story())


def test_a_full_spool_can_be_stopped_while_it_drains(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, Counter(poll_seconds=60.0), spool_bytes_max=256 * 1024)
        site.wire.up = False
        (await clogged(site)).close()
        agent = site.agent()
        task = asyncio.create_task(agent.run())
        await asyncio.sleep(60)
        await asyncio.wait_for(agent.stop(), 60)
        await task

    run(story())


@pytest.mark.deep
def test_what_is_asked_for_and_gone_is_said_to_be_forgotten(tmp_path: Path) -> None:
    """A collector restored from an old backup asks for lines that were receipted and are gone."""

    async def story() -> None:
        site = Site(tmp_path, Counter(poll_seconds=600.0), spool_bytes_max=256 * 1024)
        async with running(site) as agent:
            spool: Spool = agent._spool
            for day in range(1, 7):
                await asyncio.sleep(86_400)
                site.wire.answer(confirming_all(spool, day * DAY_MS))
            await asyncio.sleep(600)
            gone = [seq for seq in range(1, 50) if spool.raw(Place("main", spool.epoch, seq)) is None]
            assert gone
            first, last = gone[0], gone[-1]
            site.wire.answer(receipt(spool, 1, at=7 * DAY_MS, missing=((first, last),)))
            await asyncio.sleep(600)
            site.wire.answer(receipt(spool, 1, at=7 * DAY_MS + 1, missing=((first, last),)))
            await asyncio.sleep(600)
            told = [report for report in site.reports() if isinstance(report, Forgotten)]
            assert [report.lost for report in told] == [(spool.epoch, first, last)], "once"
            assert told[0].receipted_at > 0

    run(story())


def confirming_all(spool: Spool, at: int) -> Receipt:
    chain = spool.chain("main")
    assert chain is not None
    return receipt(spool, chain.seq, at=at)


def test_stop_returns_where_the_agent_could_not_even_start(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path / "missing", Counter())
        agent = site.agent()
        task = asyncio.create_task(agent.run())
        await asyncio.wait_for(agent.stop(), 5)
        assert task.exception() is not None

    run(story())
