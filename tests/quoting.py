"""Catalogs, usage and quotes in few words, for the tests of money."""

from fractions import Fraction
from typing import Any

from cloud_collector.contracts.period import iso
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.terms import Terms, terms_of
from cloud_collector.rating.booking import bookings_of, period_start_of
from cloud_collector.rating.csv_facts import instant_ms_of, read_states, read_usage
from cloud_collector.rating.draft import Draft
from cloud_collector.rating.quote import Question, quote

HEAD = """
[operator]
name = "Northwind Metering Oy"
currency = "EUR"
timezone = "{zone}"
[meters.energy]
unit = "kWh"
aggregate = "sum"
[meters.water]
unit = "m3"
aggregate = "sum"
[meters.sales]
unit = "EUR"
aggregate = "sum"
[accounts.acme]
name = "Acme Oy"
[contracts.c]
account = "acme"
plan = "p"
start = {start}
devices = {devices}
{contract}
[plans.p]
cycle = "month"
{plan}
"""

ENERGY = """
[[plans.p.charges]]
name = "Energy"
type = "usage"
meter = "energy"
model = "per_unit"
price = 0.30
"""

CONNECTION = """
[[plans.p.charges]]
name = "Connection"
type = "subscription"
price = 9.90
"""


def catalog_text(
    plan: str = "",
    *,
    charges: str = "",
    contract: str = "",
    devices: str = '["gw/a"]',
    start: str = "2026-01-01",
    zone: str = "Europe/Helsinki",
) -> str:
    """A catalog with one contract `c` on one plan `p`."""
    return HEAD.format(plan=plan, contract=contract, devices=devices, start=start, zone=zone) + charges


def terms(text: str) -> Terms:
    """The terms of the contract `c`."""
    return terms_of(load_catalog(text), "c")


def usage_csv(*rows: str) -> str:
    """Rows such as `gw/a energy 2026-10-01T10:00+03:00 1h 0.5`, as the CSV that quote reads."""
    lines = ["device,meter,start,end,quantity"]
    for row in rows:
        device, meter, start, length, quantity = row.split()
        seconds = int(length[:-1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[length[-1]]
        end = instant_ms_of(start) // 1_000 + seconds
        lines.append(f"{device},{meter},{start},{iso(end)},{quantity}")
    return "\n".join(lines) + "\n"


def quoted(
    text: str,
    *rows: str,
    period: str = "2026-10",
    states: str = "",
    booked: tuple[dict[str, Any], ...] = (),
    as_of: str | None = None,
) -> Draft:
    """The draft of the contract `c` for these rows."""
    catalog = load_catalog(text)
    return quote(
        terms_of(catalog, "c"),
        Question(
            period=period,
            spans=read_usage(usage_csv(*rows), "usage.csv", catalog.meters),
            states=read_states("device,state,at\n" + "\n".join(states.split()), "states.csv"),
            booked=[booking for answer in booked for booking in bookings_of(answer)],
            booked_from=min((period_start_of(answer) for answer in booked), default=None),
            as_of=None if as_of is None else instant_ms_of(as_of),
        ),
    )


def amounts(draft: Draft) -> list[tuple[str, str, str | None, str]]:
    """Charge, kind, device and amount of each line."""
    return [(line.charge, line.kind.value, line.device, str(line.amount)) for line in draft.lines]


def spent(draft: Draft, charge: str) -> Fraction:
    """The sum of a charge's lines."""
    return sum((Fraction(line.amount) for line in draft.lines if line.charge == charge), Fraction(0))
