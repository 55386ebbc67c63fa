"""Charges in advance: a period's invoice carries the next one's, the first also its own."""

from typing import Any

import pytest

from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.read import load_catalog
from tests.quoting import CONNECTION, ENERGY, catalog_text, quoted

FIRST_USE = '[plans.p.activation]\nrule = "first_use"\n'
ADVANCE = CONNECTION.replace("9.90", '31\ndue = "advance"')


def shown(text: str, period: str, *booked: dict[str, Any], **more: Any) -> list[tuple[str, str, str]]:
    made = quoted(text, period=period, booked=booked, **more)
    return [(line.charge, line.to_json()["service_start"][:10], str(line.amount)) for line in made.lines]


def text(**more: str) -> str:
    return catalog_text(charges=ADVANCE, zone="UTC", start="2026-09-16", **more)


def test_the_first_period_carries_its_own_and_the_next_ones() -> None:
    assert shown(text(), "2026-09") == [
        ("Connection", "2026-09-16", "15.50"),  # 15 of 30 days
        ("Connection", "2026-10-01", "31.00"),
    ]


def test_a_later_period_carries_the_next_ones_alone() -> None:
    assert shown(text(), "2026-10") == [("Connection", "2026-11-01", "31.00")]


def test_with_an_earlier_period_booked_its_own_is_rated_too_and_only_differs_where_something_did() -> None:
    september = quoted(text(), period="2026-09").to_json()
    assert shown(text(), "2026-10", september) == [("Connection", "2026-11-01", "31.00")]
    suspended = "gw/a,suspended,2026-10-22T00:00:00Z"
    cheaper = text().replace('due = "advance"', 'due = "advance"\nstate_prices = { suspended = 3.1 }')
    assert shown(cheaper, "2026-10", september, states=suspended) == [
        ("Connection", "2026-10-01", "-9.00"),  # 10 of 31 days at 3.10 in place of 31
        ("Connection", "2026-11-01", "3.10"),
    ]


def test_a_device_that_starts_in_between_is_a_delta() -> None:
    one = quoted(text(), period="2026-09").to_json()
    two = text(devices='["gw/a", { id = "gw/b", from = 2026-10-22 }]')
    made = quoted(two, period="2026-10", booked=(one,))
    assert [(line.device, str(line.amount)) for line in made.lines] == [
        ("gw/b", "10.00"),
        ("gw/a", "31.00"),
        ("gw/b", "31.00"),
    ]


def test_an_earlier_answer_without_lines_is_an_earlier_period_too() -> None:
    late = catalog_text(charges=ADVANCE, zone="UTC", start="2026-08-16") + FIRST_USE
    row = "gw/a energy 2026-10-22T00:00:00Z 1h 1"
    assert [str(line.amount) for line in quoted(late, row).lines] == ["31.00"]
    september = quoted(late, row, period="2026-08", as_of="2026-09-01T00:00:00Z").to_json()
    assert september["lines"] == []
    assert [str(line.amount) for line in quoted(late, row, booked=(september,)).lines] == ["10.00", "31.00"]


def test_an_end_in_between_gives_back() -> None:
    september = quoted(text(), period="2026-09").to_json()
    ended = "gw/a,ended,2026-10-11T12:00:00Z"
    assert shown(text(), "2026-10", september, states=ended) == [("Connection", "2026-10-01", "-21.00")]


def test_it_never_goes_beyond_the_contracts_end() -> None:
    ending = text(contract="end = 2026-11-11")
    assert shown(ending, "2026-10") == [("Connection", "2026-11-01", "10.33")]  # 10 of 30 days
    assert shown(ending, "2026-11") == []


def test_a_rerun_adds_nothing() -> None:
    september = quoted(text(), period="2026-09").to_json()
    assert shown(text(), "2026-09", september) == []
    october = quoted(text(), period="2026-10", booked=(september,)).to_json()
    assert shown(text(), "2026-10", september, october) == []
    assert shown(text(), "2026-10", october) == []


def test_it_is_taxed_at_the_rate_of_its_own_service() -> None:
    taxes = (
        '[[plans.p.taxes]]\nname = "VAT"\npercent = 10\nuntil = 2026-10-01\n'
        '[[plans.p.taxes]]\nname = "VAT"\npercent = 20\nfrom = 2026-10-01\n'
    )
    made = quoted(text() + taxes, period="2026-09")
    assert [(str(tax.percent), str(tax.base)) for tax in made.taxes] == [("10", "15.50"), ("20", "31.00")]


def test_what_is_due_in_arrears_stands_beside_it() -> None:
    both = catalog_text(charges=ADVANCE + ENERGY, zone="UTC")
    made = quoted(both, "gw/a energy 2026-10-05T10:00:00Z 1h 10")
    assert [(line.charge, str(line.amount)) for line in made.lines] == [("Energy", "3.00"), ("Connection", "31.00")]


def test_a_discount_goes_with_it() -> None:
    made = quoted(text().replace('due = "advance"', 'due = "advance"\ndiscount_percent = 50'), period="2026-10")
    assert [str(line.amount) for line in made.lines] == ["31.00", "-15.50"]


def test_an_amendment_cuts_the_next_period_too() -> None:
    amended = text() + "[[contracts.c.amendments]]\nfrom = 2026-11-16\n"
    amended += "[contracts.c.amendments.overrides.charges.Connection]\nprice = 62\n"
    assert shown(amended, "2026-10") == [
        ("Connection", "2026-11-01", "15.50"),
        ("Connection", "2026-11-16", "31.00"),
    ]


def test_it_counts_towards_the_commitment_of_its_own_service_period() -> None:
    committed = text() + "[plans.p.commitment]\namount = 50\n"
    # October's own 31.00 counts, whoever billed it; November's does not.
    made = quoted(committed, period="2026-10")
    assert [(line.kind.value, str(line.amount)) for line in made.lines] == [
        ("subscription", "31.00"),
        ("true_up", "19.00"),
    ]


def test_what_is_due_before_it_is_used_cannot_ask_for_use() -> None:
    for more in ('bill = "when_used"', 'used_when = { meter = "energy" }'):
        with pytest.raises(CatalogError, match=r"advance|when_used"):
            load_catalog(text().replace('due = "advance"', f'due = "advance"\n{more}'))
