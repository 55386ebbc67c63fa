"""The real agent and the real collectors keep every promise in fifty worlds, and a broken rule is noticed.

Worlds are independent: all that is asked for here is handed to as many processes as there are cores, at once.
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import Any, Final

import pytest

from tests.simulation.faults import toothless
from tests.simulation.run import coverage_table, kept_seeds, run_seed
from tests.simulation.sabotage import FIRST_OF_ALL, SABOTAGES, SEEDS_MAX, first_caught, seeds_for

pytestmark = pytest.mark.simulation

SEEDS: Final = 50
ROOT: Final = Path(__file__).parents[2]
DEAR: Final = frozenset((
    1, 5, 7, 9, 13, 15, 17, 30, 32, 39, 42, 44, 49, 50, 53, 54, 58, 59, 60, 80, 181, 198, 215, 216, 219, 237, 238,
    310, 341, 449, 473, 495, 499, 517, 557, 842, 1032, 2074, 2081,
))  # fmt: skip
"""Large worlds, and such as send much again: of these the kept ones wait for `make deep` and `make simulate`."""
TRACED: Final = (11, 28)
"""A small world with one collector, and one with two."""
HASH_SEEDS: Final = ("1", "4711")


class Work:
    """What runs beside the tests that ask for it."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._begun: dict[tuple[str, object], AsyncResult[Any]] = {}

    def begin(self, what: Callable[..., Any], *arguments: object) -> None:
        """Let it run as soon as a process is free."""
        self._begun[what.__name__, arguments] = self._pool.apply_async(what, arguments)

    def result(self, what: Callable[..., Any], *arguments: object) -> Any:
        """What came of it."""
        return self._begun[what.__name__, arguments].get(timeout=1_800)


@pytest.fixture(scope="module")
def work(request: pytest.FixtureRequest) -> Iterator[Work]:
    """Everything that the tests of this run will ask for has begun."""
    asked = {item.name for item in request.session.items if item.path == Path(__file__)}
    with multiprocessing.get_context("fork").Pool(min(2, os.cpu_count() or 1), maxtasksperchild=12) as pool:
        begun = Work(pool)
        if test_fifty_seeds_hold_every_promise_and_have_teeth.__name__ in asked:
            for seed in seeds():
                begun.begin(run_seed, seed)
        if test_what_failed_once_never_does_again.__name__ in asked:
            for seed in dear_seeds():
                begun.begin(run_seed, seed)
        for name in sorted(SABOTAGES):
            if f"{test_a_broken_rule_is_noticed.__name__}[{name}]" in asked:
                begun.begin(noticed, name)
        for seed in TRACED:
            if any(item.startswith("test_a_seed_has_one_trace") and f"[{seed}]" in item for item in asked):
                for hash_seed in HASH_SEEDS:
                    begun.begin(traces, seed, hash_seed)
        yield begun
        pool.terminate()


def seeds() -> list[int]:
    """Those that failed once, and the first of the others until there are fifty; of both what is soon over."""
    return [seed for seed in dict.fromkeys((*kept_seeds(), *range(2 * SEEDS))) if seed not in DEAR][:SEEDS]


def dear_seeds() -> list[int]:
    """Those that failed once and take their time."""
    return [seed for seed in kept_seeds() if seed in DEAR]


def noticed(name: str) -> tuple[int, str] | None:
    """Which seed notices the sabotage, and how."""
    return first_caught(name, seeds_for(name))


def traces(seed: int, hash_seed: str) -> list[str]:
    """The seed's trace, in a process whose sets and dicts have an order of their own, the first time twice there."""
    times = 2 if hash_seed == HASH_SEEDS[0] and seed == TRACED[0] else 1
    program = f"from tests.simulation.run import run_seed; print(*(run_seed({seed}).trace for _ in range({times})))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.split()


def test_fifty_seeds_hold_every_promise_and_have_teeth(work: Work) -> None:
    """P1–P10, P14–P19, P21."""
    results = [work.result(run_seed, seed) for seed in seeds()]
    failed = [f"seed {result.seed}: {result.problems[0]}" for result in results if result.problems]
    assert not failed, "\n".join(failed)
    counts = [result.counts for result in results]
    assert not toothless(counts), f"{toothless(counts)}\n{coverage_table(counts)}"


@pytest.mark.deep
def test_what_failed_once_never_does_again(work: Work) -> None:
    """P1–P10, P14–P19, P21."""
    results = [work.result(run_seed, seed) for seed in dear_seeds()]
    assert [f"seed {result.seed}: {result.problems[0]}" for result in results if result.problems] == []


@pytest.mark.parametrize("seed", [TRACED[0], *(pytest.param(seed, marks=pytest.mark.deep) for seed in TRACED[1:])])
def test_a_seed_has_one_trace_whatever_the_hash_seed(work: Work, seed: int) -> None:
    """P15, of the simulation itself."""
    found = [trace for hash_seed in HASH_SEEDS for trace in work.result(traces, seed, hash_seed)]
    assert len(found) >= len(HASH_SEEDS)
    assert len(set(found)) == 1
    assert len(found[0]) == 64


@pytest.mark.parametrize(
    "name",
    [name if name in FIRST_OF_ALL else pytest.param(name, marks=pytest.mark.deep) for name in sorted(SABOTAGES)],
)
def test_a_broken_rule_is_noticed(work: Work, name: str) -> None:
    assert work.result(noticed, name) is not None, f"none of {SEEDS_MAX} seeds noticed {name}"
