"""P13: every line says how far its clock is trusted."""

from edge_agent.timekeeping import HISTORIC, Elapsed, Moment, Tick, TimeState, sample
from shared.report import Clock

UTC_MS = 1_793_750_400_000


def tick(boot_ms: int, utc_ms: int = 0, *, boot: str = "b1") -> Tick:
    """A sample; synchronised where it says a time of day."""
    return Tick(boot_ms=boot_ms, utc_ms=utc_ms, synchronised=utc_ms > 0, boot_id=boot)


def follow(*ticks: Tick) -> TimeState:
    state = None
    for one in ticks:
        state = sample(state, one)
        assert TimeState.from_json(state.to_json()) == state
    assert state is not None
    return state


def test_a_boot_without_time_is_relative_until_it_is_synchronised() -> None:
    assert follow(tick(1_000)).clock is Clock.RELATIVE
    placed = follow(tick(1_000), tick(2_000, UTC_MS))
    assert (placed.clock, placed.offset_ms) == (Clock.SYNCHRONISED, UTC_MS - 2_000)


def test_a_boot_that_was_synchronised_keeps_its_placement_and_ignores_the_wall_clock() -> None:
    state = follow(tick(1_000, UTC_MS), Tick(boot_ms=2_000, utc_ms=5, synchronised=False, boot_id="b1"))
    assert (state.clock, state.offset_ms) == (Clock.INFORMED, UTC_MS - 1_000)


def test_a_synchronised_clock_before_2025_or_beyond_the_wire_is_not_believed() -> None:
    assert follow(tick(1_000, 86_400_000)).clock is Clock.RELATIVE
    assert follow(tick(1_000, 2**43)).clock is Clock.RELATIVE


def test_boot_time_that_goes_back_is_unsure_and_goes_on_from_where_it_was() -> None:
    state = follow(tick(90_000, UTC_MS), tick(10_000), tick(11_000))
    assert (state.clock, state.now_ms, state.offset_ms) == (Clock.UNSURE, 91_000, None)
    assert sample(state, tick(12_000, UTC_MS)).clock is Clock.SYNCHRONISED


def test_samples_in_the_wrong_order_do_not_make_boot_time_unsure() -> None:
    state = follow(tick(90_000), tick(89_900))
    assert (state.clock, state.now_ms, state.bias_ms) == (Clock.RELATIVE, 90_000, 0)


def test_time_between_placed_boots_is_known() -> None:
    state = follow(tick(90_000, UTC_MS), tick(5_000, UTC_MS + 60_000, boot="b2"))
    assert state.between(Moment("b1", 90_000), state.now) == Elapsed(60_000, 60_000)


def test_time_between_boots_that_are_not_both_placed_is_at_least_the_later_ones_age() -> None:
    state = follow(tick(90_000, UTC_MS), tick(5_000, boot="b2"))
    assert state.between(Moment("b1", 90_000), state.now) == Elapsed(5_000, None)


def test_an_absurd_time_between_boots_is_not_believed() -> None:
    state = follow(tick(90_000, UTC_MS), tick(5_000, UTC_MS - 3_600_000, boot="b2"))
    assert state.between(Moment("b1", 90_000), state.now) == Elapsed(5_000, None)


def test_only_so_many_earlier_boots_are_remembered() -> None:
    """P9."""
    state = follow(*(tick(1_000, UTC_MS + n, boot=f"b{n}") for n in range(20)))
    assert len(state.past) == 8
    assert state.offset_of("b18") == UTC_MS + 18 - 1_000
    assert state.offset_of("b3") is None
    assert state.offset_of(HISTORIC) == 0
