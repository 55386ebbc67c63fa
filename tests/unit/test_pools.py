"""Pools: usage and allowances added up, rated once, shared out to the last cent."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.read import load_catalog
from tests.quoting import ENERGY, amounts, catalog_text, quoted

FIVE = '["gw/a", "gw/b", "gw/c", "gw/d", "gw/e"]'


def pooled(keys: str, pool: str = "contract", per: str = "device") -> str:
    return ENERGY.replace("price = 0.30", f'{keys}\nper = "{per}"\npool = "{pool}"')


def row(device: str, quantity: str, day: str = "05") -> str:
    return f"gw/{device} energy 2026-10-{day}T10:00:00+03:00 1h {quantity}"


def of_energy(text: str, *rows: str, **more: str) -> list[tuple[str | None, str]]:
    made = quoted(text, *rows, **more)  # type: ignore[arg-type]
    return [(line.device, str(line.amount)) for line in made.lines if line.charge == "Energy"]


def test_five_devices_with_ten_included_share_fifty() -> None:
    text = catalog_text(charges=pooled("price = 1\nincluded = 10"), devices=FIVE)
    # 60 used, 50 free, 10 cost 10.00: by usage 40 of 60, 20 of 60.
    assert of_energy(text, row("a", "40"), row("b", "20")) == [
        ("gw/a", "6.67"),
        ("gw/b", "3.33"),
        ("gw/c", "0.00"),
        ("gw/d", "0.00"),
        ("gw/e", "0.00"),
    ]


def test_cents_go_by_largest_remainder_and_ties_by_name() -> None:
    text = catalog_text(charges=pooled("price = 0.10"), devices='["gw/b", "gw/c", "gw/a"]')
    # 3 × 0.0333… are 0.10: three cents each, the tenth for the first by name.
    rows = [row(device, "0.333333") for device in "abc"] + [row("c", "0.000001", "06")]
    assert of_energy(text, *rows) == [("gw/b", "0.03"), ("gw/c", "0.04"), ("gw/a", "0.03")]
    assert of_energy(text, *(row(device, "0.333333") for device in "abc")) == [
        ("gw/b", "0.03"),
        ("gw/c", "0.03"),
        ("gw/a", "0.04"),
    ]


def test_without_usage_it_is_shared_equally() -> None:
    charge = pooled("tiers = [{ flat = 10 }]").replace('"per_unit"', '"graduated"')
    text = catalog_text(charges=charge, devices='["gw/a", "gw/b", "gw/c"]')
    assert of_energy(text) == [("gw/a", "3.34"), ("gw/b", "3.33"), ("gw/c", "3.33")]
    line = quoted(text).lines[0]
    assert str(line.exact) == "3.3333333333"
    assert line.to_json()["steps"][-1] == {"share": "1", "of": "3", "amount": "3.3333333333"}


def test_increment_tiers_and_packages_apply_once_to_what_is_pooled() -> None:
    charge = pooled("size = 10\nprice = 6\nincrement = 4").replace('"per_unit"', '"package"')
    text = catalog_text(charges=charge, devices='["gw/a", "gw/b"]')
    # 3 + 6 = 9 → 12 in steps of four → two packages: 12.00, by 3 and 6 of 9.
    assert of_energy(text, row("a", "3"), row("b", "6")) == [("gw/a", "4.00"), ("gw/b", "8.00")]


def test_discount_minimum_and_maximum_belong_to_each_device() -> None:
    charge = pooled("price = 1\nincluded = 1\ndiscount_percent = 50\nminimum = 1\nmaximum = 3")
    text = catalog_text(charges=charge, devices='["gw/a", "gw/b"]')
    made = quoted(text, row("a", "9"), row("b", "1"))  # 8.00: 7.20 and 0.80
    assert [(line.kind.value, line.device, str(line.amount)) for line in made.lines] == [
        ("usage", "gw/a", "7.20"),
        ("discount", "gw/a", "-3.60"),
        ("cap", "gw/a", "-0.60"),
        ("usage", "gw/b", "0.80"),
        ("discount", "gw/b", "-0.40"),
        ("minimum", "gw/b", "0.60"),
    ]


def test_a_short_device_brings_a_short_allowance() -> None:
    devices = '["gw/a", { id = "gw/b", from = 2026-10-22 }]'
    text = catalog_text(charges=pooled("price = 1\nincluded = 31"), devices=devices)
    assert of_energy(text, row("a", "51")) == [("gw/a", "10.00"), ("gw/b", "0.00")]  # 31 + 10 are free


def test_a_pooled_maximum_is_the_simultaneous_peak_shared_by_each_own() -> None:
    charge = pooled("price = 2").replace('meter = "energy"', 'meter = "power"')
    text = catalog_text(charges=charge, devices='["gw/a", "gw/b"]')
    text = text.replace("[meters.water]", '[meters.power]\nunit = "kW"\naggregate = "max"\n[meters.water]')
    rows = [
        "gw/a power 2026-10-05T10:00:00Z 1h 3",
        "gw/b power 2026-10-05T10:30:00Z 1h 1",
        "gw/b power 2026-10-06T10:30:00Z 1h 3",
    ]
    # The peak is 4, which costs 8.00; each alone reached 3.
    assert of_energy(text, *rows) == [("gw/a", "4.00"), ("gw/b", "4.00")]


OTHER = """
[contracts.d]
account = "acme"
plan = "{plan}"
start = 2026-01-01
devices = ["gw/x"]
{more}
"""


def test_an_account_pool_adds_up_all_its_contracts_and_bills_each_its_share() -> None:
    text = catalog_text(charges=pooled("price = 1\nincluded = 10", "account", "contract"))
    text += OTHER.format(plan="p", more="")
    # 40 used, 20 free, 20.00: 30 of 40 are this contract's.
    made = quoted(text, row("a", "30"), row("x", "10"))
    assert amounts(made) == [("Energy", "usage", None, "15.00")]
    assert quoted(text, row("x", "10")).lines[0].to_json()["amount"] == "0.00"


def test_an_account_pool_of_devices_shares_to_devices() -> None:
    text = catalog_text(charges=pooled("price = 1", "account"), devices='["gw/a", "gw/b"]')
    text += OTHER.format(plan="p", more="")
    assert of_energy(text, row("a", "1"), row("b", "2"), row("x", "3")) == [("gw/a", "1.00"), ("gw/b", "2.00")]


def test_a_contract_of_the_account_without_that_pool_is_not_in_it() -> None:
    text = catalog_text(charges=pooled("price = 1\nincluded = 10", "account", "contract"))
    text += '[plans.q]\ncycle = "day"\n' + OTHER.format(plan="q", more="")
    assert of_energy(text, row("a", "30"), row("x", "10")) == [(None, "20.00")]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("", "[contracts.d.overrides.charges.Energy]\nprice = 2", "whose charge differs on 2026-01-01"),
        ("", 'timezone = "Europe/Riga"', "another timezone"),
        ('cycle = "month"', 'cycle = "month"\nanchor = "activation"', "anchors each at its own date"),
    ],
)
def test_what_cannot_be_pooled_over_an_account_is_refused(old: str, new: str, sentence: str) -> None:
    text = catalog_text(charges=pooled("price = 1", "account", "contract"))
    text += OTHER.format(plan="p", more="" if old else new)
    with pytest.raises(CatalogError, match=r"catalog\.toml:\d+: contracts\.[cd]: ") as caught:
        load_catalog(text.replace(old, new, 1) if old else text)
    assert sentence in str(caught.value)


def test_a_pool_narrower_than_per_is_refused() -> None:
    with pytest.raises(CatalogError, match='pool "device" is narrower than per "contract"'):
        load_catalog(catalog_text(charges=pooled("price = 1", "device", "contract")))


@given(
    used=st.lists(st.integers(0, 9_000_000), min_size=1, max_size=5),
    price=st.sampled_from(["0.01", "0.333", "1.005"]),
)
@settings(max_examples=50, deadline=None)
def test_shares_sum_to_what_the_pool_costs(used: list[int], price: str) -> None:
    """P17."""
    names = "abcde"[: len(used)]
    devices = "[" + ", ".join(f'"gw/{name}"' for name in names) + "]"
    rows = [row(name, f"{units // 10**6}.{units % 10**6:06}") for name, units in zip(names, used, strict=True)]
    shared = quoted(catalog_text(charges=pooled(f"price = {price}\nincluded = 1"), devices=devices), *rows)
    whole = ENERGY.replace("0.30", f"{price}\nincluded = {len(used)}")
    assert shared.net == quoted(catalog_text(charges=whole, devices=devices), *rows).net
    exact = sum((Fraction(line.exact) for line in shared.lines), Fraction(0))
    assert abs(exact - Fraction(shared.net)) <= Fraction(6, 1_000)
