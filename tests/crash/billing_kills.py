"""P14, P15, P16: billing runs that die by SIGKILL and are resumed: the same bytes, no number skipped or doubled.

`python -m tests.crash.billing_kills [--contracts 1000] [--kills 100] [--schedulers 2] [--seed N]`. The processes are
real and the command is the product's own; a clock that stands still is handed in, so that a resumed run seals the
very bytes of one that nobody disturbed. With two schedulers, two runs are at work at once and either is killed.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress

from tests.crash.billing_site import Fuse, begin, books, copy, ended, make, ordinals

RUN: Final = ("billing", "run")
RESUME: Final = ("billing", "resume")
TRY_AGAIN: Final = 75
COMMIT_SECONDS_MAX: Final = 5.0
"""So long a process is waited for; one that finds nothing to do commits nothing."""
PROCESSES_MAX: Final = 5_000
TOGETHER: Final = 8
MEMORY: Final = Path("/dev/shm")
INSIDE_LEAST: Final = 3
"""So many kills must have left an invoice committed that its folder lacks, or the moments are dull."""
ROUNDS_MAX: Final = 4
"""About one kill in twenty does: where a hundred were not enough, others follow on a run of their own."""


def undisturbed(pristine: Path, folder: Path, *, together: int) -> float:
    """Bill everything without a kill; returns the seconds that it took after its first commit."""
    copy(pristine, folder)
    tell = folder / "first-commit"
    child = begin(folder, RUN, together=together, tell=tell)
    code = ended(child)
    assert code == 0, (folder / "said.log").read_text(encoding="utf-8")[-2_000:]
    return time.time() - tell.stat().st_mtime


def killed_at_each(folder: Path, *, commit: int, before: bool, together: int) -> int:
    """Every process dies at its so-many-th commit and the next one resumes, until nothing is left; how many died."""
    died = 0
    words = RUN
    for _ in range(PROCESSES_MAX):
        code = ended(begin(folder, words, together=together, fuse=Fuse(commit=commit, before=before)))
        if code == -signal.SIGKILL:
            died += 1
            words = RESUME
            continue
        assert code == 0, (folder / "said.log").read_text(encoding="utf-8")[-2_000:]
        if words is RUN:
            return died
        # What was killed before it was even begun cannot be resumed: it is begun again.
        words = RUN
        assert ended(begin(folder, RUN, together=together)) == 0
        return died
    raise AssertionError(f"{PROCESSES_MAX} processes did not bring a run to its end")


class Kills:
    """Processes beside one another, killed at drawn moments and begun again."""

    def __init__(self, folder: Path, draw: random.Random, *, together: int, schedulers: int, seconds: float) -> None:
        self._folder, self._draw = folder, draw
        self._together, self._schedulers, self._seconds = together, schedulers, seconds
        self.met: Counter[str] = Counter()
        self._running: set[int] = set()

    def kill(self, times: int) -> Iterator[int]:
        """So many kills; then everything is brought to its end."""
        running = self._running
        running |= {self._begin() for _ in range(self._schedulers)}
        for number in range(times):
            self._wait_until_it_commits()
            # Half of them at the first commit, where the folder is behind; beyond it, some share of a whole run.
            time.sleep(self._draw.choice((0, self._draw.uniform(0, 4 * self._seconds / times))))
            victim = self._draw.choice(sorted(running))
            os.kill(victim, signal.SIGKILL)
            code = ended(victim)
            running.discard(victim)
            self.met["killed" if code == -signal.SIGKILL else f"had ended with {code}"] += 1
            self._look()
            running.add(self._begin(resume=code == -signal.SIGKILL and self._draw.random() < 0.5))
            yield number
        for child in sorted(running):
            self._finish(ended(child))
        self._finish(ended(self._begin()))

    def _begin(self, *, resume: bool = False) -> int:
        self._tell.unlink(missing_ok=True)
        return begin(self._folder, RESUME if resume else RUN, together=self._together, tell=self._tell)

    @property
    def _tell(self) -> Path:
        return self._folder / "first-commit"

    def _wait_until_it_commits(self) -> None:
        until = time.monotonic() + COMMIT_SECONDS_MAX
        while not self._tell.exists() and time.monotonic() < until and not any(map(_is_over, self._running)):
            time.sleep(0.002)

    def _look(self) -> None:
        found = books(self._folder)
        self.met["billed nothing yet"] += not found["invoices"]
        self.met["committed and not archived"] += len(found["invoices"]) > len(found["archived"])
        files = sum(1 for name, _ in found["files"] if "/INV-" in name or "/SIM-" in name)
        self.met["archived and not marked"] += files > len(found["archived"])

    def _finish(self, code: int) -> None:
        while code in (TRY_AGAIN, -signal.SIGKILL):
            code = ended(begin(self._folder, RUN, together=self._together))
        assert code == 0, f"exit {code}: {(self._folder / 'said.log').read_text(encoding='utf-8')[-2_000:]}"


def _is_over(child: int) -> bool:
    """Whether a process has come to its end; it can still be asked how."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def differences(expected: Path, found: Path) -> list[str]:
    """What is not the same to the byte, and numbers that were skipped or doubled."""
    left, right = books(expected), books(found)
    wrong = [f"{name}: {_first(left[name], right[name])}" for name in left if left[name] != right[name]]
    numbers = ordinals(found)
    if numbers != list(range(1, len(numbers) + 1)):
        wrong.append(f"the numbers are not 1 to {len(numbers)}")
    return wrong


