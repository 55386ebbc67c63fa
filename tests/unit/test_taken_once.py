"""What can be read only once is neither lost at the end nor taken away by a look (P1)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.meter_state import Metered, MeterState
from edge_agent.open_channel import OpenChannel
from edge_agent.preview import TAKEN_ONCE, read_sources
from edge_agent.reading import COUNT_TERM_MAX, HOLD_SECONDS, HOLD_SECONDS_MAX, ChannelSpec, Kind, Reading
from edge_agent.sources.exec import ExecSettings, ExecSource
from shared.effects.memory import SimpleClock
from shared.errors import InvalidRecord
from tests.metering_site import spec
from tests.unit.test_agent import Site
from tests.wire import run


class Clicks:
    """Counts one click a second; whoever reads takes them."""

    def __init__(self, *, answers_after: float = 0.0) -> None:
        self.name = "clicks"
        self.channels: tuple[ChannelSpec, ...] = (spec("m1", kind=Kind.PULSE, source="clicks", rate_max=100),)
        self.poll_seconds = 60.0
        self.taken = 0
        self.reads = 0
        self._answers_after = answers_after

    async def read(self) -> Sequence[Reading]:
        self.reads += 1
        now = int(asyncio.get_running_loop().time())
        clicks, self.taken = now - self.taken, now
        await asyncio.sleep(self._answers_after)
        return [Reading(device="m1", meter="energy", value=clicks, at_ms=now * 1_000)]

    async def close(self) -> None:
        return


@pytest.mark.parametrize("answers_after", [0.0, 5.0])
@pytest.mark.parametrize("stopped_after", [90.5, 121.5])
def test_an_agent_that_stops_takes_what_was_counted_since_the_last_reading(
    tmp_path: Path, stopped_after: float, answers_after: float
) -> None:
    """A reading that is under way at the end is waited for: what it has taken is nowhere else."""

    async def story() -> None:
        clicks = Clicks(answers_after=answers_after)
        site = Site(tmp_path, clicks)
        agent = site.agent()
        task = asyncio.create_task(agent.run())
        await asyncio.sleep(stopped_after)
        await agent.stop()
        await task
        register = agent._metering.registers()[clicks.channels[0].name][0]
        assert register == clicks.taken >= int(stopped_after)

    run(story())


def test_an_end_does_not_wait_for_a_counter_that_hangs(tmp_path: Path) -> None:
    """P9: the farewell has its bound."""

    async def story() -> None:
        site = Site(tmp_path, Clicks(answers_after=25.0))
        agent = site.agent()
        task = asyncio.create_task(agent.run())
        await asyncio.sleep(1)
        await asyncio.wait_for(agent.stop(), 15)
        await task

    run(story())


async def test_a_look_takes_nothing_away() -> None:
    class Peeked(Clicks):
        async def peek(self) -> Sequence[Reading]:
            return [Reading(device="m1", meter="energy", value=7, at_ms=0)]

    clicks, peeked = Clicks(), Peeked()
    rows = await read_sources([clicks, peeked], lambda _: (MeterState(register=7), Metered(())))
    assert [row["raw"] for row in rows] == [None, 7]
    assert rows[0]["verdict"] == TAKEN_ONCE
    assert (clicks.reads, peeked.reads) == (0, 0)


def test_a_snapshot_of_an_agent_that_knew_no_holds_goes_on() -> None:
    """P23: version N reads what version N-1 wrote."""
    channel = OpenChannel.new(spec(), 15)
    data = channel.to_json()
    assert OpenChannel.from_json(data, "main", historic=False) == channel
    data[1] = data[1][:2]
    assert OpenChannel.from_json(data, "main", historic=False) == channel


def test_a_changed_scale_keeps_the_fraction_that_is_carried() -> None:
    """P1: nine tenths stay nine tenths when the parts are halves of tenths."""
    channel = OpenChannel.new(spec(kind=Kind.PULSE, per_count=(1, 10)), 15)
    channel.state = channel.state._replace(remainder=9)
    channel.respecify(replace(channel.spec, per_count=(1, 20)))
    assert channel.state.remainder == 18


@pytest.mark.parametrize(
    "changes",
    [
        {"hold_seconds": 0},
        {"hold_seconds": HOLD_SECONDS_MAX + 1},
        {"per_count": (0, 1)},
        {"per_count": (1, COUNT_TERM_MAX + 1)},
    ],
)
def test_a_hold_and_a_counts_worth_have_bounds(changes: dict[str, Any]) -> None:
    assert spec(hold_seconds=HOLD_SECONDS_MAX).hold_seconds > HOLD_SECONDS
    with pytest.raises(InvalidRecord):
        spec(**changes)


class TestACommandOfEveryKind:
    def source(self, kind: str, *command: str, **more: object) -> ExecSource:
        given: dict[str, object] = {"device": "d", "meter": "m", "unit": "1", "rate_max": 10**6, "kind": kind}
        return ExecSource(ExecSettings(command=command, **(given | more)), SimpleClock())  # type: ignore[arg-type]

    @pytest.mark.parametrize("kind", ["pulse", "event"])
    async def test_what_it_counted_since_its_last_run(self, kind: str, tmp_path: Path) -> None:
        pile = tmp_path / "pile"
        pile.write_text("3", encoding="ascii")
        source = self.source(kind, "sh", "-c", f"cat {pile}; echo 0 > {pile}")
        assert [(await source.read())[0].value for _ in range(2)] == [3, 0]
        assert source.channels[0].kind is Kind(kind)

    @pytest.mark.parametrize(("printed", "value"), [("1", 1), ("0", 0), ("0.4", 0), ("17", 17)])
    async def test_whether_something_is_active(self, printed: str, value: int) -> None:
        source = self.source("state", "echo", printed, unit="s", exponent=3, hold_seconds=60)
        assert (await source.read())[0].value == value
        assert source.channels[0].hold_seconds == 60

    def test_active_time_is_counted_in_seconds(self) -> None:
        with pytest.raises(InvalidRecord, match='unit must be "s" where the kind is state'):
            self.source("state", "echo", "1", unit="W.h")
