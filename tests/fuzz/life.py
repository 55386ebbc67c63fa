"""Lives of worlds that are fuzzed, alone or on several processes.

It stands beside the command: processes that are begun anew cannot import what a package's `__main__` defines.
"""

import multiprocessing
import resource
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial

from shared.effects.postgres import PostgresDatabase
from tests.fuzz.poison import Poison
from tests.fuzz.world import LIFE, FuzzWorld
from tests.postgres import new_schema


class Life:
    """What one life of a world came to."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.problem = ""
        self.reasons: Counter[str] = Counter()
        self.found: dict[str, Poison] = {}
        self.peak_kib = 0


def live(seed: int, messages: int = LIFE, *, postgres: bool = False) -> Life:
    """One world from its beginning to its judgement; what breaks is told, with the seed that shows it again."""
    found = Life(seed)
    try:
        database = PostgresDatabase(new_schema()) if postgres else None
        world = FuzzWorld(seed, database)
        try:
            world.run(messages)
        finally:
            world.close()
            found.reasons, found.found = world.reasons, world.found
    except Exception:  # noqa: BLE001 - the runner reports every way in which a seed fails.
        found.problem = traceback.format_exc()
    found.peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found


def lives(seeds: Iterable[int], jobs: int, *, postgres: bool) -> Iterator[Life]:
    """Each seed's life, in the order in which they end."""
    if jobs <= 1:
        yield from (live(seed, postgres=postgres) for seed in seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(partial(live, postgres=postgres), seeds)
