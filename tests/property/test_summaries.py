"""Summaries, their lines and summaries of summaries, any of them in any order: one state, and the registers' total."""

from itertools import pairwise

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cloud_collector.intake.replay import audit, rebuild
from cloud_collector.store.account import account, quarantine
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import ChannelName
from shared.effects.sqlite import SqliteDatabase
from shared.report import Cause, Clock
from tests.examples import examples
from tests.property.test_intake_order import CHANNELS, PROJECTED, _rows
from tests.sealing import NOON, PaperGateway, paper_collector

Histories = tuple[PaperGateway, dict[int, set[int]], int]
"""The gateway with its lines, by a summary's position the lines that it stands for, and what its meters counted."""


@st.composite
def histories(draw: st.DrawFn) -> Histories:
    """A gateway's honest lines of one epoch, folded and folded again as a full spool does it."""
    gateway = PaperGateway(now=NOON + draw(st.integers(0, 3_600)))
    registers = dict.fromkeys(CHANNELS, 0)
    gateway.birth(*((*channel, 0, 100) for channel in CHANNELS))
    boots: dict[int, str] = {}
    for _ in range(draw(st.integers(3, 12))):
        kind = draw(st.sampled_from(("usage", "usage", "usage", "idle", "gap", "birth", "boot")))
        if kind == "birth":
            gateway.birth(*((*channel, registers[channel], 100) for channel in CHANNELS), cause=Cause.CONFIG)
            continue
        if kind == "boot":
            dark = draw(st.booleans())
            gateway.boot = f"d{len(gateway.lines):07x}"
            gateway.clock = Clock.RELATIVE if dark else Clock.SYNCHRONISED
            gateway.now = 30 if dark else max(gateway.now, NOON) + 7_200
            gateway.birth(*((*channel, registers[channel], 100) for channel in CHANNELS))
            continue
        if kind == "gap":
            units = draw(st.integers(0, 90))
            gateway.gap(
                *CHANNELS[0], gateway.now, gateway.now + 1_500, registers[CHANNELS[0]], registers[CHANNELS[0]] + units
            )
            registers[CHANNELS[0]] += units
            boots[len(gateway.lines)] = gateway.boot
        step, count = draw(st.sampled_from((60, 900, 1_700))), draw(st.integers(1, 3))
        rows = []
        for channel in CHANNELS:
            most = 0 if kind == "idle" else 300
            deltas = draw(st.lists(st.integers(0, most), min_size=count, max_size=count))
            rows.append((*channel, registers[channel], deltas))
            registers[channel] += sum(deltas)
        gateway.usage(*rows, step=step)
        boots[len(gateway.lines)] = gateway.boot
    folded: dict[int, set[int]] = {}
    for _ in range(draw(st.integers(1, 4))):
        _fold(draw, gateway, boots, folded)
    return gateway, folded, sum(registers.values())


def _fold(draw: st.DrawFn, gateway: PaperGateway, boots: dict[int, str], folded: dict[int, set[int]]) -> None:
    gone = {seq for seqs in folded.values() for seq in seqs}
    left = sorted(seq for seq in boots if seq not in gone)
    again = draw(st.booleans()) and any(seq in folded for seq in left)
    left = [seq for seq in left if not again or seq in folded]
    if not left:
        return
    first = draw(st.sampled_from(left))
    seqs = [seq for seq in left if seq >= first and boots[seq] == boots[first]][: draw(st.integers(1, 6))]
    if gateway.summary(seqs, 86_400 if again else 3_600) is not None:
        at = len(gateway.lines)
        folded[at] = {one for seq in seqs for one in ({seq} | folded.get(seq, set()))}
        boots[at] = boots[first]


@st.composite
def deliveries(draw: st.DrawFn, lines: list[bytes]) -> list[list[bytes]]:
    extra = draw(st.lists(st.sampled_from(lines), max_size=4))
    shuffled = draw(st.permutations([*lines, *extra]))
    cuts = draw(st.lists(st.integers(0, len(shuffled)), max_size=4))
    return [shuffled[start:end] for start, end in pairwise(sorted({0, *cuts, len(shuffled)}))]


