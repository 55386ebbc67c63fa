"""Break one rule of the product at a time and see that the simulator notices: `python -m tests.simulation.sabotage`.

Each sabotage patches production code from here; production code has no switch. A sabotage that no
seed notices means that the rule it breaks is not tested.
"""

import argparse
import contextlib
import dataclasses
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from unittest.mock import patch

from cloud_collector.activity.threshold import Interval
from cloud_collector.collector import Collector
from cloud_collector.fleet.epochs import Epoch, Ordered, order
from cloud_collector.fleet.positions import Chain, Entry, Hold, Known, Positions, PutAside, Taken
from cloud_collector.intake.receipts import seal_all
from cloud_collector.store.store import migrations
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import ChannelName, Measured, Span
from cloud_collector.usage.unfold import Folded, Unfolded
from shared.effects.link import Message
from shared.validity import Validity
from tests.simulation.billing_sabotage import BILLING_SABOTAGES
from tests.simulation.edge_sabotage import EDGE_SABOTAGES
from tests.simulation.run import run_seed

SEEDS_MAX: Final = 200


@contextlib.contextmanager
def summary_beside_its_detail() -> Iterator[None]:
    """P1: a summary counts as a whole as soon as one of its lines is absent, also for those that are there."""

    def greedy(folded: Iterable[Folded], lacking: Any, _told: Any) -> list[Unfolded]:
        return [
            Unfolded(lacking[each.seq][0][0], each.seq, each.start, each.step, each.deltas, each.register,
                     each.register + sum(each.deltas), None, each.cloned)
            for each in folded
            if lacking[each.seq]
        ]  # fmt: skip

    with patch("cloud_collector.intake.summaries.unfold", greedy):
        yield


class _Undone(Exception):
    """The transaction was only rehearsed."""


@contextlib.contextmanager
def receipt_before_commit() -> Iterator[None]:
    """P6: what is about to be committed is receipted already."""
    take = Collector._take

    async def hasty(self: Collector, session: Any, messages: list[Message], outbox: Any) -> None:
        raw = [(message.topic, message.payload) for message in messages if not message.retained]
        intake = self._intake
        admitted = intake.open(raw, intake.keys_for([topic for topic, _ in raw]))
        receipts: list[Any] = []
        try:
            with self._store.atomic():
                receipts = intake._take(admitted, self._clock.utc_ms())[1]
                raise _Undone  # noqa: TRY301 - rolling back is the point.
        except _Undone:
            intake._projection.forget()
        outbox.put(tuple(seal_all(receipts, intake._signers.of)))
        await self._clock.sleep(2.0)
        await take(self, session, messages, outbox)

    with patch.object(Collector, "_take", hasty):
        yield


@contextlib.contextmanager
def no_unique_position() -> Iterator[None]:
    """P5: a line takes its position whether it is taken or not, and the schema lets it."""
    place = Positions.place

    def generous(self: Positions, chain: Chain, entry: Entry) -> Any:
        outcome = place(self, chain, entry)
        if not isinstance(outcome, Known | PutAside):
            return outcome
        if isinstance(outcome, Known):
            self._put(chain, entry, Hold.POSITION)
            self.flush()
        return Taken()

    open_schema = tuple(
        (version, tuple(sql for sql in statements if "line_position" not in sql))
        for version, statements in migrations("sqlite")
    )
    with (
        patch.object(Positions, "place", generous),
        patch("cloud_collector.store.store.migrations", lambda _: open_schema),
    ):
        yield


@contextlib.contextmanager
def prev_unchecked() -> Iterator[None]:
    """P11: the next line is taken whatever line it says that it follows."""
    place = Positions.place

    def trusting(self: Positions, chain: Chain, entry: Entry) -> Any:
        follows = entry.seq == chain.through + 1
        return place(self, chain, dataclasses.replace(entry, prev=chain.head) if follows else entry)

    with patch.object(Positions, "place", trusting):
        yield


@contextlib.contextmanager
def rerun_ignores_booked() -> Iterator[None]:
    """P14: what earlier invoices have billed of a period is forgotten."""
    with patch("cloud_collector.billing.case._booked", lambda *_: ()):
        yield


@contextlib.contextmanager
def activation_by_arrival() -> Iterator[None]:
    """P18: usage counts towards a start in the order in which reports arrived."""

    def order(self: Interval) -> tuple[int, int, int]:
        return self.span.received_at, self.span.seq, self.index

    with patch.object(Interval, "order", property(order)):
        yield


@contextlib.contextmanager
def revoked_key_opens_an_epoch() -> Iterator[None]:
    """P10: a revocation says nothing of epochs that were not accepted yet."""
    limit = Validity._limit

    def generous(self: Validity, key: str, log: str, epoch: str) -> int | None:
        named = any((log, epoch) in limits for limits in self._revoked.get(key, ()))
        return limit(self, key, log, epoch) if named else None

    with patch.object(Validity, "_limit", generous):
        yield


