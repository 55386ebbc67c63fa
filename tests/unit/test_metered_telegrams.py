"""From telegrams to sealed lines: lumps, exchanges and glitches of smart meters are what metering takes them for."""

from edge_agent.reading import Reading
from edge_agent.sources.obis import Unreadable
from edge_agent.sources.obis_channel import ObisChannel, reading_of
from edge_agent.sources.p1_telegram import P1Telegrams
from shared.report import Birth, Verdict
from tests import telegrams
from tests.metering_site import Bench

ENERGY = ObisChannel(meter="energy_in", obis="1.8.1")
GAS = ObisChannel(meter="gas", device="gas-1")


class Site:
    """A P1 port whose telegrams are metered as they come, one every ten seconds."""

    def __init__(self) -> None:
        self.framer = P1Telegrams()
        self.pairs = [(channel, channel.spec("home", "dsmr", "main")) for channel in (ENERGY, GAS)]
        self.bench = Bench(*(spec for _, spec in self.pairs))

    def hear(self, telegram: bytes) -> None:
        for found in self.framer.feed(telegram):
            assert not isinstance(found, Unreadable)
            readings = [reading_of(found, channel, spec, self.bench.ms) for channel, spec in self.pairs]
            self.bench.metering.observe([each for each in readings if isinstance(each, Reading)], self.bench.tick)
        self.bench.wait(10)

    def used(self) -> dict[str, int]:
        self.bench.wait(900)
        return {f"{device}.{meter}": amount for (device, meter), amount in self.bench.reader.used.items()}


def _printed(thousandths: int, width: int) -> str:
    return f"{thousandths // 1_000}.{thousandths % 1_000:03d}".rjust(width, "0")


def test_gas_that_comes_in_an_hour_s_lump_is_used_and_no_glitch() -> None:
    """P4: the boundary between plausible and not is drawn for how the port delivers."""
    site = Site()
    for hour in range(3):
        for tick in range(90):
            used, gas = 1_000_000 + 90 * hour + tick, 100_000 + 9_500 * hour
            site.hear(telegrams.dsmr5(used=_printed(used, 10), gas=_printed(gas, 9)))
    assert site.used() == {"home.energy_in": 269, "gas-1.gas": 19_000}
    assert site.bench.notes() == []
    assert site.bench.reader.unknown == []


def test_an_exchanged_meter_is_told_by_its_number() -> None:
    """P4: nothing is created or destroyed where a new meter shows less, and nothing where it shows more."""
    for first in ("000002.000", "900000.000"):
        site = Site()
        for watt_hours in range(5):
            site.hear(telegrams.dsmr5(used=f"000500.{watt_hours:03d}"))
        for watt_hours in range(5):
            site.hear(telegrams.dsmr5(used=first[:-3] + f"{watt_hours:03d}", serial="TEST0002"))
        assert site.used()["home.energy_in"] == 8
        assert Verdict.EXCHANGE in site.bench.notes()
        serials = {row.serial for row in site.bench.reader.of(Birth)[-1].channels}
        assert serials == {"TEST0002", "GAS00001"}


def test_a_wrong_value_under_a_right_crc_is_held_and_forgotten() -> None:
    """P4: meters have said 1,800 m3 more for the length of one telegram."""
    site = Site()
    for gas in ("00012.345", "00012.346", "01812.346", "00012.347", "00012.348"):
        site.hear(telegrams.dsmr5(gas=gas))
    assert site.used()["gas-1.gas"] == 3
    assert site.bench.notes() == [Verdict.GLITCH]
