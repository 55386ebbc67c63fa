"""A month with everything in it: first use with grace, tiers, windows, pools, late reports, a day of 25 hours."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from cloud_collector.contracts.period import iso
from shared.report import Usage, UsageRow
from tests.unit.billing_samples import OCTOBER, Gateway

HOUR = 3_600
DAY = 86_400
HOURS = 24 * 31 + 1
"""Of October 2026 in Helsinki, where a clock goes back."""
NOVEMBER = OCTOBER + HOURS * HOUR

CATALOG = """
[operator]
name = "Northwind Metering Oy"
currency = "EUR"
timezone = "Europe/Helsinki"
country = "FI"
address = ["Esimerkkikatu 1", "00100 Helsinki"]
vat_id = "FI12345678"

[meters.energy]
unit = "kWh"
aggregate = "sum"

[plans.charger]
title = "Charger"
cycle = "month"
settle = "48h"

[plans.charger.activation]
rule = "first_use"
any = [{ meter = "energy", at_least = 0.5 }]
grace = "20d"

[[plans.charger.charges]]
name = "Connection"
type = "subscription"
price = 9.90

[[plans.charger.charges]]
name = "Seat"
type = "subscription"
price = 3.33
bill = "when_used"

[[plans.charger.charges]]
name = "Energy"
type = "usage"
meter = "energy"
model = "graduated"
tiers = [{ up_to = 100, price = 0.30 }, { price = 0.25 }]
included = 50
minimum = 20
discount_percent = 7.5

[[plans.charger.charges]]
name = "By time"
type = "usage"
meter = "energy"
model = "per_unit"
windows = [
  { name = "peak", days = "mon-fri", from = "07:30", to = "22:00", price = 0.0334 },
  { name = "rest", price = 0.01 },
]

[[plans.charger.charges]]
name = "Activation"
type = "one_time"
on = "activated"
price = 5

[plans.charger.commitment]
ramp = [{ from_period = 1, amount = 300 }, { from_period = 4, amount = 400 }]

[[plans.charger.taxes]]
name = "VAT"
percent = 25.5
category = "S"

[accounts.acme]
name = "Acme Oy"
address = ["Satamakatu 4", "20100 Turku"]
country = "FI"

[contracts.c]
account = "acme"
plan = "charger"
start = 2026-10-01
devices = ["roof-1/a", "roof-1/b", "roof-1/idle"]
budget = 150
"""


def watts(device: str, hour: int) -> int:
    """What a device uses in an hour of the month, in Wh: offices by day, one of them from the 14th on."""
    clock, weekday = (hour + 3) % 24, (hour // 24 + 3) % 7
    if device == "idle" or (device == "b" and hour < 13 * 24):
        return 0
    busy = 7 <= clock < 19 and weekday < 5
    # Even, so that a window that begins at half past has a whole number of them.
    return (900 if busy else 130) + (hour * 37 + ord(device)) % 61 * 2


def received_at(hour: int) -> int:
    """When the line of an hour arrives: seven seconds after it, but for two outages that end on the hour."""
    for first, last in ((60, 91), (300, 372)):
        if first <= hour < last:
            return OCTOBER + last * HOUR
    return OCTOBER + (hour + 1) * HOUR + 7


@dataclass
class Site(Gateway):
    """Three devices, an hour a line."""

    registers: dict[str, int] = field(default_factory=lambda: {"a": 12_000, "b": 500, "idle": 7})

    def hour(self, number: int) -> None:
        start = OCTOBER + number * HOUR
        rows = []
        for device, register in self.registers.items():
            deltas = (watts(device, number),)
            rows.append(UsageRow(device, "energy", "Wh", 0, register, deltas, {}))
            self.registers[device] = register + sum(deltas)
        self._seal(Usage(header=self._header(start + HOUR), start=start, step=HOUR, count=1, rows=tuple(rows)))


def month() -> tuple[Site, list[tuple[int, bytes]]]:
    """The gateway and its lines, each with the second of its receipt, in order of receipt."""
    site = Site()
    site.birth(OCTOBER - 60)
    arrivals = [(OCTOBER - 60, site.lines[0])]
    for hour in range(HOURS):
        site.hour(hour)
        arrivals.append((received_at(hour), site.lines[-1]))
    return site, sorted(arrivals, key=lambda each: each[0])


def usage_csv() -> str:
    """The same usage as rows for `quote`, each with its receipt."""
    return "\n".join(["device,meter,start,end,quantity,received_at", *_rows()]) + "\n"


def _rows() -> Iterator[str]:
    for hour in range(HOURS):
        start = OCTOBER + hour * HOUR
        received = iso(received_at(hour))
        for device in ("a", "b", "idle"):
            amount = f"{watts(device, hour)}e-3"
            yield f"roof-1/{device},energy,{iso(start)},{iso(start + HOUR)},{Decimal(amount):f},{received}"
