"""What each gateway's account has agreed to in a seed: drawn, written as a catalog, and known to the checkers."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from tests.simulation.clocks import EPOCH_SECONDS

ZONES: Final = ("Europe/Helsinki", "America/St_Johns", "UTC", "Asia/Kathmandu")
PLACES: Final[Mapping[str, int]] = {"EUR": 2, "JPY": 0, "KWD": 3}
UNITS_EACH: Final = 1_000
"""Integers of a meter, which counts W.h, in one kWh of the catalog."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One contract: a plan of its own, for every device of one gateway."""

    gateway: str
    devices: tuple[str, ...]
    timezone: str
    currency: str
    settle_hours: int
    threshold: int | None
    """In kWh of `energy`; None: billed from the start."""
    grace_hours: int | None
    is_free_before: bool
    daily: Decimal
    """A device's subscription."""
    price: Decimal
    """Of a kWh of `energy`, for each device."""
    tiers: tuple[Decimal, int, Decimal]
    """Of `water`: a price up to so many, another beyond."""
    water_per: str
    percent: Decimal

    @property
    def first(self) -> date:
        """The contract's start: a local date that begins before the world does."""
        return datetime.fromtimestamp(EPOCH_SECONDS - 3 * 3_600, ZoneInfo(self.timezone)).date()

    def boundaries(self, until: int) -> list[int]:
        """Local midnights from the contract's start up to an instant."""
        found: list[int] = []
        day = self.first
        while True:
            midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.timezone))
            at = int(midnight.astimezone(UTC).timestamp())
            if at > until:
                return found
            found.append(at)
            day += timedelta(days=1)

    @property
    def provisioned(self) -> int:
        """When the contract has its devices."""
        return self.boundaries(EPOCH_SECONDS)[0]

    def amount(self, exact: Decimal) -> Decimal:
        """Rounded once, half away from zero."""
        return exact.quantize(Decimal(1).scaleb(-PLACES[self.currency]), ROUND_HALF_UP)

    def energy(self, units: int) -> Decimal:
        """What so many W.h cost."""
        return self.amount(Decimal(units) / UNITS_EACH * self.price)

    def water(self, units: int) -> Decimal:
        """What so many cost: each at its own tier's price."""
        low, up_to, high = self.tiers
        used = Decimal(units) / UNITS_EACH
        within = min(used, Decimal(up_to))
        return self.amount(within * low + (used - within) * high)

    def toml(self) -> str:
        """Its plan, account and contract as a catalog writes them."""
        low, up_to, high = self.tiers
        activation = ""
        if self.threshold is not None:
            activation = f"""
[plans.{self.gateway}.activation]
rule = "first_use"
any = [{{ meter = "energy", at_least = {self.threshold} }}]
usage_before = "{"free" if self.is_free_before else "billed"}"
{"" if self.grace_hours is None else f'grace = "{self.grace_hours}h"'}
"""
        names = ", ".join(f'"{self.gateway}/{device}"' for device in self.devices)
        return f"""
[plans.{self.gateway}]
title = "Metered at {self.gateway}"
currency = "{self.currency}"
cycle = "day"
settle = "{self.settle_hours}h"
{activation}
[[plans.{self.gateway}.charges]]
name = "Metering"
type = "subscription"
price = {self.daily}
per = "device"
[[plans.{self.gateway}.charges]]
name = "energy"
type = "usage"
meter = "energy"
per = "device"
model = "per_unit"
price = {self.price}
[[plans.{self.gateway}.charges]]
name = "water"
type = "usage"
meter = "water"
per = "{self.water_per}"
model = "graduated"
tiers = [{{ up_to = {up_to}, price = {low} }}, {{ price = {high} }}]
[[plans.{self.gateway}.taxes]]
name = "VAT"
percent = {self.percent}
category = "S"

[accounts.{self.gateway}]
name = "Whoever lives at {self.gateway}"
country = "FI"
address = ["Quay 7"]

[contracts.{self.gateway}]
account = "{self.gateway}"
plan = "{self.gateway}"
start = {self.first.isoformat()}
timezone = "{self.timezone}"
devices = [{names}]
"""


def draw_agreements(seed: int, devices: Mapping[str, Sequence[str]]) -> dict[str, Agreement]:
    """One for each gateway; the first starts by first use, the second from the beginning."""
    draw = random.Random(f"agreements {seed}")
    found = {}
    for number, (gateway, held) in enumerate(devices.items()):
        waits = number == 0 or (number > 1 and draw.random() < 0.7)
        found[gateway] = Agreement(
            gateway=gateway,
            devices=tuple(held),
            timezone=draw.choice(ZONES),
            currency=draw.choice(tuple(PLACES)),
            settle_hours=draw.choice((1, 3, 8)),
            threshold=draw.choice((5, 300, 1_000, 2_500)) if waits else None,
            grace_hours=draw.choice((None, 20, 55)) if waits else None,
            is_free_before=draw.random() < 0.7,
            daily=Decimal(draw.choice(("0.90", "1.25", "3.005"))),
            price=Decimal(draw.choice(("0.1432", "0.30", "1.005"))),
            tiers=(Decimal("4.27"), draw.choice((50, 400)), Decimal("3.915")),
            water_per=draw.choice(("device", "contract")),
            percent=Decimal(draw.choice(("25.5", "24", "0.5"))),
        )
    return found


def catalog_of(agreements: Mapping[str, Agreement]) -> str:
    """The whole catalog."""
    head = """
[operator]
name = "Northwind Metering Oy"
currency = "EUR"
timezone = "Europe/Helsinki"
country = "FI"
address = ["Example street 1", "00100 Helsinki"]
vat_id = "FI12345678"
invoice_prefix = "SIM-"

[meters.energy]
unit = "kWh"
aggregate = "sum"

[meters.water]
unit = "kWh"
aggregate = "sum"
"""
    return head + "".join(agreement.toml() for agreement in agreements.values())
