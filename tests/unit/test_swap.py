"""P4: a meter that people exchange keeps its register going, and each unit of both displays is counted once."""

import pytest

from edge_agent.reading import ChannelName, Kind
from edge_agent.swap import ASIDE_SECONDS_MAX, Swap
from shared.errors import Refused
from shared.report import Birth, Cause, Exchange, Gap, Usage, Verdict
from tests.metering_site import Bench, spec

NAME = ChannelName("m1", "energy")


def swap(bench: Bench, old: int | None, serial: str, new: int) -> Refused | None:
    refused = bench.metering.exchange(NAME, Swap(old, serial, new), bench.tick)
    bench.seal()
    return refused


def metered(*, serial: str = "s-1") -> Bench:
    bench = Bench(spec())
    bench.read(1_000, serial=serial)
    for number in range(1, 6):
        bench.wait(30)
        bench.read(1_000 + 10 * number, serial=serial)
    return bench


@pytest.mark.parametrize("serial", ["s-1", ""])
def test_units_between_the_old_and_the_new_display_are_exact(serial: str) -> None:
    """P1: what both meters counted between the first and the last reading, and nothing else."""
    bench = metered(serial=serial)
    assert bench.metering.set_aside(NAME, bench.tick) is None
    bench.wait(600)
    bench.read(7, serial="s-2" if serial else "")
    assert swap(bench, 1_073, "s-2", 3) is None
    bench.wait(40)
    bench.read(9, serial="s-2" if serial else "")
    bench.wait(1_800)
    assert bench.reader.used["m1", "energy"] == (1_073 - 1_000) + (9 - 3)
    assert bench.reader.raw["m1", "energy"] == 9
    line = bench.reader.of(Exchange)[0].rows[0]
    assert line[2:] == (serial, 1_073, "s-2", 3, 1_073)
    assert not bench.reader.unknown
    assert [note for note in bench.notes() if note is not Verdict.GLITCH] == [Verdict.EXCHANGE]


def test_an_old_display_that_nobody_could_read_leaves_a_gap_of_unknown_amount() -> None:
    """P3: it is declared, and nothing is guessed."""
    bench = metered()
    assert swap(bench, None, "s-2", 0) is None
    bench.wait(60)
    bench.read(4, serial="s-2")
    bench.wait(900)
    assert bench.reader.used["m1", "energy"] == 50 + 4
    assert len(bench.reader.unknown) == 1


def test_a_swap_that_is_said_after_the_new_meter_was_read_makes_good_what_both_displays_prove() -> None:
    bench = metered()
    bench.wait(300)
    bench.read(20, serial="s-2")
    bench.wait(30)
    bench.read(25, serial="s-2")
    bench.restart(down=5)
    assert swap(bench, 1_060, "s-2", 12) is None
    bench.wait(30)
    bench.read(26, serial="s-2")
    bench.wait(1_800)
    assert bench.reader.used["m1", "energy"] == 60 + (26 - 12)
    assert bench.reader.raw["m1", "energy"] == 26
    assert bench.reader.of(Exchange)[0].rows[0].old_serial == "s-1"
    assert isinstance(swap(bench, 1_060, "s-2", 12), Refused), "once"


@pytest.mark.parametrize(
    ("old", "serial", "new", "why"),
    [
        (1_049, "s-2", 0, "cannot have shown less"),
        (90_000, "s-2", 0, "cannot have counted"),
        (1_060, "s-1", 0, "already bears"),
        (1_060, "s|2", 0, "plain characters"),
        (1_060, "s-2", -1, "outside"),
    ],
)
def test_what_cannot_be_so_is_refused_and_changes_nothing(old: int, serial: str, new: int, why: str) -> None:
    bench = metered()
    before = bench.register
    refused = swap(bench, old, serial, new)
    assert refused is not None
    assert why in refused.reason
    bench.wait(30)
    bench.read(1_055, serial="s-1")
    assert bench.register == (before or 0) + 5
    assert not bench.reader.of(Exchange)


def test_the_source_s_own_word_on_serial_and_reading_outranks_what_is_typed() -> None:
    bench = metered()
    bench.metering.set_aside(NAME, bench.tick)
    bench.read(2, serial="s-3")
    other = swap(bench, 1_060, "s-2", 0)
    assert other is not None
    assert "says the serial number s-3" in other.reason
    more = swap(bench, 1_060, "s-3", 5)
    assert more is not None
    assert "reads 2 Wh by now" in more.reason
    assert swap(bench, 1_060, "s-3", 2) is None


def test_a_channel_set_aside_is_metered_again_when_nobody_says_an_exchange() -> None:
    """P1: everything is made good by the old meter's register."""
    bench = metered()
    bench.metering.set_aside(NAME, bench.tick)
    for number in range(1, 10):
        bench.wait(60)
        bench.read(1_050 + number, serial="s-1")
    assert bench.register == 1_050
    bench.metering.take_back(NAME)
    bench.wait(60)
    bench.read(1_070, serial="s-1")
    bench.metering.set_aside(NAME, bench.tick)
    for _ in range(ASIDE_SECONDS_MAX // 600 + 1):
        bench.wait(600)
        bench.read(1_090, serial="s-1")
    assert bench.register == 1_090
    bench.wait(900)
    assert bench.reader.used["m1", "energy"] == 90
    assert bench.reader.of(Gap)


def test_only_counters_have_a_display_to_exchange() -> None:
    bench = Bench(spec(kind=Kind.PULSE))
    bench.read(5)
    assert bench.metering.set_aside(NAME, bench.tick) is not None
    refused = swap(bench, 1, "s-2", 0)
    assert refused is not None
    assert "no display of its own" in refused.reason
    assert bench.metering.exchange(ChannelName("m9", "energy"), Swap(1, "s", 1), bench.tick) is not None


def test_a_meter_that_was_never_read_is_not_exchanged() -> None:
    bench = Bench(spec())
    refused = swap(bench, 5, "s-2", 0)
    assert refused is not None
    assert "never been read" in refused.reason


def test_what_was_confirmed_at_the_display_is_stated_by_a_birth() -> None:
    bench = metered()
    assert bench.metering.restate(NAME, bench.tick) == ("s-1", 1_050, 1_050)
    bench.seal()
    birth = bench.reader.of(Birth)[-1]
    assert birth.cause is Cause.CONFIG
    assert birth.channels[0].serial == "s-1"
    bench.wait(30)
    bench.read(1_055, serial="s-1")
    bench.wait(1_800)
    assert bench.reader.used["m1", "energy"] == 55
    starts = [usage.start + usage.step * at for usage in bench.reader.of(Usage) for at in range(usage.count)]
    assert starts == sorted(set(starts)), "P13: no interval is sealed twice"
