"""`cloud-collector cost`: what an account or a contract costs so far, and what it will come to."""

import json
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Final

import typer

from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.cli.opened import Json, StoreOption, ending, opened, say, settings
from cloud_collector.contracts.catalog import Catalog, Committed
from cloud_collector.contracts.money import as_written, plain
from cloud_collector.contracts.node import nearest
from cloud_collector.contracts.period import local_date, local_days
from cloud_collector.contracts.revision import Revision
from cloud_collector.insight.cost import Cost, DeviceCost
from cloud_collector.insight.ended import Ended, ended_in
from cloud_collector.insight.look import NotRunning, look
from cloud_collector.rating.csv_facts import instant_ms_of
from cloud_collector.rating.standing import Standing
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.effects.clock import SystemClock
from shared.errors import DatabaseError, MetersealError

NOT_FOUND: Final = 3
PARTLY: Final = 5
NAMED_MAX: Final = 5
"""Devices that are named in one line; how many more there are is said."""
LARGEST_MAX: Final = 10
"""Devices with a line of their own."""


@ending
def cost(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A contract, or an account: all of its contracts.")],
    store: StoreOption = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="T", help="An earlier instant: as it was known then (default: now)."),
    ] = None,
    json_: Json = False,
) -> None:
    """Example: `cloud-collector cost acme`.

    What the running period costs so far, as the invoice will rate it, by charge and device, with a forecast from its
    third day on, what is missing from commitments, and devices that wait or rest.
    """
    now = SystemClock().utc_ms()
    at_ms = now if as_of is None else _instant(as_of)
    if at_ms > now:
        raise _ended("--as-of lies in the future: `quote` foresees, and the forecast does", 2)
    found: list[Cost] = []
    absent: list[dict[str, str]] = []
    waits: list[Ended] = []
    partly = False
    with opened(settings(store=store)) as held:
        known = _revisions(held)
        for contract in _contracts(known[-1].catalog, name):
            try:
                found.append(look(held, known, contract, at_ms, StoreView, past=as_of is not None).cost())
            except DatabaseError:
                raise
            except MetersealError as error:
                # P19: never guess; the account's others are shown.
                absent.append({"contract": contract, "why": str(error)})
                partly = partly or not isinstance(error, NotRunning)
        if as_of is None:
            waits = list(ended_in(held, known, _contracts(known[-1].catalog, name), at_ms))
    for each in absent:
        say(f"{each['contract']} costs nothing now: {each['why']}")
    if json_:
        print(
            json.dumps(
                as_json(found, absent) | {"ended": [each.to_json() for each in waits]}, indent=2, ensure_ascii=False
            )
        )
    else:
        print("\n\n".join([*map(told, found), *_sums(found), *map(not_billed, waits)]))
    if partly:
        raise typer.Exit(PARTLY)


