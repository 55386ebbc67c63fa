"""Thresholds: each fires once a period, a jump fires each, a correction withdraws what it undoes."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_collector.contracts.agreed import Warn
from cloud_collector.insight.warnings import (
    Against,
    Figures,
    Measured,
    Notice,
    Past,
    Side,
    Way,
    What,
    judge,
    past_of,
    said,
)

WARN = Warn(over=(Decimal(80), Decimal(100), Decimal(120)), under=(Decimal(50),))


def budget(figure: int, ahead: tuple[int, int, int] | None = None, *, ended: bool = False) -> Figures:
    """A figure beside a budget of 100."""
    low, likely, high = (None, None, None) if ahead is None else map(Fraction, ahead)
    measured = Measured(
        figure=Fraction(figure), so_far=None, whole=Fraction(100), unit="EUR", low=low, likely=likely, high=high
    )
    return Figures(yardsticks={Against.BUDGET: measured}, ended=ended)


def normal(figure: int, so_far: int, whole: int = 100) -> Figures:
    measured = Measured(figure=Fraction(figure), so_far=Fraction(so_far), whole=Fraction(whole), unit="EUR")
    return Figures(yardsticks={Against.NORMAL: measured}, ended=False)


def lived(*course: Figures, warn: Warn = WARN) -> list[list[str]]:
    """What is said at each look, short: `+over 80` fires, `-over 80` is withdrawn, `~` is projected."""
    facts: list[Notice] = []
    told = []
    for figures in course:
        found = judge(warn, figures, past_of(facts))
        facts += found
        told.append(
            [
                f"{'+' if each.what is What.FIRED else '-'}{'~' if each.threshold.way is Way.PROJECTED else ''}"
                f"{each.threshold.side.value} {each.threshold.percent}"
                for each in found
            ]
        )
    return told


def test_each_threshold_fires_once() -> None:
    assert lived(*map(budget, (79, 80, 81, 99, 100, 119, 120, 500))) == [
        [],
        ["+over 80"],
        [],
        [],
        ["+over 100"],
        [],
        ["+over 120"],
        [],
    ]


def test_a_jump_over_several_fires_each() -> None:
    assert lived(budget(10), budget(130)) == [[], ["+over 80", "+over 100", "+over 120"]]


def test_a_correction_withdraws_what_it_undoes_and_no_more() -> None:
    assert lived(budget(105), budget(85), budget(85)) == [["+over 80", "+over 100"], ["-over 100"], []]


def test_what_is_crossed_again_after_a_correction_is_said_again() -> None:
    assert lived(budget(100), budget(99), budget(101)) == [["+over 80", "+over 100"], ["-over 100"], ["+over 100"]]


def test_less_than_a_share_of_the_budget_is_only_known_when_the_period_has_ended() -> None:
    assert lived(budget(0), budget(49), budget(49, ended=True)) == [[], [], ["+under 50"]]
    assert lived(budget(50, ended=True)) == [[]]


def test_what_arrives_after_the_end_withdraws_an_underrun() -> None:
    assert lived(budget(49, ended=True), budget(51, ended=True)) == [["+under 50"], ["-under 50"]]


def test_what_is_foretold_fires_by_the_likely_figure_and_is_undone_by_the_whole_band() -> None:
    course = [(70, 79, 90), (75, 80, 92), (70, 78, 85), (60, 70, 79), (80, 90, 95)]
    told = lived(*(budget(10, each) for each in course))
    assert told == [[], ["+~over 80"], [], ["-~over 80"], []], "a forecast that sways says nothing twice"


def test_too_little_that_is_foretold_is_said_before_it_is_too_late() -> None:
    assert lived(budget(10, (30, 49, 60)), budget(20, (55, 60, 65))) == [["+~under 50"], ["-~under 50"]]


def test_normal_is_compared_at_the_time_that_has_passed() -> None:
    assert lived(normal(9, 20), normal(10, 20)) == [["+under 50"], ["-under 50"]]
    assert lived(normal(16, 20), normal(25, 20)) == [["+over 80"], ["+over 100", "+over 120"]]


def test_beside_what_is_normal_nothing_is_said_twice_in_a_period() -> None:
    assert lived(normal(16, 20), normal(16, 21), normal(30, 30))[:2] == [["+over 80"], ["-over 80"]]
    assert "+over 80" not in lived(normal(16, 20), normal(16, 21), normal(30, 30))[2]


def test_a_yardstick_of_nothing_warns_of_nothing() -> None:
    assert lived(normal(5, 0, whole=0)) == [[]]
    assert judge(WARN, Figures(yardsticks={}, ended=False), Past()) == ()


def test_what_nobody_asks_for_any_more_is_withdrawn_once_and_in_words_that_say_so() -> None:
    fired = judge(WARN, budget(110), Past())
    assert [str(each.threshold.percent) for each in fired] == ["80", "100"]
    (gone,) = judge(Warn(over=(Decimal(80),)), budget(110), past_of(fired))
    assert (gone.what, gone.threshold.percent, gone.figure) == (What.WITHDRAWN, Decimal(100), Fraction(110))
    assert said(gone) == "Withdrawn: nobody asks any more to be warned of 100 % of the budget"
    assert judge(Warn(over=(Decimal(80),)), budget(110), past_of([*fired, gone])) == ()
    unset = judge(WARN, Figures(yardsticks={}, ended=False), past_of(fired))
    assert [each.what for each in unset] == [What.WITHDRAWN] * 2, "the budget was taken back"


@given(st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=20))
def test_fired_and_withdrawn_take_turns_and_what_stands_is_what_holds(course: list[tuple[int, bool]]) -> None:
    facts: list[Notice] = []
    for figure, ended in course:
        facts += judge(WARN, budget(figure, ended=ended), past_of(facts))
        standing = {each.percent for each in past_of(facts).standing if each.side is Side.OVER}
        assert standing == {percent for percent in WARN.over if figure >= percent}
    for threshold in {each.threshold for each in facts}:
        turns = [each.what for each in facts if each.threshold == threshold]
        assert turns == [What.FIRED, What.WITHDRAWN] * (len(turns) // 2) + [What.FIRED] * (len(turns) % 2)


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        (budget(80), "80.00 EUR net has reached 80 % of the budget, 80.00 EUR"),
        (budget(49, ended=True), "49.00 EUR net is below 50 % of the budget, 50.00 EUR"),
        (
            budget(1, (70, 85, 90)),
            "By the end of the period it will probably be 85.00 EUR: at least 80 % of the budget, 80.00 EUR",
        ),
    ],
)
def test_a_warning_is_a_sentence(figures: Figures, sentence: str) -> None:
    assert said(judge(WARN, figures, Past())[0]) == sentence
