"""P1, P3: what a full spool folds keeps its registers to the integer, and says at which hours it was."""

import pytest

from edge_agent.fold import DAY, HOUR, Fold, Foldable
from shared.report import Clock, Summary, Verdict
from tests.sealing import NOON, PaperGateway

HOUR_START = NOON - NOON % HOUR
PUMP = ("pump", "energy")


def folded(gateway: PaperGateway, seqs: range, step: int = HOUR) -> Summary:
    fold = Fold(step)
    for seq in seqs:
        assert fold.take(gateway.foldable(seq)), f"line {seq} belongs to it"
    return fold.summary(key=gateway.key.public.id, seq=len(gateway.lines) + 1, prev="A" * 43)


def paper(minute: int = 0) -> PaperGateway:
    gateway = PaperGateway(now=HOUR_START + minute * 60)
    gateway.birth((*PUMP, 100, 5))
    return gateway


def test_intervals_add_up_by_whole_hours() -> None:
    gateway = paper()
    gateway.usage((*PUMP, 100, [1, 2, 3, 4]), step=900)
    gateway.usage((*PUMP, 110, [5, 6]), step=900)
    summary = folded(gateway, range(2, 4))
    assert (summary.start, summary.step, summary.count) == (HOUR_START, HOUR, 2)
    assert [(row.register, row.deltas, dict(row.notes)) for row in summary.rows] == [(100, (10, 11), {})]
    assert [(cover.first, cover.last) for cover in summary.covers] == [(2, 3)]


def test_an_interval_across_the_hour_is_shared_out_to_the_unit_and_said_to_be_estimated() -> None:
    gateway = paper(minute=50)
    gateway.usage((*PUMP, 100, [7]), step=900)
    (row,) = folded(gateway, range(2, 3)).rows
    assert (row.deltas, dict(row.notes)) == ((4, 3), {0: Verdict.ESTIMATED, 1: Verdict.ESTIMATED})


def test_a_gap_with_registers_is_usage_in_proportion_and_one_without_is_missing() -> None:
    gateway = paper()
    gateway.gap(*PUMP, HOUR_START, HOUR_START + 2 * HOUR, 100, 131)
    gateway.usage((*PUMP, 131, [4]), start=HOUR_START + 2 * HOUR, step=60)
    gateway.gap(*PUMP, HOUR_START + 4 * HOUR, HOUR_START + 5 * HOUR, None, None)
    gateway.usage((*PUMP, 135, [1]), start=HOUR_START + 5 * HOUR, step=60)
    (row,) = folded(gateway, range(2, 6)).rows
    assert (row.register, row.deltas) == (100, (15, 16, 4, 0, 0, 1))
    assert dict(row.notes) == {0: Verdict.ESTIMATED, 1: Verdict.ESTIMATED, 4: Verdict.MISSING}


def test_a_register_that_something_else_has_moved_ends_the_summary() -> None:
    gateway = paper()
    gateway.usage((*PUMP, 100, [1]))
    gateway.exchange(*PUMP, 6, 0, 105)
    gateway.usage((*PUMP, 105, [1]))
    fold = Fold(HOUR)
    assert fold.take(gateway.foldable(2))
    assert not fold.take(gateway.foldable(4))
    assert len(fold.taken) == 1


def test_a_birth_that_moves_nothing_parts_the_ranges_alone() -> None:
    gateway = paper()
    gateway.usage((*PUMP, 100, [1]))
    gateway.birth((*PUMP, 101, 6))
    gateway.usage((*PUMP, 101, [2]))
    summary = folded(gateway, range(2, 5, 2))
    assert [(cover.first, cover.last) for cover in summary.covers] == [(2, 2), (4, 4)]
    assert summary.rows[0].deltas == (3,)


@pytest.mark.parametrize("clocks", [(Clock.SYNCHRONISED, Clock.RELATIVE), (Clock.RELATIVE, Clock.RELATIVE)])
def test_nothing_is_folded_across_boots(clocks: tuple[Clock, Clock]) -> None:
    gateway = paper()
    gateway.clock = clocks[0]
    gateway.usage((*PUMP, 100, [1]))
    gateway.boot, gateway.clock = "b0000009", clocks[1]
    gateway.usage((*PUMP, 101, [1]))
    fold = Fold(HOUR)
    assert fold.take(gateway.foldable(2))
    assert not fold.take(gateway.foldable(3))