def as_json(found: Sequence[Cost], absent: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Sums by currency, then every contract with its draft."""
    return {
        "totals": [
            {
                "currency": code,
                "net": as_written(sum((each.draft.net for each in held), Decimal(0))),
                "total": as_written(sum((each.draft.total for each in held), Decimal(0))),
            }
            for code, held in _by_currency(found)
        ],
        "contracts": [each.to_json() for each in found],
        "absent": list(absent),
    }


def told(found: Cost) -> str:
    """One contract for people."""
    draft, code = found.draft, found.draft.currency
    period = draft.period
    day = sum(
        1 for start, _ in local_days(period.timezone, period.start, period.end) if start <= found.as_of_ms // 1_000
    )
    rows = [
        f"{found.contract}  ({found.account})  {period.first} to {period.last} (exclusive), {period.timezone}",
        f"day {day} of {len(local_days(period.timezone, period.start, period.end))}, {_age(found)}",
        "",
    ]
    figures = [(name, as_written(amount)) for name, amount in found.charges.items()]
    figures.append(("net so far", as_written(draft.net)))
    figures += [(f"{tax.name} {plain(Fraction(tax.percent))} %", as_written(tax.amount)) for tax in draft.taxes]
    figures.append(("total so far", as_written(draft.total)))
    widths = [max(len(row[column]) for row in figures) for column in (0, 1)]
    rows += [f"  {name:<{widths[0]}}  {amount:>{widths[1]}} {code}" for name, amount in figures]
    rows += ["", *_outlook(found), *_commitments(found), *_devices(found)]
    return "\n".join(rows).rstrip()


def _outlook(found: Cost) -> list[str]:
    ahead, code = found.forecast, found.draft.currency
    if ahead is None:
        rows = ["forecast    none yet: it is shown from the third day on"]
    else:
        total = ahead.total
        band = "whatever is used" if total.low == total.high else f"between {total.low} and {total.high}"
        rows = [f"forecast    {total.likely} {code} with tax, {band}"]
    if found.budget is not None:
        share = found.draft.net / found.budget * 100
        said = f"budget      {as_written(found.budget)} {code} net, {share:.0f} % used"
        if ahead is not None:
            said += f", {ahead.net.likely / found.budget * 100:.0f} % foretold"
        rows.append(said)
    return rows


def _commitments(found: Cost) -> list[str]:
    return [_commitment(each, found.draft.period.timezone) for each in found.commitments]


def _commitment(each: Standing, timezone: str) -> str:
    unit = {Committed.AMOUNT: "net", Committed.DEVICES: "devices", Committed.QUANTITY: each.unit}[each.of]
    until = local_date(timezone, each.end)
    said = f"commitment  {plain(each.committed)} {unit} until {until} (exclusive), {plain(each.counted)} so far"
    if each.missing:
        said += f": short by {as_written(each.missing)} net"
    if each.step is not None:
        said += f"; ramp step from period {each.step}"
    if each.following is not None:
        said += f", {as_written(each.following.figure)} from period {each.following.from_period} on"
    return said


def _devices(found: Cost) -> list[str]:
    rows, timezone = [], found.draft.period.timezone
    if found.waiting:
        rows.append(f"waiting     {len(found.waiting)} for first use: {_named(found.waiting, timezone)}")
    if found.unused:
        rows.append(f"not used    {len(found.unused)} in this period: {_named(found.unused, timezone)}")
    largest = sorted((each for each in found.devices if each.net), key=lambda each: (-each.net, each.device))
    if len(largest) > 1:
        rows += ["", "devices, net"]
        width = max(len(each.device) for each in largest[:LARGEST_MAX])
        rows += [f"  {each.device:<{width}}  {as_written(each.net)}" for each in largest[:LARGEST_MAX]]
        rest = largest[LARGEST_MAX:]
        if rest:
            rows.append(f"  {len(rest)} more: {sum((each.net for each in rest), Decimal(0))}")
        if found.shared:
            rows.append(f"  of no device: {as_written(found.shared)}")
    return rows


def _named(devices: Sequence[DeviceCost], timezone: str) -> str:
    said = [
        each.device
        if each.starts_at is None
        else f"{each.device} (billed from {local_date(timezone, each.starts_at)} all the same)"
        for each in devices[:NAMED_MAX]
    ]
    more = len(devices) - NAMED_MAX
    return ", ".join(said) + (f" and {more} more" if more > 0 else "")


def _age(found: Cost) -> str:
    if found.known_until is None:
        return "nothing has been received"
    seconds = max(found.as_of_ms // 1_000 - found.known_until, 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"the latest reading ended {seconds // size} {unit} ago"
    return f"the latest reading ended {seconds} s ago"


def _sums(found: Sequence[Cost]) -> list[str]:
    if len(found) < 2:
        return []
    return [
        "\n".join(
            f"all {len(held)} contracts so far: {sum((each.draft.total for each in held), Decimal(0))} {code} with tax"
            for code, held in _by_currency(found)
        )
    ]


def not_billed(each: Ended) -> str:
    """What has ended and waits for its invoice, for people."""
    period, zone = each.period, each.period.timezone
    amount = "" if each.draft is None else f", {as_written(each.draft.total)} {each.draft.currency} with tax"
    said = each.told(lambda at: f"{local_date(zone, at)} ({zone})")
    return f"ended, not billed yet: {each.contract}, {period.first} to {period.last} (exclusive){amount}. {said}"


def _by_currency(found: Sequence[Cost]) -> list[tuple[str, list[Cost]]]:
    codes = sorted({each.draft.currency for each in found})
    return [(code, [each for each in found if each.draft.currency == code]) for code in codes]


def _contracts(catalog: Catalog, name: str) -> list[str]:
    if name in catalog.contracts:
        return [name]
    if name in catalog.accounts:
        return [each.key for _, each in sorted(catalog.contracts.items()) if each.account == name]
    near = nearest(name, {*catalog.contracts, *catalog.accounts})
    raise _ended(f"the catalog has no contract and no account {name}{near}", NOT_FOUND)


def _revisions(held: Store) -> Sequence[Revision]:
    try:
        return revisions(held)
    except NoCatalog as error:
        raise _ended(str(error), NOT_FOUND) from None


def _instant(text: str) -> int:
    try:
        return instant_ms_of(text)
    except ValueError as error:
        raise _ended(f"--as-of: {error}", 2) from None


def _ended(sentence: str, code: int) -> typer.Exit:
    say(sentence)
    return typer.Exit(code)
