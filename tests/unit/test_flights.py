"""P8, P9: a bounded window, backoff with full jitter, nothing repeated before its turn."""

import itertools
from random import Random

from edge_agent.flights import Flights
from edge_agent.limits import RESEND_SECONDS_MAX, RESEND_SECONDS_MIN, RESEND_TOGETHER_MS
from edge_agent.sealed import Place

LINES = [Place("main", "e0000001", seq) for seq in range(1, 101)]


def sent_at(flights: Flights, now_ms: int, *, newest: Place = LINES[-1], asked: tuple[Place, ...] = ()) -> list[Place]:
    due = flights.choose(asked=asked, oldest=LINES[:31], newest=newest, now_ms=now_ms)
    flights.send(due, newest=newest, now_ms=now_ms)
    return due


def test_the_window_holds_31_of_the_oldest_and_the_newest() -> None:
    assert sent_at(Flights(Random(1)), 0) == [*LINES[:31], LINES[-1]]


def test_the_newest_is_not_repeated_before_its_turn() -> None:
    flights = Flights(Random(1))
    sent_at(flights, 0)
    for now_ms in range(1_000, 3_600_000, 1_000):
        assert LINES[-1] not in sent_at(flights, now_ms)


def test_each_new_line_is_sent_once_as_the_newest() -> None:
    flights = Flights(Random(1))
    sent_at(flights, 0, newest=LINES[50])
    assert sent_at(flights, 1, newest=LINES[51]) == [LINES[51]]


def test_what_is_asked_for_goes_first_and_takes_its_share_of_the_window() -> None:
    assert sent_at(Flights(Random(1)), 0, asked=(LINES[70], LINES[71]))[:3] == [LINES[70], LINES[71], LINES[0]]
    assert len(sent_at(Flights(Random(1)), 0, asked=(LINES[70], LINES[71]))) == 32


def test_what_is_asked_for_again_and_again_is_not_sent_more_often_than_every_few_seconds() -> None:
    flights = Flights(Random(1))
    times = []
    for now_ms in range(0, 60_000, 100):
        flights.hasten([LINES[70]], now_ms=now_ms)
        if LINES[70] in sent_at(flights, now_ms, asked=(LINES[70],)):
            times.append(now_ms)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) >= RESEND_SECONDS_MIN * 1_000 - RESEND_TOGETHER_MS
    assert max(gaps) <= 2.5 * RESEND_SECONDS_MIN * 1_000


def test_resends_back_off_with_full_jitter_up_to_a_bound() -> None:
    flights = Flights(Random(1))
    times = [now_ms for now_ms in range(0, 12 * 3_600_000, 500) if LINES[0] in sent_at(flights, now_ms)]
    gaps = [(later - earlier) / 1_000 for earlier, later in itertools.pairwise(times)]
    assert min(gaps) >= RESEND_SECONDS_MIN - 1
    assert max(gaps) <= RESEND_SECONDS_MIN + RESEND_SECONDS_MAX + 1
    assert sum(gaps[:3]) < 120
    assert len(times) < 200, "half a day without receipts must not bury the broker"
    assert len({round(gap) for gap in gaps}) > len(gaps) // 2


def test_a_new_session_brings_resends_forward_but_spreads_them() -> None:
    flights = Flights(Random(1))
    for now_ms in range(0, 3_600_000, 500):
        sent_at(flights, now_ms)
    flights.reconnect(now_ms=3_600_000)
    due = {place: flights.next_due_ms([place]) for place in LINES[:31]}
    assert all(at is not None and at <= 3_660_000 for at in due.values())
    assert len(set(due.values())) > 20


def test_lines_of_a_contradicted_epoch_rest_after_two_answered_sendings() -> None:
    flights = Flights(Random(1))
    sent_at(flights, 0)
    assert flights.answer("main", "e0000001", 31) == []
    assert flights.answer("main", "e0000001", 31) == [], "a second receipt for one sending proves nothing more"
    sent_at(flights, 60_000)
    assert flights.answer("main", "e0000001", 20) == LINES[:20]


def test_memory_of_flights_is_bounded() -> None:
    flights = Flights(Random(1))
    for number in range(5_000):
        newest = Place("main", "e0000001", 1_000 + number)
        sent_at(flights, number, newest=newest)
    assert len(flights._flights) <= 300
