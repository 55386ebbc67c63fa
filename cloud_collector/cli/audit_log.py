"""`cloud-collector audit-log`: who did what, and who looked at whose data; on pages, over HTTP, on the command line."""

import json
from typing import Annotated

import typer

from cloud_collector.access.trail import entries
from cloud_collector.cli.billing import instant
from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, settings

app = typer.Typer(no_args_is_help=True, help="Who did what, and who looked at whose data.")


@app.command(name="list")
@ending
def list_(
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="Only what was done to this account's data.")
    ] = None,
    who: Annotated[str | None, typer.Option("--who", metavar="NAME", help="Only what this one did.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only from then on, such as 2026-11-01T00:00:00Z.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100_000, help="So many at most.")] = 100,
    store: StoreOption = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector audit-log list --account acme --since 2026-11-01T00:00:00Z`.

    What was done and who looked at whose data, the newest first; nobody can change or delete it.
    """
    after_ms = instant(since, 0)
    with opened(settings(store=store)) as held:
        rows = [each.to_json() for each in entries(held, account=account, who=who, after_ms=after_ms, limit=limit)]
    if json_:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    show_rows(rows, as_json=False, empty="nothing was done")
