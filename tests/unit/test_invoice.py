"""The invoice's page says what was sealed, in the account's way of writing, and nothing else."""

import json
import os
import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cloud_collector.invoice.html import page
from cloud_collector.invoice.locale import locale_named

GOLDEN = Path(__file__).parents[1] / "golden" / "invoice"
WORDS = "compass-brick-falcon-olive-tiger-birch-oyster-cabin"


def test_the_page_of_a_regular_invoice_is_the_golden_one() -> None:
    """Changed only on purpose: METERSEAL_GOLDEN=write pytest tests/unit/test_invoice.py."""
    body = json.loads((GOLDEN / "regular.json").read_text(encoding="utf-8"))
    made, golden = page(body, key_words=WORDS), GOLDEN / "regular.html"
    if os.environ.get("METERSEAL_GOLDEN") == "write":
        golden.write_text(made, encoding="utf-8")
    assert made == golden.read_text(encoding="utf-8")


def test_the_page_needs_no_script_and_fetches_nothing() -> None:
    made = (GOLDEN / "regular.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|<img|<iframe|src=|href=|url\(|@import| on[a-z]+=", made)


def test_names_from_outside_are_text_and_never_markup() -> None:
    body = json.loads((GOLDEN / "regular.json").read_text(encoding="utf-8"))
    evil = "</style><script>alert(1)</script>"
    body["account"]["name"] = body["operator"]["name"] = body["contract"] = evil
    body["lines"][0]["charge"] = body["lines"][0]["why"] = body["lines"][2]["unit"] = evil
    body["activations"][0]["rule"] = body["gaps"][0][5] = body["taxes"][0]["name"] = evil
    tags: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            del attrs
            tags.append(tag)

    Tags().feed(page(body, key_words=WORDS))
    assert "script" not in tags


def test_a_credit_note_says_that_it_is_in_the_customers_favour() -> None:
    body = json.loads((GOLDEN / "regular.json").read_text(encoding="utf-8"))
    body |= {"kind": "credit_note", "number": "INV-CN-1", "net": "-1.00", "taxes": [], "total": "-1.00"}
    made = page(body, key_words=WORDS)
    assert "<h1>Credit note</h1>" in made
    assert "in your favour" in made
    assert "Please pay" not in made


@pytest.mark.parametrize(
    ("name", "amount", "day"),
    [
        ("fi_FI", "−1 234 567,50 €", "5.3.2026"),
        ("de_DE", "−1.234.567,50 €", "05.03.2026"),
        ("de_CH", "−EUR 1’234’567.50", "05.03.2026"),
        ("en_US", "−€1,234,567.50", "Mar 5, 2026"),
        ("fr_FR", "−1 234 567,50 €", "05/03/2026"),
        ("nl_NL", "−€ 1.234.567,50", "05-03-2026"),
        (None, "−1 234 567.50 EUR", "2026-03-05"),
        ("tlh_QO", "−1 234 567.50 EUR", "2026-03-05"),
    ],
)
def test_money_and_dates_are_written_as_the_account_writes_them(name: str | None, amount: str, day: str) -> None:
    locale = locale_named(name)
    assert locale.amount("-1234567.50", "EUR").replace("\u00a0", " ").replace("\u202f", " ") == amount
    assert locale.date(date(2026, 3, 5)) == day


def test_a_unit_price_is_never_rounded_for_show() -> None:
    assert locale_named("fi_FI").number("0.363600001") == "0,363600001"


def test_a_moment_is_told_in_its_zone_and_to_the_second_only_where_it_has_one() -> None:
    locale = locale_named("fi_FI")
    assert locale.moment(datetime(2026, 3, 5, 1, 2, tzinfo=UTC), "Europe/Helsinki") == "5.3.2026 03:02"
    assert locale.moment(datetime(2026, 3, 5, 1, 2, 3, tzinfo=UTC), "Europe/Helsinki") == "5.3.2026 03:02:03"
