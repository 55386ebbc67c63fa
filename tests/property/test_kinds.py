"""What keeps no register of its own is conserved while it is readable (P1): gauges, pulses, events and states.

The world knows what happened at every second, independent of windows, commits and the arithmetic of
remainders: it keeps exact fractions. What lies between the last commit that survived and a crash, and what
happens in a silence longer than the hold, is known to nobody; everything else must be sealed to the unit.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.reading import Kind
from shared.report import Usage
from tests.examples import examples
from tests.metering_site import Bench, spec

HOLD: int = 120
RATE_MAX: int = 1_000
Event = tuple[Any, ...]
KINDS: dict[Kind, dict[str, Any]] = {
    Kind.GAUGE: {"per_seconds": 3_600},
    Kind.PULSE: {"per_count": (5, 7)},
    Kind.EVENT: {},
    Kind.STATE: {"unit": "s", "exponent": -1},
}


@dataclass
class Truth:
    """What a channel was worth, exactly, and the last reading that it goes on from."""

    amount: Fraction = Fraction(0)
    last: tuple[int, int, str] | None = None
    """Value, moment and boot of the last reading."""


@dataclass
class World:
    """A source of one kind that is read, falls silent, is restarted, crashes and is rebooted."""

    kind: Kind
    bench: Bench = field(init=False)
    truth: Truth = field(default_factory=Truth)
    safe: Truth = field(default_factory=Truth)
    """The truth at the last commit."""
    waiting: int = 0
    """Pulses that happened since the last reading, kept by the source."""
    boots: int = 1
    commits: int = 0

    def __post_init__(self) -> None:
        more = {"hold_seconds": HOLD, "rate_max": RATE_MAX} | KINDS[self.kind]
        self.bench = Bench(spec(kind=self.kind, **more), count=5)
        self.follow()

    def wait(self, seconds: int, happening: int) -> None:
        self.waiting += min(seconds, happening)
        self.bench.wait(seconds)
        self.follow()

    def read(self, value: int) -> None:
        taken = value if not self.kind.taken_once else self.waiting
        self.waiting = 0
        self.truth = self.after(taken)
        self.bench.read(taken)
        self.follow()

    def after(self, value: int) -> Truth:
        here = (value, self.bench.ms, self.bench.boot)
        if self.kind.taken_once:
            worth = Fraction(*self.bench.specs[0].per_count)
            return Truth(self.truth.amount + value * worth, here)
        amount = self.truth.amount
        if self.truth.last is not None:
            before, since_ms, boot = self.truth.last
            seconds = Fraction(self.bench.ms - since_ms, 1_000)
            if boot == self.bench.boot and seconds <= HOLD:
                amount += self.held(before, value, seconds)
        return Truth(amount, here)

    def held(self, before: int, value: int, seconds: Fraction) -> Fraction:
        if self.kind is Kind.GAUGE:
            return Fraction(before + value, 2) * seconds / 3_600
        return seconds * 10 if before else Fraction(0)

    def commit(self) -> None:
        self.bench.commit()
        self.follow()

    def fail(self) -> None:
        self.bench.fail()
        self.follow()

    def follow(self) -> None:
        if self.bench.commits != self.commits:
            self.safe, self.commits = self.truth, self.bench.commits

    def stop(self, down: int) -> None:
        """An orderly end: what was counted is taken a last time, and everything is committed."""
        if self.kind.taken_once:
            self.read(0)
        self.bench.restart(down=down)
        self.follow()

    def crash(self, down: int, *, boot: bool) -> None:
        """The process is gone, and with it what it counted and did not commit."""
        self.truth, self.waiting = self.safe, 0
        self.boots += boot
        self.bench.restart(down=down, boot=f"b{self.boots:07d}" if boot else None, uptime=1, lose=True)
        self.follow()


levels = st.integers(0, 3_000_000)
events = st.one_of(
    st.tuples(st.just(World.wait), st.integers(1, 90), st.integers(0, 500)),
    st.tuples(st.just(World.read), levels),
    st.tuples(st.just(World.read), levels),
    st.tuples(st.just(World.read), st.just(0)),
    st.tuples(st.just(World.wait), st.integers(HOLD - 1, 900), st.integers(0, 500)),
    st.tuples(st.just(World.commit)),
    st.tuples(st.just(World.fail)),
    st.tuples(st.just(World.stop), st.integers(0, 2_000)),
    st.tuples(st.just(lambda world, down, boot: world.crash(down, boot=boot)), st.integers(0, 2_000), st.booleans()),
)


@pytest.mark.parametrize("kind", KINDS)
@given(happened=st.lists(events, max_size=40))
@settings(max_examples=examples(80), deadline=None)
def test_what_happened_while_it_was_readable_is_sealed_to_the_unit(kind: Kind, happened: list[Event]) -> None:
    world = World(kind)
    for method, *values in happened:
        method(world, *values)
    world.wait(5, 3)
    world.read(1)
    world.wait(60 * 12, 0)
    reader = world.bench.reader
    assert sum(reader.used.values()) == int(world.truth.amount), "whole units: what makes none yet is carried"
    assert world.bench.register == int(world.truth.amount)
    for usage in reader.of(Usage):
        assert all(delta >= 0 for row in usage.rows for delta in row.deltas)


@given(st.lists(st.integers(0, 400), max_size=40), st.integers(1, 50), st.integers(1, 50))
@settings(max_examples=examples(80), deadline=None)
def test_a_fraction_of_a_unit_outlives_every_restart(counts: list[int], worth: int, parts: int) -> None:
    """P1: a pulse is worth a fraction; however the counts are cut by restarts, the sum is that of the pulses."""
    bench = Bench(spec(kind=Kind.PULSE, per_count=(worth, parts), rate_max=10**6))
    for count in counts:
        bench.wait(1)
        bench.read(count)
        bench.restart()
    assert (bench.register or 0) == sum(counts) * worth // parts
