"""P4: reset, rollover, glitch, rollback and exchange are told apart, and never create or destroy usage."""

from dataclasses import replace
from typing import Any

import pytest

from edge_agent.meter import meter
from edge_agent.meter_state import MeterState, Step
from edge_agent.reading import ChannelSpec, Kind, Reading
from edge_agent.timekeeping import Elapsed, Moment
from shared.limits import INTEGER_MAX
from shared.report import Verdict
from tests.metering_site import spec


class Meter:
    """A channel read once a minute unless told otherwise; 10 units a second are allowed."""

    def __init__(self, **changes: Any) -> None:
        self.spec: ChannelSpec = spec(**changes)
        self.state = MeterState()
        self.at = Moment("b1", 1_000_000)
        self.unknown_across_boots = True
        self.steps: list[Step] = []
        self.verdicts: list[Verdict | None] = []

    def read(self, *values: int, after: float = 60, **more: Any) -> "Meter":
        for value in values:
            self.at = self.at._replace(ms=self.at.ms + round(after * 1_000))
            reading = Reading(device="m1", meter="energy", value=value, at_ms=self.at.ms, **more)
            before = self.state.register or 0
            self.state, metered = meter(self.state, reading, self.spec, self.at, self.between)
            assert (self.state.register or 0) >= before, "a register never falls"
            self.steps = list(metered.steps)
            self.verdicts += [step.verdict for step in metered.steps] or [metered.verdict]
            self.state = MeterState.from_json(self.state.to_json())
        return self

    def reboot(self, uptime: float = 20) -> "Meter":
        self.at = Moment(self.at.boot + "x", round(uptime * 1_000))
        return self

    def between(self, earlier: Moment, later: Moment) -> Elapsed:
        if earlier.boot == later.boot:
            return Elapsed(later.ms - earlier.ms, later.ms - earlier.ms)
        return Elapsed(later.ms, None if self.unknown_across_boots else later.ms + 7_200_000)

    @property
    def used(self) -> int:
        return (self.state.register or 0) - self.first

    first = 1_000


def test_the_first_reading_is_a_baseline_and_no_usage() -> None:
    read = Meter().read(1_000)
    assert read.state.register == 1_000
    assert read.steps == [Step(read.at, None, 0, None)]


def test_a_register_that_a_birth_has_stated_is_not_moved_by_the_baseline() -> None:
    read = Meter()
    read.state = MeterState(register=0)
    assert read.read(5_000, 5_007).state.register == 7


def test_a_rise_within_the_rate_is_usage() -> None:
    assert Meter().read(1_000, 1_001, 1_601, 1_601).used == 601


def test_a_low_value_is_held_and_forgotten_when_the_next_one_goes_on_from_the_last_good_one() -> None:
    read = Meter().read(1_000, 1_010, 0)
    assert (read.used, read.steps) == (10, [])
    read.read(1_030)
    assert (read.used, read.verdicts[-1]) == (30, Verdict.GLITCH)


def test_an_impossibly_high_value_is_held_and_forgotten() -> None:
    read = Meter().read(1_000, 10**9, 1_020)
    assert (read.used, read.verdicts[-1]) == (20, Verdict.GLITCH)


def test_two_different_glitches_in_a_row_leave_no_usage() -> None:
    read = Meter().read(1_000, 1_010, 10**9, 3, 1_040)
    assert read.used == 40
    assert read.verdicts[-2:] == [Verdict.GLITCH, Verdict.GLITCH]


def test_a_confirmed_lower_value_within_the_rate_is_a_reset_counted_from_zero() -> None:
    read = Meter().read(1_000, 5_000, 5_010, after=600).read(40, 55)
    assert read.used == 4_010 + 55
    assert read.verdicts[-2:] == [Verdict.RESET, None]


def test_a_confirmed_lower_value_beyond_the_rate_is_a_rollback_and_nothing_negative() -> None:
    read = Meter().read(1_000, 1_200, 1_300).read(1_250, 1_260)
    assert read.used == 300 + 10
    assert read.verdicts[-2:] == [Verdict.ROLLBACK, None]


def test_the_usage_of_a_confirmed_reading_counts_from_its_own_moment() -> None:
    read = Meter().read(1_000, 5_000, 5_010, after=600).read(40)
    held_at = read.at
    read.read(55)
    assert [(step.at, step.amount) for step in read.steps] == [(held_at, 40), (read.at, 15)]


@pytest.mark.parametrize("width", [16, 32])
def test_a_confirmed_rollover_of_declared_width_counts_round(width: int) -> None:
    top = 1 << width
    read = Meter(width_bits=width).read(top - 1_000, top - 50, 20, 30, after=90)
    assert (read.state.register or 0) - (top - 1_000) == 1_030
    assert Verdict.ROLLOVER in read.verdicts


def test_without_a_declared_width_there_is_no_rollover() -> None:
    top = 1 << 32
    read = Meter().read(top - 1_000, top - 50, 2_000, 2_010, after=90)
    assert Verdict.ROLLOVER not in read.verdicts


def test_a_rollover_that_nobody_can_tell_from_a_reset_is_a_gap_of_unknown_amount() -> None:
    read = Meter(width_bits=16).read(1_000, 1_010).read(20, after=7_200).read(30)
    assert [step.amount for step in read.steps] == [None, 10]
    assert read.used == 20


def test_a_value_beyond_the_declared_width_or_the_wires_integers_is_a_glitch() -> None:
    assert Meter(width_bits=16).read(1_000, 70_000, 70_001, 1_010).used == 10
    assert Meter().read(1_000, -1, -1, INTEGER_MAX + 1, INTEGER_MAX + 2, 1_010).used == 10


