"""Intervals hold what was read in (start, end]; windows end at multiples of their length."""

import pytest

from edge_agent.timekeeping import Moment
from edge_agent.window import Grid, OpenRow, Window
from shared.errors import InvalidRecord
from shared.report import Clock, Verdict


def opened(label: float, *, step: int = 60, count: int = 15, last_end: int | None = None) -> Window:
    """A window opened at a label, with boot time 1,000 s behind it."""
    at = Moment("b1", round(label * 1_000) - 1_000_000)
    return Grid(step, count).open(at, 1_000_000, Clock.SYNCHRONISED, base=7, last_end=last_end)


def test_a_reading_on_a_boundary_belongs_to_the_interval_that_ends_there() -> None:
    window = opened(9_000)
    moments = [8_999, 9_000, 9_000.001, 9_060, 9_060.001, 9_900]
    assert [window.index(round(at * 1_000) - 1_000_000) for at in moments] == [0, 0, 0, 0, 1, 14]


def test_the_first_window_is_short_so_that_the_next_begins_on_a_multiple() -> None:
    window = opened(9_125)
    assert (window.start, window.count, window.end) == (9_120, 13, 9_900)


@pytest.mark.parametrize(("step", "count"), [(60, 15), (900, 1), (300, 12), (1, 60), (900, 96)])
def test_local_midnights_are_boundaries_of_windows(step: int, count: int) -> None:
    day = 86_400
    window = opened(20_000 * day + 12_345, step=step, count=count)
    assert (window.start % day) <= 12_345
    assert day % step == 0
    assert window.end % (step * count) == 0


def test_an_interval_that_is_sealed_is_not_opened_again_by_a_small_step_back() -> None:
    assert opened(9_030, last_end=9_060).start == 9_060
    assert opened(9_059.8, last_end=9_060).start == 9_060
    assert opened(9_060.2, last_end=9_060).start == 9_060
    assert opened(5_000, last_end=9_060).start == 4_980


def test_windows_beyond_the_wires_bounds_are_refused() -> None:
    """P9."""
    for step, count in ((0, 15), (86_401, 1), (60, 0), (60, 1_441)):
        with pytest.raises(InvalidRecord):
            Grid(step, count)


def test_an_interval_keeps_its_gravest_note_and_is_missing_without_a_reading() -> None:
    row = OpenRow.empty(3)
    row.note(0, Verdict.RESET)
    row.note(0, Verdict.GLITCH)
    row.note(1, Verdict.GLITCH)
    row.seen = 0b001
    assert row.notes_until(3) == {0: Verdict.RESET, 1: Verdict.MISSING, 2: Verdict.MISSING}


def test_what_stands_from_the_cut_on_goes_into_the_next_window_in_its_order() -> None:
    row = OpenRow([5, 7, 0, 9], {1: Verdict.RESET, 3: Verdict.GLITCH}, 0b1010, [])
    after = row.after(1, 15)
    assert after.deltas[:4] == [7, 0, 9, 0]
    assert (after.notes, after.seen) == ({0: Verdict.RESET, 2: Verdict.GLITCH}, 0b101)
    short = row.after(1, 2)
    assert (short.deltas, short.notes, short.seen) == ([7, 9], {0: Verdict.RESET, 1: Verdict.GLITCH}, 0b11)
