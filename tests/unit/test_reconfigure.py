"""P1, P3, P8: a reload changes sources, intervals and the way to the broker, and loses no interval."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.agent import Agent
from edge_agent.limits import READ_SECONDS_MAX, ROUND_GRACE_SECONDS
from edge_agent.reading import ChannelSpec, Kind, Reading
from edge_agent.uplink import OFFLINE, ONLINE
from shared.errors import Refused
from shared.key import SigningKey
from shared.liveness import Liveness
from shared.report import Birth, Cause, Gap, Report, Usage, Verdict
from tests.unit.test_agent import Counter, Site, running
from tests.wire import UTC_MS, Wire, run

Interval = tuple[int, int, Verdict | None]


def rows_of(reports: Sequence[Report], meter: str) -> Iterator[tuple[Usage, int, tuple[int, ...], dict[int, Verdict]]]:
    for report in reports:
        if isinstance(report, Usage):
            for row in report.rows:
                if row.meter == meter:
                    yield report, row.register, row.deltas, dict(row.notes)


def intervals(reports: Sequence[Report], meter: str) -> list[Interval]:
    """Every sealed interval of a channel: its start, its usage, its note."""
    return [
        (usage.start + usage.step * at, delta, notes.get(at))
        for usage, _, deltas, notes in rows_of(reports, meter)
        for at, delta in enumerate(deltas)
    ]


def assert_whole(reports: Sequence[Report], meter: str) -> None:
    """P1: the channel's intervals follow one another, each once, and its register is the sum of what they hold."""
    starts = [start for start, _, _ in intervals(reports, meter)]
    assert starts == list(range(starts[0], starts[0] + 60 * len(starts), 60))
    rows = list(rows_of(reports, meter))
    gaps = sum(
        (row.after or 0) - (row.before or 0)
        for report in reports
        if isinstance(report, Gap)
        for row in report.rows
        if row.meter == meter
    )
    first, last = rows[0], rows[-1]
    assert last[1] + sum(last[2]) - first[1] == sum(sum(deltas) for _, _, deltas, _ in rows) + gaps


async def changed(agent: Agent, site: Site, *sources: Counter, step: int = 60, wire: Wire | None = None) -> None:
    site.settings = replace(site.settings, step_seconds=step)
    refused = await agent.reconfigure(site.settings, sources, link=wire)
    assert refused is None


def test_sources_come_and_go_and_those_that_stay_lose_no_interval(tmp_path: Path) -> None:
    async def story() -> None:
        stays, goes, comes = Counter("in"), Counter("out"), Counter("new")
        site = Site(tmp_path, stays, goes)
        async with running(site) as agent:
            await asyncio.sleep(400)
            reads = stays.reads
            await changed(agent, site, stays, comes)
            assert (goes.closed, stays.closed) == (True, False)
            await asyncio.sleep(5)
            assert stays.reads <= reads + 1, "a source that stays is neither read anew nor left out"
            await asyncio.sleep(800)
        reports = site.reports()
        births = [report for report in reports if isinstance(report, Birth)]
        assert [birth.cause for birth in births] == [Cause.START, Cause.CONFIG]
        assert [[row.meter for row in birth.channels] for birth in births] == [["in", "out"], ["in", "new"]]
        assert births[0].config != births[1].config
        for meter in ("in", "out", "new"):
            assert_whole(reports, meter)
        # Ten a second, read every ten seconds: every interval that was metered throughout holds 600.
        assert {delta for _, delta, _ in intervals(reports, "in")[1:]} == {600}
        assert {note for _, _, note in intervals(reports, "in")} == {None}
        gone = list(rows_of(reports, "out"))[-1]
        assert gone[1] + sum(gone[2]) == 4_000, "what the last reading showed is sealed although nobody reads on"

    run(story())


