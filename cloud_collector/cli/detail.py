"""`cloud-collector usage days` and `usage intervals`: what lies under a figure, down to the line that says it."""

from datetime import date, timedelta
from typing import Annotated, Any, Final

import typer

from cloud_collector.billing.export import owners
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.cli.gateway import show_rows
from cloud_collector.cli.opened import Json, ending, opened, say, settings
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.node import nearest
from cloud_collector.contracts.period import boundary, local_date
from cloud_collector.insight.owned import owned, zone_of
from cloud_collector.insight.owned_detail import owned_days, owned_intervals, unit_of
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import ChannelName
from shared.effects.clock import SystemClock

NOT_FOUND: Final = 3
USAGE: Final = 2
DAYS_SHOWN: Final = 31

Account = Annotated[
    str, typer.Option("--account", metavar="NAME", help="Only while it was this account's (default: whoever has it).")
]


@ending
def days(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="gateway/device (default: all of the account).")] = "",
    account: Account = "",
    first: Annotated[str, typer.Option("--from", metavar="DAY", help="Default: 31 days back.")] = "",
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="The last day (default: today).")] = "",
    json_: Json = False,
) -> None:
    """Example: `cloud-collector usage days roof-1/sdm630-1 --from 2026-10-01 --to 2026-10-31`.

    What a device, or every device of an account, used on each local day; what is not known is said and is not zero.
    """
    if not device and not account:
        say("name a device, or an account with --account")
        raise typer.Exit(USAGE)
    now = SystemClock().utc_ms() // 1_000
    with opened(settings()) as store:
        catalog = _catalog(store)
        whose = _known(catalog, account) if account else _owner(catalog, device)
        mine = [each for each in owned(catalog, whose) if device in ("", each.device)]
        zone = zone_of(catalog, whose)
        ends = _day(last) if last else local_date(zone, now)
        begins = _day(first) if first else ends - timedelta(days=DAYS_SHOWN - 1)
        time = boundary(zone, begins), boundary(zone, ends + timedelta(days=1))
        rows = [
            {
                "device": f"{each.channel.gateway}/{each.channel.device}",
                "meter": each.channel.meter,
                "unit": each.unit,
                **each.day.to_json(),
            }
            for each in owned_days(StoreView(store), catalog, mine, time, now, zone)
        ]
    show_rows(rows, as_json=json_, empty="nothing is known of these days")


@ending
def intervals(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="gateway/device.")],
    meter: Annotated[str, typer.Argument(metavar="METER", help="One of its meters, such as energy.")],
    day: Annotated[str, typer.Option("--day", metavar="DAY", help="Such as 2026-10-05 (default: today).")] = "",
    account: Account = "",
    json_: Json = False,
) -> None:
    """Example: `cloud-collector usage intervals roof-1/sdm630-1 energy --day 2026-10-05`.

    A day of one meter, interval by interval, each with the line that says it: `gateway line` prints that.
    """
    now = SystemClock().utc_ms() // 1_000
    gateway, _, name = device.rpartition("/")
    with opened(settings()) as store:
        catalog = _catalog(store)
        whose = _known(catalog, account) if account else _owner(catalog, device)
        zone = zone_of(catalog, whose)
        asked = _day(day) if day else local_date(zone, now)
        channel = ChannelName(gateway=gateway, device=name, meter=meter)
        time = boundary(zone, asked), boundary(zone, asked + timedelta(days=1))
        found = owned_intervals(StoreView(store), catalog, whose, channel, time, now)
    if found is None:
        say(f"{device} has no meter {meter} that was {whose}'s on {asked}")
        raise typer.Exit(NOT_FOUND)
    rows: list[dict[str, Any]] = [{**each.to_json(), "unit": unit_of(catalog, meter)} for each in found]
    if not json_:
        # As `gateway line` takes it.
        rows = [{**each, "line": " ".join(map(str, each["line"].values())) if each["line"] else ""} for each in rows]
    show_rows(rows, as_json=json_, empty="nothing is known of this day")


def _catalog(store: Store) -> Catalog:
    try:
        return revisions(store)[-1].catalog
    except NoCatalog as error:
        say(str(error))
        raise typer.Exit(NOT_FOUND) from None


def _owner(catalog: Catalog, device: str) -> str:
    """Whose the device is or will be last."""
    held = owners(catalog)
    if device not in held:
        say(f"no contract has a device {device}{nearest(device, held)}")
        raise typer.Exit(NOT_FOUND)
    return max(held[device], key=lambda each: each[2])[0]


def _known(catalog: Catalog, account: str) -> str:
    if account not in catalog.accounts:
        say(f"the catalog has no account {account}{nearest(account, catalog.accounts)}")
        raise typer.Exit(NOT_FOUND)
    return account


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        say(f"{text!r} is no day such as 2026-10-05")
        raise typer.Exit(USAGE) from None
