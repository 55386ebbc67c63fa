"""Whatever happens between readings, what is sealed is what the meter counted (P1, P2, P4, P13).

The oracle is a fold over the readings that count: those before the last commit that survived, and
those after. It knows nothing of windows, clocks or holds.
"""

import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.metering import Metering
from edge_agent.reading import Reading
from shared.report import Birth, Usage, Verdict
from tests.examples import examples
from tests.metering_site import Bench, Reader, spec

Event = tuple[Any, ...]
"""A method of the World and what it is given."""
RATE_MAX = 10


@dataclass
class World:
    """A meter that counts, whatever the agent does; its display may begin anew, which its generation proves."""

    bench: Bench = field(default_factory=lambda: Bench(spec(rate_max=RATE_MAX), count=5))
    display: int = 5_000_000
    generation: int = 1
    boots: int = 1
    expected: int = 0
    last: tuple[int, int] | None = None
    """Display and generation at the last good reading."""
    safe: tuple[int, tuple[int, int] | None] = (0, None)
    """`expected` and `last` at the last commit."""
    commits: int = 0

    def wait(self, seconds: int, rate: int) -> None:
        self.display += seconds * rate
        self.bench.wait(seconds)
        self.follow()

    def read(self) -> None:
        if self.last is not None:
            display, generation = self.last
            self.expected += self.display - (display if generation == self.generation else 0)
        self.last = (self.display, self.generation)
        self.bench.read(self.display, generation=f"g{self.generation}")
        self.follow()

    def glitch(self, value: int) -> None:
        if self.last is not None:
            self.bench.read(value, generation=f"g{self.generation}")
            self.follow()

    def reset(self) -> None:
        self.display, self.generation = 0, self.generation + 1

    def commit(self) -> None:
        """The agent commits whenever it likes; sealing always does."""
        self.bench.commit()
        self.follow()

    def follow(self) -> None:
        """What has just been committed survives a crash."""
        if self.bench.commits != self.commits:
            self.safe, self.commits = (self.expected, self.last), self.bench.commits

    def fail(self) -> None:
        self.bench.fail()
        self.follow()

    def crash(self, down: int, rate: int, uptime: int = 0) -> None:
        """The process is gone, with the machine if that has been up again for `uptime` seconds."""
        self.expected, self.last = self.safe
        self.display += down * rate
        boot = None
        if uptime:
            self.boots += 1
            boot = f"b{self.boots:07d}"
        self.bench.restart(down=down, boot=boot, uptime=min(uptime, down) + 1, lose=True)
        self.follow()

    def step(self, seconds: float) -> None:
        self.bench.offset_ms += round(seconds * 1_000)
        self.bench.seal()
        self.follow()

    def trust(self, synchronised: bool) -> None:  # noqa: FBT001 - drawn.
        self.bench.synchronised = synchronised
        self.bench.seal()
        self.follow()


rates = st.integers(0, RATE_MAX)
steady = st.one_of(
    st.tuples(st.just(World.wait), st.integers(1, 90), rates),
    st.tuples(st.just(World.read)),
    st.tuples(st.just(World.read)),
    st.tuples(st.just(World.commit)),
    st.tuples(st.just(World.wait), st.integers(60, 2_000), rates),
    st.tuples(st.just(World.fail)),
    st.tuples(st.just(World.crash), st.integers(0, 5_000), rates),
)
rough = st.one_of(
    steady,
    steady,
    st.tuples(st.just(World.reset)),
    st.tuples(st.just(World.step), st.floats(-7_200, 7_200).filter(lambda seconds: abs(seconds) > 1.0)),
    st.tuples(st.just(World.step), st.floats(-0.4, 0.4)),
    st.tuples(st.just(World.trust), st.booleans()),
    st.tuples(st.just(World.crash), st.integers(0, 20_000), rates, st.integers(1, 60)),
)


def live(events: list[Event]) -> World:
    world = World()
    for method, *given_values in events:
        method(world, *given_values)
    for _ in range(3):  # Two readings confirm whatever is held.
        world.wait(30, 1)
        world.read()
    world.wait(60 * 12, 0)
    return world


