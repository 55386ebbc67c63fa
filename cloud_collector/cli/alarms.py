"""`cloud-collector alarms`: what is wrong, since when."""

from typing import Annotated, Final

import typer

from cloud_collector.cli.gateway import iso, show_rows
from cloud_collector.cli.opened import Json, ending, opened, settings
from cloud_collector.upkeep.incidents import newest_incidents, open_incidents

NEWEST: Final = 200


@ending
def alarms(
    all_: Annotated[bool, typer.Option("--all", help=f"Also those that have ended, the newest {NEWEST}.")] = False,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector alarms`.

    What is wrong now, the oldest first, one for each root cause; the running collector looks once a minute.
    """
    with opened(settings()) as store:
        found = newest_incidents(store, NEWEST) if all_ else open_incidents(store)
    rows = [
        {
            "begun_at": iso(each.begun_at),
            "ended_at": iso(each.ended_at),
            "kind": each.spot.cause.value,
            "gateway": each.spot.gateway,
            "part": each.spot.part,
            "text": each.text,
        }
        for each in found
    ]
    shown = rows if all_ or json_ else [{name: row[name] for name in ("begun_at", "kind", "text")} for row in rows]
    show_rows(shown, as_json=json_, empty="nothing is wrong")
