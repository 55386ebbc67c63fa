"""Whatever the order of arrival, the batches and the repetitions: the same rows, the same account (P1, P5, P15)."""

from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_collector.intake.replay import audit, rebuild
from cloud_collector.store.account import account, quarantine
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.report import Cause, Clock
from tests.examples import examples
from tests.sealing import PaperCollector, PaperGateway, paper_collector

PROJECTED = ("chain", "span", "unknown", "channel", "alarm", "boot")
CHANNELS = (("pump", "energy"), ("lamp", "energy"))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[bytes], int]:
    """A gateway's honest lines over up to three epochs, and what its meters counted per channel from first to last."""
    lines: list[bytes] = []
    gateway = PaperGateway()
    raws = {channel: draw(st.integers(0, 1_000)) for channel in CHANNELS}
    first = dict(raws)
    previous: PaperGateway | None = None
    for number in range(draw(st.integers(1, 3))):
        registers = dict(raws)
        if previous is not None:
            for channel in CHANNELS:
                raws[channel] += draw(st.integers(0, 50))
            registers = dict(raws)
            gateway = previous.next_epoch(f"{number:08x}")
            gateway.now += draw(st.integers(1, 3_000))
        named = draw(st.booleans()) and previous is not None
        position = previous.position if named and previous is not None else None
        gateway.birth(*((*channel, registers[channel], raws[channel]) for channel in CHANNELS), previous=position)
        for _ in range(draw(st.integers(0, 7))):
            _step(draw, gateway, registers, raws)
        lines += gateway.lines
        previous = gateway
    return lines, sum(raws[channel] - first[channel] for channel in CHANNELS)


def _step(
    draw: st.DrawFn, gateway: PaperGateway, registers: dict[tuple[str, str], int], raws: dict[tuple[str, str], int]
) -> None:
    kind = draw(st.sampled_from(("usage", "usage", "usage", "gap", "birth", "dark boot")))
    if kind == "gap":
        channel = draw(st.sampled_from(CHANNELS))
        units = draw(st.integers(0, 90))
        gateway.gap(*channel, gateway.now, gateway.now + 600, registers[channel], registers[channel] + units)
        registers[channel] += units
        raws[channel] += units
    elif kind == "birth":
        gateway.birth(*((*channel, registers[channel], raws[channel]) for channel in CHANNELS), cause=Cause.CONFIG)
    elif kind == "dark boot":
        # A boot that learns its time only at its end: its lines are in seconds since boot.
        outside, boot = gateway.now, gateway.boot
        gateway.boot, gateway.clock, gateway.now = f"d{len(gateway.lines):07x}", Clock.RELATIVE, 5
        _window(draw, gateway, registers, raws)
        if draw(st.booleans()):
            gateway.clock_line(outside)
        gateway.boot, gateway.clock, gateway.now = boot, Clock.SYNCHRONISED, outside + gateway.now
    _window(draw, gateway, registers, raws)


def _window(
    draw: st.DrawFn, gateway: PaperGateway, registers: dict[tuple[str, str], int], raws: dict[tuple[str, str], int]
) -> None:
    count = draw(st.integers(1, 3))
    rows = []
    for channel in CHANNELS:
        deltas = draw(st.lists(st.integers(0, 300), min_size=count, max_size=count))
        rows.append((*channel, registers[channel], deltas))
        registers[channel] += sum(deltas)
        raws[channel] += sum(deltas)
    gateway.usage(*rows)


@st.composite
def deliveries(draw: st.DrawFn, lines: list[bytes]) -> list[list[bytes]]:
    """The lines in some order, some more than once, in batches of some size."""
    extra = draw(st.lists(st.sampled_from(lines), max_size=5))
    shuffled = draw(st.permutations([*lines, *extra]))
    cuts = draw(st.lists(st.integers(0, len(shuffled)), max_size=4))
    edges = sorted({0, *cuts, len(shuffled)})
    return [shuffled[start:end] for start, end in pairwise(edges)]


def _rows(collector: PaperCollector) -> object:
    """Everything that is derived, by names instead of numbers given in order of arrival."""
    store = collector.store
    named = (
        "select h.epoch, c.device, c.meter, s.seq, s.kind, s.start, s.step, s.count, s.until, s.register,"
        " s.register_end, s.deltas, s.estimated, s.raw, s.serial, s.cloned, s.reason, s.withheld, s.ragged, s.top,"
        " s.reach from span s join chain h on h.id = s.chain join channel c on c.id = s.channel order by 1, 2, 3, 4, 5"
    )
    gaps = (
        "select h.epoch, c.device, c.meter, u.seq, u.kind, u.start, u.until, u.cause, u.why"
        " from unknown u join chain h on h.id = u.chain join channel c on c.id = u.channel order by 1, 2, 3, 4, 5"
    )
    chains = "select epoch, through, head, top, asides, born, previous, standing, rank, succeeded from chain order by 1"
    database = store._database
    return [database.execute(sql) for sql in (named, gaps, chains, "select * from boot order by 1, 2, 3")]


@settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data())
def test_the_order_of_arrival_changes_nothing(data: st.DataObject) -> None:
    """P1, P5, P15."""
    lines, _ = data.draw(histories())
    topic = PaperGateway().topic
    straight, crooked = paper_collector(PaperGateway()), paper_collector(PaperGateway())
    for line in lines:
        straight.take(topic, [line])
    for batch in data.draw(deliveries(lines)):
        crooked.take(topic, batch)
    assert _rows(straight) == _rows(crooked)
    for collector in (straight, crooked):
        assert audit(collector.store, Store(SqliteDatabase(":memory:")), collector.settings) is None
    before = [crooked.store.rows(f"audit_{table}", 10_000, 0) for table in PROJECTED]
    rebuild(crooked.store, crooked.settings)
    after = [crooked.store.rows(f"audit_{table}", 10_000, 0) for table in PROJECTED]
    assert before == after


@settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data())
def test_what_the_meters_counted_is_what_is_counted(data: st.DataObject) -> None:
    """P1: for an honest gateway nothing is quarantined, whatever is still missing in the middle."""
    lines, total = data.draw(histories())
    collector = paper_collector(PaperGateway())
    topic = PaperGateway().topic
    births = {0, len(lines) - 1}
    missing = data.draw(st.sets(st.sampled_from(range(len(lines)))))
    epochs = [line.split(b'"epoch":"')[1][:8] for line in lines]
    births |= {at for at in range(len(lines)) if at == 0 or epochs[at] != epochs[at - 1]}
    births |= {at - 1 for at in births if at}
    late = [lines[at] for at in sorted(missing - births)]
    early = [line for line in lines if line not in late]
    for batch in data.draw(deliveries(early)):
        collector.take(topic, batch)
    _assert_account(collector, total)
    collector.take(topic, late)
    _assert_account(collector, total)


def _assert_account(collector: PaperCollector, total: int) -> None:
    accounts = account(collector.store)
    assert sum(each.counted + each.unplaced for each in accounts) == total
    assert quarantine(collector.store) == []
