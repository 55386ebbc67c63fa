"""A glance at a catalog's text never overlooks what the catalog has."""

import tomllib
from typing import Final

import pytest

from cloud_collector.contracts.glance import ANYTHING, Glance, glance
from cloud_collector.contracts.read import load_catalog
from tests.quoting import catalog_text

ROOF: Final = 'account = "acme"\nplan = "p"\nstart = 2026-01-01\n'


@pytest.mark.parametrize(
    "written",
    [
        "[contracts.roof-a]\n" + ROOF,
        '[contracts."roof-a"]\n' + ROOF,
        "[contracts.'roof-a']\n" + ROOF,
        "[ contracts . roof-a ]\n" + ROOF,
        "['contracts'\t.\t\"roof-a\"]\n" + ROOF,
        '[contracts."roof\\u002Da"]\n' + ROOF,
        '["\\u0063ontracts".roof-a]\n' + ROOF,
        "[contracts.roof-a.plan]\nprice = 1\n",
    ],
)
def test_a_contract_is_mentioned_however_its_key_is_written(written: str) -> None:
    text = catalog_text() + f"\n{written}"
    assert "roof-a" in tomllib.loads(text)["contracts"]
    assert glance(text.encode()).may_have("roof-a")


@pytest.mark.parametrize(
    "text",
    [
        'contracts.roof-a.account = "acme"\n',
        'contracts = { c = { plan = "p" }, roof-a = { plan = "p" } }\n',
        '[contracts]\nc.plan = "p"\nroof-a.plan = "p"\n',
        '["contracts"]\n"roof-a" = { plan = "p" }\n',
        '[contracts]\n"roof\\"a\\u002Da".plan = "p"\n"roof-a" = {}\n',
    ],
)
def test_a_contract_is_mentioned_wherever_its_table_stands(text: str) -> None:
    assert "roof-a" in tomllib.loads(text)["contracts"]
    assert glance(text.encode()).may_have("roof-a")


def test_a_key_that_is_written_with_quotes_in_it_is_not_overlooked() -> None:
    for text in ('["con\\"tracts".x]\n', '[contracts."\\"\\"x"]\n', '[contracts."a\\u002Db"]\n'):
        assert tomllib.loads(text)
        assert glance(text.encode()) is ANYTHING


def test_what_is_a_part_of_another_name_or_is_no_contract_is_not_had() -> None:
    more = "".join(f"\n[contracts.{name}]\n{ROOF}" for name in ("roof-a", "north-roof", "roofs"))
    content = (catalog_text() + more).encode()
    assert glance(content) == Glance(contracts=frozenset({"c", "roof-a", "north-roof", "roofs"}), late_evidence=False)
    address = content.replace(b'name = "Acme Oy"', b'name = "Acme \\"the\\" Oy"')
    assert glance(address) == glance(content), "quotes in a text are no key"


@pytest.mark.parametrize("key", ["late_evidence", '"late_evidence"', '"late\\u005fevidence"'])
def test_what_keeps_late_evidence_from_adjusting_is_seen(key: str) -> None:
    text = catalog_text(f"[plans.p.activation]\nrule = 'first_use'\n{key} = 'keep'\n")
    assert not load_catalog(text).plans["p"].activation.late_evidence_adjusts
    assert glance(text.encode()).late_evidence
