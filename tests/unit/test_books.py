"""Issued invoices in other people's books: read back by the programs that will read them."""

import csv
import io
import json
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from beancount.core.data import Transaction
from beancount.loader import load_string
from pyarrow import parquet
from typer.testing import CliRunner

from cloud_collector.billing.books import COLUMNS, as_csv, as_json_lines
from cloud_collector.billing.datev import COLUMNS as DATEV_COLUMNS
from cloud_collector.billing.datev import NotBookable, as_datev
from cloud_collector.billing.journal import as_beancount
from cloud_collector.billing.parquet import ParquetNotInstalled, as_parquet
from cloud_collector.cli.main import app
from cloud_collector.settings import DatevSettings
from tests.paper import CASES, Body, credit_note, regular, several_rates, yen
from tests.unit.test_billing_cli import filled, here, run

__all__ = ["filled", "here"]
ALL = [make() for make in CASES.values()]
BOOKS = DatevSettings(
    consultant=1001,
    client=7,
    receivable="1400",
    debtors={"acme": "10001"},
    revenue={"S25.5": "8400", "S10": "8300", "Electricity tax2.253": "1790", "-": "8200"},
)
FIRST, LAST = date(2026, 11, 1), date(2026, 11, 30)


def test_the_table_has_a_row_a_line_and_sums_to_the_net() -> None:
    """P17."""
    rows = list(csv.DictReader(io.StringIO(as_csv([regular(), credit_note()]), newline="")))
    assert list(rows[0]) == COLUMNS
    assert len(rows) == 7
    assert sum(Decimal(row["amount"]) for row in rows[:5]) == Decimal(rows[0]["net"]) == Decimal("320.23")
    assert Decimal(rows[0]["net"]) + Decimal(rows[0]["tax"]) == Decimal(rows[0]["total"])
    assert (rows[2]["quantity"], rows[2]["unit_price"], rows[2]["estimated"]) == ("1225.13", "", "true")
    assert rows[0]["account_name"] == "Åke & Söner | Acme Oy"


def test_a_field_with_a_comma_a_quote_or_a_break_stays_one_field() -> None:
    body = regular()
    body["account"]["name"] = 'A, "B"\nC'
    assert next(csv.DictReader(io.StringIO(as_csv([body]), newline="")))["account_name"] == 'A, "B"\nC'


def test_json_lines_are_the_sealed_bodies() -> None:
    assert [json.loads(row) for row in as_json_lines(ALL).splitlines()] == ALL


def test_parquet_holds_the_same_figures_as_exact_decimals() -> None:
    table = parquet.read_table(io.BytesIO(as_parquet(ALL)))
    rows = list(csv.DictReader(io.StringIO(as_csv(ALL), newline="")))
    assert table.column_names == COLUMNS
    amounts = table.column("amount").to_pylist()
    assert amounts == [Decimal(row["amount"]) for row in rows]
    assert table.column("issued_at")[0].as_py().isoformat() == "2026-10-31T22:00:05+00:00"
    assert as_parquet(ALL) == as_parquet(ALL)


def test_parquet_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ParquetNotInstalled, match=r"pip install 'meterseal\[parquet\]'"):
        as_parquet(ALL)


def figures(entry: Transaction) -> dict[str, Any]:
    """By account, what a transaction posts to it."""
    return {posting.account: posting.units.number for posting in entry.postings if posting.units is not None}


def test_every_transaction_of_the_journal_is_read_by_beancount_and_balances() -> None:
    """Its own loader parses, books and validates: an unbalanced or unopened posting is an error there."""
    entries, errors, _ = load_string(as_beancount(ALL))
    assert errors == []
    found = [entry for entry in entries if isinstance(entry, Transaction)]
    assert len(found) == len(ALL)
    for entry in found:
        assert sum(figures(entry).values(), Decimal(0)) == 0
    owed = {
        entry.meta["number"]: figure
        for entry in found
        for account, figure in figures(entry).items()
        if account.startswith("Assets:Receivable:")
    }
    assert owed == {body["number"]: Decimal(body["total"]) for body in ALL}


def test_the_balance_of_the_journal_can_fail() -> None:
    body = regular() | {"total": "401.90"}
    _, errors, _ = load_string(as_beancount([body]))
    assert any("does not balance" in error.message for error in errors)


def test_names_that_no_account_may_bear_are_spelled_so_that_it_may() -> None:
    body = regular()
    body["account"] |= {"id": "acme oy.7", "name": 'Say "hi" \\ there\nnow'}
    body["lines"][0]["charge"] = "ärger & co: «x»"
    entries, errors, _ = load_string(as_beancount([body | {"number": "2026/INV 7"}]))
    assert errors == []
    assert any(getattr(entry, "payee", None) == 'Say "hi" \\ there now' for entry in entries)


