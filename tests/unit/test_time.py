"""P13, P1: leap seconds, machines that sleep, boots that never learn the time: nothing is lost or counted twice."""

from itertools import pairwise
from random import Random

import pytest

from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import ChannelName
from edge_agent.spool import Spool
from shared.report import ClockLine, Gap, Usage
from tests.metering_site import Bench, spec
from tests.sealing import PaperCollector
from tests.spools import AUTHOR, GATEWAY, KEY
from tests.unit.test_folding import Memory, drain

METER = ("m1", "energy")


def lived(bench: Bench, minutes: int, *, units: int = 7, value: int = 0, shift_ms: float = 0.0) -> int:
    """A reading twice a minute; returns the last value. `shift_ms`: what the wall clock loses in each half minute."""
    lost = 0.0
    for _ in range(2 * minutes):
        value += units
        bench.read(value)
        bench.wait(30)
        lost += shift_ms
        bench.offset_ms -= int(lost)
        lost -= int(lost)
    return value


def test_a_leap_second_that_comes_twice_neither_loses_nor_doubles_a_unit() -> None:
    """The wall clock repeats 23:59:59; intervals are cut on the monotonic clock."""
    bench = Bench(spec(), ms=100_000)
    value = lived(bench, 40)
    bench.offset_ms -= 1_000
    value = lived(bench, 60, value=value)
    bench.wait(1_800)
    assert bench.reader.used[METER] == value - 7
    windows = bench.reader.of(Usage)
    assert all(0 <= before.end - after.start <= 1 for before, after in pairwise(windows)), "one second overlaps, once"
    assert sum(before.end - after.start for before, after in pairwise(windows)) <= 1
    assert not bench.notes()


@pytest.mark.parametrize("second", [1, -1])
def test_a_leap_second_that_is_smeared_over_a_day_cuts_no_window(second: int) -> None:
    """A smeared second is drift of 12 millionths."""
    bench = Bench(spec(), ms=100_000)
    value = lived(bench, 24 * 60, shift_ms=second * 1_000 / 2_880)
    bench.wait(1_800)
    assert bench.reader.used[METER] == value - 7
    windows = bench.reader.of(Usage)
    assert len(windows) in (24 * 4 + 1, 24 * 4 + 2)
    assert all(abs(after.start - before.end) <= 1 for before, after in pairwise(windows))
    assert not bench.notes()


def test_a_machine_that_slept_for_minutes_spreads_what_was_used_and_says_so() -> None:
    """CLOCK_BOOTTIME goes on while it sleeps: the time is known, what happened within it is estimated."""
    bench = Bench(spec())
    value = lived(bench, 20)
    bench.wait(25 * 60)
    value = lived(bench, 40, value=value + 25 * 60)
    bench.wait(1_800)
    assert bench.reader.used[METER] == value - 7
    slept = [gap for report in bench.reader.of(Gap) for gap in report.rows]
    assert all(gap.before is not None and gap.after is not None for gap in slept), (
        "the meter went on: the amount is known"
    )
    windows = bench.reader.of(Usage)
    assert all(before.end == after.start for before, after in pairwise(windows))
    assert slept or bench.notes(), "it is marked estimated"


def test_a_machine_that_slept_for_hours_declares_them_with_their_exact_amount() -> None:
    bench = Bench(spec())
    value = lived(bench, 20)
    asleep = bench.ms // 1_000 + bench.offset_ms // 1_000
    bench.wait(6 * 3_600)
    value = lived(bench, 40, value=value + 5_000)
    bench.wait(1_800)
    assert bench.reader.used[METER] == value - 7
    (gap,) = [gap for report in bench.reader.of(Gap) for gap in report.rows]
    assert abs(gap.start - asleep) <= 60
    assert abs(gap.end - gap.start - 6 * 3_600) <= 90
    assert (gap.after or 0) - (gap.before or 0) >= 5_000


class Wired(Bench):
    """A bench whose lines are sealed into a spool, to be sent to a collector."""

    def __init__(self, **more: int) -> None:
        disk = Memory()
        self.spool = Spool.open(disk, gateway=GATEWAY, key=KEY, author=AUTHOR, random=Random(1), bytes_max=2**24)
        super().__init__(spec(), **more)

    def seal(self) -> None:
        lines = self.metering.due(self.tick)
        self.reader.take(lines)
        if lines:
            self.spool.seal(lines, {})
            self.commit()


def dark_reboots(*, fold: bool) -> tuple[Wired, PaperCollector, int]:
    """A Pi without a battery reboots three times before it learns the time; what its meter counted."""
    bench = Wired(ms=20_000, synchronised=False)
    value = 0
    for number, minutes in enumerate((90, 47, 130)):
        if number:
            bench.restart(boot=f"d000000{number}", down=30)
        value = lived(bench, minutes, value=value)
    bench.restart(boot="d0000009", down=30)
    bench.synchronised = True
    value = lived(bench, 60, value=value)
    bench.wait(1_800)
    if fold:
        while (after := bench.spool._room.fold([bench.spool.epoch], bench.spool._chains, KEY)) is not None:
            bench.spool._chains[after.log, after.epoch] = after
    return bench, drain(bench.spool), value


@pytest.mark.parametrize("fold", [False, True])
def test_three_boots_without_time_are_laid_end_to_end_before_the_first_that_knows_it(*, fold: bool) -> None:
    """Source: docs/reference/wire.md, clock. The last one ends where the chain's next placed line starts."""
    bench, collector, value = dark_reboots(fold=fold)
    assert [line.header.boot for line in bench.reader.of(ClockLine)] == ["d0000009"], "none of the dark ones learnt it"
    spans = StoreView(collector.store).spans(ChannelName(gateway=GATEWAY, device="m1", meter="energy"), 0, 2**33)
    assert sum(span.units for span in spans) == value - 7
    rows = collector.store._database.execute("select boot, shift, estimated from boot order by shift")
    laid = [boot for boot, _, estimated in rows if estimated]
    assert laid == ["b0000001", "d0000001", "d0000002"], "in the order in which they were"
    began = next(shift for boot, shift, estimated in rows if not estimated)
    step = 3_600 if fold else 60
    dark = sorted((span for span in spans if span.start + step <= began), key=lambda span: span.seq)
    assert abs(sum(span.units for span in dark) - (90 + 47 + 130) * 14) < 3 * 14
    assert all(before.start <= after.start for before, after in pairwise(dark))
    assert all(span.estimated for span in dark)
