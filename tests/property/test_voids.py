"""An invoice and the credit note that takes it back sum to zero, line by line, in every form that leaves the house."""

import csv
import io
import json
import re
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from typing import Final

from beancount.core.data import Transaction
from beancount.loader import load_string
from hypothesis import event, given, settings
from pyarrow import parquet

from cloud_collector.billing.books import as_csv, as_json_lines
from cloud_collector.billing.datev import NotBookable, as_datev
from cloud_collector.billing.journal import as_beancount
from cloud_collector.billing.parquet import as_parquet
from cloud_collector.invoice.einvoice import cii, ubl
from cloud_collector.invoice.vat import NotExpressible
from cloud_collector.invoice.void import Void, void_body
from tests.examples import examples
from tests.paper import Body
from tests.property.test_einvoices import invoices
from tests.unit.test_books import BOOKS, FIRST, LAST, figures

_REVENUE: Final = ("S25.5", "S10", "MwSt.19", "Z0", "E0", "AE0", "K0", "G0", "O0", "Electricity tax2.253", "-")
_PAYABLE: Final = {
    cii: re.compile(rb"DuePayableAmount[^>]*>([^<]+)<"),
    ubl: re.compile(rb"PayableAmount[^>]*>([^<]+)<"),
}


def both(body: Body) -> list[Body]:
    first = body | {"kind": "regular", "due": "2026-11-15" if Decimal(body["total"]) > 0 else None}
    void = Void(
        key=body["key"],
        number="INV-CN-9",
        revision=1,
        issued_at=1_793_800_000,
        reason="Wrong tariff",
        hash="x" * 43,
        engine=body["engine"],
        tzdata=body["tzdata"],
    )
    return [first, void_body(first, void)]


def zero(amounts: dict[str, Decimal]) -> bool:
    return all(amount == 0 for amount in amounts.values())


@given(invoices())
def test_tables_sum_to_zero_line_by_line(body: Body) -> None:
    """P17: CSV, Parquet and JSON Lines."""
    pair = both(body)
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in csv.DictReader(io.StringIO(as_csv(pair), newline="")):
        sums[row["line"]] += Decimal(row["amount"])
        for figure in ("net", "tax", "total"):
            sums[f"{figure} {row['line']}"] += Decimal(row[figure])
    for row in parquet.read_table(io.BytesIO(as_parquet(pair))).to_pylist():
        sums[f"parquet {row['line']}"] += row["amount"]
        sums[f"parquet quantity {row['line']}"] += row["quantity"] or Decimal(0)
    for text in as_json_lines(pair).splitlines():
        told = json.loads(text)
        sums["json"] += Decimal(told["total"])
        for at, tax in enumerate(told["taxes"]):
            sums[f"json tax {at}"] += Decimal(tax["amount"]) + Decimal(tax["base"])
    assert zero(sums)


@given(invoices())
def test_postings_sum_to_zero_account_by_account(body: Body) -> None:
    """P17: the journal by its own loader, and DATEV."""
    pair = both(body)
    found, errors, _ = load_string(as_beancount(pair))
    assert errors == []
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for entry in found:
        for account, amount in figures(entry).items() if isinstance(entry, Transaction) else ():
            sums[account] += amount
    books = replace(BOOKS, revenue=dict.fromkeys(_REVENUE, "8400"))
    try:
        rows = as_datev(pair, books, FIRST, LAST).decode("cp1252").splitlines()[2:]
    except NotBookable as error:
        event(str(error)[:40])
        rows = []
    for row in rows:
        cells = row.split(";")
        sums[cells[7]] += Decimal(cells[0].replace(",", ".")) * (1 if cells[1] == '"S"' else -1)
    assert zero(sums)


@settings(max_examples=examples(40))
@given(invoices())
def test_what_is_asked_for_electronically_is_given_back(body: Body) -> None:
    """P17: type 380 asks for what type 381 gives back."""
    for write, payable in _PAYABLE.items():
        try:
            asked, given_back = (payable.search(write(each)) for each in both(body))
        except NotExpressible as error:
            event(str(error)[:40])
            return
        assert asked is not None
        assert given_back is not None
        assert Decimal(asked[1].decode()) == Decimal(given_back[1].decode())
    event("written")
