"""P14, P15: once periods are closed, the order in which further reports come changes no byte of any invoice."""

from random import Random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cloud_collector.billing.run import Biller
from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.read import load_catalog
from cloud_collector.store.store import Store
from tests.examples import examples
from tests.property.test_billing_worlds import DAY, HEAD, MONTHS, SPAN_DAYS, bill, booked, catalogs, reports
from tests.unit.billing_samples import OCTOBER, new_store, receive, store_biller

HOURS_APART = 5


def issued(store: Store, biller: Biller) -> dict[str, bytes | None]:
    return {row[0]: biller.archive.get(row[0]) for row in store.rows("invoices")}


@given(catalogs, st.integers(0, 2**32))
@settings(max_examples=examples(8), deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_what_comes_between_two_runs_may_come_in_any_order_and_twice(parts: dict[str, str], seed: int) -> None:
    text = HEAD.format(**parts)
    try:
        load_catalog(text)
    except CatalogError:
        return
    random = Random(seed)
    lines = reports(random)
    known = [next(at for at, days in enumerate(MONTHS) if number * SPAN_DAYS <= days) for number in range(len(lines))]
    arrives = [min(first + random.choice([0, 0, 1, 2]), len(MONTHS) - 1) for first in known]
    sites = [(new_store(catalog=text), store_biller()) for _ in range(2)]
    for month, days in enumerate(MONTHS):
        at = OCTOBER + days * DAY
        batch = [line for line, when in zip(lines, arrives, strict=True) if when == month]
        earlier = [line for line, when in zip(lines, arrives, strict=True) if when < month]
        again = [*batch, *earlier, *batch]
        for (store, biller), told in zip(sites, (batch, random.sample(again, len(again))), strict=True):
            receive(store, told, at=at)
            bill(store, biller, at + HOURS_APART * 3_600)
    straight, crooked = (issued(*site) for site in sites)
    assert straight == crooked
    assert straight, "something is billed in every world"
    assert booked(*sites[0]) == booked(*sites[1])
