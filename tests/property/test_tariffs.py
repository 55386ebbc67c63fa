"""A tariff that is tried out: the same catalog differs nowhere, another gives what `quote` gives."""

from random import Random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cloud_collector.billing.revisions import revisions
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.node import CatalogError
from cloud_collector.contracts.period import local_date, periods
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.terms import terms_of
from cloud_collector.insight.agreement import Agreement
from cloud_collector.insight.tariff import Bill, Difference, Span, difference
from cloud_collector.rating.known import Known
from cloud_collector.rating.quote import NoPeriod, Question, quote
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import ChannelName
from cloud_collector.usage.span import Span as UsageSpan
from tests.examples import examples
from tests.property.test_billing_worlds import DAY, HEAD, METERS, REVISIONS, bill, catalogs, reports
from tests.unit.billing_samples import OCTOBER, new_store, receive, store_biller

NOW = OCTOBER + 130 * DAY


def spans_of(store: Store) -> list[UsageSpan]:
    channels = [ChannelName(gateway="roof-1", device=device, meter=meter) for device in "abx" for meter in METERS]
    return [span for channel in channels for span in StoreView(store).spans(channel, 0, 2**33)]


def quoted(catalog: Catalog, contract: str, store: Store) -> dict[str, object]:
    """The same figures from `quote` alone, a period at a time, each as it stands now."""
    terms, spans = terms_of(catalog, contract), spans_of(store)
    known = Known.of(terms, StoreView(store), until=NOW)
    found: dict[str, object] = {"charges": {}, "net": 0, "total": 0}
    for period in periods(terms, until=local_date(terms.timezone, NOW + DAY), activated=known.activated):
        if period.start > NOW:
            continue
        as_of = None if period.end <= NOW else NOW * 1000
        try:
            draft = quote(terms, Question(period=f"{period.first}/{period.last}", spans=spans, as_of=as_of))
        except NoPeriod:
            continue
        found["net"] += draft.net  # type: ignore[operator]
        found["total"] += draft.total  # type: ignore[operator]
        for line in draft.lines:
            charges: dict[str, object] = found["charges"]  # type: ignore[assignment]
            charges[line.charge] = charges.get(line.charge, 0) + line.amount  # type: ignore[operator]
    return found


def figures(bill: Bill) -> dict[str, object]:
    return {"charges": dict(bill.charges), "net": bill.net, "total": bill.total}


def compared(store: Store, catalog: Catalog, contract: str) -> Difference:
    agreement = Agreement.of(store, revisions(store), contract, NOW)
    return difference(agreement, catalog, StoreView(store), Span())


@given(catalogs, st.sampled_from(REVISIONS), st.sampled_from(["billed", "unbilled"]), st.integers(0, 2**32))
@settings(max_examples=examples(15), deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_the_same_catalog_differs_nowhere_and_another_gives_what_quote_says(
    parts: dict[str, str], revision: tuple[str, str], first: str, seed: int
) -> None:
    text = HEAD.format(**parts)
    try:
        same = load_catalog(text)
        other = load_catalog(text.replace(*revision).replace("price = 0.333", "price = 0.4"))
    except CatalogError:
        return
    store = new_store(catalog=text)
    receive(store, reports(Random(seed)), at=NOW)
    if first == "billed":
        bill(store, store_biller(), OCTOBER + 70 * DAY)
    for contract in same.contracts:
        unchanged = compared(store, same, contract)
        assert unchanged.amount == 0
        assert [row for row in unchanged.charges if row[1] != row[2]] == []
        assert unchanged.moved == []
        assert figures(compared(store, other, contract).after) == quoted(other, contract, store)
