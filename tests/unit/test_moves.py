"""Devices from a file, devices that move within their account, and what else is agreed."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud_collector.cli.catalog import app
from cloud_collector.contracts.duration import Duration, DurationUnit
from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.terms import terms_of
from tests.quoting import CONNECTION, ENERGY, catalog_text, quoted

FEE = '[[plans.p.charges]]\nname = "Fee"\ntype = "one_time"\non = "activated"\nprice = 5\n'
FIRST_USE = '[plans.p.activation]\nrule = "first_use"\n'
ELSEWHERE = """
[contracts.old]
account = "{account}"
plan = "p"
start = 2026-01-01
devices = [{{ id = "gw/a", until = 2026-10-11 }}]
"""
MOVED = '[{ id = "gw/a", from = 2026-10-11 }]'


def moved(account: str = "acme", charges: str = CONNECTION.replace("9.90", "31") + ENERGY + FEE) -> str:
    text = catalog_text(charges=charges, devices=MOVED) + FIRST_USE + ELSEWHERE.format(account=account)
    return text + '[accounts.bolt]\nname = "Bolt"\n'


def use(day: str, quantity: str = "10") -> str:
    return f"gw/a energy 2026-{day}T10:00:00Z 1h {quantity}"


def test_a_device_that_moves_within_its_account_stays_active_and_pays_no_fee_again() -> None:
    made = quoted(moved(), use("03-05"), use("10-20"))
    assert [(line.charge, str(line.amount)) for line in made.lines] == [("Connection", "21.00"), ("Energy", "3.00")]


def test_a_contract_that_begins_with_a_moved_device_pays_no_fee_either() -> None:
    text = moved(charges=FEE + 'per = "contract"\n')
    assert quoted(text, use("03-05"), use("10-20")).lines == ()
    assert [str(line.amount) for line in quoted(text, use("10-20")).lines] == ["5.00"]


def test_a_device_that_comes_from_another_account_starts_anew() -> None:
    made = quoted(moved("bolt"), use("03-05"), use("10-20"))
    assert [(line.charge, str(line.amount)) for line in made.lines] == [
        ("Connection", "12.00"),
        ("Energy", "3.00"),
        ("Fee", "5.00"),
    ]


def test_a_device_that_had_not_started_before_it_moved_starts_where_it_is() -> None:
    made = quoted(moved(), use("10-20"))
    assert [(line.charge, str(line.amount)) for line in made.lines] == [
        ("Connection", "12.00"),
        ("Energy", "3.00"),
        ("Fee", "5.00"),
    ]


def test_a_device_may_move_on_and_on() -> None:
    text = moved().replace("until = 2026-10-11", "from = 2026-05-01, until = 2026-10-11")
    text += '[contracts.oldest]\naccount = "acme"\nplan = "p"\nstart = 2026-01-01\n'
    text += 'devices = [{ id = "gw/a", until = 2026-05-01 }]\n'
    assert str(quoted(text, use("03-05")).net) == "21.00"
    terms = terms_of(load_catalog(text), "c")
    assert [each.contract for each in terms.siblings] == ["old", "oldest"]


def test_a_device_that_was_suspended_when_it_moved_is_suspended_still() -> None:
    text = moved().replace("price = 31", "price = 31\nstate_prices = { suspended = 6.2 }")
    made = quoted(text, use("03-05"), states="gw/a,suspended,2026-09-01T00:00:00Z")
    assert str(made.lines[0].amount) == "4.20"  # 21 of 31 days


CSV = "id,from,until\ngw/a,,\ngw/b,2026-10-22,\ngw/c,2026-01-01,2026-10-08\n"


def from_file(devices: str = "") -> str:
    text = catalog_text(charges=CONNECTION.replace("9.90", "31"))
    return text.replace('devices = ["gw/a"]', f'{devices}\ndevices_from = "acme.csv"')


def test_devices_may_stand_in_a_file() -> None:
    catalog = load_catalog(from_file(), lambda toml, name: {("catalog.toml", "acme.csv"): CSV}[toml, name])
    found = quoted(catalog.text)
    assert [(line.device, str(line.amount)) for line in found.lines] == [
        ("gw/a", "31.00"),
        ("gw/b", "10.00"),
        ("gw/c", "7.00"),
    ]


def test_an_applied_revision_holds_its_files_and_reads_the_same_without_them() -> None:
    """P12: an invoice is rated again from the revision alone."""
    catalog = load_catalog(from_file('devices = ["gw/z"]'), lambda _toml, _name: CSV)
    again = load_catalog(catalog.text)
    assert (again.text, again.hash, again.contracts) == (catalog.text, catalog.hash, catalog.contracts)
    assert [device.id for device in again.contracts["c"].devices] == ["gw/z", "gw/a", "gw/b", "gw/c"]
    other = load_catalog(from_file('devices = ["gw/z"]'), lambda _toml, _name: CSV + "gw/d,,\n")
    assert other.hash != catalog.hash


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("id,form\n", 'acme.csv:1: unknown column "form"; did you mean "from"?'),
        ("from,until\n", "acme.csv:1: the header must name id"),
        ("id\ngw/a\ngw/a\n", 'acme.csv:3: "gw/a" stands twice'),
        ("id,from\ngw/a,2026-02-30\n", 'acme.csv:2: "2026-02-30" is no local date'),
        ("id,from,until\ngw/a,2026-02-01,2026-02-01\n", "acme.csv:2: until is 2026-02-01, not after"),
        ("id,from\ngw/a\n", "acme.csv:2: has 1 cells"),
        ("id\ngw a\n", 'acme.csv:2: "gw a" is no device'),
        ("id\n\x00\n", '"acme.csv" is no CSV of devices'),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(content: str, sentence: str) -> None:
    with pytest.raises(CatalogError) as caught:
        load_catalog(from_file(), lambda _toml, _name: content)
    assert sentence in str(caught.value)


def test_a_file_that_is_not_there_is_said_at_the_key() -> None:
    with pytest.raises(CatalogError, match=r"catalog\.toml:\d+: contracts\.c\.devices_from: .* was not handed over"):
        load_catalog(from_file())


def test_the_command_reads_the_file_beside_the_catalog(tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text(from_file(), encoding="utf-8")
    result = CliRunner().invoke(app, ["check", str(tmp_path / "catalog.toml")])
    assert result.exit_code == 2
    assert '"acme.csv" cannot be read: No such file or directory' in result.stderr
    (tmp_path / "acme.csv").write_text(CSV, encoding="utf-8")
    result = CliRunner().invoke(app, ["check", str(tmp_path / "catalog.toml")])
    assert (result.exit_code, "3 devices" in result.stdout) == (0, True)


def test_what_else_is_agreed_is_kept() -> None:
    text = catalog_text(charges=ENERGY, contract="budget = 120.00\nwarn = { over = [80, 100, 120], under = [50] }")
    text = text.replace('name = "Northwind Metering Oy"', 'name = "Northwind Metering Oy"\nlook_back = "12mo"')
    text += '[accounts.acme.data]\nowner = "customer"\npurposes = ["billing"]\nshared_with = []\nkeep_detail = "400d"\n'
    text += '[plans.p.activation]\nlate_evidence = "keep"\n'
    catalog = load_catalog(text)
    contract, data = catalog.contracts["c"], catalog.accounts["acme"].data
    assert (str(contract.budget), contract.warn is not None and [str(each) for each in contract.warn.over]) == (
        "120.00",
        ["80", "100", "120"],
    )
    assert data is not None
    assert (data.owner, data.purposes, str(data.keep_detail)) == ("customer", ("billing",), "400d")
    assert terms_of(catalog, "c").look_back == Duration(count=12, unit=DurationUnit.MONTH)
    assert not contract.plan.activation.late_evidence_adjusts


@pytest.mark.parametrize(
    ("where", "key", "sentence"),
    [
        ("[contracts.c]", "budget = 0", "must be above zero"),
        ("[contracts.c]", "warn = { above = [80] }", 'unknown key "above"'),
        ("[contracts.c]", "warn = { over = [-80] }", "may not be negative"),
        ("[accounts.acme]", 'data = { owns = "x" }', 'unknown key "owns"'),
        ("[operator]", 'look_back = "1y"', "must be a duration"),
    ],
)
def test_a_mistake_in_what_is_agreed_is_refused(where: str, key: str, sentence: str) -> None:
    with pytest.raises(CatalogError) as caught:
        load_catalog(catalog_text(charges=ENERGY).replace(where, f"{where}\n{key}", 1))
    assert sentence in str(caught.value)
