"""P14, P15, P16: a billing run that is killed at every commit, and resumed, issues the bytes of one that was not."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.billing_kills import Kills, differences, killed_at_each, undisturbed, workroom
from tests.crash.billing_site import books, copy, make

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")
CONTRACTS = 20
DEATHS = 6
"""So many processes die at moments that nobody chose."""
RUNS_MAX = 12


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    with workroom() as name:
        folder = Path(name)
        make(folder / "pristine", CONTRACTS, seed=7)
        undisturbed(folder / "pristine", folder / "one", together=1)
        yield folder


def test_an_undisturbed_run_is_the_same_however_many_periods_are_closed_together(room: Path) -> None:
    """Two months of every contract; else there would be nothing to kill."""
    undisturbed(room / "pristine", room / "many", together=64)
    assert differences(room / "one", room / "many") == []
    assert len(books(room / "one")["invoices"]) == 2 * CONTRACTS


@pytest.mark.parametrize(("commit", "before"), [(1, False), (2, True), (3, False), (5, True)])
def test_a_run_that_is_killed_at_every_kth_commit_and_resumed_issues_the_same_bytes(
    room: Path,
    commit: int,
    before: bool,  # noqa: FBT001
) -> None:
    folder = copy(room / "pristine", room / f"at-{commit}-{before}")
    died = killed_at_each(folder, commit=commit, before=before, together=1)
    # An invoice takes two commits: its own, and that it is in the folder.
    assert died >= 2 * CONTRACTS // commit
    assert differences(room / "one", folder) == []


def test_periods_that_are_closed_together_are_lost_and_made_again_together(room: Path) -> None:
    folder = copy(room / "pristine", room / "together")
    assert killed_at_each(folder, commit=1, before=False, together=7) >= 6
    assert differences(room / "one", folder) == []


@pytest.mark.parametrize("schedulers", [1, 2])
def test_runs_that_are_killed_at_any_moment_alone_or_two_at_once_issue_the_same_bytes(
    room: Path, schedulers: int
) -> None:
    """A run this small may be over before anybody is killed: others are begun until enough have died."""
    died = 0
    for seed in range(RUNS_MAX):
        folder = copy(room / "pristine", room / f"random-{schedulers}-{seed}")
        kills = Kills(folder, random.Random(seed), together=2, schedulers=schedulers, seconds=0.1)
        assert len(list(kills.kill(6))) == 6
        assert differences(room / "one", folder) == []
        died += kills.met["killed"]
        if died >= DEATHS:
            return
    pytest.fail(f"in {RUNS_MAX} runs only {died} died")
