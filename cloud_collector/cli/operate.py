"""`cloud-collector unmatched`, `rebuild` and `audit`."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from cloud_collector.cli.gateway import iso, show_rows
from cloud_collector.cli.opened import Json, ending, opened, say, settings
from cloud_collector.fleet.invitations import pending
from cloud_collector.intake.replay import audit as audit_store
from cloud_collector.intake.replay import rebuild as rebuild_store
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase

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


@ending
def audit(json_: Json = False) -> None:
    """Example: `cloud-collector audit`.

    Compute everything again beside the store and name the first difference (exit 1); nothing is changed.
    """
    known = settings()
    with opened(known) as store, tempfile.TemporaryDirectory() as folder, _progress(store, "auditing") as advance:
        scratch = Store(SqliteDatabase(Path(folder) / "audit.db"))
        difference = audit_store(store, scratch, known, advance)
        scratch.close()
        count = store.rows("facts_count")[0][0]
    if json_:
        shown = (
            None
            if difference is None
            else {"table": difference.table, "held": difference.held, "computed": difference.computed}
        )
        print(json.dumps({"lines": count, "difference": shown}, default=str))
    elif difference is None:
        print(f"{count} lines: everything in the store follows from them")
    else:
        print(f"{difference.table}: the store has {difference.held}, its lines say {difference.computed}")
    if difference is not None:
        raise typer.Exit(1)


@contextmanager
def _progress(store: Store, what: str) -> "Iterator[Callable[[int], None]]":
    total = store.rows("facts_count")[0][0]
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda lines: progress.advance(bar, lines)
