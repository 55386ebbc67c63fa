"""First activity goes by intervals in order of time, however many a line holds and whose lines overlap (P18)."""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_collector.activity.activation import Activation
from cloud_collector.activity.first_use import first_activity
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.terms import terms_of
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import ChannelName, Span, SpanKind
from tests.examples import examples
from tests.quoting import catalog_text

START: Final = 1_767_571_200
"""2026-01-05, midnight in UTC; the contract has begun before."""
LINE: Final = st.tuples(
    st.sampled_from(("a", "b")),
    st.integers(0, 20),
    st.sampled_from((60, 90, 300)),
    st.lists(st.integers(0, 3), min_size=1, max_size=8),
)


def line(device: str, start: int, step: int, deltas: tuple[int, ...], seq: int) -> Span:
    return Span(
        channel=ChannelName("gw", device, "energy"),
        log="main",
        unit="kWh",
        exponent=0,
        kind=SpanKind.USAGE,
        epoch="00000001",
        seq=seq,
        start=start,
        step=step,
        deltas=deltas,
        register=0,
        estimated=frozenset(),
        received_at=0,
    )


def told(found: dict[str, Activation]) -> dict[str, tuple[object, ...]]:
    """When each starts, and by which interval; in which line it stands is another matter."""
    return {
        device: (each.at, each.cause, None)
        if each.evidence is None
        else (each.at, each.cause, each.evidence.device, each.evidence.start, each.evidence.end, each.evidence.figure)
        for device, each in found.items()
    }


@settings(max_examples=examples(200), deadline=None)
@given(
    lines=st.lists(LINE, min_size=1, max_size=8),
    goal=st.integers(1, 20),
    together=st.booleans(),
    until=st.integers(START, START + 6_000),
)
def test_lines_of_many_intervals_start_what_as_many_lines_of_one_would(
    lines: list[tuple[str, int, int, list[int]]], goal: int, until: int, *, together: bool
) -> None:
    combine = 'combine = "contract"\n' if together else ""
    rule = f'rule = "first_use"\n{combine}any = [{{ meter = "energy", at_least = {goal} }}]'
    catalog = load_catalog(
        catalog_text(f"[plans.p.activation]\n{rule}", devices='["gw/a", "gw/b"]', zone="UTC"),
    )
    terms = terms_of(catalog, "c")
    whole = [
        line(device, START + 30 * after, step, tuple(deltas), 100 * at)
        for at, (device, after, step, deltas) in enumerate(lines, start=1)
    ]
    single = [
        line(each.channel.device, each.start + index * each.step, each.step, (delta,), each.seq + index)
        for each in whole
        for index, delta in enumerate(each.deltas)
    ]
    assert told(first_activity(terms, Ledger(whole), until=until)) == told(
        first_activity(terms, Ledger(single), until=until)
    )