def postings(bodies: list[Body], books: DatevSettings = BOOKS) -> list[list[str]]:
    text = as_datev(bodies, books, FIRST, LAST).decode("cp1252")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=";"))


def test_a_datev_file_has_its_header_its_columns_and_a_posting_a_tax() -> None:
    head, columns, *rows = postings([regular(), several_rates(), credit_note()])
    assert len(head) == 31
    assert head[:6] == ["EXTF", "700", "21", "Buchungsstapel", "13", "20261031220005000"]
    assert head[10:16] == ["1001", "7", "20260101", "4", "20261101", "20261130"]
    assert columns == list(DATEV_COLUMNS)
    assert rows[0] == [
        "401,89", "S", "EUR", "", "", "", "10001", "8400", "", "0111", "INV-1", "151126", "",
        "Åke & Söner | Acme Oy, acme-chargers",
    ]  # fmt: skip
    assert [row[7] for row in rows[1:5]] == ["8400", "8300", "1790", "8200"]
    assert rows[5][:2] == ["13,05", "H"]


@pytest.mark.parametrize("body", [regular(), several_rates(), credit_note()])
def test_the_postings_of_an_invoice_sum_to_its_total(body: Body) -> None:
    _, _, *rows = postings([body])
    signed = [Decimal(row[0].replace(",", ".")) * (1 if row[1] == "S" else -1) for row in rows]
    assert sum(signed) == Decimal(body["total"])


def test_every_row_of_a_datev_file_ends_with_a_carriage_return_and_its_letters_are_of_one_byte() -> None:
    body = regular()
    body["account"]["name"] = 'Żółw "Łódź" 株'
    raw = as_datev([body], BOOKS, FIRST, LAST)
    assert raw.count(b"\r\n") == raw.count(b"\n") == 3
    assert '"Zó?w ""?ódz"" ?, acme-chargers"'.encode("cp1252") in raw


@pytest.mark.parametrize(
    ("body", "books", "days", "sentence"),
    [
        (regular(), DatevSettings(), (FIRST, LAST), "set datev.consultant and datev.client"),
        (regular(), DatevSettings(consultant=1, client=1), (FIRST, LAST), "name an account for acme"),
        (regular(), DatevSettings(consultant=1, client=1, receivable="1"), (FIRST, LAST), "no account for 'S25.5'"),
        (yen(), BOOKS, (FIRST, LAST), "is in JPY"),
        (regular(), BOOKS, (date(2026, 12, 31), date(2027, 1, 1)), "lies in two fiscal years"),
        (
            regular(),
            DatevSettings(consultant=1, client=1, year_begins="13-01"),
            (FIRST, LAST),
            "not a day such as 01-01",
        ),
    ],
)
def test_what_cannot_be_booked_is_said_with_the_key_to_set(
    body: Body, books: DatevSettings, days: tuple[date, date], sentence: str
) -> None:
    with pytest.raises(NotBookable, match=sentence):
        as_datev([body], books, *days)


def test_a_fiscal_year_may_begin_in_any_month() -> None:
    books = DatevSettings(consultant=1001, client=7, year_begins="07-01", receivable="1400", revenue=BOOKS.revenue)
    assert as_datev([], books, date(2027, 1, 1), date(2027, 1, 31)).split(b";")[12] == b"20260701"


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "beancount"])
def test_the_command_writes_what_was_issued_on_these_days(here: Path, form: str) -> None:
    assert run("billing", "run").exit_code == 0
    day = json.loads(run("invoice", "show", "INV-1", "--json").stdout)["issued_at"][:10]
    (after,) = [str(date.fromordinal(date.fromisoformat(day).toordinal() + at)) for at in (2,)]
    before = str(date.fromordinal(date.fromisoformat(day).toordinal() - 2))
    path = here / f"out.{form}"
    done = run("invoices", "export", "--as", form, "--from", before, "--to", after, "--out", str(path))
    assert (done.exit_code, done.stderr) == (0, "1 invoices\n")
    assert b"INV-1" in path.read_bytes()
    none = run("invoices", "export", "--as", form, "--from", "2001-01-01", "--to", before, "--out", str(path))
    assert none.stderr == "0 invoices\n"


def test_the_command_refuses_days_that_are_none_and_accounts_that_are_not_set(here: Path) -> None:
    del here
    assert run("invoices", "export", "--as", "csv", "--from", "2026-02-01", "--to", "2026-02-01").exit_code == 2
    done = CliRunner().invoke(app, "invoices export --as datev --from 2026-02-01 --to 2026-03-01".split())
    assert done.exit_code == 4
    assert "datev.consultant" in done.stderr