@contextlib.contextmanager
def clone_accepted() -> Iterator[None]:
    """P19: a second birth after the same epoch simply goes on."""

    def trusting(epochs: Iterable[Epoch], adopted: Any = ()) -> dict[str, Ordered]:
        return order([dataclasses.replace(epoch, previous=None) for epoch in epochs], adopted)

    with patch("cloud_collector.intake.linking.order", trusting):
        yield


@contextlib.contextmanager
def replaced_key_goes_on() -> Iterator[None]:
    """P10: whoever has a key that was replaced may go on with it."""
    with patch.object(Validity, "retired", lambda *_: frozenset()), patch.object(Validity, "retiring", lambda *_: []):
        yield


@contextlib.contextmanager
def boundary_counted_twice() -> Iterator[None]:
    """P1: the interval that a period's end cuts is the period's as a whole, and the next one's share is too."""
    measure = StoreView.measure

    def generous(self: StoreView, channel: ChannelName, start: int, end: int) -> Measured | None:
        cut = [span for span in self.spans(channel, end - 1, end) if span.cuts_interval(end)]
        return measure(self, channel, start, max([end, *(_next_cut(span, end) for span in cut)]))

    with patch.object(StoreView, "measure", generous):
        yield


def _next_cut(span: Span, instant: int) -> int:
    """The end of the interval that holds the instant."""
    return instant + (span.start - instant) % span.step


@contextlib.contextmanager
def turns_untaken() -> Iterator[None]:
    """P5, P6: a collector goes by what it remembers of a gateway, whoever has worked on it since."""
    with patch("cloud_collector.intake.intake.take_turns", lambda *_: []):
        yield


SABOTAGES: Final[dict[str, Callable[[], contextlib.AbstractContextManager[None]]]] = {
    "receipt-before-commit": receipt_before_commit,
    "no-unique-position": no_unique_position,
    "prev-unchecked": prev_unchecked,
    "summary-beside-its-detail": summary_beside_its_detail,
    "rerun-ignores-booked": rerun_ignores_booked,
    "activation-by-arrival": activation_by_arrival,
    "boundary-counted-twice": boundary_counted_twice,
    "revoked-key-opens-an-epoch": revoked_key_opens_an_epoch,
    "replaced-key-goes-on": replaced_key_goes_on,
    "clone-accepted": clone_accepted,
    "turns-untaken": turns_untaken,
    **EDGE_SABOTAGES,
    **BILLING_SABOTAGES,
}


FIRST_OF_ALL: Final = (
    "baseline-billed",
    "boundary-counted-twice",
    "forget-on-puback",
    "no-unique-position",
    "prev-unchecked",
    "receipt-before-commit",
)
"""Broken for every change, because a seed notices soon; the others with `make deep` and `make sabotage`."""
KNOWN_TO_NOTICE: Final[dict[str, tuple[int, ...]]] = {
    "activation-by-arrival": (43, 1, 9),
    "allowance-counted-twice": (11,),
    "baseline-billed": (0,),
    "boundary-counted-twice": (0, 1, 2),
    "clone-accepted": (1,),
    "forget-on-puback": (3, 8),
    "grace-ignored": (11,),
    "guessed-reset": (27, 14),
    "head-unchecked": (22, 9, 12),
    "late-delta-dropped": (46,),
    "no-backoff": (67,),
    "no-unique-position": (8,),
    "peak-an-hour-longer": (11,),
    "prev-unchecked": (0, 8, 1, 5),
    "ramp-a-step-early": (11,),
    "receipt-before-commit": (1, 2),
    "register-outside-the-transaction": (55, 1, 5),
    "replaced-key-goes-on": (11, 13),
    "rerun-ignores-booked": (0,),
    "reset-read-as-rollback": (11,),
    "revoked-key-opens-an-epoch": (1,),
    "rotation-never-rests": (59,),
    "seat-without-use": (11,),
    "shares-rounded-alone": (45,),
    "summary-beside-its-detail": (1,),
    "suspension-forgotten": (46,),
    "tax-on-each-line": (11,),
    "true-up-never-lowered": (64, 39),
    "turns-untaken": (27, 4),
    "usage-before-the-start-billed": (55,),
}
"""Seeds to begin with, so that nobody need search; first those whose worlds are small."""


def seeds_for(name: str) -> list[int]:
    """Those that are known to notice, and then all within which one has to."""
    return list(dict.fromkeys([*KNOWN_TO_NOTICE.get(name, ()), *range(SEEDS_MAX)]))


def first_caught(name: str, seeds: Iterable[int]) -> tuple[int, str] | None:
    """The first of these seeds that fails under the sabotage, and how."""
    with SABOTAGES[name]():
        for seed in seeds:
            problems = run_seed(seed, hasty=True).problems
            if problems:
                return seed, problems[0]
    return None


def _hunt(name: str) -> tuple[str, float, tuple[int, str] | None]:
    since = time.monotonic()
    caught = first_caught(name, seeds_for(name))
    return name, time.monotonic() - since, caught


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
