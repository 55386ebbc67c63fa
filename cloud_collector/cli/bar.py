"""A progress bar on stderr, for people who look: not in logs, not where stderr is no terminal."""

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_Item = TypeVar("_Item")


def counted(items: Sequence[_Item], does: str) -> Iterator[_Item]:
    """Each item, with a bar that says how many are done."""
    if not sys.stderr.isatty() or len(items) < 2:
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(does, total=len(items))
        for item in items:
            yield item
            progress.advance(task)
