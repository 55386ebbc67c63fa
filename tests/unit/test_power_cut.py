"""P2: what was committed survives a power cut at any write, and memory never ran ahead of the disk."""

from contextlib import suppress
from copy import deepcopy
from random import Random

import apsw
import pytest

from edge_agent.folding import Folded, Folding
from shared.errors import DatabaseError
from shared.report import Summary
from tests.powercut import MachineDisk, PowerCut
from tests.spool_life import BYTES_MAX, CUTS_A_MACHINE, Promised, begin, check, cuts_of, live, machine, report_of
from tests.spools import birth, open_spool, usage

# SQLite goes on after a failed checkpoint, for the commit before it is durable; apsw reports the lost exception.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

MACHINES = 50
DAY_ACTIONS = 20


def test_no_committed_line_or_snapshot_is_lost_in_two_thousand_power_cuts() -> None:
    """P2: on spools so small that lines are folded and forgotten all the time."""
    outcomes = [cuts_of(seed) for seed in range(MACHINES)]
    assert sum(cuts for cuts, _ in outcomes) == MACHINES * CUTS_A_MACHINE == 2_000
    assert sum(folded for _, folded in outcomes) >= MACHINES


def test_the_same_cuts_lose_commits_where_sqlite_does_not_sync_each_of_them() -> None:
    """The harness has teeth: `synchronous=NORMAL` is what loses them."""
    broken = 0
    for seed in range(10):
        try:
            cuts_of(seed, synchronous="normal")
        except (AssertionError, KeyError, TypeError):
            broken += 1
    assert broken >= 9


def test_the_same_cuts_lose_lines_that_go_before_their_summary_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness has teeth (P7)."""
    original = Folding.replace

    def hasty(self: Folding, folded: Folded) -> None:
        self._database.executemany("delete from line where id = ?", [(id_,) for id_ in folded.ids])
        self._database.execute("commit")
        self._database.execute("begin immediate")
        original(self, folded)

    monkeypatch.setattr(Folding, "replace", hasty)
    broken = 0
    for seed in range(20):
        try:
            cuts_of(seed)
        except AssertionError:
            broken += 1
    assert broken >= 1


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.deep)])
@pytest.mark.parametrize(("error", "lasting"), [(apsw.FullError, True), (apsw.IOError, False), (apsw.IOError, True)])
def test_wherever_a_write_fails_in_a_day_nothing_is_lost_and_the_message_is_clear(
    error: type[apsw.Error], *, lasting: bool, every: int
) -> None:
    """P2, P3, P9: ENOSPC and EIO at the k-th write of a scripted day with folding and receipts.

    A change is judged by every seventh k, a release by every one.
    """
    with machine(7) as (built, disk):
        promised = _nearly_full(disk)
        image, began = built.image(), built.operations
        assert _day(disk, deepcopy(promised)) is None
        writes, noticed = built.operations - began, 0
        disk.release()
        assert writes >= 100
        tried = range(1, writes + 1, every)
        for write in tried:
            built.restore(image)
            here = deepcopy(promised)
            built.fail_after(write, error, lasting=lasting)
            why = _day(disk, here)
            # P2: an error on commit ends the process, and recovery is at start.
            built.dead = True
            disk.release()
            built.dead = False
            built.mend()
            if why is not None:
                noticed += 1
                assert "spool.db" in why
                assert ("free some, then start again" in why) == (error is apsw.FullError)
            again = begin(disk, here)
            live(again, Random(write), here)
            check(again, here)
            disk.release()
    assert noticed >= len(tried) // 2, "most writes of a day cannot fail unnoticed"


def _nearly_full(disk: MachineDisk) -> Promised:
    """A spool that will be full within a few windows."""
    promised, draw = Promised(), Random(11)
    spool = begin(disk, promised)
    while spool.bytes_used < BYTES_MAX - 8_192:
        live(spool, draw, promised)
    disk.release()
    return promised


def _day(disk: MachineDisk, promised: Promised) -> str | None:
    """What an agent does on its disk in a day; returns why it ended early, if it did."""
    draw, before = Random(5), set(promised.lines)
    try:
        spool = begin(disk, promised)
        for _ in range(DAY_ACTIONS):
            live(spool, draw, promised)
    except DatabaseError as error:
        return str(error)
    sealed = [report_of(raw) for place, raw in promised.lines.items() if place not in before]
    assert any(isinstance(each, Summary) for each in sealed), "the day folds"
    return None


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
