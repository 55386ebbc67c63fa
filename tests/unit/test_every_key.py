"""Every key of the catalog does something: changed or left out, an amount, a date or a state is another.

The keys are derived from the catalog's own readers; the examples are those of docs/reference/catalog-keys.md.
"""

import ast
import importlib
import pkgutil
from pathlib import Path
from typing import Final

import pytest

from cloud_collector import contracts
from cloud_collector.contracts.read import load_catalog
from tests.catalog_keys import CHANGES
from tests.catalog_keys_billed import BILLED
from tests.catalog_keys_page import PAGE, answers, effect, text_of_page

ROOM: Final = Path(contracts.__path__[0])
SECTIONS: Final = {
    "SECTIONS": "catalog",
    "OPERATOR_KEYS": "operator",
    "METER_KEYS": "meter",
    "ACCOUNT_KEYS": "account",
    "DATA_KEYS": "data",
    "PLAN_KEYS": "plan",
    "ACTIVATION_KEYS": "activation",
    "THRESHOLD_KEYS": "threshold",
    "TAX_KEYS": "tax",
    "COMMITMENT_KEYS": "commitment",
    "RAMP_KEYS": "ramp",
    "CHARGE_KEYS": "charge",
    "USED_WHEN_KEYS": "used_when",
    "TIER_KEYS": "tier",
    "STATE_PRICE_KEYS": "state_price",
    "WINDOW_KEYS": "window",
    "CONTRACT_KEYS": "contract",
    "OVERRIDE_KEYS": "override",
    "WARN_KEYS": "warn",
    "DEVICE_KEYS": "device",
    "AMENDMENT_KEYS": "amendment",
}
"""By the constant that its reader checks a table's keys against, the section."""


def schema() -> dict[str, list[str]]:
    """Every list of keys that a reader of the catalog lets pass, by the constant's name."""
    found: dict[str, list[str]] = {}
    for module in pkgutil.iter_modules(contracts.__path__):
        names = _checked(ROOM / f"{module.name}.py")
        here = importlib.import_module(f"{contracts.__name__}.{module.name}")
        found |= {name: list(getattr(here, name)) for name in names}
    return found


def _checked(path: Path) -> set[str]:
    """What the calls of `Fields.of` and `Fields.of_nodes` in a file are given as the known keys."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Fields.of", "Fields.of_nodes"):
            known = ast.unparse(node.args[-1])
            # A step of a ramp has one of the figures: they are among RAMP_KEYS.
            found.add("RAMP_KEYS" if known == "['from_period', of.value]" else known)
    return found


def test_every_table_of_the_catalog_is_known_here() -> None:
    assert set(schema()) == set(SECTIONS)


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, keys in sorted(schema().items()) for key in keys])
def test_each_key_has_an_example(name: str, key: str) -> None:
    section = SECTIONS[name]
    assert key in {**CHANGES.get(section, {}), **BILLED.get(section, {})}


def test_no_example_is_of_a_key_that_is_gone() -> None:
    keys = {SECTIONS[name]: set(listed) for name, listed in schema().items()}
    for section in {*CHANGES, *BILLED}:
        assert {*CHANGES.get(section, {}), *BILLED.get(section, {})} <= keys[section], section


@pytest.mark.parametrize(("section", "key"), [(section, key) for section, keys in CHANGES.items() for key in keys])
def test_a_key_that_is_changed_changes_a_quote(section: str, key: str) -> None:
    change = CHANGES[section][key]
    assert change.old in change.text
    before, after = answers(change)
    for answer in (before, after):
        for line in answer["lines"]:
            del line["why"]
    assert before != after


@pytest.mark.parametrize(("section", "key"), [(section, key) for section, keys in BILLED.items() for key in keys])
def test_a_key_that_no_quote_shows_changes_what_is_billed_or_said_of_it(section: str, key: str) -> None:
    change = BILLED[section][key]
    assert change.text.count(change.old) == 1
    changed = change.text.replace(change.old, change.new)
    load_catalog(changed)
    assert change.shows(change.text) != change.shows(changed)


@pytest.mark.parametrize("section", CHANGES)
def test_the_difference_is_one_that_a_customer_sees(section: str) -> None:
    """An amount, a date, a state or a name: never a mere explanation."""
    for key, change in CHANGES[section].items():
        assert effect(*answers(change)), key


def test_the_page_of_examples_is_what_is_rated_now() -> None:
    assert PAGE.read_text(encoding="utf-8") == text_of_page(), "run `python -m tests.catalog_keys_page`"
