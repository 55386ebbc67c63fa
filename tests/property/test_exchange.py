"""P1, P4: however meters are swapped and whenever that is said, each unit of both displays is counted once.

The oracle is two subtractions: what the old display showed last less its first reading, and what the new one
shows less what it showed first. Sealed lines go through the real collector in any order.
"""

from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.reading import ChannelName
from edge_agent.sealed import Author, report_of
from edge_agent.swap import Swap
from shared.report import seal_report
from tests.examples import examples
from tests.metering_site import MIDNIGHT_MS, Bench, spec
from tests.sealing import CONFIG, PaperGateway, paper_collector
from tests.unit.test_epochs import only

NAME = ChannelName("m1", "energy")
AUTHOR = Author(agent="bench", config=CONFIG)


@dataclass
class Site(Bench):
    """A bench whose lines are sealed with a key, for a collector."""

    gateway: PaperGateway = field(default_factory=PaperGateway)

    def __init__(self) -> None:
        self.gateway = PaperGateway(now=MIDNIGHT_MS // 1_000)
        super().__init__(spec(), count=5)

    def seal(self) -> None:
        """What is due is checked by the bench's reader, and sealed."""
        lines = self.metering.due(self.tick)
        self.reader.take(lines)
        for line in lines:
            header = self.gateway.header(boot=line.boot, clock=line.clock, sealed_at=line.sealed_at)
            previous = self.gateway.position if self.gateway.lines else None
            report = report_of(line, header, author=AUTHOR, previous=previous)
            self.gateway.lines.append(seal_report(report, self.gateway.key))
        if lines:
            self.commit()


STEPS = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 9)), min_size=1, max_size=6)


@settings(max_examples=examples(120), deadline=None)
@given(
    before=STEPS,
    missed=st.integers(0, 50),
    away=st.integers(10, 3_000),
    shows=st.integers(0, 99_999_999),
    after=STEPS,
    late=st.booleans(),
    serials=st.booleans(),
    restart=st.booleans(),
    again=st.booleans(),
    seed=st.integers(0, 1_000),
)
def test_each_unit_of_both_displays_is_counted_once(
    *,
    before: list[tuple[int, int]],
    missed: int,
    away: int,
    shows: int,
    after: list[tuple[int, int]],
    late: bool,
    serials: bool,
    restart: bool,
    again: bool,
    seed: int,
) -> None:
    site = Site()
    late &= serials
    display, expected = 1_000_000, 0
    site.read(display, serial="s-0" if serials else "")
    for number in range(2 if again else 1):
        old, new = (f"s-{number + at}" if serials else "" for at in (0, 1))
        for seconds, rate in before:
            site.wait(seconds)
            expected += seconds * rate
            display += seconds * rate
            site.read(display, serial=old)
        if not late:
            assert site.metering.set_aside(NAME, site.tick) is None
        site.wait(away)
        expected += missed
        display += missed
        shown = shows
        if late:
            shown += 3
            expected += 3
            site.read(shown, serial=new)
            if restart:
                site.restart(down=3)
        refused = site.metering.exchange(NAME, Swap(display, new or f"s-{number + 1}", shows), site.tick)
        assert refused is None, refused
        site.seal()
        display = shown
        for seconds, rate in after:
            site.wait(seconds)
            expected += seconds * rate
            display += seconds * rate
            site.read(display, serial=new)
        if restart:
            site.restart(down=2)
    site.wait(400)
    assert site.reader.used.get(NAME, 0) == expected
    assert site.reader.raw[NAME] == display
    lines = [*site.gateway.lines]
    Random(seed).shuffle(lines)
    collector = paper_collector(site.gateway)
    for line in lines:
        collector.take(site.gateway.topic, [line], now_ms=MIDNIGHT_MS + 90 * 86_400_000)
    found = only(collector)
    assert found.counted == expected
    assert len(found.unknown) == (2 if again else 1) * late
