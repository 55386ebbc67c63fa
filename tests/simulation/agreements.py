"""What each gateway's account has agreed to in a seed: drawn, written as a catalog, and known to the checkers."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from tests.simulation.clocks import EPOCH_SECONDS

ZONES: Final = ("Europe/Helsinki", "America/St_Johns", "UTC", "Asia/Kathmandu")
PLACES: Final[Mapping[str, int]] = {"EUR": 2, "JPY": 0, "KWD": 3}
PEAK_DAYS: Final = (3, 5)
"""Thursday and Saturday: the world lasts from a Thursday to a Tuesday."""
PEAK_FROM: Final = 7
PEAK_TO: Final = 16
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
    suspended: Decimal | None
    """What the subscription costs while suspended; None: as much as active."""
    used_units: int | None
    """W.h of `energy` from which on the subscription is due; None: it always is."""
    pool: int | None
    """Units of `water` that each device brings into the contract's pool; None: there is no pool."""
    peak: Decimal | None
    """What a kWh costs in the peak window, where there are windows."""
    fee: Decimal | None
    """On activation, for each device."""
    commitment: tuple[tuple[int, int], ...]
    """From which period on how much, or how many devices; nothing, one figure, or a ramp."""
    price_per_device: Decimal | None
    """Of a device that is committed and not used; None: money is committed."""

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

    @property
    def coin(self) -> Fraction:
        """The currency's smallest unit."""
        return Fraction(1, 10 ** PLACES[self.currency])

    def amount(self, exact: Fraction) -> Decimal:
        """Rounded once, half away from zero."""
        places = PLACES[self.currency]
        whole, rest = divmod(abs(exact) * 10**places, 1)
        coins = whole + (2 * rest >= 1)
        return Decimal(coins if exact >= 0 else -coins).scaleb(-places)

    def water(self, used: Fraction) -> Fraction:
        """What so many cost: each at its own tier's price."""
        low, up_to, high = self.tiers
        within = min(used, Fraction(up_to))
        return within * Fraction(low) + (used - within) * Fraction(high)

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
        bill = (
            ""
            if self.used_units is None
            else f'bill = "when_used"\nused_when = {{ meter = "energy", at_least = {self.used_units / UNITS_EACH} }}'
        )
        if self.suspended is not None:
            bill += f"\nstate_prices = {{ suspended = {self.suspended} }}"
        energy = (
            f"price = {self.price}"
            if self.peak is None
            else f'windows = [{{ name = "peak", days = "thu,sat", from = "{PEAK_FROM:02}:00", to = "{PEAK_TO:02}:00", '
            f'price = {self.peak} }}, {{ name = "off-peak", price = {self.price} }}]'
        )
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
{bill}
[[plans.{self.gateway}.charges]]
name = "energy"
type = "usage"
meter = "energy"
per = "device"
model = "per_unit"
{energy}
[[plans.{self.gateway}.charges]]
name = "water"
type = "usage"
meter = "water"
per = "{self.water_per}"
model = "graduated"
tiers = [{{ up_to = {up_to}, price = {low} }}, {{ price = {high} }}]
{"" if self.pool is None else f'included = {self.pool}{chr(10)}pool = "contract"'}
{self._fee()}
{self._committed()}
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

    def _fee(self) -> str:
        if self.fee is None:
            return ""
        head = f'[[plans.{self.gateway}.charges]]\nname = "Activation fee"\ntype = "one_time"\n'
        return f'{head}on = "activated"\nprice = {self.fee}'

    def _committed(self) -> str:
        if not self.commitment:
            return ""
        figure = "amount" if self.price_per_device is None else "devices"
        rows = [f"[plans.{self.gateway}.commitment]", f"{figure} = {self.commitment[-1][1]}"]
        if self.price_per_device is not None:
            rows.append(f"price_per_device = {self.price_per_device}")
        if len(self.commitment) > 1:
            steps = ", ".join(f"{{ from_period = {number}, {figure} = {least} }}" for number, least in self.commitment)
            rows.append(f"ramp = [{steps}]")
        return "\n".join(rows)


def draw_agreements(seed: int, devices: Mapping[str, Sequence[str]]) -> dict[str, Agreement]:
    """One for each gateway; the first starts by first use, the second from the beginning."""
    draw = random.Random(f"agreements {seed}")
    found = {}
    for number, (gateway, held) in enumerate(devices.items()):
        waits = number == 0 or (number > 1 and draw.random() < 0.7)
        rules = random.Random(f"rules {gateway} {seed}")
        water_per = draw.choice(("device", "contract"))
        has_pool = water_per == "device" and rules.random() < 0.6
        by_device = rules.random() < 0.3
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
            water_per=water_per,
            percent=Decimal(draw.choice(("25.5", "24", "0.5"))),
            suspended=Decimal("0.41") if rules.random() < 0.6 else None,
            used_units=rules.choice((None, None, 500, 60_000)),
            pool=rules.choice((3, 40, 300)) if has_pool else None,
            peak=Decimal(rules.choice(("0.4521", "1.335"))) if rules.random() < 0.5 else None,
            fee=Decimal(rules.choice(("5", "12.345"))) if rules.random() < 0.4 else None,
            commitment=_steps(rules, (1, 2, 3, 4) if by_device else (9_000, 20_000, 40_000, 60_000)),
            price_per_device=Decimal("7.25") if by_device else None,
        )
    return found


def _steps(rules: random.Random, figures: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Nothing, one figure for all periods, or a ramp, which may begin after the first period."""
    kind = rules.random()
    if kind < 0.2:
        return ()
    if kind < 0.45:
        return ((1, rules.choice(figures)),)
    starts = rules.choice(((1, 3), (2, 4), (1, 2, 4)))
    return tuple(zip(starts, figures, strict=False))


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
