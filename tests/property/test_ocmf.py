"""In whatever order and number signed records come, through whatever crashes: each session is counted once (P1, P5)."""

import asyncio
import random
import tempfile
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.sources.ocmf import OcmfSource
from edge_agent.sources.ocmf_record import OcmfRecord, Register, parse_record
from edge_agent.sources.ocmf_sessions import Page, Part, Seen, Sessions, Taken, page_of
from edge_agent.sources.ocmf_settings import OcmfMeter, OcmfSettings
from shared.effects.memory import SimpleClock
from shared.errors import Refused
from tests.metering_site import Bench
from tests.ocmf_station import Station

FAST = Decimal(10**9)
STATION = Station()
"""Keys are dear to make."""


@dataclass
class Story:
    """What a charge point did, as records, and what was charged in all."""

    records: list[str] = field(default_factory=list)
    charged: Decimal = Decimal(0)

    def session(self, shape: str, kwh: int, idle: int) -> None:
        """One session, told in one of the ways that charge points have; then the meter counts on by itself."""
        used = Decimal(kwh).scaleb(-2)
        start = STATION.reading("B")
        match shape:
            case "whole":
                self.records.append(STATION.charge(str(used)))
            case "apart":
                self.records += [STATION.begin(), STATION.end(str(used))]
            case "middle":
                self.records += [STATION.begin(), STATION.go_on(str(used)), STATION.end("0", "R")]
            case "both":
                self.records += [STATION.begin(), STATION.end(str(used))]
                self.records.append(STATION.signed([start, STATION.reading("E")]))
            case "unended":
                self.records.append(STATION.begin())
                used = Decimal(0)
        self.charged += used
        STATION.register += Decimal(idle).scaleb(-2)


shapes = st.sampled_from(["whole", "apart", "middle", "both", "unended"])
stories = st.lists(st.tuples(shapes, st.integers(0, 5_000), st.integers(0, 300)), max_size=8)


def told(sessions: list[tuple[str, int, int]]) -> Story:
    STATION.page, STATION.minute, STATION.register = 0, 0, Decimal(1_000)
    story = Story()
    for one in sessions:
        story.session(*one)
    return story


@given(stories, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_records_in_any_order_and_number_count_each_session_once(
    told_sessions: list[tuple[str, int, int]], chance: random.Random
) -> None:
    story = told(told_sessions)
    pages = [page_of(record) for text in story.records if isinstance(record := parse_record(text), OcmfRecord)]
    deliveries = [page for page in pages for _ in range(chance.randint(1, 3))]
    chance.shuffle(deliveries)
    sessions, restored = Sessions(), Sessions()
    total = Decimal(0)
    for page in deliveries:
        assert isinstance(page, Page)
        found = sessions.take(page, most_a_second=FAST)
        again = restored.take(page, most_a_second=FAST)
        assert found == again, "what a restart restores decides as what ran on"
        assert isinstance(found, Taken | Seen), found
        total += found.watt_hours if isinstance(found, Taken) else 0
        if chance.random() < 0.2:
            kept = [Page.from_json(page.to_json()) for page in _taken(sessions, pages)]
            restored = Sessions()
            for one in kept:
                restored.restore(one)
    assert total == story.charged * 1_000


def _taken(sessions: Sessions, pages: list[Page | Refused]) -> list[Page]:
    """Those that a file of evidence would hold, in some order."""
    found = [page for page in pages if isinstance(page, Page)]
    return [page for page in found if sessions._known(page).get(page.page) == page.mark]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=25))
def test_intervals_of_a_register_are_told_once(spans: list[tuple[int, int]]) -> None:
    """Against a set of single units."""
    sessions = Sessions()
    units: set[int] = set()
    for number, (one, other) in enumerate(spans, 1):
        low, high = sorted((one, other))
        new = set(range(low, high))
        found = sessions.take(
            Page(
                gateway="g",
                meter="m",
                context="T",
                page=number,
                digest=f"{number:064x}",
                part=Part.WHOLE,
                obis="1-b:1.8.0",
                begin=Register(Decimal(low), None),
                end=Register(Decimal(high), None),
            ),
            most_a_second=FAST,
        )
        if not new & units:
            assert found == Taken(Decimal(len(new)))
            units |= new
        elif new <= units:
            assert found == Taken(Decimal(0))
        else:
            assert isinstance(found, Refused)


steps = st.sampled_from(["drop", "drop", "read", "read", "commit", "kill", "reboot"])


@given(stories, st.lists(steps, max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_what_is_metered_is_what_was_charged_through_kills_at_any_moment(
    told_sessions: list[tuple[str, int, int]], happened: list[str], chance: random.Random
) -> None:
    """P1, P2: the source and the metering are killed together, whatever each has on disk."""
    story = told(told_sessions)
    records = [record for record in story.records for _ in range(chance.randint(1, 2))]
    chance.shuffle(records)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_lived(Path(folder), records, happened, int(story.charged * 1_000)))


async def _lived(folder: Path, records: list[str], happened: list[str], charged: int) -> None:
    inbox = folder / "inbox"
    inbox.mkdir()
    meter = OcmfMeter(serial=STATION.serial, public_key=STATION.public_key, device="charger", rate_max=10**6)
    given_settings = OcmfSettings(
        folder=inbox, meters=(meter,), evidence_path=folder / "evidence", quarantine_path=folder / "quarantine"
    )
    source = OcmfSource(given_settings, SimpleClock())
    bench = Bench(*source.channels)
    boots, left = 1, list(records)

    async def read() -> None:
        commits = bench.commits
        bench.metering.observe([replace(one, at_ms=bench.ms) for one in await source.read()], bench.tick)
        bench.seal()
        if bench.commits > commits:
            source.committed()

    for step in [*happened, *["drop"] * len(records), *["read", "commit", "read"] * 3]:
        bench.wait(7)
        if step == "drop" and left:
            (inbox / f"{len(left):03d}.ocmf").write_text(left.pop(), encoding="utf-8")
        elif step == "read":
            await read()
        elif step == "commit":
            bench.commit()
            source.committed()
        elif step in ("kill", "reboot"):
            await source.close()
            source = OcmfSource(given_settings, SimpleClock())
            boots += step == "reboot"
            bench.restart(down=30, boot=f"b{boots:07d}" if step == "reboot" else None, lose=True)
    bench.wait(60 * 20)
    await source.close()
    assert bench.register == charged
    assert sum(bench.reader.used.values()) == charged
    assert not list(inbox.iterdir())
    assert not (folder / "quarantine").exists()
