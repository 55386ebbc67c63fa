"""`simulate-tariff` as people meet it: a threshold, a price or a plan is tried on history, and nothing is kept."""

import csv
import hashlib
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cloud_collector.billing.revisions import apply, revisions
from cloud_collector.cli.anywhere import hoisted
from cloud_collector.contracts.change import change_all, read_change
from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.read import load_catalog
from cloud_collector.insight.agreement import Agreement
from cloud_collector.insight.tariff import Span, difference
from cloud_collector.store.view import StoreView
from tests.unit.billing_samples import CATALOG, NOVEMBER, Gateway, new_store, october, receive
from tests.unit.test_billing_cli import filled, here, run

__all__ = ["filled", "here"]  # fixtures
pytestmark = pytest.mark.usefixtures("here")

OTHER_PLAN = """
[plans.flat]
title = "Flat"
cycle = "month"
[[plans.flat.charges]]
name = "Flat"
type = "subscription"
per = "contract"
price = 100
"""


def simulated(*words: str) -> dict[str, dict[str, str]]:
    """Each contract's charges with their difference."""
    done = run("simulate-tariff", *words, "--period", "2026-10", "--json")
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    return {
        each["contract"]: {row["charge"]: row["difference"] for row in each["charges"]} for each in answer["contracts"]
    }


def test_the_catalog_in_force_changes_nobodys_bill(here: Path) -> None:
    assert simulated() == {"acme-chargers": {"Connection": "0.00", "Energy": "0.00"}}
    assert simulated(str(here / "catalog.toml")) == simulated()
    assert "0 would pay another amount, 1 the same" in run("simulate-tariff").stdout


def test_a_price_is_tried_by_the_name_of_its_charge() -> None:
    charges = simulated("--set", "plans.charger.charges.Connection.price=19.80")["acme-chargers"]
    assert charges == {"Connection": "15.65", "Energy": "0.00"}, "twice what it was"


def test_a_shorter_grace_moves_a_device_and_what_it_costs() -> None:
    done = run("simulate-tariff", "--set", "plans.charger.activation.grace=5d", "--period", "2026-10", "--json")
    (found,) = json.loads(done.stdout)["contracts"]
    assert found["starts"] == [
        {"device": "roof-1/sdm630-2", "before": "2026-10-13T21:45:00Z", "after": "2026-10-05T21:00:00Z"}
    ]
    assert (
        "1 device billed from another day" in run("simulate-tariff", "--set=plans.charger.activation.grace=5d").stdout
    )


def test_a_ramp_is_tried_on_what_was_used() -> None:
    ramp = "plans.charger.commitment={ amount = 500, ramp = [{ from_period = 1, amount = 350 }] }"
    charges = simulated("--set", ramp)["acme-chargers"]
    assert charges["Commitment"] == "35.57", "350 less the 314.43 that count"


def test_a_contract_is_tried_on_another_plan(here: Path) -> None:
    (here / "catalog.toml").write_text(CATALOG + OTHER_PLAN, encoding="utf-8")
    words = (str(here / "catalog.toml"), "--plan", "flat", "--contract", "acme-chargers")
    charges = simulated(*words)["acme-chargers"]
    assert charges["Flat"] == "100.00"


def test_the_table_names_accounts_contracts_and_charges_and_the_csv_has_every_row() -> None:
    words = ("simulate-tariff", "--set", "plans.charger.charges.Energy.included=0")
    told = run(*words).stdout
    assert [line.split("  ")[0] for line in told.splitlines() if line.startswith("acme")] == ["acme"]
    assert "Energy, net" in told
    rows = list(csv.DictReader(io.StringIO(run(*words, "--csv", "-").stdout)))
    assert [row["charge"] for row in rows] == ["Energy", "Connection", "(tax)", "(total)"]
    assert all(float(row["after"]) - float(row["before"]) == pytest.approx(float(row["difference"])) for row in rows)


def test_nothing_is_written_to_the_store(here: Path) -> None:
    before = hashlib.sha256((here / "collector.db").read_bytes()).digest()
    assert run("simulate-tariff", "--set", "plans.charger.activation.grace=5d").exit_code == 0
    assert hashlib.sha256((here / "collector.db").read_bytes()).digest() == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--set", "plans.charger.charges.Enrgy.price=1"], 2, 'did you mean "Energy"'),
        (["--set", "plans.chargr.activation.grace=1d"], 2, 'did you mean "charger"'),
        (["--set", "plans.charger.activation.grce=1d"], 2, 'did you mean "grace"'),
        (["--set", "plans.charger.activation.grace=soon"], 2, "must be a duration"),
        (["--set", "plans"], 2, "KEY=VALUE"),
        (["--set", "plans.charger.charges.Energy=1"], 2, "name one of its keys"),
        (["--set", "plans.charger.title.deep.er=1"], 2, "no table"),
        (["--set", "plans.charger.charges.7.price=1"], 2, "known here: Connection, Energy"),
        (["--plan", "flat"], 2, "--contract"),
        (["--contract", "acme-charger"], 3, 'did you mean "acme-chargers"'),
        (["--period", "2026-13"], 2, "--period"),
        (["no-such.toml"], 2, "No such file"),
    ],
)
def test_what_cannot_be_tried_is_said_in_a_sentence(words: list[str], code: int, said: str) -> None:
    done = run("simulate-tariff", *words)
    assert done.exit_code == code
    assert said in done.stderr


def test_another_currency_is_left_out_and_the_command_says_that_it_is_not_whole() -> None:
    done = run("simulate-tariff", "--set", 'plans.charger.currency="SEK"')
    assert (done.exit_code, "billed in SEK" in done.stderr) == (5, True)


def test_history_keeps_the_prices_that_it_had_on_the_agreed_side() -> None:
    store = new_store()
    receive(store, october(Gateway()).lines, at=NOVEMBER + 3 * 86_400)
    dearer = load_catalog(CATALOG.replace("9.90", "20"))
    apply(store, dearer, now_ms=NOVEMBER * 1000, effective_at=NOVEMBER)
    known = revisions(store)
    agreement = Agreement.of(store, known, "acme-chargers", NOVEMBER + 3 * 86_400)
    found = difference(agreement, dearer, StoreView(store), Span())
    assert {row[0]: row[1] for row in found.charges}["Connection"] == Decimal("55.65"), (
        "15.65 in October, 40.00 in November"
    )


def test_a_value_is_read_as_toml_and_else_as_text() -> None:
    root: dict[str, Any] = {"plans": {"p": {"charges": [{"name": "By time", "price": 1}]}}}
    changes = ('plans.p.charges."By time".price=0.30', "plans.p.settle=48h", "plans.p.activation.date=2026-03-01")
    change_all([root], [read_change(text) for text in changes])
    assert str(root["plans"]["p"]["charges"][0]["price"]) == "0.30"
    assert root["plans"]["p"]["settle"] == "48h"
    change_all([root], [read_change("plans.p.settle=")])
    assert "settle" not in root["plans"]["p"]
    with pytest.raises(CatalogError, match='no "meters"'):
        change_all([root], [read_change("meters.energy.unit=Wh")])


def test_the_option_set_is_the_catalogs_behind_the_command_and_the_configurations_before_it() -> None:
    words = ["--set", "store_path=a", "simulate-tariff", "--set", "plans.p.settle=1h", "--config", "c"]
    assert hoisted(words) == ["--set", "store_path=a", "--config", "c", "simulate-tariff", "--set", "plans.p.settle=1h"]
