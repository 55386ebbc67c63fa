"""Epochs: their order, what is carried from one to the next, clones, boots without a clock, exchanged meters."""

import copy

import pytest

from cloud_collector.fleet.epochs import Epoch, Standing, order
from cloud_collector.intake.replay import audit
from cloud_collector.intake.verdict import Aside
from cloud_collector.store.account import ChannelAccount, account, quarantine
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.between import Carried, EpochEnd, EpochStart, Uncarried, between_epochs, surely_before
from cloud_collector.usage.derive import Placement, RowKind
from cloud_collector.usage.placement import Extent, lay
from cloud_collector.usage.span import ChannelName, SpanKind
from shared.effects.sqlite import SqliteDatabase
from shared.report import Cause, Clock
from tests.sealing import NOON, NOW_MS, PaperCollector, PaperGateway, paper_collector

PUMP = ("pump", "energy")
NAME = ChannelName(gateway="gw-1", device="pump", meter="energy")


def standings(*epochs: Epoch) -> dict[str, tuple[Standing, int | None]]:
    return {name: (found.standing, found.rank) for name, found in order(epochs).items()}


def only(collector: PaperCollector) -> ChannelAccount:
    (found,) = account(collector.store)
    return found


def spans(collector: PaperCollector) -> list[tuple[SpanKind, int, int, int]]:
    found = StoreView(collector.store).spans(NAME, -(2**40), 2**40)
    return [(span.kind, span.start, span.end, span.units) for span in found]


def test_epochs_follow_one_another_in_order_of_birth_whatever_the_order_of_arrival() -> None:
    births = [
        Epoch(epoch="a", previous=None, at=10),
        Epoch(epoch="b", previous="a", at=20),
        Epoch(epoch="c", previous=None, at=30),
    ]
    expected = {"a": (Standing.LINKED, 0), "b": (Standing.LINKED, 1), "c": (Standing.LINKED, 2)}
    assert standings(*births) == standings(*reversed(births)) == expected


def test_a_birth_with_an_unknown_previous_waits_and_the_next_goes_on() -> None:
    found = standings(Epoch(epoch="a", previous=None, at=1), Epoch(epoch="c", previous="b", at=3))
    assert found == {"a": (Standing.LINKED, 0), "c": (Standing.WAITING, None)}
    found = standings(
        Epoch(epoch="a", previous=None, at=1),
        Epoch(epoch="c", previous="b", at=3),
        Epoch(epoch="b", previous="a", at=2),
    )
    assert [found[name] for name in "abc"] == [(Standing.LINKED, 0), (Standing.LINKED, 1), (Standing.LINKED, 2)]


def test_a_second_birth_after_the_same_previous_is_a_clones() -> None:
    found = standings(
        Epoch(epoch="a", previous=None, at=1),
        Epoch(epoch="b", previous="a", at=2),
        Epoch(epoch="c", previous="a", at=3),
        Epoch(epoch="d", previous="c", at=4),
    )
    assert found["b"] == (Standing.LINKED, 1)
    assert found["c"] == found["d"] == (Standing.CLONED, None)


def test_nothing_is_ordered_into_nothing() -> None:
    assert standings() == {}
    assert standings(Epoch(epoch="b", previous="a", at=1)) == {"b": (Standing.WAITING, None)}


def two_epochs(*, raw: int = 130, serial: str = "s-1") -> tuple[PaperGateway, PaperGateway]:
    """The first ends at raw 110; the second is born an hour later."""
    first = PaperGateway()
    first.birth((*PUMP, 0, 100))
    first.usage((*PUMP, 0, [4, 6]))
    second = first.next_epoch("bbbbbbbb")
    second.now += 3_600
    second.birth((*PUMP, raw, raw), previous=first.position, serial=serial)
    second.usage((*PUMP, raw, [1]))
    return first, second


