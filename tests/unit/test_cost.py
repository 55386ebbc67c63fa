"""The cost so far is the invoice's own figure at every moment, and its parts sum to it."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

import pytest

from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.catalog import Committed, State
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.terms import terms_of
from cloud_collector.insight.cost import Cost
from cloud_collector.insight.look import NotRunning, look
from cloud_collector.rating.csv_facts import read_usage
from cloud_collector.rating.draft import Draft
from cloud_collector.rating.quote import Question, quote
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import Span
from tests.cost_world import CATALOG, DAY, HOUR, HOURS, NOVEMBER, month, usage_csv
from tests.unit.billing_samples import OCTOBER, new_store, receive

TERMS = terms_of(load_catalog(CATALOG), "c")


@pytest.fixture(scope="module")
def spans() -> list[Span]:
    return read_usage(usage_csv(), "usage.csv", load_catalog(CATALOG).meters)


@pytest.fixture(scope="module")
def whole() -> Iterator[Store]:
    """The month, all of it received."""
    store = new_store(catalog=CATALOG)
    for at, line in month()[1]:
        receive(store, [line], at=at)
    yield store
    store.close()


def quoted(spans: list[Span], period: str, as_of_ms: int) -> Draft:
    return quote(TERMS, Question(period=period, spans=spans, as_of=as_of_ms))


def seen(store: Store, at_ms: int, *, past: bool = False, foretold: bool = False) -> Cost:
    return look(store, revisions(store), "c", at_ms, StoreView, past=past).cost(foretold=foretold)


def figures(draft: Draft) -> list[tuple[object, ...]]:
    """Everything that costs something, to the last digit."""
    lines = [(*line.key.__getstate__(), line.quantity, line.exact, line.amount) for line in draft.lines]  # type: ignore[misc]
    return [*lines, ("net", draft.net), ("total", draft.total)]


@pytest.mark.deep
def test_at_every_hour_of_a_month_it_is_what_quote_says_of_that_moment(spans: list[Span]) -> None:
    """P17: the number on the portal is the number on the bill, to the cent, while reports come in."""
    store = new_store(catalog=CATALOG)
    arrivals = month()[1]
    differing = []
    for hour in range(HOURS):
        at = OCTOBER + hour * HOUR
        while arrivals and arrivals[0][0] <= at:
            received, line = arrivals.pop(0)
            receive(store, [line], at=received)
        if figures(seen(store, at * 1000).draft) != figures(quoted(spans, "2026-10", at * 1000)):
            differing.append(hour)
    assert differing == []
    store.close()


@pytest.mark.parametrize("shift", [-1, 0, 1])
@pytest.mark.parametrize(
    "boundary",
    [OCTOBER, OCTOBER + 13 * DAY, OCTOBER + 20 * DAY, OCTOBER + 24 * DAY + 4 * HOUR, NOVEMBER - HOUR, NOVEMBER],
)
def test_one_second_around_each_boundary_it_is_what_quote_says(
    spans: list[Span], whole: Store, boundary: int, shift: int
) -> None:
    """First use, grace, the clock's change, the period's end: each instant belongs to one side."""
    at_ms = (boundary + shift) * 1000
    if at_ms < OCTOBER * 1000:
        with pytest.raises(NotRunning, match="2026-10-01"):
            seen(whole, at_ms, past=True)
        return
    period = "2026-10" if at_ms < NOVEMBER * 1000 else "2026-11"
    assert figures(seen(whole, at_ms, past=True).draft) == figures(quoted(spans, period, at_ms))


def test_an_earlier_moment_is_seen_as_it_was_known_then(spans: list[Span], whole: Store) -> None:
    for hour in range(0, HOURS, 29):
        at_ms = (OCTOBER + hour * HOUR + 1_234) * 1000
        assert figures(seen(whole, at_ms, past=True).draft) == figures(quoted(spans, "2026-10", at_ms)), hour


@pytest.mark.parametrize("hour", [0, 100, 13 * 24 + 1, 480, HOURS - 1])
def test_devices_and_what_is_shared_sum_to_the_net_figure(whole: Store, hour: int) -> None:
    """P17."""
    found = seen(whole, (OCTOBER + hour * HOUR) * 1000, past=True)
    assert sum((each.net for each in found.devices), found.shared) == found.draft.net
    assert sum(found.charges.values(), Decimal(0)) == found.draft.net


def test_who_waits_for_first_use_and_who_was_not_used_is_named(whole: Store) -> None:
    early = seen(whole, (OCTOBER + 10 * DAY) * 1000, past=True)
    assert [(each.device, each.starts_at) for each in early.waiting] == [
        ("roof-1/b", OCTOBER + 20 * DAY),
        ("roof-1/idle", OCTOBER + 20 * DAY),
    ]
    assert early.unused == ()
    late = seen(whole, (OCTOBER + 21 * DAY) * 1000, past=True)
    assert late.waiting == ()
    assert [each.device for each in late.unused] == ["roof-1/idle"], "grace has ended, and nothing was used"
    assert [each.state for each in late.devices] == [State.ACTIVE] * 3


def test_the_commitment_says_what_counts_what_is_missing_and_where_the_ramp_goes(whole: Store) -> None:
    (found,) = seen(whole, (OCTOBER + 10 * DAY) * 1000, past=True).commitments
    assert (found.of, found.committed, found.step) == (Committed.AMOUNT, Fraction(300), 1)
    assert found.following is not None
    assert (found.following.from_period, found.following.figure) == (4, Decimal(400))
    assert found.missing == found.committed - found.counted
    ended = quoted(read_usage(usage_csv(), "u", load_catalog(CATALOG).meters), "2026-10", (NOVEMBER + HOUR) * 1000)
    (true_up,) = [line for line in ended.lines if line.kind.value == "true_up"]
    last = seen(whole, (NOVEMBER - 1) * 1000)
    assert last.commitments[0].missing == true_up.amount, "one second before it is billed"
