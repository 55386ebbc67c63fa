"""A start that is remembered is the one that would be found now, whatever has come and whatever is asked."""

from itertools import pairwise
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_collector.activity.activation import StateChange
from cloud_collector.activity.first_use import first_activity
from cloud_collector.contracts.catalog import State
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.terms import Terms, terms_of
from cloud_collector.insight.starts import Starts
from cloud_collector.store.view import StoreView
from tests.examples import examples
from tests.odd_lines import odd_lines
from tests.quoting import catalog_text
from tests.sealing import NOON, PaperGateway, paper_collector

MOMENTS: Final = tuple(NOON + after for after in (-700, 0, 700, 2_800, 2_801, 9_000, 11_000, 60_000, 200_000))
"""The contract begins 800 seconds before noon, and is looked at an hour, two, four and eight at a time."""
ENDED: Final = StateChange(device="gw-1/pump", at=NOON + 1_500, state=State.ENDED)
RULES: Final = (
    'any = [{ meter = "energy", at_least = 0.04 }]',
    'any = [{ meter = "energy", at_least = 0.09 }]\ngrace = "1d"',
    "any = [{ reports = 3 }]",
    "any = [{ reports = 9 }]",
    'combine = "contract"\nany = [{ meter = "energy", at_least = 0.04 }]',
    'any = [{ meter = "energy", at_least = 0.04, within = "1h" }]\ngrace = "12h"',
    'ignore_first = "1h"\nany = [{ meter = "energy", at_least = 0.01 }]',
)


def terms(rule: str) -> Terms:
    text = catalog_text(
        f'[plans.p.activation]\nrule = "first_use"\n{rule}',
        devices='["gw-1/pump", "gw-1/silent"]',
        start="2026-09-22",
        zone="Australia/Brisbane",
    )
    return terms_of(load_catalog(text), "c")


TERMS: Final = tuple(map(terms, RULES))


@settings(
    max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(
    lines=odd_lines().flatmap(st.permutations),
    cuts=st.lists(st.integers(0, 24), max_size=4),
    asked=st.lists(
        st.tuples(st.sampled_from(TERMS), st.sampled_from(MOMENTS), st.sampled_from(((), (ENDED,)))),
        min_size=1,
        max_size=8,
    ),
)
def test_what_is_remembered_is_what_is_found(
    lines: list[bytes], cuts: list[int], asked: list[tuple[Terms, int, tuple[StateChange, ...]]]
) -> None:
    """P18: lines come in any order, and after each batch everything is asked again."""
    gateway, starts = PaperGateway(), Starts()
    collector = paper_collector(gateway)
    for low, high in pairwise(sorted([0, 0, *cuts, len(lines)])):
        collector.take(gateway.topic, lines[low:high])
        for each, until, states in asked:
            view = StoreView(collector.store)
            for foresee in (False, True):
                found = first_activity(each, StoreView(collector.store), states, until=until, foresee=foresee)
                recall = starts.over(view, view)
                assert first_activity(each, view, states, until=until, foresee=foresee, recall=recall) == found