def test_what_the_meter_counted_while_the_spool_was_lost_is_carried_over_and_estimated() -> None:
    """P1: usage = raw at birth − raw at the end of the last accepted line."""
    first, second = two_epochs()
    collector = paper_collector(first)
    collector.take(first.topic, [*second.lines, *first.lines])
    found = only(collector)
    assert (found.counted, found.estimated, found.unknown) == (10 + 20 + 1, 20, ())
    assert (SpanKind.BRIDGE, first.now, first.now + 3_600, 20) in spans(collector)


def test_what_is_carried_shrinks_when_an_old_line_arrives() -> None:
    first, _ = two_epochs()
    late = first.usage((*PUMP, 10, [7]))
    second = first.next_epoch("bbbbbbbb")
    second.now += 3_600
    second.birth((*PUMP, 130, 130))
    collector = paper_collector(first)
    collector.take(first.topic, [*first.lines[:2], *second.lines])
    assert (only(collector).counted, only(collector).estimated) == (30, 20)
    collector.take(first.topic, [late])
    assert (only(collector).counted, only(collector).estimated) == (30, 13)


@pytest.mark.parametrize(
    ("raw", "serial", "why"),
    [
        (90, "s-1", "the meter's own register has fallen"),
        (130, "s-9", "another meter is in its place"),
        (10**12, "s-1", "more than the meter can count"),
    ],
)
def test_what_cannot_be_believed_is_a_gap_of_unknown_amount(raw: int, serial: str, why: str) -> None:
    """P3: named, never guessed."""
    first, second = two_epochs(raw=raw, serial=serial)
    collector = paper_collector(first)
    collector.take(first.topic, [*first.lines, *second.lines])
    found = only(collector)
    assert found.counted == 11
    (gap,) = found.unknown
    assert (gap.start, gap.until, gap.cause) == (first.now, first.now + 3_600, "spool_lost")
    assert why in gap.why
    measured = StoreView(collector.store).measure(NAME, NOON, NOON + 9_000)
    assert measured is not None
    assert [(each.start, each.end) for each in measured.gaps] == [(first.now, first.now + 3_600)]


def test_a_channel_born_unread_is_carried_over_at_its_first_reading() -> None:
    first, _ = two_epochs()
    second = first.next_epoch("bbbbbbbb")
    second.now += 3_600
    second.birth((*PUMP, 0, None), previous=first.position)
    collector = paper_collector(first)
    collector.take(first.topic, [*first.lines, *second.lines])
    assert len(only(collector).unknown) == 1
    second.now += 600
    second.birth((*PUMP, 0, 150), cause=Cause.START)
    second.usage((*PUMP, 0, [2]))
    collector.take(first.topic, second.lines[1:])
    assert (only(collector).counted, only(collector).unknown) == (10 + 40 + 2, ())


def test_an_epoch_that_never_read_a_channel_is_carried_over_whole() -> None:
    first, _ = two_epochs()
    second = first.next_epoch("bbbbbbbb")
    second.now += 600
    second.birth((*PUMP, 0, None), previous=first.position)
    third = second.next_epoch("cccccccc")
    third.now += 600
    third.birth((*PUMP, 160, 160), previous=second.position)
    collector = paper_collector(first)
    collector.take(first.topic, [*third.lines, *second.lines, *first.lines])
    assert (only(collector).counted, only(collector).unknown) == (10 + 50, ())


def test_between_epochs_is_a_pure_function() -> None:
    start = EpochStart(seq=1, register=50, raw=50, serial="s", at=1_000)
    end = EpochEnd(raw=20, serial="s", at=400)
    assert between_epochs(end, start, unit="Wh", exponent=0) == Carried(
        seq=1, start=400, seconds=600, register=20, units=30
    )
    backwards = EpochEnd(raw=49, serial="s", at=5_000)
    found = between_epochs(backwards, start, unit="Wh", exponent=0)
    assert isinstance(found, Carried)
    assert (found.start, found.seconds) == (999, 1)
    fast = between_epochs(end, start, unit="Wh", exponent=9)
    assert isinstance(fast, Uncarried)
    assert between_epochs(EpochEnd(raw=50, serial="s", at=1), start, unit="Wh", exponent=0) is None


