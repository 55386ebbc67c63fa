"""`cloud-collector store`: the whole store in another place."""

import json
from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import Progress

from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.opened import Json, ending, opened, say, settings
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.copy import Copied, NotCopied, copy_store, tables
from cloud_collector.store.place import place_of

app = typer.Typer(no_args_is_help=True, help="The whole store, from one engine to another.")
REFUSED: Final = 4


@app.command("copy")
@ending
def copy(
    from_: Annotated[
        str, typer.Option("--from", metavar="FILE|URL", help="A file of SQLite, or postgresql://HOST/DATABASE.")
    ],
    to: Annotated[str, typer.Option("--to", metavar="FILE|URL", help="The same; it must be empty.")],
    json_: Json = False,
) -> None:
    """Example: `cloud-collector store copy --from collector.db --to postgresql://db.example/meterseal`.

    Copy everything, read it back, and show for every table that both sides hold the same rows (exit 4 where not: then
    nothing was copied). Stop every collector on the store first.
    """
    known, target = settings(store=from_), settings(store=to)
    with opened(known) as held, opened(target, make=True) as empty, Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("copying", total=None)
        try:
            done = copy_store(held, empty, lambda table, rows: progress.update(bar, advance=rows, description=table))
        except NotCopied as error:
            say(str(error))
            raise typer.Exit(REFUSED) from None
    if json_:
        print(json.dumps(asdict(done), indent=2))
    else:
        _show(known, target, done)


def _show(source: CollectorSettings, target: CollectorSettings, done: Copied) -> None:
    rows = [{"table": each.table, "rows": each.rows, "sha256": each.sha256[:16]} for each in done.tables if each.rows]
    show_rows(rows, as_json=False, empty="the store is empty")
    print(
        f"{done.rows} rows of {len(tables())} tables are the same in {place_of(source)} and {place_of(target)}, "
        f"and so are the Merkle roots of {len(done.logs)} chains"
    )
