"""P3, P7, P9: a full spool goes on; what it held is still told by its summaries, to the integer."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from edge_agent.disk import Disk
from edge_agent.folding import Folding
from edge_agent.sealable import BirthContent, Sealable, UsageContent
from edge_agent.spool import Spool, SpoolFull
from shared.effects.database import Database
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseFailed, Refused
from shared.line import parse
from shared.payload import pack
from shared.report import Cause, Channel, Clock, Report, Summary, Usage, UsageRow, read
from tests.sealing import PaperCollector, PaperGateway, paper_collector
from tests.spools import AUTHOR, GATEWAY, KEY, START, birth, held, open_spool, receipt, usage

HOUR = 3_600
DAY = 86_400
MIDNIGHT = START - START % DAY


class Memory:
    """A disk for long stories: one database in memory, never damaged."""

    def __init__(self) -> None:
        self.database = SqliteDatabase(":memory:")

    def open(self) -> Database:
        return self.database

    def move_aside(self) -> None:
        raise AssertionError

    def damaged(self) -> Sequence[Callable[[], Database]]:
        return ()


def reports(spool: Spool) -> list[Report]:
    """What waits, in the order of sending."""
    found = []
    for place in spool.waiting(100_000):
        line = parse(spool.raw(place) or b"")
        assert not isinstance(line, Refused)
        assert line.verified_by(KEY.public)
        report = read(line)
        assert not isinstance(report, Refused)
        found.append(report)
    return found


def counted(spool: Spool) -> int:
    """What the lines that wait say of use, each once."""
    return sum(sum(row.deltas) for each in reports(spool) if isinstance(each, Usage | Summary) for row in each.rows)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def filled(where: Path | Disk, windows: int, *, bytes_max: int = 100_000) -> Spool:
    spool = open_spool(where, bytes_max=bytes_max)
    spool.seal([birth()], {})
    for number in range(windows):
        spool.seal([usage(number, intervals=60)], {"window": number})
        assert spool.bytes_used <= bytes_max + 8_192, "but for the pages of the very last line"
    return spool


def test_a_full_spool_folds_its_oldest_lines_and_goes_on() -> None:
    spool = filled(Memory(), 1_500)
    kinds = [type(report) for report in reports(spool)]
    assert Summary in kinds
    assert kinds.index(Summary) < kinds.index(Usage), "a summary is sent where its lines would have been"
    assert counted(spool) == 1_500 * 60
    newest = reports(spool)[-1]
    assert isinstance(newest, Usage)
    assert newest.rows[0].register == 1_499 * 60


def test_every_position_is_held_or_covered_and_the_hashes_link() -> None:
    spool = filled(Memory(), 1_500)
    chain = spool.chain("main")
    assert chain is not None
    here = {report.header.seq: report for report in reports(spool)}
    hashes = {report.header.seq - 1: report.header.prev for report in here.values()}
    told: set[int] = set()
    for report in here.values():
        for cover in report.covers if isinstance(report, Summary) else ():
            told |= set(range(cover.first, cover.last + 1))
            assert hashes.get(cover.last, cover.end) == cover.end
            assert hashes.get(cover.first - 1, cover.before) == cover.before
    assert told | here.keys() == set(range(1, chain.seq + 1))
    assert told.isdisjoint(here)


def test_what_was_folded_is_folded_when_it_is_opened_again(path: Path) -> None:
    spool = filled(path, 400)
    before = [(report.header.seq, type(report)) for report in reports(spool)]
    spool.close()
    again = open_spool(path, seed=9, bytes_max=100_000)
    assert [(report.header.seq, type(report)) for report in reports(again)] == before
    assert again.snapshot() == {"window": 399}


def test_lines_go_only_with_the_transaction_that_commits_their_summary(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = filled(path, 30)
    count = spool.waiting_count
    original = Folding.replace

    def failing(self: Folding, folded: object) -> None:
        original(self, folded)  # type: ignore[arg-type]
        raise DatabaseFailed("the disk went away")

    monkeypatch.setattr(Folding, "replace", failing)
    with suppress(DatabaseFailed):
        for number in range(100, 500):
            spool.seal([usage(number, intervals=60)], {})
            count += 1
    spool.close()
    again = open_spool(path, bytes_max=100_000)
    assert again.waiting_count == count
    assert not any(isinstance(report, Summary) for report in reports(again))


def test_a_spool_of_nothing_but_births_says_that_it_is_full_and_loses_none() -> None:
    spool = open_spool(Memory(), bytes_max=100_000)
    sealed = 0
    while spool.relieve():
        spool.seal([birth()], {})
        sealed += 1
    with pytest.raises(SpoolFull, match="raise spool_bytes_max"):
        spool.seal([birth() for _ in range(100)], {})
    assert spool.waiting_count == sealed
    assert not spool.relieve()


def test_lines_of_an_earlier_epoch_are_never_folded() -> None:
    spool = filled(Memory(), 20)
    old = spool.epoch
    spool.receive(receipt(spool, 500, head="A" * 43, at=10))
    spool.begin_epoch([birth(cause=Cause.EPOCH)], {}, random=Random(5))
    for number in range(1_500):
        spool.seal([usage(number, intervals=60)], {})
    epochs = [report.header.epoch for report in reports(spool) if isinstance(report, Summary)]
    assert epochs
    assert old not in epochs
    assert len([report for report in reports(spool) if report.header.epoch == old]) == 21


def test_what_waits_leaves_room_for_the_day_after_its_receipt(path: Path) -> None:
    """P7: after an outage everything is receipted at once and kept for a day; metering goes on beside it."""
    spool = filled(path, 600, bytes_max=160_000)
    chain = spool.chain("main")
    assert chain is not None
    spool.receive(receipt(spool, chain.seq, at=1))
    for number in range(600, 624):
        spool.seal([usage(number, intervals=60)], {})
        spool.receive(receipt(spool, chain.seq, at=number))
    assert counted(spool) == 24 * 60


def test_receipted_lines_go_before_anything_is_folded(path: Path) -> None:
    spool = open_spool(path, bytes_max=150_000)
    spool.seal([birth()], {})
    number = 0
    while spool.bytes_used < 140_000:
        spool.seal([usage(number, intervals=60)], {})
        number += 1
        spool.receive(receipt(spool, number + 1, at=number))
    spool.receive(receipt(spool, number + 1, at=2 * DAY * 1_000))
    for more in range(number, number + 20):
        spool.seal([usage(more, intervals=60)], {})
    assert not any(isinstance(report, Summary) for report in reports(spool))
    assert held(spool)[1] > 2


def drain(spool: Spool) -> PaperCollector:
    """Send, be asked and be confirmed as an uplink is, until nothing waits."""
    collector = paper_collector(PaperGateway(name=GATEWAY, key=KEY))
    topic, now_ms = f"meterseal/v1/{GATEWAY}/report", (START + 400 * DAY) * 1_000
    missing: tuple[tuple[int, int], ...] = ()
    for _ in range(2_000):
        asked = [
            place for first, last in missing for place in spool.waiting_within("main", spool.epoch, first, last, 31)
        ]
        places = list(dict.fromkeys([*asked, *spool.waiting(31)]))[:31]
        if not places:
            return collector
        messages = [(topic, pack([raw])) for place in places if (raw := spool.raw(place))]
        now_ms += 1_000
        outcome = collector.intake.commit(collector.intake.open(messages, collector.intake.keys_for([topic])), now_ms)
        for heard in collector.receipts(outcome):
            spool.receive(heard)
            missing = heard.missing
    raise AssertionError("the backlog does not drain")


def channels(count: int) -> list[tuple[str, str]]:
    return [(f"meter-{number:03}", "energy") for number in range(count)]


def offline(
    spool: Spool, names: Iterable[tuple[str, str]], windows: int, *, step: int, count: int, boots: int = 1
) -> int:
    """Windows metered one after another without a collector; returns what was used."""
    draw = Random(4)
    registers = dict.fromkeys(names, 0)
    for number in range(windows):
        boot = f"b{number * boots // windows:07x}"
        start = MIDNIGHT + number * step * count
        lines = []
        if number == 0 or number * boots // windows != (number - 1) * boots // windows:
            rows = tuple(
                Channel(*name, "Wh", 0, "modbus", "s-1", register, register) for name, register in registers.items()
            )
            lines.append(
                Sealable(
                    log="main",
                    boot=boot,
                    clock=Clock.SYNCHRONISED,
                    sealed_at=start,
                    content=BirthContent(cause=Cause.START, channels=rows),
                )
            )
        deltas = {name: tuple(draw.choices((0, 3, 17, 260), k=count)) for name in registers}
        usages = tuple(UsageRow(*name, "Wh", 0, registers[name], deltas[name], {}) for name in registers)
        content = UsageContent(start=start, step=step, count=count, rows=usages)
        lines.append(
            Sealable(log="main", boot=boot, clock=Clock.SYNCHRONISED, sealed_at=start + step * count, content=content)
        )
        spool.seal(lines, {"number": number})
        for name in registers:
            registers[name] += sum(deltas[name])
    return sum(registers.values())


@pytest.mark.parametrize(("meters", "bytes_max"), [(20, 700_000)])
def test_a_year_offline_fits_and_is_exact_to_the_unit(meters: int, bytes_max: int) -> None:
    """P1, P3: hours, then days; and the collector comes to what the meters counted."""
    disk = Memory()
    spool = Spool.open(disk, gateway=GATEWAY, key=KEY, author=AUTHOR, random=Random(1), bytes_max=bytes_max)
    used = offline(spool, channels(meters), 365 * 12, step=1_800, count=4, boots=3)
    assert spool.bytes_used <= bytes_max
    steps = {report.step for report in reports(spool) if isinstance(report, Summary)}
    assert steps <= {HOUR, DAY}
    assert counted(spool) == used
    collector = drain(spool)
    counted_there = collector.store.rows("account", "", "")
    assert sum(row[5] for row in counted_there) == used
    assert all(row[7] == 0 for row in counted_there), "nothing is quarantined"
    chain = spool.chain("main")
    assert chain is not None
    assert chain.through == chain.seq, "what is covered is missed by nobody"


@pytest.mark.deep
def test_days_are_folded_into_longer_lines_at_last() -> None:
    disk = Memory()
    spool = Spool.open(disk, gateway=GATEWAY, key=KEY, author=AUTHOR, random=Random(1), bytes_max=150_000)
    used = offline(spool, channels(10), 3 * 365, step=17_280, count=5)
    assert counted(spool) == used
    assert {report.step for report in reports(spool) if isinstance(report, Summary)} >= {DAY}