def test_an_epoch_whose_last_hour_reaches_beyond_the_next_ones_birth_leaves_its_usage_that_hour() -> None:
    """P1: a summary is cut at whole hours, so its last reading may lie an hour before its end."""
    start = EpochStart(seq=1, register=0, raw=900_000, serial="s", at=3_601)
    end = EpochEnd(raw=0, serial="s", at=7_200, sure=surely_before(7_200, RowKind.USAGE, 3_600))
    assert between_epochs(end, start, unit="Wh", exponent=0, rates_max={"Wh": 100_000}) is not None
    assert isinstance(between_epochs(end, start, unit="Wh", exponent=0, rates_max={"Wh": 900_000}), Carried)
    assert surely_before(7_200, RowKind.BIRTH, 0) == 7_200


def test_a_clones_lines_are_quarantined_and_alarmed() -> None:
    """The account is parked by the alarm until somebody decides."""
    first, second = two_epochs()
    clone = first.next_epoch("cccccccc")
    clone.now += 7_200
    clone.birth((*PUMP, 500, 500), previous=first.position)
    clone.usage((*PUMP, 500, [50]))
    collector = paper_collector(first)
    collector.take(first.topic, [*clone.lines, *first.lines])
    assert only(collector).counted == 10 + 390 + 50
    collector.take(first.topic, second.lines)
    found = only(collector)
    assert (found.counted, found.quarantined) == (31, 50)
    assert collector.store.rows("gateways_parked") == [("gw-1",)]
    assert audit(collector.store, Store(SqliteDatabase(":memory:")), collector.settings) is None


def test_a_summary_of_another_life_is_set_aside_though_its_position_is_free() -> None:
    """P5, P1: an old image of a spool folds what it has sealed anew, where this life's summary covers positions."""
    gateway = PaperGateway()
    gateway.birth((*PUMP, 0, 0))
    gateway.usage((*PUMP, 0, [1]))
    image = copy.deepcopy(gateway)
    for register in range(1, 7):
        gateway.usage((*PUMP, register, [1]))
    gateway.summary([6, 7, 8])
    for register in range(1, 5):
        image.usage((*PUMP, register, [0, 1]))
    forked = image.summary([4, 5])
    assert forked is not None
    collector = paper_collector(gateway)
    collector.take(gateway.topic, [*gateway.lines[:5], gateway.lines[8]])
    (verdict,) = collector.take(gateway.topic, [forked]).verdicts
    assert isinstance(verdict, Aside)
    assert verdict.reason == "it covers other lines than those held"
    assert (only(collector).counted, only(collector).quarantined) == (7, 0)
    assert audit(collector.store, Store(SqliteDatabase(":memory:")), collector.settings) is None


def test_a_line_of_a_superseded_epoch_sealed_after_its_successors_birth_is_a_clones() -> None:
    first, second = two_epochs()
    first.now = second.now + 60
    first.usage((*PUMP, 10, [30]))
    collector = paper_collector(first)
    collector.take(first.topic, [*first.lines, *second.lines])
    found = only(collector)
    assert (found.counted, found.quarantined) == (31, 30)
    assert quarantine(collector.store)[0].reason.startswith("cloned")


def dark(gateway: PaperGateway, boot: str, deltas: list[int], register: int) -> None:
    """A window in a boot that does not know the time, ten seconds after it began."""
    gateway.boot, gateway.clock, gateway.now = boot, Clock.RELATIVE, 10
    gateway.usage((*PUMP, register, deltas))


