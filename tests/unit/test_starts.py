"""What is remembered of starts: looked at once, and again when something has come between."""

from typing import Final

from cloud_collector.activity.activation import Activation, ActivationCause
from cloud_collector.activity.first_use import first_activity
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.terms import Terms, terms_of
from cloud_collector.insight.remembered import Remembered
from cloud_collector.insight.starts import Starts
from cloud_collector.store.view import StoreView
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import ChannelName, Span
from tests.quoting import catalog_text
from tests.sealing import NOON, PaperCollector, PaperGateway, paper_collector

PUMP: Final = ("pump", "energy")
TEXT: Final = catalog_text(
    """[plans.p.activation]
rule = "first_use"
any = [{ meter = "energy", at_least = 0.04 }]
""",
    devices='["gw-1/pump"]',
    start="2026-09-22",
    zone="Australia/Brisbane",
)
TERMS: Final = terms_of(load_catalog(TEXT), "c")
REPORTS: Final = terms_of(load_catalog(TEXT.replace('meter = "energy", at_least = 0.04', "reports = 5")), "c")
GRACE: Final = terms_of(load_catalog(TEXT.replace('"first_use"', '"first_use"\ngrace = "30d"')), "c")


class Asked(Remembered):
    """A view that counts what it is asked for."""

    count = 0

    def spans(self, channel: ChannelName, start: int, end: int) -> list[Span]:
        self.count += 1
        return super().spans(channel, start, end)


def look(starts: Starts, collector: PaperCollector, until: int, terms: Terms = TERMS) -> tuple[Activation | None, int]:
    """The pump's start, and how often its usage was asked for."""
    held = StoreView(collector.store)
    usage = Asked(held)
    found = first_activity(terms, usage, until=until, foresee=True, recall=starts.over(usage, held))
    return found.get("gw-1/pump"), usage.count


def test_a_start_is_found_once_and_anew_when_an_earlier_report_comes() -> None:
    gateway, starts = PaperGateway(), Starts()
    collector = paper_collector(gateway)
    gateway.birth((*PUMP, 0, 0))
    gateway.usage((*PUMP, 0, [10, 15, 15]), step=300)
    gateway.usage((*PUMP, 40, [15, 15, 15]), step=300)
    first, second = gateway.lines[:2], gateway.lines[2:]
    collector.take(gateway.topic, [first[0], *second])
    later, asked = look(starts, collector, NOON + 90_000)
    assert later is not None
    assert asked > 0
    for until in (NOON + 90_000, NOON + 190_000):
        assert look(starts, collector, until) == (later, 0)
    collector.take(gateway.topic, first[1:])
    earlier, asked = look(starts, collector, NOON + 90_000)
    assert earlier is not None
    assert earlier.at < later.at
    assert asked > 0
    gateway.now = NOON + 3_000
    gateway.usage((*PUMP, 85, [99]), step=300)
    collector.take(gateway.topic, gateway.lines[3:])
    assert look(starts, collector, NOON + 90_000) == (earlier, 0), "what comes later changes nothing"


def test_what_comes_long_before_the_report_that_decided_is_noticed() -> None:
    gateway, starts = PaperGateway(), Starts()
    collector = paper_collector(gateway)
    gateway.birth((*PUMP, 0, 0))
    gateway.usage((*PUMP, 0, [1, 1]), step=60)
    gateway.usage((*PUMP, 2, [1, 1]), step=60)
    gateway.usage((*PUMP, 4, [1]), step=60)
    gateway.now = NOON + 3_000
    gateway.usage((*PUMP, 5, [1, 1]), step=60)
    birth, first, second, third, fourth = gateway.lines
    collector.take(gateway.topic, [birth, first, third, fourth])
    fifth, _ = look(starts, collector, NOON + 90_000, REPORTS)
    assert fifth is not None
    assert fifth.at == NOON + 3_000, "what is missing counts as one report"
    collector.take(gateway.topic, [second])
    found, _ = look(starts, collector, NOON + 90_000, REPORTS)
    assert found is not None
    assert found.at == NOON + 240


def test_a_start_by_grace_is_found_once_as_well() -> None:
    gateway, starts = PaperGateway(), Starts()
    collector = paper_collector(gateway)
    gateway.birth((*PUMP, 0, 0))
    gateway.usage((*PUMP, 0, [10]), step=300)
    collector.take(gateway.topic, gateway.lines)
    asked = [look(starts, collector, NOON + until, GRACE) for until in (90_000, 90_000, 4_000_000, 9_000_000)]
    assert [found.cause for found, _ in asked if found is not None] == [ActivationCause.GRACE] * 4
    assert [count > 0 for _, count in asked] == [True, True, True, False], "until grace is over it may yet be used"


def test_what_is_no_store_is_not_remembered() -> None:
    usage = Ledger([])
    assert Starts().over(usage, usage) is None