@st.composite
def kept(draw: st.DrawFn, history: Histories) -> list[int]:
    """Positions that arrive: any, as long as of every position left out another one tells."""
    gateway, folded, _ = history
    everything = set(range(1, len(gateway.lines) + 1))
    tellable = {one for seqs in folded.values() for one in seqs}
    away = draw(st.sets(st.sampled_from(sorted(tellable)))) if tellable else set()
    here = everything - away
    told = {one for seq in here for one in folded.get(seq, set())}
    return sorted(here | (away - told))


SLOW = settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@SLOW
@given(data=st.data())
def test_summaries_and_their_lines_in_any_order_end_in_the_same_state(data: st.DataObject) -> None:
    """P1, P5, P15: any subset of lines, summaries and summaries of summaries, in any order, any of them twice."""
    gateway, folded, _ = data.draw(histories())
    assume(folded)
    lines = [line for line in gateway.lines if data.draw(st.booleans())]
    assume(lines)
    straight, crooked = paper_collector(gateway), paper_collector(gateway)
    for line in lines:
        straight.take(gateway.topic, [line])
    for batch in data.draw(deliveries(lines)):
        crooked.take(gateway.topic, batch)
    assert _rows(straight) == _rows(crooked)
    for collector in (straight, crooked):
        assert audit(collector.store, Store(SqliteDatabase(":memory:")), collector.settings) is None
    before = [crooked.store.rows(f"audit_{table}", 10_000, 0) for table in (*PROJECTED, "cover")]
    rebuild(crooked.store, crooked.settings)
    assert before == [crooked.store.rows(f"audit_{table}", 10_000, 0) for table in (*PROJECTED, "cover")]


@SLOW
@given(data=st.data())
def test_a_summary_and_its_lines_count_once_and_nothing_is_missing(data: st.DataObject) -> None:
    """P1, P3: whatever part comes as lines and whatever as summaries, the total is what the meters counted."""
    history = data.draw(histories())
    gateway, folded, total = history
    assume(folded)
    here = data.draw(kept(history))
    collector = paper_collector(gateway)
    receipts = []
    for batch in data.draw(deliveries([gateway.lines[seq - 1] for seq in here])):
        receipts += collector.receipts(collector.take(gateway.topic, batch))
    assert quarantine(collector.store) == []
    assert sum(each.counted + each.unplaced for each in account(collector.store)) == total
    chain = collector.store.rows("chain_by_name", gateway.name, gateway.log, gateway.epoch)[0]
    assert chain[4] == len(gateway.lines), "covered positions are no longer missing"
    if receipts:
        assert receipts[-1].missing == ()
    late = [line for seq, line in enumerate(gateway.lines, start=1) if seq not in here]
    collector.take(gateway.topic, late)
    assert quarantine(collector.store) == []
    assert sum(each.counted + each.unplaced for each in account(collector.store)) == total
    assert collector.store.rows("chain_by_name", gateway.name, gateway.log, gateway.epoch)[0][4] == len(gateway.lines)
    assert not collector.store.rows("asides_raw"), "a covered line that comes later takes its position"


@SLOW
@given(data=st.data())
def test_usage_looked_up_and_usage_summed_agree_on_summaries(data: st.DataObject) -> None:
    """P12, P15."""
    history = data.draw(histories())
    gateway, folded, _ = history
    assume(folded)
    collector = paper_collector(gateway)
    for seq in data.draw(kept(history)):
        collector.take(gateway.topic, [gateway.lines[seq - 1]])
    view = StoreView(collector.store)
    start = NOON + data.draw(st.integers(-4_000, 90_000))
    end = start + data.draw(st.integers(1, 100_000))
    for device, meter in CHANNELS:
        channel = ChannelName(gateway=gateway.name, device=device, meter=meter)
        summed = Ledger(view.spans(channel, 0, 2**33)).measure(channel, start, end)
        looked_up = view.measure(channel, start, end)
        assert (summed is None) == (looked_up is None)
        if summed is not None and looked_up is not None:
            assert (summed.units, summed.estimated) == (looked_up.units, looked_up.estimated)
