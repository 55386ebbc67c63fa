"""The catalog is read exactly; what it refuses is named with file, line and the nearest known name."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from cloud_collector.contracts.catalog import AnchorKind, Prorate, StartRule
from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.terms import UnknownContract, terms_of
from tests.quoting import CONNECTION, ENERGY, catalog_text

EXAMPLE = Path(__file__).parents[2] / "config" / "catalog.toml"


def refusal(text: str) -> str:
    with pytest.raises(CatalogError) as caught:
        load_catalog(text)
    return str(caught.value)


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_the_example_is_read_and_says_what_it_means() -> None:
    catalog = load_catalog(EXAMPLE.read_text(encoding="utf-8"))
    terms = terms_of(catalog, "acme-chargers")
    assert (terms.currency.code, terms.timezone, terms.anchor) == ("EUR", "Europe/Helsinki", AnchorKind.CALENDAR)
    assert terms.activation.rule is StartRule.FIRST_USE
    energy = terms.stretches[0].charges[1]
    assert (str(energy.tiers[0].price), energy.discount_percent) == ("0.30", Decimal(10))
    assert (terms.devices[1].start, terms.devices[1].until) == (date(2026, 2, 1), date(2026, 10, 16))
    assert catalog.text == EXAMPLE.read_text(encoding="utf-8")


def test_defaults_are_those_of_the_contract() -> None:
    terms = terms_of(load_catalog(catalog_text(charges=CONNECTION + ENERGY)), "c")
    connection, energy = terms.stretches[0].charges
    assert (connection.per.value, energy.per.value, connection.prorate) == ("device", "contract", Prorate.DAY)
    assert terms.activation.rule is StartRule.IMMEDIATE
    assert terms.settle is None


def test_currency_and_zone_come_from_the_nearest_that_names_them() -> None:
    text = catalog_text(charges=ENERGY)
    text = text.replace('name = "Acme Oy"', 'name = "Acme Oy"\ncurrency = "SEK"\ntimezone = "Europe/Stockholm"')
    assert terms_of(load_catalog(text), "c").currency.code == "SEK"
    planned = text.replace('cycle = "month"', 'cycle = "month"\ncurrency = "NOK"\ntimezone = "Europe/Oslo"')
    assert terms_of(load_catalog(planned), "c").currency.code == "NOK"
    agreed = text.replace("devices =", 'timezone = "Europe/Riga"\ncurrency = "USD"\ndevices =')
    terms = terms_of(load_catalog(agreed), "c")
    assert (terms.currency.code, terms.timezone) == ("USD", "Europe/Riga")
    other = planned.replace("devices =", 'currency = "USD"\ndevices =')
    assert 'the plan "p" is in NOK, and the contract is in USD' in refusal(other)


@pytest.mark.parametrize(
    ("old", "new", "line", "sentence"),
    [
        (
            "price = 9.90",
            "prise = 9.90",
            "prise",
            'unknown key "prise" (plans.p.charges[0].prise); did you mean "price"?',
        ),
        ("account =", "acount =", "acount", 'did you mean "account"?'),
        ('cycle = "month"', 'cycle = "monthly"', "monthly", 'did you mean "month"?'),
        ('plan = "p"', 'plan = "pp"', '"pp"', '"pp" is no plan of the catalog; did you mean "p"?'),
        ("Europe/Helsinki", "Europe/Helsinky", "Helsinky", 'did you mean "Europe/Helsinki"?'),
        ('currency = "EUR"', 'currency = "EURO"', "EURO", "no currency code of ISO 4217"),
        ("price = 9.90", "price = -1", "price = -1", "may not be negative"),
        ("price = 9.90", "price = nan", "price = nan", "must be a number"),
        ("price = 9.90", 'price = "9.90"', 'price = "9', "must be a number"),
        ("price = 9.90", 'price = 1\nused_when = { meter = "energy" }', "used_when", 'needs bill = "when_used"'),
        ("price = 9.90", "price = 1\ntiers = []", "tiers", "does not belong to a charge of type subscription"),
        ("start = 2026-01-01", "start = 2026-01-01T00:00:00Z", "start = 2026", "must be a local date"),
        ("start = 2026-01-01", "start = 2026-01-01\nend = 2026-01-01", "end = 2026", "not after the start"),
        ('["gw/a"]', '["gw/a", "gw/a"]', "devices", "stands twice"),
        ('["gw/a"]', '[{ id = "gw/a", form = 2026-01-01 }]', "devices", 'did you mean "from"?'),
        ('cycle = "month"', 'cycle = "month"\nanchor = 29', "anchor", "not a day from 1 to 28"),
        ('aggregate = "sum"', 'aggregate = "summ"', "summ", 'did you mean "sum"?'),
        ('name = "Acme Oy"', "", "[accounts.acme]", 'lacks "name"'),
        ("price = 9.90", "price = 9.90\nprice = 9.90", "price = 9.90\nprice", "no TOML"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_the_nearest_name(old: str, new: str, line: str, sentence: str) -> None:
    text = catalog_text(charges=CONNECTION).replace(old, new, 1)
    said = refusal(text)
    assert sentence in said
    place = line_of(text, line) + ("no TOML" in sentence)
    assert said.startswith(f"catalog.toml:{place}:")


@pytest.mark.parametrize(
    ("tiers", "sentence"),
    [
        ("[{ up_to = 10, price = 1 }, { up_to = 10, price = 2 }]", "out of order"),
        ("[{ price = 1 }, { up_to = 10, price = 2 }]", "which has no end"),
        ("[]", "at least one tier"),
    ],
)
def test_tiers_out_of_order_are_refused(tiers: str, sentence: str) -> None:
    charge = ENERGY.replace('"per_unit"', '"graduated"').replace("price = 0.30", f"tiers = {tiers}")
    assert sentence in refusal(catalog_text(charges=charge))


def test_a_device_in_two_contracts_at_once_is_refused_and_one_after_the_other_is_not() -> None:
    other = '[contracts.d]\naccount = "acme"\nplan = "p"\nstart = 2026-01-01\n'
    other += 'devices = [{ id = "gw/a", from = 2026-06-01 }]\n'
    assert 'belongs to the contract "c" at the same time' in refusal(catalog_text(charges=other))
    moved = catalog_text(charges=other, devices='[{ id = "gw/a", until = 2026-06-01 }]')
    assert len(load_catalog(moved).contracts) == 2


def test_an_override_names_a_charge_of_the_plan_and_is_checked_like_one() -> None:
    text = catalog_text(charges=ENERGY) + "[contracts.c.overrides.charges.Enrgy]\nprice = 1\n"
    assert 'has no charge "Enrgy"; did you mean "Energy"?' in refusal(text)
    text = catalog_text(charges=ENERGY) + "[contracts.c.overrides.charges.Energy]\nprice = -1\n"
    assert refusal(text).startswith(f"catalog.toml:{line_of(text, 'price = -1')}: contracts.c.overrides")


@pytest.mark.parametrize(
    ("amendment", "sentence"),
    [
        ("from = 2026-01-01", "after the start"),
        ('from = 2026-06-01\nplan = "q"', "an amendment keeps"),
        ('from = 2026-06-01\nplan = "x"', "is no plan"),
    ],
)
def test_an_amendment_keeps_the_cycle_and_stands_inside_the_contract(amendment: str, sentence: str) -> None:
    other = '[plans.q]\ncycle = "week"\n'
    assert sentence in refusal(catalog_text(charges=ENERGY) + other + f"[[contracts.c.amendments]]\n{amendment}\n")


def test_a_percentage_is_of_money_in_the_contracts_currency() -> None:
    charge = '[[plans.p.charges]]\nname = "F"\ntype = "usage"\nmeter = "energy"\nmodel = "percentage"\nrate = 3\n'
    assert "is a percentage of kWh, and the contract is in EUR" in refusal(catalog_text(charges=charge))


def test_files_of_a_folder_are_one_catalog() -> None:
    text = catalog_text(charges=ENERGY)
    cut = text.index("[plans.p]")
    files = {"1.toml": text[:cut], "2.toml": text[cut:]}
    catalog = load_catalog(files)
    assert load_catalog(catalog.text).contracts == catalog.contracts
    with pytest.raises(CatalogError, match=r"2\.toml:9: plans.p.charges\[0\]: .*lacks|2\.toml:\d+: unknown key"):
        load_catalog(files | {"2.toml": text[cut:].replace("price", "prise")})
    with pytest.raises(CatalogError, match=r"3\.toml:1: plans\.p: stands at 2\.toml:1 already"):
        load_catalog(files | {"3.toml": text[cut:]})


def test_an_unknown_contract_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownContract, match="it has c"):
        terms_of(load_catalog(catalog_text()), "d")
