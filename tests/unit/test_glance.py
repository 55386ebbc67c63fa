"""A glance at a catalog's text never overlooks what the catalog has."""

import tomllib
from typing import Final

import pytest

from cloud_collector.contracts.glance import ANYTHING, Glance, glance, seen
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
    assert glance(content) == Glance(contracts=frozenset({"c", "roof-a", "north-roof", "roofs"}), keeping=frozenset())
    address = content.replace(b'name = "Acme Oy"', b'name = "Acme \\"the\\" Oy"')
    assert glance(address) == glance(content), "quotes in a text are no key"


KEEPING: Final = """[plans.p.activation]
rule = 'first_use'
# late_evidence = "adjust"
{}
"""


@pytest.mark.parametrize(
    "written",
    [
        "late_evidence = 'keep'",
        '"late_evidence" = "keep"',
        '"late\\u005fevidence" = "keep"',
        'late_evidence = "keep" # as agreed',
        "  late_evidence='keep'",
    ],
)
def test_whoever_keeps_what_invoices_have_said_is_seen(written: str) -> None:
    text = catalog_text(KEEPING.format(written))
    catalog = load_catalog(text)
    assert not catalog.plans["p"].activation.late_evidence_adjusts
    assert glance(text.encode()).may_keep("c")
    assert seen(catalog) == Glance(contracts=frozenset({"c"}), keeping=frozenset({"c"}))


def test_a_comment_keeps_nothing_unless_it_may_be_none() -> None:
    text = catalog_text(KEEPING.format(""))
    assert glance(text.encode()) == seen(load_catalog(text))
    odd = text.replace('name = "Acme Oy"', 'name = """\\\nAcme\n# """')
    assert tomllib.loads(odd)
    assert glance(odd.encode()).may_keep("c")
