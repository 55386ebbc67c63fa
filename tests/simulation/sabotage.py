"""Break one rule of the product at a time and see that the simulator notices: `python -m tests.simulation.sabotage`.

Each sabotage patches production code from here; production code has no switch. A sabotage that no
seed notices means that the rule it breaks is not tested.
"""

import argparse
import contextlib
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from unittest.mock import patch

import edge_agent.meter
import edge_agent.receipts
from edge_agent.meter import Judgement
from edge_agent.receipts import HeardAs
from edge_agent.spool import Spool
from edge_agent.uplink import Uplink
from shared.errors import Refused
from shared.line import hash_of
from shared.payload import unpack
from shared.report import Verdict
from shared.topic import Leaf
from tests.simulation.run import run_seed

SEEDS_MAX: Final = 200


@contextlib.contextmanager
def forget_on_puback() -> Iterator[None]:
    """P7: a line counts as safe as soon as the broker has taken it."""
    publish = Uplink._publish

    async def forgetful(self: Uplink, session: Any, leaf: Leaf, payload: bytes, *, retain: bool = False) -> None:
        await publish(self, session, leaf, payload, retain=retain)
        raws = unpack(payload) if leaf is Leaf.REPORT else []
        for raw in [] if isinstance(raws, Refused) else raws:
            self._spool._database.execute("update line set receipted_at = 1 where hash = ?", (hash_of(raw),))

    with patch.object(Uplink, "_publish", forgetful):
        yield


@contextlib.contextmanager
def head_unchecked() -> Iterator[None]:
    """P7: a receipt is believed whatever line it names as its head."""
    judge = edge_agent.receipts.judge

    def gullible(*args: Any, **kwargs: Any) -> HeardAs:
        meaning = judge(*args, **kwargs)
        return HeardAs.CONFIRMED if meaning is HeardAs.CONTRADICTED else meaning

    with patch("edge_agent.spool.judge", gullible):
        yield


@contextlib.contextmanager
def reset_read_as_rollback() -> Iterator[None]:
    """P4: what was counted since a reset is lost."""
    judge_fall = edge_agent.meter.judge_fall

    def mistaken(*args: Any, **more: Any) -> Judgement:
        found = judge_fall(*args, **more)
        return found._replace(amount=0, verdict=Verdict.ROLLBACK) if found.verdict is Verdict.RESET else found

    with patch("edge_agent.meter.judge_fall", mistaken):
        yield


@contextlib.contextmanager
def register_outside_the_transaction() -> Iterator[None]:
    """P2: the line is committed first, and the windows without it afterwards."""
    seal = Spool._seal

    def torn(self: Spool, unsealed: Any, snapshot: Any, *rest: Any) -> Any:
        before = self.snapshot()
        if before is None:
            return seal(self, unsealed, snapshot, *rest)
        lines = seal(self, unsealed, before, *rest)
        self.commit(snapshot)
        return lines

    with patch.object(Spool, "_seal", torn):
        yield


SABOTAGES: Final[dict[str, Callable[[], contextlib.AbstractContextManager[None]]]] = {
    "forget-on-puback": forget_on_puback,
    "head-unchecked": head_unchecked,
    "reset-read-as-rollback": reset_read_as_rollback,
    "register-outside-the-transaction": register_outside_the_transaction,
}


def first_caught(name: str, seeds: Iterable[int]) -> tuple[int, str] | None:
    """The first of these seeds that fails under the sabotage, and how."""
    with SABOTAGES[name]():
        for seed in seeds:
            problems = run_seed(seed).problems
            if problems:
                return seed, problems[0]
    return None


def _hunt(name: str) -> tuple[str, float, tuple[int, str] | None]:
    since = time.monotonic()
    return name, time.monotonic() - since, first_caught(name, range(SEEDS_MAX))


def main(arguments: Iterable[str] | None = None) -> int:
    """Run every sabotage, or those named, until a seed notices."""
    parser = argparse.ArgumentParser(prog="sabotage", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SABOTAGES)}; all by default")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(None if arguments is None else list(arguments))
    names = options.names or list(SABOTAGES)
    missed = 0
    with multiprocessing.get_context("fork").Pool(options.jobs, maxtasksperchild=1) as pool:
        for name, seconds, caught in pool.imap_unordered(_hunt, names):
            if caught is None:
                missed += 1
                print(f"{name}: NOT noticed by {SEEDS_MAX} seeds")
            else:
                print(f"{name}: seed {caught[0]} in {seconds:.0f} s: {caught[1][:200]}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
