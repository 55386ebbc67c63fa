"""The number on the portal is the number on the bill: at every hour, around each boundary, and after closing."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from cloud_collector.billing.run import bill_due
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.terms import terms_of
from cloud_collector.insight.account_cost import account_cost
from cloud_collector.invoice.locale import locale_named
from cloud_collector.rating.csv_facts import read_usage
from cloud_collector.rating.draft import Draft
from cloud_collector.rating.quote import Question, quote
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import Span
from cloud_collector.web.app import create_app
from cloud_collector.web.metrics import registry
from cloud_collector.web.site import Site
from shared.effects.memory import SimpleClock
from tests.cost_world import CATALOG, DAY, HOUR, HOURS, NOVEMBER, month, usage_csv
from tests.portal_site import Quiet
from tests.unit.billing_samples import OCTOBER, RECEIPT_KEY, new_store, receive, store_biller

TERMS = terms_of(load_catalog(CATALOG), "c")
BOUNDARIES = [OCTOBER, OCTOBER + 13 * DAY, OCTOBER + 20 * DAY, OCTOBER + 24 * DAY + 4 * HOUR, NOVEMBER - HOUR, NOVEMBER]
"""First use, grace, the clock's change, the period's end."""
SAMPLED_HOURS = 31


@pytest.fixture(scope="module")
def spans() -> list[Span]:
    return read_usage(usage_csv(), "usage.csv", load_catalog(CATALOG).meters)


class Portal:
    """The portal of one store, asked as its customer's browser asks."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = SimpleClock()

        @contextmanager
        def held() -> Iterator[Store]:
            yield store

        self.app = create_app(
            Site(
                open_store=held,
                clock=self.clock,
                zone=lambda _: "Europe/Helsinki",
                subscriptions=lambda *_: [],
                key_words=RECEIPT_KEY.public.words,
                key=RECEIPT_KEY.public,
                readiness=dict,
                metrics=registry(Quiet(), held),
            )
        )

    def get(self, path: str, at: int) -> httpx.Response:
        """One request at a second of that month."""
        self.clock.step(utc_ms=at * 1_000)

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.get(path)

        return asyncio.run(ask())


def quoted(spans: list[Span], at: int) -> Draft:
    """What `quote --as-of` says of that second."""
    period = "2026-10" if at < NOVEMBER else "2026-11"
    return quote(TERMS, Question(period=period, spans=spans, as_of=at * 1_000))


def shown(portal: Portal, at: int) -> tuple[str, str, str]:
    """The total as the page, its live part and its JSON have it."""
    page, live = portal.get("/portal/acme", at).text, portal.get("/portal/acme/live", at).text
    (contract,) = portal.get("/portal/acme.json", at).json()["contracts"]
    return (
        page.partition("<b>")[2].partition("</b>")[0],
        live.partition("<b>")[2].partition("</b>")[0],
        contract["total"],
    )


def expected(draft: Draft) -> tuple[str, str, str]:
    """The same, from a quote."""
    total = format(draft.total, "f")
    people = locale_named(None).amount(total, "EUR")
    return people, people, total


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.deep)])
def test_at_every_hour_of_a_month_the_portal_says_what_quote_says_of_that_moment(spans: list[Span], every: int) -> None:
    """P17: while reports come in, two outages and a day of 25 hours among them; every 31st hour as rendered pages.

    A change is judged by every fifth hour, which is each hour of the day some day; a release by all of them.
    """
    portal = Portal(new_store(catalog=CATALOG))
    arrivals = month()[1]
    differing = []
    for hour in range(0, HOURS, every):
        at = OCTOBER + hour * HOUR
        while arrivals and arrivals[0][0] <= at:
            received, line = arrivals.pop(0)
            receive(portal.store, [line], at=received)
        quote_now = quoted(spans, at)
        found = account_cost(portal.store, "acme", at * 1_000, StoreView, foretold=False)
        if found.totals() != {"EUR": quote_now.total}:
            differing.append(hour)
        if hour % (SAMPLED_HOURS * every) == 0 and shown(portal, at) != expected(quote_now):
            differing.append(hour)
    assert differing == []
    portal.store.close()


@pytest.fixture(scope="module")
def ended() -> Iterator[Portal]:
    """The month, all of it received."""
    portal = Portal(new_store(catalog=CATALOG))
    for at, line in month()[1]:
        receive(portal.store, [line], at=at)
    yield portal
    portal.store.close()


@pytest.mark.parametrize("shift", [-1, 0, 1])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_one_second_around_each_boundary_the_page_says_what_quote_says(
    spans: list[Span], boundary: int, shift: int
) -> None:
    """Each instant belongs to one side; what had not arrived by then is not there yet."""
    at = boundary + shift
    portal = Portal(new_store(catalog=CATALOG))
    for received, line in month()[1]:
        if received <= at:
            receive(portal.store, [line], at=received)
    if at < OCTOBER:
        assert "begins on 2026-10-01" in portal.get("/portal/acme", at).text
    else:
        assert shown(portal, at) == expected(quoted(spans, at))
    portal.store.close()


def test_after_closing_it_is_the_invoice(spans: list[Span], ended: Portal) -> None:
    """P14, P17: the invoice's page, table and JSON have the total that quote has of the closed period."""
    due = NOVEMBER + 3 * DAY
    assert [each.state for each in bill_due(ended.store, due * 1_000, store_biller()).outcomes] == ["issued"]
    closed = quote(TERMS, Question(period="2026-10", spans=spans, as_of=None))
    total = format(closed.total, "f")
    (listed,) = ended.get("/portal/acme/invoices.json", due).json()
    assert listed["total"] == total
    body = ended.get("/portal/acme/invoices/INV-1.json", due).json()
    assert (body["total"], body["net"]) == (total, format(closed.net, "f"))
    assert locale_named(None).amount(total, "EUR") in ended.get("/portal/acme/invoices/INV-1", due).text
