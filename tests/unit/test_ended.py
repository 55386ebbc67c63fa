"""Between the end of a period and its invoice: the customer sees what it will be, and what it waits for."""

from collections.abc import Iterator

import pytest

from cloud_collector.billing.run import bill_due
from cloud_collector.cli.cost import not_billed
from cloud_collector.insight.ended import ended_of
from cloud_collector.invoice.locale import locale_named
from cloud_collector.store.store import Store
from tests.cost_world import CATALOG, DAY, HOUR, NOVEMBER, month
from tests.unit.billing_samples import new_store, receive, store_biller
from tests.unit.test_portal_figures import Portal


@pytest.fixture
def late() -> Iterator[Portal]:
    """October is over; what came in November has not arrived."""
    portal = Portal(new_store(catalog=CATALOG))
    for at, line in month()[1]:
        if at < NOVEMBER - DAY:
            receive(portal.store, [line], at=at)
    yield portal
    portal.store.close()


def numbers(store: Store) -> list[str]:
    return [each.number or "" for each in bill_due(store, (NOVEMBER + 3 * DAY) * 1_000, store_biller()).outcomes]


def test_what_has_ended_waits_for_missing_reports_and_says_until_when(late: Portal) -> None:
    at = NOVEMBER + HOUR
    (found,) = ended_of(late.store, "acme", at * 1_000)
    assert (found.contract, found.waits_until) == ("c", NOVEMBER + 2 * DAY)
    assert found.silent == ("roof-1",)
    page = late.get("/portal/acme", at).text
    assert "ended, not billed yet" in page
    assert "It waits for reports of roof-1, until 2026-11-03 00:00 at the longest." in page
    assert "without reports of roof-1" in late.get("/portal/acme", NOVEMBER + 2 * DAY).text


def test_its_amount_is_that_of_the_invoice_which_a_run_issues_at_that_moment(late: Portal) -> None:
    """P14, P17: to the cent, and then it stands among the invoices alone."""
    at = NOVEMBER + 3 * DAY
    (found,) = late.get("/portal/acme.json", at).json()["ended"]
    page = late.get("/portal/acme", at).text
    assert found["more"] is False
    assert numbers(late.store) == ["INV-1"]
    body = late.get("/portal/acme/invoices/INV-1.json", at).json()
    assert (found["net"], found["total"], found["currency"]) == (body["net"], body["total"], body["currency"])
    assert f"<strong>{locale_named(None).amount(found['total'], 'EUR')}</strong></a> with tax" in page
    assert late.get("/portal/acme.json", at).json()["ended"] == []
    assert "not billed yet" not in late.get("/portal/acme", at).text


def test_two_that_have_ended_are_said_to_be_two(late: Portal) -> None:
    (found,) = ended_of(late.store, "acme", (NOVEMBER + 40 * DAY) * 1_000)
    assert found.more
    assert found.told(str).endswith("What ended after it is billed once it is.")


def test_what_cannot_be_billed_shows_no_amount_and_tells_the_customer_whose_turn_it_is() -> None:
    """P19: nobody who pays reads a guess."""
    portal = Portal(new_store(catalog=CATALOG.replace('vat_id = "FI12345678"\n', "")))
    for at, line in month()[1]:
        receive(portal.store, [line], at=at)
    (found,) = ended_of(portal.store, "acme", (NOVEMBER + 3 * DAY) * 1_000)
    assert found.draft is None, "an invoice with value added tax names the operator's number"
    assert "the operator has to look at it" in portal.get("/portal/acme", NOVEMBER + 3 * DAY).text
    assert found.to_json()["total"] is None
    portal.store.close()


@pytest.mark.parametrize(("cycle", "title"), [("month", "This month"), ("week", "This week"), ("year", "This year")])
def test_the_first_page_is_called_after_the_period(cycle: str, title: str) -> None:
    portal = Portal(new_store(catalog=CATALOG.replace('cycle = "month"', f'cycle = "{cycle}"')))
    page = portal.get("/portal/acme", NOVEMBER - DAY).text
    assert f"<h1>{title}</h1>" in page
    assert page.count(title) > 1, "the way between pages says so too"
    portal.store.close()


def test_the_command_and_the_interface_say_what_the_page_says(late: Portal) -> None:
    at = NOVEMBER + HOUR
    (found,) = ended_of(late.store, "acme", at * 1_000)
    (page,) = late.get("/portal/acme.json", at).json()["ended"]
    (answer,) = late.get("/api/v1/accounts/acme/ended", at).json()
    assert answer == page == found.to_json()
    assert not_billed(found) == (
        f"ended, not billed yet: c, 2026-10-01 to 2026-11-01 (exclusive), {page['total']} EUR with tax. "
        "It waits for reports of roof-1, until 2026-11-03 (Europe/Helsinki) at the longest."
    )
