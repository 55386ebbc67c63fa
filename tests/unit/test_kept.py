"""What pages remember: as long as it took to read, and never the cost itself."""

from collections.abc import Iterator

import pytest

from cloud_collector.insight.kept import KEPT_SECONDS_MAX, READ_A_SECOND, Kept
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