def test_what_is_less_sure_of_its_time_makes_the_whole_less_sure() -> None:
    gateway = paper()
    gateway.usage((*PUMP, 100, [1]))
    gateway.clock = Clock.INFORMED
    gateway.usage((*PUMP, 101, [1]))
    assert folded(gateway, range(2, 4)).header.clock is Clock.INFORMED


def test_a_boot_without_utc_is_cut_at_hours_of_its_own_clock() -> None:
    gateway = PaperGateway(now=3_590, clock=Clock.RELATIVE)
    gateway.birth((*PUMP, 0, 0))
    gateway.usage((*PUMP, 0, [1, 9]), step=10)
    summary = folded(gateway, range(2, 3))
    assert (summary.start, summary.count, summary.rows[0].deltas) == (0, 2, (1, 9))
    assert (summary.header.clock, summary.header.boot) == (Clock.RELATIVE, gateway.boot)


def test_folding_again_repeats_the_ranges_and_adds_the_old_summaries() -> None:
    gateway = paper()
    for number in range(4):
        gateway.usage((*PUMP, 100 + number, [1]), step=3_600)
    assert gateway.summary([2, 3]) is not None
    assert gateway.summary([4, 5]) is not None
    summary = folded(gateway, range(6, 8), DAY)
    assert [(cover.first, cover.last) for cover in summary.covers] == [(2, 7)]
    assert (summary.step, sum(summary.rows[0].deltas), summary.rows[0].register) == (DAY, 4, 100)


def test_a_channel_whose_unit_only_a_later_line_says_waits_for_it() -> None:
    gateway = paper()
    gateway.usage((*PUMP, 100, [1]))
    gateway.gap("lamp", "energy", gateway.now, gateway.now + 60, 3, 4)
    gateway.usage((*PUMP, 101, [1]), ("lamp", "energy", 4, [1]))
    fold = Fold(HOUR)
    assert fold.take(gateway.foldable(2))
    assert fold.take(gateway.foldable(3))
    assert [line.at for line in fold.whole().taken] == [2]
    assert fold.take(gateway.foldable(4))
    assert fold.whole() is fold


def test_no_summary_outgrows_a_line() -> None:
    gateway = paper()
    names = [(f"device-{number:04}-with-quite-a-long-name"[:32], "energy") for number in range(1_000)]
    gateway.usage(*((*name, 2**50, [2**40]) for name in names), step=3_600)
    for number in range(1, 40):
        gateway.usage(*((*name, 2**50 + number * 2**40, [2**40]) for name in names), step=3_600)
    fold = Fold(HOUR)
    taken = 0
    while fold.take(gateway.foldable(2 + taken)):
        taken += 1
    assert 1 < taken < 40
    assert len(gateway.summary(range(2, 2 + taken)) or b"") > 0


def test_what_a_refused_line_would_have_added_is_not_in_the_sum() -> None:
    gateway = paper()
    gateway.usage((*PUMP, 100, [1]))
    gateway.usage((*PUMP, 101, [5]), start=HOUR_START + 2_000 * HOUR)
    fold = Fold(HOUR)
    assert fold.take(gateway.foldable(2))
    assert not fold.take(gateway.foldable(3)), "more hours than a line may have"
    summary = fold.summary(key=gateway.key.public.id, seq=4, prev="A" * 43)
    assert summary.rows[0].deltas == (1,)


def test_a_foldable_knows_where_its_rows_stand() -> None:
    gateway = paper()
    gateway.usage((*PUMP, 100, [1]))
    gateway.usage((*PUMP, 101, [1]))
    gateway.summary([2, 3])
    line: Foldable = gateway.foldable(4)
    assert line.at == 2
    assert [(cover.first, cover.last) for cover in line.covers] == [(2, 3), (4, 4)]
