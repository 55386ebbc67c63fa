"""From readings and a clock to the lines that must be sealed, in their order."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge_agent.metering import Metering, SpecChanged
from edge_agent.reading import Kind, Reading
from edge_agent.sealable import BirthContent, GapContent, Sealable
from shared.errors import InvalidRecord
from shared.limits import LINE_BYTES_MAX
from shared.report import Birth, Cause, Channel, Clock, ClockLine, Gap, GapCause, GapRow, Usage, Verdict
from tests.metering_site import MIDNIGHT_MS, Bench, Reader, spec

MIDNIGHT = MIDNIGHT_MS // 1_000
WIRE = json.loads((Path(__file__).parent.parent / "golden" / "wire.json").read_text(encoding="ascii"))


def golden(number: int) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(WIRE["reports"][number - 1].split("|")[1])
    return body


def test_a_birth_states_the_first_reading_and_every_window_is_sealed_even_when_nothing_was_used() -> None:
    bench = Bench(spec())
    for _ in range(61):
        bench.read(1_000)
        bench.wait(30)
    birth, *windows = bench.reader.records
    assert isinstance(birth, Birth)
    assert birth.channels == (Channel("m1", "energy", "Wh", 0, "bench", "", 1_000, 1_000),)
    assert [(usage.start, usage.count) for usage in windows if isinstance(usage, Usage)] == [
        (MIDNIGHT, 15),
        (MIDNIGHT + 900, 15),
    ]
    assert not bench.reader.used["m1", "energy"]
    assert not bench.notes()


def test_a_birth_waits_ten_seconds_for_readings_and_then_states_null() -> None:
    bench = Bench(spec())
    bench.seal()
    bench.wait(9)
    assert not bench.reader.records
    bench.wait(1)
    assert bench.reader.of(Birth)[0].channels[0][-2:] == (0, None)


def test_a_channel_born_with_null_is_born_again_at_its_first_reading_and_its_register_stays() -> None:
    bench = Bench(spec())
    bench.fail()
    bench.wait(70)
    bench.read(1_000)
    bench.wait(60)
    bench.read(1_005)
    bench.wait(900)
    assert [birth.channels[0][-2:] for birth in bench.reader.of(Birth)] == [(0, None), (0, 1_000)]
    assert bench.reader.used["m1", "energy"] == 5
    assert bench.reader.raw["m1", "energy"] == 1_005


def test_a_silence_is_made_good_by_a_gap_sealed_before_the_usage_line_it_ends_in() -> None:
    """The wire's golden lines 3 and 4, row by row, but for their windows' phase: ours end at quarter-hours."""
    usage, gap = golden(3), golden(4)
    early = 300
    start, register = usage["start"], usage["rows"][0][4]
    bench = Bench(spec(device="sdm630-1"))
    bench.offset_ms = (start - early) * 1_000 - bench.ms
    bench.read(register, device="sdm630-1")
    for minute in range(15):
        bench.wait(60)
        bench.read(register + 12 * (minute + 1), device="sdm630-1")
    for _ in range(13):
        bench.wait(60)
        bench.fail()
    bench.wait(60)
    bench.read(gap["rows"][0][6], device="sdm630-1")
    bench.wait(60.001)
    lines = bench.reader.records[1:]
    assert isinstance(lines[0], Usage)
    assert (lines[0].start + early, lines[0].rows[0].register) == (start, register)
    assert list(lines[0].rows[0].deltas) == [12] * 15
    assert isinstance(lines[1], Gap)
    row = lines[1].rows[0]
    assert list(row._replace(start=row.start + early, end=row.end + early)) == gap["rows"][0]
    assert lines[1].header.sealed_at + early == gap["sealed_at"]
    assert isinstance(lines[2], Usage)
    assert lines[2].rows[0].register == gap["rows"][0][6]
    assert sorted(lines[2].rows[0].notes) == [*range(13), 14]


def test_a_reset_cuts_the_window_and_a_birth_restates_raw_before_the_usage_that_holds_it() -> None:
    """At every line a collector finds raw = the last birth's raw + what moved since."""
    bench = Bench(spec(), spec("m2"))
    bench.read(1_000, generation="a")
    bench.read(500, device="m2")
    for value, generation in ((1_010, "a"), (1_020, "a"), (1_030, "a"), (7, "b"), (9, "b"), (30, "b")):
        bench.wait(40)
        bench.read(value, generation=generation)
        bench.read(500, device="m2")
    bench.wait(900)
    kinds = [type(record) for record in bench.reader.records]
    assert kinds == [Birth, Usage, Birth, Usage]
    _, before, birth, after = bench.reader.records
    assert isinstance(birth, Birth)
    assert birth.cause is Cause.RESET
    assert isinstance(before, Usage)
    assert isinstance(after, Usage)
    assert before.end == after.start == MIDNIGHT + 120
    assert after.rows[0].notes[0] is Verdict.RESET
    assert birth.channels[0][-2:] == (1_030, 0)
    assert bench.reader.raw["m1", "energy"] == 30
    assert bench.reader.used == {("m1", "energy"): 60, ("m2", "energy"): 0}