def test_a_changed_generation_proves_a_reset_at_once_even_where_the_value_is_higher() -> None:
    read = Meter().read(1_000, 1_010, generation="g1").read(500, generation="g2")
    assert (read.used, read.verdicts[-1]) == (510, Verdict.RESET)
    read.read(560, generation="g3")
    assert read.used == 510 + 560


def test_a_changed_generation_with_an_impossible_value_is_a_gap_of_unknown_amount_once_confirmed() -> None:
    read = Meter().read(1_000, 1_010, generation="g1").read(10**6, 10**6 + 5, generation="g2")
    assert read.used == 15
    assert [(step.amount, step.verdict) for step in read.steps] == [(None, Verdict.RESET), (5, None)]


def test_another_serial_is_another_meter_and_what_lies_between_is_unknown() -> None:
    read = Meter().read(1_000, 1_010, serial="A").read(9, serial="B")
    assert read.used == 10
    assert read.steps[0].amount is None
    assert read.verdicts[-1] is Verdict.EXCHANGE
    assert read.read(19, serial="B").used == 20


def test_a_serial_that_is_not_said_for_a_while_is_no_exchange() -> None:
    read = Meter().read(1_000, serial="A").read(1_010).read(1_020, serial="A")
    assert (read.used, read.state.serial) == (20, "A")


def test_a_confirmed_high_value_is_a_gap_of_unknown_amount_and_a_new_baseline() -> None:
    read = Meter().read(1_000, 1_010, 10**9, 10**9 + 5)
    assert read.used == 15
    assert [(step.amount, step.verdict) for step in read.steps] == [(None, Verdict.GLITCH), (5, None)]


def test_a_high_value_is_usage_once_the_time_that_passed_allows_it() -> None:
    assert Meter().read(1_000, 2_000, 2_000).used == 1_000


def test_a_high_baseline_that_was_a_glitch_is_neither_reset_nor_rollback() -> None:
    read = Meter().read(10**9, 300, 310)
    assert [(step.amount, step.verdict) for step in read.steps] == [(None, Verdict.GLITCH), (10, None)]


def test_across_boots_without_a_placed_clock_a_rise_is_usage_once_confirmed() -> None:
    """P2: from a cumulative source nothing is lost, however long nobody looked."""
    read = Meter().read(1_000, 1_010).reboot().read(90_000, after=0)
    assert read.steps == []
    assert read.read(90_010).used == 89_010


def test_across_boots_without_a_placed_clock_a_fall_beyond_this_boots_age_hides_an_unknown_amount() -> None:
    read = Meter().read(1_000, 90_000, 90_100, after=9_000).reboot().read(50_000, 50_010)
    assert read.used == 89_100 + 10
    assert [(step.amount, step.verdict) for step in read.steps] == [(None, Verdict.ROLLBACK), (10, None)]


def test_a_rise_held_across_boots_that_a_reset_overtakes_is_declared() -> None:
    """P3."""
    read = Meter().read(1_000, 1_010, generation="a").reboot().read(90_000, after=0, generation="a")
    read.read(5, generation="b")
    assert [(step.amount, step.verdict) for step in read.steps] == [(None, Verdict.GLITCH), (5, Verdict.RESET)]
    assert read.used == 15


def test_across_boots_the_placed_clock_tells_what_the_rate_allows() -> None:
    read = Meter().read(1_000, 1_010)
    read.unknown_across_boots = False
    assert read.reboot().read(10**6, 10**6 + 5).used == 15


def test_a_register_at_the_wires_bound_takes_a_gap_of_unknown_amount_instead_of_growing() -> None:
    """P9: integers stay below 2^53."""
    read = Meter()
    read.state = MeterState(register=INTEGER_MAX - 5)
    read.read(100, 110)
    assert read.state.register == INTEGER_MAX - 5
    assert read.steps[0].amount is None


def test_a_gauge_is_integrated_by_trapezoids_and_loses_no_remainder() -> None:
    read = Meter(kind=Kind.GAUGE)
    read.state = MeterState(register=0)
    read.read(1_000, 1_000, after=1)
    assert read.state.register == 0
    read.read(*[1_000] * 3_599, after=1)
    assert read.state.register == 1_000
    read.read(0, after=36)
    assert read.state.register == 1_005


def test_a_gauge_is_not_integrated_over_a_silence() -> None:
    read = Meter(kind=Kind.GAUGE)
    read.state = MeterState(register=0)
    read.read(3_600, 3_600).read(3_600, after=301)
    assert read.state.register == 60
    assert read.steps[0].amount is None


def test_pulses_are_added_up_and_too_many_of_them_are_declared() -> None:
    read = Meter(kind=Kind.PULSE)
    read.state = MeterState(register=0)
    assert read.read(3, 0, 4).state.register == 7
    read.read(10**6)
    assert (read.state.register, read.steps[0].amount) == (7, None)


def test_a_state_is_timed_while_it_is_active() -> None:
    read = Meter(kind=Kind.STATE, unit="s")
    read.state = MeterState(register=0)
    read.read(1, 1, 0, 0, 1, after=1.5).read(0, after=2)
    assert read.state.register == 5


def test_a_changed_width_of_a_channel_is_judged_by_the_new_one() -> None:
    read = Meter(width_bits=16).read(1_000, 1_010)
    read.spec = replace(read.spec, width_bits=32)
    assert read.read(1_020).used == 20