def test_lines_without_utc_are_unplaced_until_their_boots_clock_line() -> None:
    """P13: unbilled until placed, never out of existence."""
    gateway = PaperGateway(clock=Clock.RELATIVE, now=5)
    gateway.birth((*PUMP, 0, 100))
    dark(gateway, "b0000001", [3, 4], 0)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    assert (only(collector).counted, only(collector).unplaced) == (0, 7)
    collector.take(gateway.topic, [gateway.clock_line(NOON)])
    assert (only(collector).counted, only(collector).unplaced) == (7, 0)
    assert spans(collector) == [(SpanKind.USAGE, NOON + 10, NOON + 130, 7)]


def test_only_the_first_clock_line_of_a_boot_counts() -> None:
    gateway = PaperGateway(clock=Clock.RELATIVE, now=5)
    gateway.birth((*PUMP, 0, 100))
    dark(gateway, "b0000001", [3, 4], 0)
    gateway.clock_line(NOON)
    gateway.clock_line(NOON + 500)
    collector = paper_collector(gateway)
    collector.take(gateway.topic, [*gateway.lines[:2], gateway.lines[3]])
    assert spans(collector)[0][1] == NOON + 510
    collector.take(gateway.topic, [gateway.lines[2]])
    assert spans(collector)[0][1] == NOON + 10


def test_boots_that_never_learned_the_time_are_laid_end_to_end_before_the_next_placed_line() -> None:
    gateway = PaperGateway(clock=Clock.RELATIVE, boot="d0000001", now=5)
    gateway.birth((*PUMP, 0, 100))
    dark(gateway, "d0000001", [1, 2], 0)
    dark(gateway, "d0000002", [5], 3)
    gateway.boot, gateway.clock, gateway.now = "b0000003", Clock.SYNCHRONISED, NOON
    gateway.usage((*PUMP, 8, [9]))
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines[:3])
    assert only(collector).counted == 0
    collector.take(gateway.topic, gateway.lines[3:])
    assert only(collector).counted == 17
    # The second boot's 10..70 ends at noon, the first's 5..130 where the second begins.
    assert spans(collector) == [
        (SpanKind.USAGE, NOON - 180, NOON - 60, 3),
        (SpanKind.USAGE, NOON - 60, NOON, 5),
        (SpanKind.USAGE, NOON, NOON + 60, 9),
    ]
    measured = StoreView(collector.store).measure(NAME, NOON - 180, NOON)
    assert measured is not None
    assert measured.estimated


def test_a_boot_is_never_laid_after_its_receipt() -> None:
    extent = Extent(boot="a", start=10, end=70, room=500, next_start=10_000)
    assert lay([extent], {}) == {"a": Placement(500, estimated=True)}


def test_a_line_that_claims_to_end_in_the_future_is_moved_to_its_receipt() -> None:
    """P13: a clock moves usage within a bound, never out of existence."""
    gateway = PaperGateway(now=NOON + 90 * 86_400)
    gateway.birth((*PUMP, 0, 100))
    gateway.usage((*PUMP, 0, [3, 4]))
    collector = paper_collector(gateway)
    collector.take(gateway.topic, gateway.lines)
    assert spans(collector) == [(SpanKind.USAGE, NOW_MS // 1000 - 120, NOW_MS // 1000, 7)]


def test_an_exchanged_meter_keeps_the_register_going() -> None:
    """P4: what the old one counted since its last reading is carried to the exchange, estimated."""
    gateway = PaperGateway()
    gateway.birth((*PUMP, 0, 100))
    gateway.usage((*PUMP, 0, [10]))
    gateway.now += 100
    gateway.exchange(*PUMP, old=115, new=3, register=15)
    gateway.usage((*PUMP, 15, [2]))
    second = gateway.next_epoch("bbbbbbbb")
    second.now += 600
    # The new meter stood at 3 at the exchange and at 5 after the last line.
    second.birth((*PUMP, 0, 9), previous=gateway.position, serial="s-2")
    collector = paper_collector(gateway)
    collector.take(gateway.topic, [*gateway.lines, *second.lines])
    found = only(collector)
    assert (found.counted, found.estimated, found.unknown) == (10 + 5 + 2 + 4, 9, ())
