"""A bar on a terminal while a billing run is on its way; everywhere else a sentence a document. On stderr."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cloud_collector.cli.opened import say

_QUIET: Final = frozenset({"issued", "nothing"})
"""What a bar shows by moving on."""


@dataclass(slots=True)
class Bar:
    """How far a run has come."""

    progress: Progress
    task: TaskID
    counts: dict[str, int] = field(default_factory=dict)
    total: int | None = None

    def said(self, state: str, sentence: str) -> None:
        """An outcome: a line of its own where a person has to know it, or where there is no terminal."""
        self.counts[state] = self.counts.get(state, 0) + 1
        if self.progress.disable:
            say(sentence)
        elif state not in _QUIET:
            self.progress.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def left(self, contracts: int) -> None:
        """So many contracts are still to be looked at."""
        self.total = contracts if self.total is None else self.total
        told = ", ".join(f"{count} {state}" for state, count in self.counts.items())
        self.progress.update(self.task, total=self.total, completed=self.total - contracts, told=told)


@contextmanager
def running() -> Iterator[Bar]:
    """The bar of a run, gone when it ends."""
    console = Console(stderr=True)
    columns = (
        TextColumn("RUN"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("safe to stop: `billing resume` goes on", markup=False),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task("", total=None, told=""))


def login() -> str:
    """The name that whoever runs this command is logged in by."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
