"""The watch leaves the processor to intake: after each contract it rests the longer the more it took."""

import threading

import pytest

from cloud_collector.cli.telling import REST_SECONDS, REST_SECONDS_MAX, REST_TIMES, Turns
from shared.effects.memory import SimpleClock


class Closing(threading.Event):
    """Remembers how long was to be waited for it; the clock moves on meanwhile."""

    def __init__(self, clock: SimpleClock) -> None:
        super().__init__()
        self.clock = clock
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.clock.advance(round(timeout * 1_000))
        return False


@pytest.mark.parametrize(
    ("took_ms", "seconds"), [(0, REST_SECONDS), (50, REST_TIMES * 0.05), (200, REST_TIMES * 0.2), (900, 1.0)]
)
def test_it_rests_so_many_times_what_a_contract_took(took_ms: int, seconds: float) -> None:
    clock = SimpleClock()
    closing = Closing(clock)
    turns = Turns(closing, clock)
    for _ in range(3):
        clock.advance(10_000)
        turns.begin()
        clock.advance(took_ms)
        turns.rest()
    assert closing.waits == pytest.approx([min(seconds, REST_SECONDS_MAX)] * 3)


def test_whoever_ends_waits_for_no_rest() -> None:
    closing = threading.Event()
    closing.set()
    turns = Turns(closing, SimpleClock())
    for _ in range(1_000):
        turns.rest()
