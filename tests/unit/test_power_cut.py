"""P2: what was committed survives a power cut at any write, and memory never ran ahead of the disk."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random

import pytest

from edge_agent.receipts import HeardAs
from edge_agent.sealed import Place
from edge_agent.spool import Origin, Spool
from tests.powercut import Machine, MachineDisk, MachineFiles, PowerCut
from tests.spools import birth, open_spool, receipt, usage

# SQLite goes on after a failed checkpoint, for the commit before it is durable; apsw reports the lost exception.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

MACHINES = 100
CUTS = 20


class Promised:
    """What the spool has said is durable: lines by place, the last snapshot, confirmed lines."""

    def __init__(self) -> None:
        self.lines: dict[Place, bytes] = {}
        self.confirmed: set[Place] = set()
        self.snapshots: set[int] = set()
        """The last snapshot, and the one that the cut transaction may or may not have stored."""


@contextmanager
def machine(seed: int, **options: str) -> Iterator[tuple[Machine, MachineDisk]]:
    built = Machine(Random(seed))
    files = MachineFiles(built, f"machine-{seed}")
    try:
        yield built, MachineDisk(files, **options)
    finally:
        files.unregister()


def meter(spool: Spool, random: Random, promised: Promised, number: int, at: int) -> None:
    """One thing that an agent does; it is promised when the call returns."""
    match random.choice(("commit", "seal", "seal", "seal", "receive")):
        case "commit":
            promised.snapshots.add(number)
            spool.commit({"number": number})
            promised.snapshots = {number}
        case "seal":
            promised.snapshots.add(number)
            lines = spool.seal([usage(number + extra) for extra in range(random.randrange(1, 3))], {"number": number})
            promised.snapshots = {number}
            promised.lines |= {line.place: line.raw for line in lines}
        case _:
            chain = spool.chain("main")
            assert chain is not None
            through = random.randrange(chain.through, chain.seq + 1)
            heard = spool.receive(receipt(spool, through, at=at))
            assert heard.meaning is HeardAs.CONFIRMED
            promised.confirmed = {place for place in promised.lines if place.seq <= through}


def check(spool: Spool, promised: Promised) -> None:
    for place, raw in promised.lines.items():
        assert spool.raw(place) == raw, f"the line at {place} was promised and is gone"
    if promised.snapshots:
        assert spool.snapshot()["number"] in promised.snapshots
    waiting = set(spool.waiting(10_000))
    lost = {place for place in promised.lines if place not in promised.confirmed and place not in waiting}
    # A receipt that was being followed at the cut may have been followed: then no line before it waits.
    assert not lost or waiting.isdisjoint(range(max(place.seq for place in lost)))


def cuts_of(seed: int, cuts: int, *, synchronous: str = "full") -> int:
    """Cut one machine's power this often; raises where a promise was broken, returns the cuts that hit."""
    random = Random(seed)
    promised = Promised()
    with machine(seed, synchronous=synchronous) as (built, disk):
        number = 0
        for cut in range(cuts):
            built.cut_after(random.randrange(1, 90))
            try:
                spool = open_spool(disk, seed=seed)
                assert spool.origin is not Origin.SALVAGED, "a power cut has damaged the spool"
                check(spool, promised)
                if spool.chain("main") is None:
                    spool.seal([birth()], {"number": 0})
                    promised.snapshots = {0}
                while True:
                    number += 1
                    meter(spool, random, promised, number, cut * 1_000 + number)
            except PowerCut:
                pass
            disk.release()
            built.power_on()
        check(open_spool(disk, seed=seed), promised)
        disk.release()
        return built.cuts


def test_no_committed_line_or_snapshot_is_lost_in_two_thousand_power_cuts() -> None:
    assert sum(cuts_of(seed, CUTS) for seed in range(MACHINES)) == MACHINES * CUTS


def test_the_same_cuts_lose_commits_where_sqlite_does_not_sync_each_of_them() -> None:
    """The harness has teeth: `synchronous=NORMAL` is what loses them."""
    broken = 0
    for seed in range(10):
        try:
            cuts_of(seed, CUTS, synchronous="normal")
        except (AssertionError, KeyError, TypeError):
            broken += 1
    assert broken >= 9


def test_a_cut_while_a_damaged_spool_is_replaced_loses_no_line_that_verifies() -> None:
    for operations in range(1, 60):
        with machine(operations) as (built, disk):
            spool = open_spool(disk)
            lines = [*spool.seal([birth()], {}), *spool.seal([usage(number) for number in range(5)], {})]
            epoch = spool.epoch
            spool._database.execute("update chain set head = ''")
            disk.release()
            built.power_on()
            built.cut_after(operations)
            with suppress(PowerCut):
                while built.cuts == 0:
                    open_spool(disk, seed=2).commit({})
                    disk.release()
            disk.release()
            built.power_on()
            again = open_spool(disk, seed=3)
            assert [(place.epoch, place.seq) for place in again.waiting(99)] == [(epoch, seq) for seq in range(1, 7)]
            assert {again.raw(line.place) for line in lines} == {line.raw for line in lines}
            disk.release()
