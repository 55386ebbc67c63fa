"""The real agent and the real collector keep every promise in fifty worlds, and a broken rule is noticed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.simulation.faults import toothless
from tests.simulation.run import coverage_table, kept_seeds, run_seed, run_seeds
from tests.simulation.sabotage import SABOTAGES, first_caught

pytestmark = pytest.mark.simulation

SEEDS: Final = 50
ROOT: Final = Path(__file__).parents[2]
KNOWN_TO_NOTICE: Final[dict[str, tuple[int, ...]]] = {
    "activation-by-arrival": (1, 9),
    "baseline-billed": (0,),
    "boundary-counted-twice": (1, 2),
    "clone-accepted": (4,),
    "forget-on-puback": (3, 8),
    "head-unchecked": (22, 9, 12),
    "no-unique-position": (8,),
    "prev-unchecked": (8, 1, 5),
    "receipt-before-commit": (1, 2),
    "register-outside-the-transaction": (1, 5),
    "rerun-ignores-booked": (0,),
    "replaced-key-goes-on": (0,),
    "reset-read-as-rollback": (4, 7),
    "revoked-key-opens-an-epoch": (1,),
    "allowance-counted-twice": (11,),
    "grace-ignored": (11,),
    "late-delta-dropped": (46,),
    "peak-an-hour-longer": (11,),
    "ramp-a-step-early": (11,),
    "seat-without-use": (11,),
    "shares-rounded-alone": (45,),
    "suspension-forgotten": (46,),
    "tax-on-each-line": (11,),
    "usage-before-the-start-billed": (55,),
    "true-up-never-lowered": (64, 39),
}
"""Seeds that are known to notice a sabotage, so that the test need not search."""


def test_fifty_seeds_hold_every_promise_and_have_teeth() -> None:
    """P1–P10, P14–P19, P21."""
    seeds = list(dict.fromkeys([*kept_seeds(), *range(SEEDS)]))
    results = list(run_seeds(seeds, jobs=min(2, os.cpu_count() or 1)))
    failed = [f"seed {result.seed}: {result.problems[0]}" for result in results if result.problems]
    assert not failed, "\n".join(failed)
    counts = [result.counts for result in results]
    assert not toothless(counts), f"{toothless(counts)}\n{coverage_table(counts)}"


@pytest.mark.parametrize("seed", [3, 11])
def test_a_seed_has_one_trace_whatever_the_hash_seed(seed: int) -> None:
    """P15, of the simulation itself."""
    program = f"from tests.simulation.run import run_seed; print(run_seed({seed}).trace)"
    traces = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "4711")
    }
    assert len(traces) == 1
    assert len(traces.pop().strip()) == 64


@pytest.mark.parametrize("name", sorted(SABOTAGES))
def test_a_broken_rule_is_noticed(name: str) -> None:
    seeds = KNOWN_TO_NOTICE.get(name, tuple(range(20)))
    assert first_caught(name, seeds) is not None, f"no seed of {seeds} noticed {name}"


def test_a_seed_says_the_same_twice_in_one_process() -> None:
    assert run_seed(5).trace == run_seed(5).trace
