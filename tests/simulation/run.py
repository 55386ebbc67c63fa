"""Run seeds: `python -m tests.simulation.run --seeds 1000 [--jobs 2]`, or `--seed 7` to see its last events.

Seeds that failed once stand in `seeds.txt` and are run first for ever. Exit code 0 only when every
seed holds every promise and the set has teeth: each fault and each verdict in at least one seed in twenty.
"""

import argparse
import gc
import logging
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final
from unittest.mock import patch

from tests.simulation.faults import BILLED, FOLDED, KINDS, RULES, VERDICTS, toothless
from tests.simulation.memo import remembered
from tests.simulation.several import COVERED
from tests.simulation.world import Result, World

SEEDS_FILE: Final = Path(__file__).with_name("seeds.txt")
LAST_EVENTS: Final = 50
HEALTH_SECONDS: Final = 1_800.0
FOLD_AGAIN_SHARE: Final = 1_000
FOLD_LINES_MAX: Final = 12
TEETH_SEEDS_MIN: Final = 40
"""Smaller sets are not asked for coverage."""


def run_seed(seed: int, *, hasty: bool = False) -> Result:
    """Run one seed; what breaks in the simulation itself is a problem of the seed."""
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        # Health says nothing that a promise rests on, and at one a minute it would be most of the traffic.
        # And what takes a year on the wall, folding summaries again, is to happen within days.
        often = patch.multiple("edge_agent.folding", FOLD_AGAIN_SHARE=FOLD_AGAIN_SHARE, FOLD_LINES_MAX=FOLD_LINES_MAX)
        with patch("edge_agent.uplink.HEALTH_SECONDS", HEALTH_SECONDS), often, remembered():
            return World(seed, hasty=hasty).run()
    except Exception:  # noqa: BLE001 - the runner reports every way in which a seed fails.
        text = traceback.format_exc()
        return Result(seed=seed, trace="", problems=[text], events=[], counts=Counter())
    finally:
        gc.enable()
        gc.collect()
        logging.disable(logging.NOTSET)


def kept_seeds() -> list[int]:
    """The seeds that failed once."""
    if not SEEDS_FILE.exists():
        return []
    rows = [row.partition("#")[0].strip() for row in SEEDS_FILE.read_text(encoding="utf-8").splitlines()]
    return [int(row) for row in rows if row]


def keep_seed(seed: int, why: str) -> None:
    """Add a failing seed to the file."""
    if seed not in kept_seeds():
        with SEEDS_FILE.open("a", encoding="utf-8") as file:
            file.write(f"{seed}  # {why.splitlines()[0][:110]}\n")


def run_seeds(seeds: Sequence[int], jobs: int) -> Iterator[Result]:
    """Run seeds on several processes, results in the order in which they come."""
    if jobs <= 1:
        yield from map(run_seed, seeds)
        return
    context = multiprocessing.get_context("fork")
    with context.Pool(jobs, maxtasksperchild=25) as pool:
        yield from pool.imap_unordered(run_seed, seeds)


def coverage_table(runs: Sequence[Counter[str]]) -> str:
    """In how many seeds each fault and verdict occurred, and how often in all."""
    rows = [f"{'fault or verdict':28} {'seeds':>7} {'share':>7} {'times':>9}"]
    for name in (*KINDS, *(f"verdict.{name}" for name in VERDICTS), *BILLED, *RULES, *FOLDED, *COVERED):
        hit = sum(1 for run in runs if run[name])
        rows.append(f"{name:28} {hit:7} {hit / max(1, len(runs)):7.0%} {sum(run[name] for run in runs):9}")
    return "\n".join(rows)


def show(result: Result, events: int = LAST_EVENTS) -> None:
    """Print a seed's last events and its problems."""
    for event in result.events[-events:] if events else []:
        print(event[:220])
    for problem in result.problems:
        print(f"PROBLEM {problem}")
    print(f"seed {result.seed}: trace {result.trace[:16]}, {'failed' if result.problems else 'holds'}")


def progress(done: int, total: int, failed: int, since: float) -> None:
    """One line on the terminal."""
    width = 30 * done // max(1, total)
    pace = (time.monotonic() - since) / max(1, done)
    text = f"[{'#' * width}{'.' * (30 - width)}] {done}/{total} seeds, {failed} failed, {pace:.2f} s a seed"
    print(f"\r{text}" if sys.stderr.isatty() else text, end="" if sys.stderr.isatty() else "\n", file=sys.stderr)


def main(arguments: Iterable[str] | None = None) -> int:
    """Run what was asked for and return the exit code."""
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="how many seeds, beside those that failed before")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run this seed alone and print its last events")
    parser.add_argument("--events", type=int, default=LAST_EVENTS, help="how many events --seed prints")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", action=argparse.BooleanOptionalAction, default=True, help="note failing seeds")
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.seed is not None:
        result = run_seed(options.seed)
        show(result, options.events)
        return 1 if result.problems else 0
    seeds = list(dict.fromkeys([*kept_seeds(), *range(options.first, options.first + options.seeds)]))
    since = time.monotonic()
    failed: list[Result] = []
    counts: list[Counter[str]] = []
    for done, result in enumerate(run_seeds(seeds, options.jobs), 1):
        counts.append(result.counts)
        if result.problems:
            failed.append(result)
            if options.keep:
                keep_seed(result.seed, result.problems[0])
        if sys.stderr.isatty() or done % 50 == 0 or done == len(seeds):
            progress(done, len(seeds), len(failed), since)
    print(f"\n{coverage_table(counts)}")
    for result in failed:
        print(f"seed {result.seed}: {result.problems[0][:300]}")
    blunt = toothless(counts) if len(seeds) >= TEETH_SEEDS_MIN else []
    for name in blunt:
        print(f"toothless: {name} seeds")
    print(f"{len(seeds) - len(failed)} of {len(seeds)} seeds hold, in {time.monotonic() - since:.0f} s")
    return 1 if failed or blunt else 0


if __name__ == "__main__":
    sys.exit(main())