def _first(expected: list[object], found: list[object]) -> str:
    pairs = (pair for pair in zip(expected, found, strict=False) if pair[0] != pair[1])
    pair = next(pairs, (f"{len(expected)} rows", f"{len(found)} rows"))
    return f"{str(pair[0])[:300]} became {str(pair[1])[:300]}"


def workroom() -> "tempfile.TemporaryDirectory[str]":
    """A folder that is gone afterwards, in memory where there is such a place."""
    return tempfile.TemporaryDirectory(prefix="meterseal-billing-", dir=MEMORY if MEMORY.is_dir() else None)


def main() -> int:
    """Run; returns 0 where every byte is the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--contracts", type=int, default=1_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--schedulers", type=int, default=1, choices=(1, 2))
    options = parser.parse_args()
    console = Console(highlight=False)
    say = console.print
    with workroom() as name:
        room = Path(name)
        make(room / "pristine", options.contracts, options.seed)
        seconds = undisturbed(room / "pristine", room / "undisturbed", together=TOGETHER)
        count = len(books(room / "undisturbed")["invoices"])
        say(f"seed {options.seed}: {options.contracts} contracts, {count} invoices in {seconds:.1f} s undisturbed")
        # Two at once are done in half the time; and whatever the machine does beside, the last kills shall find work.
        pace = seconds / (2 * options.schedulers)
        inside = 0
        for number in range(ROUNDS_MAX):
            folder = copy(room / "pristine", room / f"killed-{number}")
            draw = random.Random(f"{options.seed}/{number}")
            kills = Kills(folder, draw, together=TOGETHER, schedulers=options.schedulers, seconds=pace)
            with Progress(console=console) as progress:
                bar = progress.add_task("killing", total=options.kills)
                for _ in kills.kill(options.kills):
                    progress.advance(bar)
            say(f"{options.kills} kills, {options.schedulers} at once: {dict(sorted(kills.met.items()))}")
            wrong = differences(room / "undisturbed", folder)
            for difference in wrong:
                say(f"[red]WRONG[/] {difference}")
            inside += kills.met["committed and not archived"]
            if wrong or options.kills < 100 or inside >= INSIDE_LEAST:
                break
    if wrong:
        return 1
    if options.kills >= 100 and inside < INSIDE_LEAST:
        say("[red]TOOTHLESS[/] hardly a kill fell between an invoice's commit and its folder")
        return 1
    say(f"[green]the same to the byte[/]: {count} invoices, numbers 1 to {count}, each once")
    return 0


if __name__ == "__main__":
    sys.exit(main())