def test_a_reset_confirmed_an_interval_later_leaves_the_other_channels_where_they_were() -> None:
    bench = Bench(spec(), spec("m2"))
    for minute, value in enumerate((9_000, 9_010, 9_020, 3, 5, 7)):
        bench.read(value)
        bench.read(100 * minute, device="m2")
        bench.wait(60)
    bench.wait(900)
    deltas = [delta for usage in bench.reader.of(Usage) for delta in usage.rows[1].deltas]
    assert deltas[:6] == [100, 100, 100, 100, 100, 0]
    assert [delta for usage in bench.reader.of(Usage) for delta in usage.rows[0].deltas][:6] == [10, 10, 3, 2, 2, 0]


def test_resets_at_every_reading_cost_at_most_one_birth_an_interval() -> None:
    """P9."""
    bench = Bench(spec())
    for second in range(600):
        bench.read(second % 5, generation=f"g{second}")
        bench.wait(1)
    assert len(bench.reader.of(Birth)) <= 11
    assert bench.reader.raw["m1", "energy"] is not None


def test_an_exchanged_meter_is_a_gap_of_unknown_amount_and_a_birth_with_the_new_serial() -> None:
    bench = Bench(spec())
    bench.read(1_000, serial="A")
    bench.wait(30)
    bench.read(1_010, serial="A")
    bench.wait(30)
    bench.read(3, serial="B")
    bench.wait(30)
    bench.read(8, serial="B")
    bench.wait(900)
    assert bench.reader.used["m1", "energy"] == 15
    assert [(gap.before, gap.after) for gap in bench.reader.unknown] == [(None, None)]
    assert bench.reader.of(Birth)[-1].channels[0].serial == "B"
    assert Verdict.EXCHANGE in bench.notes()
    assert bench.reader.raw["m1", "energy"] == 8


