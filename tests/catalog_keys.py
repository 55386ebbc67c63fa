"""An example for every key of the catalog: a text in which it is changed or left out, and what that changes.

`python -m tests.catalog_keys` writes docs/reference/catalog-keys.md anew from them.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from tests.quoting import CONNECTION, ENERGY, catalog_text

DAY: Final = "gw/a energy 2026-10-05T10:00:00+03:00 1h 12.5"
LATER: Final = "gw/a energy 2026-10-20T10:00:00+03:00 1h 40"
FIRST_USE: Final = '[plans.p.activation]\nrule = "first_use"\n'
TAX: Final = '[[plans.p.taxes]]\nname = "VAT"\npercent = 20\n'
WINDOWS: Final = ENERGY.replace(
    "price = 0.30",
    'windows = [{ name = "w", days = "mon-fri", from = "09:00", to = "11:00", price = 1 }, { name = "x", price = 2 }]',
)
GRADUATED: Final = ENERGY.replace(
    '"per_unit"\nprice = 0.30', '"graduated"\ntiers = [{ up_to = 10, flat = 1 }, { price = 2 }]'
)
FEE: Final = '[[plans.p.charges]]\nname = "Fee"\ntype = "one_time"\non = "contract_start"\nprice = 5\n'
TWO: Final = '["gw/a", "gw/b"]'


@dataclass(frozen=True, kw_only=True)
class Change:
    """A text in which a key is changed or left out."""

    old: str
    new: str = ""
    text: str = field(default_factory=lambda: catalog_text(charges=ENERGY + CONNECTION))
    rows: tuple[str, ...] = (DAY, LATER)
    more: dict[str, Any] = field(default_factory=dict)


def energy(keys: str) -> str:
    return catalog_text(charges=ENERGY.replace("price = 0.30", keys))


def committed(keys: str) -> str:
    return catalog_text(charges=ENERGY) + f"[plans.p.commitment]\n{keys}\n"


def connection(keys: str) -> str:
    return catalog_text(charges=CONNECTION + keys + "\n")


def starts(keys: str) -> str:
    return catalog_text(charges=CONNECTION + ENERGY, devices=TWO) + FIRST_USE + keys + "\n"


SUSPENDED: Final = {"states": "gw/a,suspended,2026-10-11T00:00:00+03:00"}
AMENDED: Final = (
    catalog_text(charges=ENERGY)
    + '[[contracts.c.amendments]]\nfrom = 2026-10-11\nplan = "q"\n'
    + "[contracts.c.amendments.overrides.charges.Energy]\ndiscount_percent = 50\n"
    + '[plans.q]\ncycle = "month"\n'
    + ENERGY.replace("plans.p", "plans.q").replace("0.30", "7")
)
TAXED: Final = catalog_text(charges=ENERGY + TAX)
WHEN_USED: Final = 'bill = "when_used"\nused_when = { meter = "energy", at_least = 20 }'
OVERRIDDEN: Final = catalog_text(charges=ENERGY) + "[contracts.c.overrides]\ncharges.Energy.price = 9\n"
FILED: Final = (
    catalog_text(charges=CONNECTION, contract='devices_from = "a.csv"')
    + "[files]\n\"a.csv\" = '''\nid,from\ngw/b,\n'''\n"
)

CHANGES: Final[dict[str, dict[str, Change]]] = {
    "operator": {
        "currency": Change(old='currency = "EUR"', new='currency = "JPY"'),
        "timezone": Change(old="Europe/Helsinki", new="Europe/Berlin"),
        "look_back": Change(
            old='look_back = "1mo"',
            text=catalog_text(charges=ENERGY).replace('"EUR"\n', '"EUR"\nlook_back = "1mo"\n', 1),
            more={"as_of": "2027-01-01T00:00:00Z"},
        ),
    },
    "meter": {
        "unit": Change(old='unit = "kWh"', new='unit = "MJ"'),
        "aggregate": Change(old='aggregate = "sum"', new='aggregate = "max"'),
        "demand": Change(
            old='demand = "15m"',
            text=catalog_text(charges=ENERGY).replace('aggregate = "sum"', 'aggregate = "max"\ndemand = "15m"', 1),
            rows=("gw/a energy 2026-10-05T10:00:00+03:00 15m 1",),
        ),
    },
    "account": {
        "currency": Change(
            old='currency = "JPY"',
            text=catalog_text(charges=ENERGY).replace('Oy"\n[con', 'Oy"\ncurrency = "JPY"\n[con'),
        ),
        "timezone": Change(
            old='timezone = "UTC"',
            text=catalog_text(charges=ENERGY).replace('Oy"\n[con', 'Oy"\ntimezone = "UTC"\n[con'),
        ),
        "tax": Change(old="tax = { percent = 3 }", text=TAXED.replace('Oy"\n[con', 'Oy"\ntax = { percent = 3 }\n[con')),
    },
    "plan": {
        "currency": Change(old='currency = "JPY"', text=catalog_text('currency = "JPY"', charges=ENERGY)),
        "timezone": Change(old='timezone = "UTC"', text=catalog_text('timezone = "UTC"', charges=ENERGY)),
        "cycle": Change(old='cycle = "month"', new='cycle = "quarter"'),
        "anchor": Change(old="anchor = 7", text=catalog_text("anchor = 7", charges=ENERGY)),
        "rounding": Change(
            old='rounding = "half_even"',
            text=catalog_text('rounding = "half_even"', charges=ENERGY.replace("0.30", "0.01")),
            rows=(DAY,),
        ),
        "activation": Change(old=FIRST_USE, text=starts("")),
        "charges": Change(old=CONNECTION),
        "taxes": Change(old=TAX, text=TAXED),
        "holidays": Change(
            old="holidays = [2026-10-05]", text=catalog_text("holidays = [2026-10-05]", charges=WINDOWS)
        ),
        "commitment": Change(old="[plans.p.commitment]\namount = 100\n", text=committed("amount = 100")),
    },
    "activation": {
        "rule": Change(old='rule = "first_use"', new='rule = "immediate"', text=starts("")),
        "date": Change(
            old="date = 2026-10-11",
            new="date = 2026-10-12",
            text=catalog_text(charges=CONNECTION) + '[plans.p.activation]\nrule = "date"\ndate = 2026-10-11\n',
        ),
        "any": Change(old="any = [{ reports = 2 }]", text=starts("any = [{ reports = 2 }]")),
        "all": Change(old="all = [{ reports = 2 }]", text=starts("all = [{ reports = 2 }]")),
        "combine": Change(old='combine = "contract"', text=starts('combine = "contract"')),
        "ignore_first": Change(old='ignore_first = "1h"', text=starts('ignore_first = "1h"')),
        "grace": Change(old='grace = "280d"', text=starts('grace = "280d"')),
        "usage_before": Change(
            old='usage_before = "billed"', text=starts('any = [{ reports = 2 }]\nusage_before = "billed"')
        ),
    },
    "threshold": {
        "meter": Change(
            old='meter = "energy"', new='meter = "water"', text=starts('any = [{ meter = "energy", reports = 1 }]')
        ),
        "at_least": Change(
            old="at_least = 1 ", new="at_least = 20 ", text=starts('any = [{ meter = "energy", at_least = 1 }]')
        ),
        "active_days": Change(old="active_days = 1", new="active_days = 2", text=starts("any = [{ active_days = 1 }]")),
        "reports": Change(old="reports = 1", new="reports = 2", text=starts("any = [{ reports = 1 }]")),
        "within": Change(old=', within = "7d"', text=starts('any = [{ reports = 2, within = "7d" }]')),
    },
    "tax": {
        "name": Change(old='"VAT"', new='"GST"', text=TAXED),
        "percent": Change(old="percent = 20", new="percent = 21", text=TAXED),
        "from": Change(old="from = 2026-11-01", text=TAXED + "from = 2026-11-01\n"),
        "until": Change(old="until = 2026-10-01", text=TAXED + "until = 2026-10-01\n"),
        "charges": Change(old='charges = ["Commitment"]', text=TAXED + 'charges = ["Commitment"]\n'),
    },
    "commitment": {
        "amount": Change(old="amount = 100", new="amount = 101", text=committed("amount = 100")),
        "devices": Change(old="devices = 2", new="devices = 3", text=committed("devices = 2\nprice_per_device = 5")),
        "price_per_device": Change(
            old="price_per_device = 5", new="price_per_device = 6", text=committed("devices = 2\nprice_per_device = 5")
        ),
        "meter": Change(
            old='meter = "energy"\nquantity',
            new='meter = "water"\nquantity',
            text=catalog_text(charges=ENERGY + ENERGY.replace("energy", "water").replace('"Energy"', '"Water"'))
            + '[plans.p.commitment]\nmeter = "energy"\nquantity = 10\noverage_factor = 2\n',
        ),
        "quantity": Change(
            old="quantity = 100", new="quantity = 90", text=committed('meter = "energy"\nquantity = 100')
        ),
        "overage_factor": Change(
            old="overage_factor = 2", text=committed('meter = "energy"\nquantity = 10\noverage_factor = 2')
        ),
        "true_up": Change(old='true_up = "none"', text=committed('amount = 100\ntrue_up = "none"')),
        "ramp": Change(
            old="ramp = [{ from_period = 2, amount = 50 }]",
            text=committed("amount = 100\nramp = [{ from_period = 2, amount = 50 }]"),
        ),
        "cycle": Change(old='cycle = "year"\namount', new="amount", text=committed('cycle = "year"\namount = 100')),
    },
    "ramp": {
        "from_period": Change(
            old="from_period = 9", new="from_period = 11", text=committed("ramp = [{ from_period = 9, amount = 50 }]")
        ),
        "amount": Change(
            old="amount = 50", new="amount = 51", text=committed("ramp = [{ from_period = 9, amount = 50 }]")
        ),
        "devices": Change(
            old="devices = 2",
            new="devices = 3",
            text=committed("price_per_device = 5\nramp = [{ from_period = 9, devices = 2 }]"),
        ),
        "quantity": Change(
            old="quantity = 90",
            new="quantity = 91",
            text=committed('meter = "energy"\nramp = [{ from_period = 9, quantity = 90 }]'),
        ),
    },
    "charge": {
        "name": Change(old='"Energy"', new='"Power"'),
        "type": Change(old='"one_time"\non = "contract_start"', new='"subscription"', text=catalog_text(charges=FEE)),
        "per": Change(old='per = "device"', text=energy('price = 1\nper = "device"')),
        "discount_percent": Change(old="discount_percent = 5", text=energy("price = 1\ndiscount_percent = 5")),
        "price": Change(old="price = 0.30", new="price = 0.31"),
        "bill": Change(old='bill = "when_used"', text=connection('bill = "when_used"'), rows=()),
        "used_when": Change(
            old='used_when = { meter = "energy", at_least = 60 }',
            text=connection('bill = "when_used"\nused_when = { meter = "energy", at_least = 60 }'),
        ),
        "due": Change(old='due = "advance"', text=connection('due = "advance"')),
        "prorate": Change(
            old='prorate = "none"', text=connection('prorate = "none"').replace("01-01\n", "01-01\nend = 2026-10-11\n")
        ),
        "state_prices": Change(
            old="state_prices = { suspended = 1 }", text=connection("state_prices = { suspended = 1 }"), more=SUSPENDED
        ),
        "meter": Change(old='meter = "energy"', new='meter = "water"'),
        "model": Change(old='"graduated"', new='"volume"', text=catalog_text(charges=GRADUATED)),
        "tiers": Change(old="{ up_to = 10, flat = 1 }, ", text=catalog_text(charges=GRADUATED)),
        "windows": Change(old='{ name = "w"', new='{ name = "v"', text=catalog_text(charges=WINDOWS)),
        "included": Change(old="included = 5", text=energy("price = 1\nincluded = 5")),
        "pool": Change(
            old='pool = "contract"\n',
            text=catalog_text(
                charges=ENERGY.replace("price = 0.30", 'price = 1\nincluded = 50\nper = "device"\npool = "contract"'),
                devices=TWO,
            ),
        ),
        "increment": Change(old="increment = 5", text=energy("price = 1\nincrement = 5")),
        "minimum": Change(old="minimum = 500", text=energy("price = 1\nminimum = 500")),
        "maximum": Change(old="maximum = 5", text=energy("price = 1\nmaximum = 5")),
        "size": Change(
            old="size = 10", new="size = 20", text=energy("price = 1\nsize = 10").replace('"per_unit"', '"package"')
        ),
        "rate": Change(
            old="rate = 3",
            new="rate = 4",
            text=energy("rate = 3\nfixed = 1").replace('"per_unit"', '"percentage"').replace('"energy"', '"sales"'),
            rows=(DAY.replace("energy", "sales"),),
        ),
        "fixed": Change(
            old="fixed = 1",
            text=energy("rate = 3\nfixed = 1").replace('"per_unit"', '"percentage"').replace('"energy"', '"sales"'),
            rows=(DAY.replace("energy", "sales"),),
        ),
        "on": Change(
            old='"contract_start"', new='"activated"', text=catalog_text(charges=FEE), more={"period": "2026-01"}
        ),
    },
    "tier": {
        "up_to": Change(old="up_to = 10", new="up_to = 11", text=catalog_text(charges=GRADUATED)),
        "price": Change(old="price = 2", text=catalog_text(charges=GRADUATED)),
        "flat": Change(old=", flat = 1", text=catalog_text(charges=GRADUATED)),
    },
    "state_price": {
        "provisioned": Change(
            old="provisioned = 2",
            new="provisioned = 3",
            text=connection("state_prices = { provisioned = 2 }") + FIRST_USE,
        ),
        "suspended": Change(
            old="suspended = 2",
            new="suspended = 3",
            text=connection("state_prices = { suspended = 2 }"),
            more=SUSPENDED,
        ),
    },
    "window": {
        "name": Change(old='"w"', new='"v"', text=catalog_text(charges=WINDOWS)),
        "days": Change(old='days = "mon-fri", ', new='days = "sat", ', text=catalog_text(charges=WINDOWS)),
        "from": Change(old='from = "09:00"', new='from = "10:30"', text=catalog_text(charges=WINDOWS)),
        "to": Change(old='to = "11:00"', new='to = "10:30"', text=catalog_text(charges=WINDOWS)),
        "price": Change(old="price = 1 ", new="price = 3 ", text=catalog_text(charges=WINDOWS)),
    },
    "contract": {
        "account": Change(
            old='account = "acme"',
            new='account = "bolt"',
            text=catalog_text(charges=ENERGY) + '[accounts.bolt]\nname = "Bolt"\ncurrency = "JPY"\n',
        ),
        "plan": Change(
            old='plan = "p"',
            new='plan = "q"',
            text=catalog_text(charges=ENERGY) + '[plans.q]\ncycle = "month"\n',
        ),
        "start": Change(old="start = 2026-01-01", new="start = 2026-10-11"),
        "end": Change(old="end = 2026-10-11", text=catalog_text(charges=CONNECTION, contract="end = 2026-10-11")),
        "currency": Change(old='currency = "JPY"', text=catalog_text(charges=ENERGY, contract='currency = "JPY"')),
        "timezone": Change(old='timezone = "UTC"', text=catalog_text(charges=ENERGY, contract='timezone = "UTC"')),
        "devices": Change(old='["gw/a"]', new=TWO),
        "devices_from": Change(
            old='devices_from = "a.csv"\n',
            text=catalog_text(charges=CONNECTION, contract='devices_from = "a.csv"')
            + "[files]\n\"a.csv\" = '''\nid\ngw/b\n'''\n",
        ),
        "amendments": Change(
            old=AMENDED[AMENDED.index("[[contracts.c") : AMENDED.index("[plans.q]")],
            text=AMENDED,
        ),
        "overrides": Change(
            old="[contracts.c.overrides.charges.Energy]\nprice = 9\n",
            text=catalog_text(charges=ENERGY) + "[contracts.c.overrides.charges.Energy]\nprice = 9\n",
        ),
    },
    "device": {
        "id": Change(old='"gw/a"', new='"gw/b"'),
        "from": Change(
            old=", from = 2026-10-11",
            text=catalog_text(charges=CONNECTION, devices='[{ id = "gw/a", from = 2026-10-11 }]'),
        ),
        "until": Change(
            old=", until = 2026-10-11",
            text=catalog_text(charges=CONNECTION, devices='[{ id = "gw/a", until = 2026-10-11 }]'),
        ),
    },
    "amendment": {
        "from": Change(old="from = 2026-10-11", new="from = 2026-10-21", text=AMENDED),
        "plan": Change(old='plan = "q"', new='plan = "p"', text=AMENDED),
        "overrides": Change(old="discount_percent = 50", new="discount_percent = 0", text=AMENDED),
    },
    "used_when": {
        "meter": Change(old='meter = "energy", at', new='meter = "water", at', text=connection(WHEN_USED)),
        "at_least": Change(old="at_least = 20", new="at_least = 10", text=connection(WHEN_USED), rows=(DAY,)),
    },
    "override": {"charges": Change(old="charges.Energy.price = 9", new="charges.Energy.price = 8", text=OVERRIDDEN)},
    "catalog": {
        "operator": Change(old='currency = "EUR"', new='currency = "SEK"'),
        "meters": Change(old='[meters.energy]\nunit = "kWh"', new='[meters.energy]\nunit = "MJ"'),
        "plans": Change(old="price = 0.30", new="price = 0.40"),
        "accounts": Change(old="[accounts.acme]\n", new="[accounts.acme]\ntax = { percent = 24 }\n"),
        "contracts": Change(old="start = 2026-01-01", new="start = 2026-10-20"),
        "files": Change(old="gw/b,\n", new="gw/b,2026-10-20\n", text=FILED),
    },
}
