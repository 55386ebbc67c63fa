"""A disputed invoice is worked out again: the same to the letter, or what differs, line by line, in money."""

from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from cloud_collector.billing.disputes import Complaint, open_dispute
from cloud_collector.web.app import create_app
from shared.effects.memory import SimpleClock
from tests.portal_site import NOW, Portal, fill, site_of, spoil
from tests.visitors import ask

OLD, NEW = b"[330,", b"[930,"


@pytest.fixture
def portal(tmp_path: Path) -> Portal:
    path = tmp_path / "collector.db"
    tokens = fill(path)
    clock = SimpleClock(utc_ms=NOW * 1_000)
    site = site_of(path, clock)
    complaint = Complaint(
        account="acme", number="INV-1", place=1, amount="1 EUR", why="Why?", evidence=b"", holds=True, who="somebody"
    )
    with site.writing() as store, store.atomic():
        assert open_dispute(store, complaint, now_ms=NOW * 1_000) == 1
    return Portal(path=path, site=site, app=create_app(site), port=0, clock=clock, tokens=tokens)


def get(portal: Portal, path: str, account: str = "acme") -> httpx.Response:
    return ask(portal.app, "GET", path, headers={"Accept": "text/html", **portal.headers(account)})


def test_what_follows_from_the_evidence_stands_beside_what_was_billed(portal: Portal) -> None:
    page = get(portal, "/portal/acme/disputes/1").text
    assert "the same to the letter" in page
    assert "Worked out again" in page
    again = get(portal, "/portal/acme/disputes/1.json").json()["again"]
    assert again["same"] is True
    assert again["total"] == again["total_again"] == get(portal, "/portal/acme/invoices/INV-1.json").json()["total"]
    assert {each["difference"] for each in again["lines"]} == {"0.00"}


def test_the_copy_is_a_page_to_print_that_says_it_is_no_invoice(portal: Portal) -> None:
    copy = get(portal, "/portal/acme/disputes/1/copy")
    assert copy.status_code == 200
    assert "Copy for dispute 1, worked out again on 13.11.2026 11:30 from the reports and the price list." in copy.text
    paper = get(portal, "/portal/acme/invoices/INV-1/paper").text
    assert "Sealed" in paper
    assert "Sealed" not in copy.text, "no key stands for it"
    assert 'class="totals"' in copy.text
    assert get(portal, "/portal/acme/disputes/1/copy", "bolt").status_code == 404


def test_a_line_that_no_genuine_report_supports_is_shown_with_the_money_it_changes(portal: Portal) -> None:
    """P11: what was changed on the disk of the operator is not counted, and the copy says what is left."""
    spoil(portal, 11, OLD, NEW)
    again = get(portal, "/portal/acme/disputes/1.json").json()["again"]
    assert again["same"] is False
    (changed,) = [each for each in again["lines"] if each["difference"] != "0.00"]
    assert (changed["line"], changed["charge"]) == (3, "Energy")
    assert Decimal(changed["amount"]) + Decimal(changed["difference"]) == Decimal(changed["amount_again"])
    page = get(portal, "/portal/acme/disputes/1").text
    assert "it differs" in page
    assert again["total_again"].replace(".", ",") in page
