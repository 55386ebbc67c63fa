"""`cloud-collector usage`: what was metered, in the channel's integers, before any price."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cloud_collector.cli.gateway import iso, not_known, show_rows
from cloud_collector.cli.opened import Json, ending, opened, say, settings
from cloud_collector.store.account import ChannelAccount, account, quarantine
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView

app = typer.Typer(no_args_is_help=True, help="Usage by channel.")

Gateway = Annotated[str, typer.Argument(help="One gateway (default: all).")]


@app.command()
@ending
def show(
    gateway: Gateway = "",
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="RFC 3339; with --to: usage in between.")] = "",
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="RFC 3339, not included.")] = "",
    json_: Json = False,
) -> None:
    """Example: `cloud-collector usage show house-7 --from 2026-10-01T00:00:00Z --to 2026-11-01T00:00:00Z`.

    Each channel's units: counted, not yet placed in time, quarantined, estimated, and gaps of unknown amount.
    """
    stretch = _stretch(start, end)
    with opened(settings()) as store:
        _known(store, gateway)
        rows = [
            _account(each) if stretch is None else _measured(store, each, *stretch) for each in account(store, gateway)
        ]
    show_rows(rows, as_json=json_, empty="nothing has been metered yet")


@app.command("quarantine")
@ending
def quarantine_(gateway: Gateway = "", json_: Json = False) -> None:
    """Example: `cloud-collector usage quarantine --json`.

    Every row that is not counted, where it stands and why.
    """
    with opened(settings()) as store:
        _known(store, gateway)
        rows = [
            {
                "gateway": row.gateway,
                "log": row.log,
                "epoch": row.epoch,
                "seq": row.seq,
                "device": row.device,
                "meter": row.meter,
                "units": row.units,
                "reason": row.reason,
            }
            for row in quarantine(store, gateway)
        ]
    show_rows(rows, as_json=json_, empty="nothing is quarantined")


def _known(store: Store, gateway: str) -> None:
    if gateway and store.row("gateway_one", gateway) is None:
        raise not_known(store, gateway)


def _account(each: ChannelAccount) -> dict[str, Any]:
    return _channel(each) | {
        "units": each.counted,
        "unplaced": each.unplaced,
        "quarantined": each.quarantined,
        "estimated": each.estimated,
        "unknown_gaps": len(each.unknown),
    }


def _measured(store: Store, each: ChannelAccount, start: int, end: int) -> dict[str, Any]:
    measured = StoreView(store).measure(each.channel, start, end)
    gaps = () if measured is None else measured.gaps
    return _channel(each) | {
        "units": None if measured is None or measured.deleted else measured.units,
        "estimated": measured is not None and measured.estimated and not measured.deleted,
        "deleted": measured is not None and measured.deleted,
        "gaps": [{"from": iso(gap.start * 1000), "to": iso(gap.end * 1000), "cause": gap.cause} for gap in gaps],
    }


def _channel(each: ChannelAccount) -> dict[str, Any]:
    name = each.channel
    return {
        "gateway": name.gateway,
        "device": name.device,
        "meter": name.meter,
        "unit": each.unit,
        "exponent": each.exponent,
    }


def _stretch(start: str, end: str) -> tuple[int, int] | None:
    if not start and not end:
        return None
    if not start or not end:
        say("--from and --to go together")
        raise typer.Exit(2)
    first, last = _second(start), _second(end)
    if last <= first:
        say("--to must lie after --from")
        raise typer.Exit(2)
    return first, last


def _second(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        say(f"{text!r} is no RFC 3339 time with its offset, such as 2026-10-01T00:00:00Z")
        raise typer.Exit(2)
    return int(found.astimezone(UTC).timestamp())
