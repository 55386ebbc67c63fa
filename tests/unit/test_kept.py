"""What pages remember: as long as it took to read, and never the cost itself."""

from collections.abc import Iterator

import pytest

from cloud_collector.insight.kept import KEPT_SECONDS_MAX, READ_A_SECOND, READ_AT_ONCE_MAX, Kept, Later
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import ChannelName, Span, SpanKind, UsageView

CHANNEL = ChannelName("g", "d", "m")


def spans(count: int) -> Iterator[Span]:
    for at in range(count):
        yield Span(
            channel=CHANNEL,
            log="main",
            unit="Wh",
            exponent=0,
            kind=SpanKind.USAGE,
            epoch="00000001",
            seq=at + 1,
            start=at * 60,
            step=60,
            deltas=(1,),
            register=at,
            estimated=frozenset(),
            received_at=0,
        )


@pytest.mark.parametrize(
    ("reports", "seconds"),
    [(0, 0), (READ_A_SECOND - 1, 0), (READ_A_SECOND, 1), (READ_A_SECOND * 10 + 7, 10)],
)
def test_it_is_kept_as_long_as_it_was_read(reports: int, seconds: int) -> None:
    kept, usage, asked = Kept(), Ledger(spans(reports)), []

    def make(view: UsageView) -> int:
        asked.append(len(view.spans(CHANNEL, 0, reports * 60)))
        return len(asked)

    assert kept.made("x", 100, usage, make) == 1
    assert kept.made("x", 100 + seconds, usage, make) == 2, "a moment later it is made anew"
    if seconds:
        assert kept.made("x", 100 + 2 * seconds - 1, usage, make) == 2
        assert kept.made("x", 99, usage, make) == 3, "what is asked of an earlier moment rests on other facts"
    assert kept.made("y", 100, usage, make) == len(asked)


def test_whoever_does_not_wait_reads_little_and_is_told_that_it_comes_later() -> None:
    kept, usage, asked = Kept(), Ledger(spans(READ_AT_ONCE_MAX + 1)), []

    def make(view: UsageView, reports: int = READ_AT_ONCE_MAX + 1) -> int:
        asked.append(reports)
        return len(view.spans(CHANNEL, 0, reports * 60))

    assert kept.made("few", 100, usage, lambda view: make(view, READ_AT_ONCE_MAX), wait=False) == READ_AT_ONCE_MAX
    for _ in range(2):
        with pytest.raises(Later):
            kept.made("many", 100, usage, make, wait=False)
    assert len(asked) == 2, "what is known to be dear is not begun again"
    assert kept.made("many", 100, usage, make) == READ_AT_ONCE_MAX + 1
    assert kept.made("many", 101, usage, make, wait=False) == READ_AT_ONCE_MAX + 1, "it is there now"
    assert len(asked) == 3
    with pytest.raises(Later):
        kept.made("many", 200, usage, make, wait=False)
    assert kept.made("many", 300, usage, lambda view: make(view, 10)) == 10
    assert kept.made("many", 301, usage, lambda view: make(view, 10), wait=False) == 10, "it has become cheap"


def test_nothing_is_kept_longer_than_the_longest_time() -> None:
    kept, usage = Kept(), Ledger(spans(10))
    made: list[int] = []

    def make(view: UsageView) -> int:
        for _ in range(KEPT_SECONDS_MAX * READ_A_SECOND // 10 + 1_000):
            view.spans(CHANNEL, 0, 600)
        made.append(1)
        return len(made)

    assert kept.made("x", 0, usage, make) == 1
    assert kept.made("x", KEPT_SECONDS_MAX - 1, usage, make) == 1
    assert kept.made("x", KEPT_SECONDS_MAX, usage, make) == 2
