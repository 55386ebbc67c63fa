"""`cloud-collector rebuild`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

from cloud_collector.cli.opened import ending, opened, say, settings
from cloud_collector.intake.replay import rebuild as rebuild_store
from cloud_collector.store.store import Store


@ending
def rebuild() -> None:
    """Example: `cloud-collector rebuild`.

    Compute everything that follows from the sealed lines again, in one transaction: to the same bytes.
    """
    known = settings()
    with opened(known) as store, _progress(store, "rebuilding") as advance:
        rebuild_store(store, known, advance)
        count = store.rows("facts_count")[0][0]
    say(f"rebuilt from {count} lines")


@contextmanager
def _progress(store: Store, what: str) -> "Iterator[Callable[[int], None]]":
    total = store.rows("facts_count")[0][0]
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda lines: progress.advance(bar, lines)
