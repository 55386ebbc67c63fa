"""Register look-ups and the plain sum over spans agree, on any set of rows (P1, P17)."""

from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cloud_collector.store.view import StoreView
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.packing import pack_deltas, unpack_deltas
from cloud_collector.usage.span import ChannelName, NamedGap
from tests.examples import examples
from tests.odd_lines import odd_lines
from tests.sealing import NOON, PaperCollector, PaperGateway, paper_collector

CHANNEL = ChannelName(gateway="gw-1", device="pump", meter="energy")
FIRST, LAST = NOON - 4_000, NOON + 20_000


@st.composite
def collectors(draw: st.DrawFn) -> PaperCollector:
    """A collector that has taken such lines."""
    gateway = PaperGateway()
    collector = paper_collector(gateway)
    collector.take(gateway.topic, draw(odd_lines()))
    return collector


def _whole(view: StoreView) -> Ledger:
    """All spans and gaps there are, as the definition takes them."""
    spans = view.spans(CHANNEL, -(2**40), 2**40)
    rows: list[Any] = view._store.rows("account_unknown", "", "")
    gaps = [NamedGap(channel=CHANNEL, start=row[3], end=row[4], cause=row[5]) for row in rows if row[3] is not None]
    return Ledger(spans, gaps)


@settings(
    max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(collector=collectors(), ends=st.lists(st.integers(FIRST, LAST), min_size=2, max_size=12))
def test_look_ups_are_the_plain_sum(collector: PaperCollector, ends: list[int]) -> None:
    """P17: over any stretch; and stretches side by side add up to the whole."""
    view = StoreView(collector.store)
    ledger = _whole(view)
    for start, end in pairwise(ends):
        assert view.spans(CHANNEL, start, end) == ledger.spans(CHANNEL, start, end)
        if start < end:
            assert view.measure(CHANNEL, start, end) == ledger.measure(CHANNEL, start, end)
    # What begins or ends within a second is there, and nothing beside it.
    for edge in {edge for span in view.spans(CHANNEL, FIRST, LAST) for edge in (span.start, span.end)}:
        for start, end in ((edge - 1, edge + 1), (edge - 1, edge), (edge, edge + 1)):
            assert StoreView(collector.store).spans(CHANNEL, start, end) == ledger.spans(CHANNEL, start, end)
    cuts = sorted({FIRST, *ends, LAST})
    parts = [view.measure(CHANNEL, start, end) for start, end in pairwise(cuts)]
    whole = view.measure(CHANNEL, FIRST, LAST)
    assert sum(part.units for part in parts if part) == (whole.units if whole else 0)


@given(st.lists(st.integers(0, 2**53 - 1), min_size=1, max_size=40))
@example([255])
@example([256])
@example([0, 0])
@example([2**32])
def test_packed_deltas_come_back(deltas: list[int]) -> None:
    packed = pack_deltas(tuple(deltas))
    assert unpack_deltas(packed, len(deltas)) == tuple(deltas)