def test_a_boot_in_1970_is_relative_until_placed_and_then_says_once_where_it_lies() -> None:
    bench = Bench(spec(), synchronised=False, ms=20_000)
    for value in range(50):
        bench.read(value)
        bench.wait(30)
    bench.offset_ms = MIDNIGHT_MS - bench.ms
    bench.synchronised = True
    for value in range(50, 100):
        bench.read(value)
        bench.wait(30)
    bench.synchronised = False
    bench.wait(60)
    bench.synchronised = True
    bench.wait(1_800)
    letters = [record.header.clock for record in bench.reader.records]
    clock = next(at for at, record in enumerate(bench.reader.records) if isinstance(record, ClockLine))
    assert set(letters[:clock]) == {Clock.RELATIVE}
    assert Clock.RELATIVE not in letters[clock:]
    assert [line.offset for line in bench.reader.of(ClockLine)] == [bench.offset_ms // 1_000]
    relative = [usage for usage in bench.reader.of(Usage) if usage.header.clock is Clock.RELATIVE]
    assert all(usage.header.sealed_at < 2_000 for usage in relative)
    assert [usage.start for usage in relative] == [0, 900]
    assert bench.reader.used["m1", "energy"] == 99


def test_a_wall_clock_that_steps_neither_loses_nor_doubles_an_interval() -> None:
    """P13: whole intervals are sealed as they were placed, the rest goes on at the new placement."""
    bench = Bench(spec())
    for value in range(10):
        bench.read(value)
        bench.wait(30)
    bench.offset_ms += 3_600_000
    for value in range(10, 40):
        bench.read(value)
        bench.wait(30)
    windows = [(usage.start, usage.count) for usage in bench.reader.of(Usage)]
    assert windows == [(MIDNIGHT, 4), (MIDNIGHT + 3_600 + 240, 11)]
    assert bench.register == 39


def test_a_step_back_makes_windows_overlap_in_utc_but_never_in_register() -> None:
    bench = Bench(spec())
    for value in range(10):
        bench.read(value)
        bench.wait(30)
    bench.offset_ms -= 600_000
    for value in range(10, 60):
        bench.read(value)
        bench.wait(30)
    windows = bench.reader.of(Usage)
    assert windows[1].start < windows[0].end
    assert bench.reader.register["m1", "energy"] == sum(sum(usage.rows[0].deltas) for usage in windows)


def test_drift_is_followed_without_cutting_a_window() -> None:
    bench = Bench(spec())
    for value in range(200):
        bench.read(value)
        bench.offset_ms += 15
        bench.wait(30)
    windows = bench.reader.of(Usage)
    assert {usage.count for usage in windows} == {15}
    assert [usage.start for usage in windows] == [MIDNIGHT + 900 * at for at in range(len(windows))]


def test_a_clock_that_was_synchronised_marks_its_windows_as_informed() -> None:
    bench = Bench(spec())
    bench.read(1)
    bench.wait(60)
    bench.synchronised = False
    bench.wait(60)
    bench.synchronised = True
    bench.wait(1_700)
    assert [usage.header.clock for usage in bench.reader.of(Usage)] == [Clock.INFORMED, Clock.SYNCHRONISED]


def test_after_a_reboot_the_open_window_is_sealed_first_under_its_own_boot_and_clock() -> None:
    bench = Bench(spec())
    bench.read(1_000)
    bench.wait(70)
    bench.read(1_020)
    bench.wait(60)
    bench.read(1_040)
    bench.restart(down=1_000, boot="b0000002")
    bench.wait(5)
    bench.read(1_100)
    bench.wait(900)
    first, old, birth, gap, usage = bench.reader.records
    assert isinstance(first, Birth)
    assert isinstance(old, Usage)
    assert (old.header.boot, old.header.clock, old.start, old.count) == ("b0000001", Clock.SYNCHRONISED, MIDNIGHT, 3)
    assert old.header.sealed_at == MIDNIGHT + 130
    assert isinstance(birth, Birth)
    assert (birth.header.boot, birth.cause, birth.channels[0][-2:]) == ("b0000002", Cause.START, (1_040, 1_040))
    assert isinstance(gap, Gap)
    assert (
        gap.rows == (GapRow("m1", "energy", MIDNIGHT + 130, MIDNIGHT + 1_135, GapCause.AGENT_DOWN, 1_040, 1_100),)
        or gap.rows[0].cause is GapCause.AGENT_DOWN
    )
    assert isinstance(usage, Usage)
    assert usage.rows[0].register == bench.register == 1_100


def test_a_quick_restart_in_the_same_boot_goes_on_in_the_same_window() -> None:
    bench = Bench(spec())
    for value in range(0, 40, 2):
        bench.read(1_000 + value)
        if value == 20:
            bench.restart(down=3)
        bench.wait(30)
    bench.wait(900)
    assert [type(record) for record in bench.reader.records[:3]] == [Birth, Birth, Usage]
    assert not bench.reader.of(Gap)
    assert bench.reader.used["m1", "energy"] == 38


def test_a_silence_that_began_in_a_boot_nobody_can_place_begins_with_this_boot() -> None:
    bench = Bench(spec(), synchronised=False)
    bench.read(1_000)
    bench.wait(30)
    bench.read(1_010)
    bench.restart(down=5_000, boot="b0000002", uptime=30)
    bench.wait(100)
    bench.read(4_000)
    bench.wait(30)
    bench.read(4_010)
    bench.wait(1_800)
    (gap,) = bench.reader.of(Gap)
    assert gap.header.clock is Clock.RELATIVE
    assert gap.rows == (GapRow("m1", "energy", 0, 130, GapCause.AGENT_DOWN, 1_010, 4_000),)
    assert bench.reader.used["m1", "energy"] == 3_010


def test_who_was_suspended_for_days_seals_no_windows_for_them() -> None:
    """P9: a month asleep is one gap, not three thousand lines."""
    bench = Bench(spec())
    bench.read(1_000)
    bench.wait(30)
    bench.wait(30 * 86_400)
    bench.read(1_500)
    bench.wait(900)
    assert len(bench.reader.records) < 8
    assert bench.reader.used["m1", "energy"] == 500


def test_a_new_epoch_restarts_counters_at_raw_and_keeps_what_only_the_agent_counted() -> None:
    """What a counter used meanwhile is what the collector bridges: raw at birth less raw at the old epoch's end."""
    bench = Bench(spec(), spec("p1", kind=Kind.PULSE))
    bench.read(1_000)
    bench.read(4, device="p1")
    bench.wait(50)
    bench.read(1_020)
    bench.read(5, device="p1")
    bench.reader = Reader()
    bench.metering.new_epoch()
    bench.seal()
    birth, placed = bench.reader.records
    assert isinstance(placed, ClockLine), "a restored image does not know which lines of its boot have no UTC"
    assert isinstance(birth, Birth)
    assert birth.cause is Cause.EPOCH
    assert [channel[-2:] for channel in birth.channels] == [(1_020, 1_020), (0, None)]
    bench.wait(20)
    bench.read(1_025)
    bench.wait(900)
    assert bench.reader.used == {("m1", "energy"): 5, ("p1", "energy"): 9}


def test_pulses_over_a_silence_are_estimated_and_gauges_over_a_silence_are_unknown() -> None:
    bench = Bench(spec("p1", kind=Kind.PULSE), spec("g1", kind=Kind.GAUGE, rate_max=10))
    bench.read(0, device="p1")
    bench.read(3_600, device="g1")
    bench.wait(400)
    bench.read(7, device="p1")
    bench.read(3_600, device="g1")
    bench.wait(900)
    (gap,) = bench.reader.of(Gap)
    assert [(row.device, row.before, row.after) for row in gap.rows] == [("p1", 0, 7), ("g1", None, None)]
    assert [birth.channels[0].raw for birth in bench.reader.of(Birth)] == [None]


def test_a_changed_unit_kind_or_log_is_refused_with_a_sentence() -> None:
    """P4."""
    bench = Bench(spec())
    bench.read(1_000)
    snapshot = bench.metering.snapshot()
    for changed in (spec(unit="kW.h"), spec(exponent=3), spec(kind=Kind.GAUGE), spec(log="flat-2")):
        with pytest.raises(SpecChanged, match=r"m1\.energy"):
            Metering.restore(snapshot, [changed], tick=bench.tick)


def test_a_channel_that_leaves_and_comes_back_keeps_its_register() -> None:
    bench = Bench(spec(), spec("m2"))
    both = bench.specs
    bench.read(1_000)
    bench.read(50, device="m2")
    bench.wait(30)
    bench.read(60, device="m2")
    bench.read(1_010)
    bench.specs = both[:1]
    bench.restart()
    bench.wait(1_000)
    bench.read(1_020)
    bench.specs = both
    bench.restart()
    bench.read(75, device="m2")
    bench.wait(1_000)
    assert {birth.cause for birth in bench.reader.of(Birth)} == {Cause.START, Cause.CONFIG}
    assert bench.reader.used == {("m1", "energy"): 20, ("m2", "energy"): 25}


def test_another_step_takes_effect_without_losing_the_open_window() -> None:
    bench = Bench(spec())
    bench.read(1_000)
    bench.wait(70)
    bench.read(1_010)
    bench.step, bench.count = 300, 3
    bench.restart()
    bench.wait(20)
    bench.read(1_015)
    bench.wait(1_800)
    assert {usage.step for usage in bench.reader.of(Usage)} == {60, 300}
    assert bench.reader.used["m1", "energy"] == 15


def test_readings_of_no_channel_or_out_of_order_are_refused_and_named() -> None:
    bench = Bench(spec())
    bench.read(1_000)
    stranger = Reading(device="zz", meter="energy", value=1, at_ms=bench.ms)
    old = Reading(device="m1", meter="energy", value=999, at_ms=bench.ms - 1)
    historic = Reading(device="m1", meter="energy", value=1_001, at_ms=bench.ms, utc=MIDNIGHT)
    assert bench.metering.observe([stranger, old, historic], bench.tick) == (stranger, old, historic)


def test_a_log_holds_replayed_channels_or_live_ones() -> None:
    with pytest.raises(InvalidRecord, match="mixes"):
        Bench(spec(), spec("m2", historic=True))


def test_a_log_of_many_channels_is_shared_out_to_lines_within_the_wires_bounds() -> None:
    """P9."""
    specs = [spec(f"device-{number:025d}", rate_max=2**40) for number in range(700)]
    bench = Bench(*specs, count=60, step=60)
    huge = 0
    for _ in range(65):
        huge += 2**45
        bench.metering.observe(
            [Reading(device=one.device, meter="energy", value=huge, at_ms=bench.ms) for one in specs], bench.tick
        )
        bench.wait(60)
    usages = bench.reader.of(Usage)
    assert len(usages) > 1
    for usage in usages:
        assert len(json.dumps(usage.rows)) < LINE_BYTES_MAX - 1_024
    assert sum(len(usage.rows) for usage in usages if usage.start == usages[0].start) == 700
    births = bench.reader.of(Birth)
    assert sum(len(birth.channels) for birth in births if birth.header.sealed_at == births[0].header.sealed_at) == 700


def test_a_replay_that_has_caught_up_seals_by_the_wall_clock_and_loses_no_reading_on_a_boundary() -> None:
    bench = Bench(spec(historic=True))
    bench.metering.caught_up("main")
    for minute in range(40):
        at = MIDNIGHT + 60 * minute
        bench.wait(1)
        bench.metering.observe([Reading(device="m1", meter="energy", value=3 * minute, at_ms=0, utc=at)], bench.tick)
        bench.wait(59)
    assert [(usage.start, usage.count) for usage in bench.reader.of(Usage)] == [(MIDNIGHT, 15), (MIDNIGHT + 900, 15)]
    assert not bench.reader.of(Gap)
    assert bench.reader.used["m1", "energy"] == 90


@pytest.mark.parametrize("interval", [(60, 15), (60, 1)])
def test_what_a_history_gained_while_nothing_ran_is_sealed_in_its_own_intervals(interval: tuple[int, int]) -> None:
    """Its file is read before the wall clock closes a window, also where windows are cut otherwise now."""
    bench = Bench(spec(historic=True))
    readings = [
        Reading(device="m1", meter="energy", value=3 * minute, at_ms=0, utc=MIDNIGHT + 60 * minute)
        for minute in range(151)
    ]
    bench.metering.caught_up("main")
    bench.metering.observe(readings[:20], bench.tick)
    bench.wait(20 * 60)
    bench.step, bench.count = interval
    bench.restart(down=130 * 60)
    bench.metering.observe(readings[20:], bench.tick)
    bench.metering.caught_up("main")
    bench.wait(60)
    usages = bench.reader.of(Usage)
    assert [usage.start for usage in usages[1:]] == [usage.end for usage in usages[:-1]]
    assert usages[-1].end == MIDNIGHT + 150 * 60
    assert [delta for usage in usages for delta in usage.rows[0].deltas] == [3] * 150
    assert not any(usage.rows[0].notes for usage in usages)
    assert not bench.reader.of(Gap)


def test_declared_lines_are_sealed_after_the_birth() -> None:
    metering = Metering([spec()], tick=Bench().tick)
    rows = (GapRow("m1", "energy", MIDNIGHT, MIDNIGHT + 60, GapCause.SPOOL_LOST, None, None),)
    content = GapContent(rows=rows)
    metering.declare(
        [Sealable(log="main", boot="b0000001", clock=Clock.SYNCHRONISED, sealed_at=MIDNIGHT, content=content)]
    )
    assert metering.due(Bench().tick) == ()
    metering = Metering.restore(json.loads(json.dumps(metering.snapshot())), [spec()], tick=Bench().tick)
    metering.source_failed([spec()], Bench().tick)
    assert [type(line.content) for line in metering.due(Bench().tick)] == [BirthContent, GapContent]