def test_a_channel_that_was_left_out_for_a_while_comes_back_with_its_register(tmp_path: Path) -> None:
    async def story() -> None:
        stays, goes = Counter("in"), Counter("out")
        site = Site(tmp_path, stays, goes)
        async with running(site) as agent:
            await asyncio.sleep(400)
            await changed(agent, site, stays)
            await asyncio.sleep(600)
            await changed(agent, site, stays, Counter("out"))
            await asyncio.sleep(600)
        reports = site.reports()
        last = list(rows_of(reports, "out"))[-1]
        assert abs(last[1] + sum(last[2]) - 10 * (last[0].end - UTC_MS // 1_000)) <= 100
        gaps = [row for report in reports if isinstance(report, Gap) for row in report.rows]
        assert [(row.meter, row.before, (row.after or 0) > 9_900) for row in gaps] == [("out", 4_000, True)]
        assert_whole(reports, "in")

    run(story())


def test_many_reloads_within_one_interval_seal_it_once(tmp_path: Path) -> None:
    async def story() -> None:
        stays, goes = Counter("in"), Counter("out")
        site = Site(tmp_path, stays, goes)
        async with running(site) as agent:
            await asyncio.sleep(190)
            for _ in range(4):
                await changed(agent, site, stays)
                await asyncio.sleep(7)
                await changed(agent, site, stays, goes)
                await asyncio.sleep(5)
            await asyncio.sleep(900)
        reports = site.reports()
        assert_whole(reports, "in")
        assert {delta for _, delta, _ in intervals(reports, "in")[1:]} == {600}
        sums = [(register, register + sum(deltas)) for _, register, deltas, _ in rows_of(reports, "out")]
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(sums)), "registers never go back"

    run(story())


def test_the_length_of_intervals_changes_without_a_unit_lost(tmp_path: Path) -> None:
    async def story() -> None:
        source = Counter("in")
        site = Site(tmp_path, source)
        async with running(site) as agent:
            await asyncio.sleep(400)
            await changed(agent, site, source, step=30)
            await asyncio.sleep(600)
        rows = list(rows_of(site.reports(), "in"))
        assert {usage.step for usage, *_ in rows} == {60, 30}
        ends = [(register, register + sum(deltas)) for _, register, deltas, _ in rows]
        assert [before[1] for before in ends[:-1]] == [after[0] for after in ends[1:]]

    run(story())


def test_a_channel_that_may_not_change_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """P4: a changed unit is refused, and says so."""

    async def story() -> None:
        source = Counter("in")
        site = Site(tmp_path, source)
        async with running(site) as agent:
            await asyncio.sleep(400)
            other = Counter("in")
            other.channels = (
                ChannelSpec(
                    device="eth0", meter="in", unit="kWh", exponent=0, kind=Kind.COUNTER, source="x", rate_max=9
                ),
            )
            refused = await agent.reconfigure(site.settings, [other])
            assert isinstance(refused, Refused)
            assert "give it another meter name" in refused.reason
            await asyncio.sleep(600)
            assert not source.closed
        reports = site.reports()
        assert [report.cause for report in reports if isinstance(report, Birth)] == [Cause.START]
        assert_whole(reports, "in")

    run(story())


def test_a_new_way_to_the_broker_is_taken_without_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        source = Counter("in")
        site = Site(tmp_path, source)
        other = Wire()
        async with running(site) as agent:
            await asyncio.sleep(400)
            await changed(agent, site, source, wire=other)
            await asyncio.sleep(400)
            told = [payload for _, topic, payload, _ in site.wire.published if topic.endswith("/state")]
            assert told == [ONLINE, OFFLINE], "the former broker hears a farewell"
            assert other.reports(), "what waits goes the new way"
            refused = await agent.reconfigure(
                site.settings, [source], receipt_keys=[SigningKey(b"\7" * 32).public], link=None
            )
            assert refused is None
            await agent.stop()

    run(story())


def test_what_is_wrong_with_the_configuration_stands_in_the_state_topic(tmp_path: Path) -> None:
    async def story() -> None:
        source = Counter("in")
        site = Site(tmp_path, source)
        async with running(site) as agent:
            await asyncio.sleep(5)
            agent.note_config('agent.toml:14: unknown key "stepp", did you mean "step_seconds"?')
            await asyncio.sleep(5)
            await changed(agent, site, source)
            await asyncio.sleep(5)
            told = [
                (json.loads(payload), retained)
                for _, topic, payload, retained in site.wire.published
                if topic.endswith("/state")
            ]
            problem = 'agent.toml:14: unknown key "stepp", did you mean "step_seconds"?'
            online = {"state": "online"}
            assert told == [(online, True), (online | {"config": problem}, True), (online, True)]
            assert agent.status()["config_problem"] is None

    run(story())


@pytest.mark.parametrize("what", ["committing", "source counter-in"])
def test_the_pulses_of_a_running_agent_go_on(tmp_path: Path, what: str) -> None:
    """P8: the watchdog's beat rests on these counts, so they must move while all is well."""

    async def story() -> None:
        site = Site(tmp_path, Counter("in"))
        async with running(site) as agent:
            await asyncio.sleep(1)
            before = agent.pulses()[what]
            await asyncio.sleep(before.seconds_max)
            assert agent.pulses()[what].rounds > before.rounds

    run(story())


class Deaf(Counter):
    """A source that takes being told to stop for nothing."""

    async def read(self) -> Sequence[Reading]:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1_000_000)


def test_a_source_that_hangs_for_good_is_what_the_watchdog_finds(tmp_path: Path) -> None:
    """P8: the beat rests on every loop's rounds, so one that hangs for good ends the process."""

    async def story() -> None:
        well, deaf = Counter("in"), Deaf("out")
        site = Site(tmp_path, well, deaf)
        agent, liveness = site.agent(), Liveness()
        task = asyncio.create_task(agent.run())
        await asyncio.sleep(1)
        loop = asyncio.get_running_loop()
        found: list[str] = []
        while not found:
            found = liveness.stuck(agent.pulses(), loop.time())
            await asyncio.sleep(10)
        assert found == ["source counter-out"]
        assert loop.time() < READ_SECONDS_MAX + deaf.poll_seconds + ROUND_GRACE_SECONDS + 30
        assert well.reads > 5
        await asyncio.sleep(300)
        assert liveness.stuck(agent.pulses(), loop.time()) == ["source counter-out"]
        task.cancel()

    run(story())