def check_registers(reader: Reader) -> None:
    for usage in reader.of(Usage):
        for row in usage.rows:
            for index, verdict in row.notes.items():
                assert verdict is not Verdict.MISSING or row.deltas[index] == 0


@given(st.lists(steady, max_size=30))
@settings(max_examples=examples(150), deadline=None)
def test_everything_a_counter_counted_is_sealed_through_silences_and_restarts(events: list[Event]) -> None:
    world = live(events)
    reader = world.bench.reader
    assert sum(reader.used.values()) == world.expected
    assert not reader.unknown
    assert reader.raw["m1", "energy"] == world.last[0] if world.last else True
    check_registers(reader)
    ends = [(usage.start, usage.end) for usage in reader.of(Usage)]
    assert all(before[1] <= after[0] for before, after in pairwise(ends)), "no interval twice"


@given(st.lists(rough, max_size=30))
@settings(max_examples=examples(300), deadline=None)
def test_what_is_not_sealed_is_declared_through_resets_clock_steps_and_reboots(events: list[Event]) -> None:
    """P1, P13: steps, boots in 1970 and proven resets neither create nor lose a unit."""
    world = live(events)
    reader = world.bench.reader
    if reader.unknown:
        assert sum(reader.used.values()) <= world.expected, "a gap of unknown amount hides usage, it never adds any"
    else:
        assert sum(reader.used.values()) == world.expected
    check_registers(reader)
    assert reader.raw["m1", "energy"] == world.display


@given(st.lists(steady, max_size=20), st.sampled_from([0, 10**12, -1, 17]))
@settings(max_examples=examples(100), deadline=None)
def test_a_single_glitch_moves_no_unit(events: list[Event], value: int) -> None:
    world = World()
    world.read()
    world.wait(30, 3)
    world.read()
    for event in events:
        world.wait(20, 3)
        world.read()
        world.glitch(value)
        event[0](world, *event[1:])
    for _ in range(3):
        world.wait(30, 1)
        world.read()
    world.wait(60 * 12, 0)
    assert sum(world.bench.reader.used.values()) == world.expected
    assert not world.bench.reader.unknown


@given(st.lists(rough, max_size=20))
@settings(max_examples=examples(100), deadline=None)
def test_a_snapshot_is_the_whole_state(events: list[Event]) -> None:
    """P2: taking it, writing it and reading it back changes nothing that is sealed later."""
    one, other = World(), World()
    for event in events:
        event[0](one, *event[1:])
        event[0](other, *event[1:])
        copy = json.loads(json.dumps(other.bench.metering.snapshot()))
        bare = Metering.__new__(Metering)
        bare.resume(copy)
        other.bench.metering = bare
        assert bare.snapshot() == one.bench.metering.snapshot()
    assert one.bench.reader.records == other.bench.reader.records


@given(st.lists(st.tuples(st.integers(1, 4_000), rates), min_size=2, max_size=60))
@settings(max_examples=examples(100), deadline=None)
def test_a_replay_seals_under_its_own_time_however_often_it_begins_again(reads: list[tuple[int, int]]) -> None:
    bench = Bench(spec(historic=True, log="past", rate_max=RATE_MAX))
    utc, value, readings = 1_790_000_000, 77, []
    for seconds, rate in reads:
        utc, value = utc + seconds, value + seconds * rate
        readings.append(Reading(device="m1", meter="energy", value=value, at_ms=0, utc=utc))
    for reading in readings:
        bench.metering.observe([reading], bench.tick)
        bench.seal()
        bench.restart()
        assert bench.metering.observe([reading], bench.tick) == (reading,)
    bench.metering.caught_up("past")
    bench.wait(1)
    assert sum(bench.reader.used.values()) == readings[-1].value - readings[0].value
    for usage in bench.reader.of(Usage):
        assert usage.header.clock == "S"
        assert usage.end <= utc + 900
    assert isinstance(bench.reader.records[0], Birth)
