"""Markup and formulas in names and units stay text: in every page, in every sheet, on paper."""

import csv
import io
from pathlib import Path
from typing import Final

import pytest
from fastapi import FastAPI
from pypdf import PdfReader

from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.books import as_csv, issued
from cloud_collector.billing.run import bill_due
from cloud_collector.invoice.html import page as paper
from cloud_collector.invoice.pdf import pdf
from cloud_collector.store.store import Store
from cloud_collector.web.app import create_app
from shared.effects.memory import SimpleClock
from shared.effects.sqlite import SqliteDatabase
from shared.inert import inert
from shared.line import Body
from tests.portal_site import DAY, NOW, site_of
from tests.unit.billing_samples import CATALOG, OCTOBER, Gateway, new_store, receive, store_biller
from tests.visitors import ask

UNIT: Final = "=<img src=x onerror=alert(1)>"
NAME: Final = "=HYPERLINK(1) <script>alert(2)</script> #panic() *bold* $x$"
TAGS: Final = ("<img src=x", "<script>alert")
SAFE: Final = "=&lt;img src=x onerror=alert(1)&gt;"
OF_UNIT: Final = (
    "/portal/acme",
    "/portal/acme/devices/roof-1/sdm630-1",
    "/portal/acme/days/2026-10-12/roof-1/sdm630-1/energy",
    "/portal/acme/invoices/INV-1",
    "/devices/roof-1/sdm630-1",
    "/devices/roof-1/sdm630-1/usage",
    "/invoices/INV-1",
    "/invoices/INV-1/paper",
)
"""Pages that say a unit."""
WORDS: Final = " ".join(["crane"] * 8)
OTHERS: Final = (
    "/portal/acme/live",
    "/portal/acme/days/2026-10-12",
    "/portal/acme/lines/roof-1/main/5f2c91aa/43",
    "/portal/acme/devices",
    "/portal/acme/data",
    "/portal/acme/warnings",
    "/accounts",
    "/accounts/acme",
    "/contracts/acme-chargers",
    "/contracts/acme-chargers?set=plans.charger.charges.Energy.included%3D10",
    "/billing",
    "/billing/preview",
    "/gateways/roof-1",
    "/unmatched",
)
SHEETS: Final = (
    "/portal/acme.csv",
    "/portal/acme/devices.csv",
    "/portal/acme/invoices/INV-1.csv",
    "/portal/acme/export.csv",
    "/portal/acme/invoices.csv",
    "/portal/acme/days/2026-10-12/roof-1/sdm630-1/energy.csv",
    "/accounts.csv",
    "/contracts/acme-chargers.csv",
    "/devices.csv",
    "/devices/roof-1/sdm630-1/usage.csv",
    "/invoices/INV-1.csv",
    "/invoices.csv",
    "/api/v1/accounts/acme/usage.csv?step=day",
    "/api/v1/accounts/acme/lines.csv",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """October is billed and November runs, in a unit and for an account that a browser and a spreadsheet would run."""
    path = tmp_path_factory.mktemp("markup") / "collector.db"
    told = CATALOG.replace('unit = "kWh"', f'unit = "{UNIT}"').replace("Åke & Söner | Acme Oy", NAME)
    # A price a unit, not a thousand of them.
    store = new_store(path, catalog=told.replace("at_least = 0.5", "at_least = 500"))
    roof = Gateway(unit=UNIT)
    roof.birth(OCTOBER - 3_600)
    for day in range(43):
        roof.day(OCTOBER + day * DAY, {"sdm630-1": 3, "sdm630-2": 2})
    receive(store, roof.lines, at=NOW)
    bill_due(store, NOW * 1_000, store_biller(MemoryArchive()))
    store.close()
    return path


@pytest.fixture(scope="module")
def app(place: Path) -> FastAPI:
    return create_app(site_of(place, SimpleClock(utc_ms=NOW * 1_000)))


@pytest.mark.parametrize("path", [*OF_UNIT, *OTHERS])
def test_markup_stays_text_on_pages(app: FastAPI, path: str) -> None:
    answer = ask(app, "GET", path, headers={"Accept": "text/html"})
    assert answer.status_code == 200, answer.text[:300]
    assert not [tag for tag in TAGS if tag in answer.text]
    if path in OF_UNIT:
        assert SAFE in answer.text, "the unit stands there, as text"


@pytest.mark.parametrize("path", SHEETS)
def test_formulas_stay_text_in_sheets(app: FastAPI, path: str) -> None:
    answer = ask(app, "GET", path)
    assert answer.status_code == 200, answer.text[:300]
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert len(rows) > 1
    for row in rows:
        assert [cell for cell in row if inert(cell) != cell] == []


def test_formulas_stay_text_in_the_table_for_other_books(place: Path) -> None:
    with_unit = 0
    for row in csv.DictReader(io.StringIO(as_csv(_bodies(place)))):
        assert [cell for cell in row.values() if inert(cell) != cell] == []
        assert row["account_name"] == f"'{NAME}"
        with_unit += row["unit"] == f"'{UNIT}"
    assert with_unit


def test_markup_of_html_and_of_the_typesetter_stays_text_on_paper(place: Path) -> None:
    pytest.importorskip("typst")
    (body, *_) = _bodies(place)
    assert not [tag for tag in TAGS if tag in paper(body, key_words=WORDS)]
    made = pdf(body, key_words=WORDS)
    text = "".join(each.extract_text() for each in PdfReader(io.BytesIO(made)).pages)
    joined = "".join(text.split())
    assert "".join(UNIT.split()) in joined
    assert "".join(NAME.split()) in joined
    assert b"/JavaScript" not in made


@pytest.mark.parametrize(
    ("cell", "stands"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3", "'-2+3"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("\t=1", "'\t=1"),
        ("-12.50", "-12.50"),
        ("+3", "+3"),
        ("-", "'-"),
        ("", ""),
        (None, None),
        (-7, -7),
    ],
)
def test_what_a_spreadsheet_would_run_is_text_and_a_number_below_zero_stays_one(
    cell: str | int | None, stands: str | int | None
) -> None:
    assert inert(cell) == stands


def _bodies(place: Path) -> list[Body]:
    store = Store(SqliteDatabase(place, read_only=True), migrated=True)
    found = list(issued(store, 0, NOW * 2))
    store.close()
    return found
