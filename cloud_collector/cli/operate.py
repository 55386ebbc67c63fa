"""`cloud-collector unmatched` and `rebuild`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import Progress

from cloud_collector.cli.gateway import iso, show_rows
from cloud_collector.cli.opened import Json, ending, opened, say, settings
from cloud_collector.fleet.invitations import pending
from cloud_collector.intake.replay import rebuild as rebuild_store
from cloud_collector.store.store import Store

unmatched = typer.Typer(no_args_is_help=True, help="What arrived and belongs to nobody that is known.")


@unmatched.command("list")
@ending
def list_(json_: Json = False) -> None:
    """Example: `cloud-collector unmatched list`.

    Messages that nobody knows, the newest first, with the reason and the nearest known name.
    """
    with opened(settings()) as store:
        waiting = {each.gateway for each in pending(store)}
        rows = [
            {
                "topic": row[0],
                "reason": f"{row[2]}: its key awaits `gateway accept`" if row[1] in waiting else row[2],
                "nearest": row[3],
                "messages": row[4],
                "first_at": iso(row[5]),
                "last_at": iso(row[6]),
            }
            for row in store.rows("unmatched_list")
        ]
    show_rows(rows, as_json=json_, empty="everything that arrived belongs to a known gateway")


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
