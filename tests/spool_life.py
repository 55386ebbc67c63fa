"""A spool's life on a machine that fails: what it has promised, and whether it keeps it (P1, P2, P3, P7).

The script is an agent's: windows are sealed, snapshots committed, receipts followed; the spool is small,
so that lines are forgotten and folded all the time. `python -m tests.spool_life --cuts 100000` cuts the power
that often.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final

from edge_agent.receipts import HeardAs
from edge_agent.recovery import Origin
from edge_agent.sealed import Place
from edge_agent.spool import Spool
from shared.errors import Refused
from shared.line import hash_of, parse
from shared.report import Report, Summary, Usage, read
from tests.powercut import Machine, MachineDisk, MachineFiles, PowerCut
from tests.spools import DAY_MS, birth, open_spool, receipt, usage

BYTES_MAX: Final = 90_000
"""A little more than the tables take: after some dozen lines the spool is full."""
CUTS_A_MACHINE: Final = 40
INTERVALS: Final = 40
"""Of a window; each counts one unit."""


@dataclass(slots=True)
class Promised:
    """What the spool has said is durable."""

    lines: dict[Place, bytes] = field(default_factory=dict)
    snapshots: set[int] = field(default_factory=set)
    """The number of the last snapshot, and of the one that a broken transaction may or may not have stored."""
    confirmed: set[Place] = field(default_factory=set)
    """Of lines that a receipt has confirmed, or may have."""
    at: int = 0
    """The last receipt's, in the collector's milliseconds."""


@contextmanager
def machine(seed: int, **options: str) -> Iterator[tuple[Machine, MachineDisk]]:
    """A machine with an empty disk."""
    built = Machine(Random(seed))
    files = MachineFiles(built, f"machine-{seed}")
    try:
        yield built, MachineDisk(files, **options)
    finally:
        files.unregister()


def begin(disk: MachineDisk, promised: Promised, *, seed: int = 1) -> Spool:
    """Open the spool as an agent does at its start, and look whether it has kept its promises."""
    spool = open_spool(disk, seed=seed, bytes_max=BYTES_MAX)
    assert spool.origin is not Origin.SALVAGED, "the spool was damaged"
    check(spool, promised)
    if spool.chain("main") is None:
        promised.snapshots.add(0)
        promised.lines |= {line.place: line.raw for line in spool.seal([birth()], {"number": 0})}
        promised.snapshots = {0}
    return spool


def live(spool: Spool, draw: Random, promised: Promised) -> None:
    """One thing that an agent does; it is promised when the call returns."""
    number = int(spool.snapshot()["number"])
    match draw.choice(("commit", *("seal",) * 14, "receive")):
        case "commit":
            promised.snapshots = {number}
            spool.commit({"number": number})
        case "seal":
            windows = draw.randrange(1, 4)
            promised.snapshots |= {number, number + windows}
            lines = spool.seal(
                [usage(number + extra, intervals=INTERVALS) for extra in range(windows)], {"number": number + windows}
            )
            promised.snapshots = {number + windows}
            promised.lines |= {line.place: line.raw for line in lines}
            # Summaries that a full spool has sealed by itself are promised with that.
            promised.lines |= {place: raw for place, raw in held(spool).items() if place not in promised.lines}
        case _:
            _receive(spool, draw, promised)


def _receive(spool: Spool, draw: Random, promised: Promised) -> None:
    chain = spool.chain("main")
    assert chain is not None
    known = [place.seq for place in held(spool) if place.seq >= chain.through] or [chain.seq]
    through = draw.choice(known)
    # More often than not the last receipt is long ago: what it confirmed may go.
    promised.at += draw.choice((1_000, DAY_MS // 3, 2 * DAY_MS))
    promised.confirmed |= {place for place in promised.lines if place.seq <= through}
    heard = spool.receive(receipt(spool, through, at=promised.at))
    assert heard.meaning is HeardAs.CONFIRMED


def held(spool: Spool) -> dict[Place, bytes]:
    """Every line that the spool holds."""
    rows = spool._database.execute("select log, epoch, seq, raw from line order by id")
    return {Place(log, epoch, seq): bytes(raw) for log, epoch, seq, raw in rows}


def check(spool: Spool, promised: Promised) -> None:
    """No committed line is lost or changed, no total wrong; raises AssertionError."""
    lines = held(spool)
    reports = {place: report_of(raw) for place, raw in lines.items()}
    covered = {
        Place(place.log, place.epoch, seq)
        for place, report in reports.items()
        if isinstance(report, Summary)
        for cover in report.covers
        for seq in range(cover.first, cover.last + 1)
    }
    assert covered.isdisjoint(lines), "a line and its summary are both held"
    for place, raw in promised.lines.items():
        assert lines.get(place, raw) == raw, f"the line at {place} is another one"
        if place not in lines and place not in covered:
            confirmed = place in promised.confirmed or isinstance(report_of(raw), Summary)
            assert confirmed, f"the line at {place} was promised and is gone"
    if promised.lines:
        assert spool.snapshot()["number"] in promised.snapshots
        _check_totals([*reports.values()], promised, int(spool.snapshot()["number"]))
    _check_chain(spool, lines, reports)


def _check_totals(reports: list[Report], promised: Promised, top: int) -> None:
    """What is held tells each unit once, and with what was confirmed every one of them (P1)."""
    told: set[int] = set()
    for register, units in _moved(reports):
        units_told = set(range(register, register + units))
        assert told.isdisjoint(units_told), "a unit is told twice"
        told |= units_told
    gone = [report_of(promised.lines[place]) for place in promised.confirmed if place in promised.lines]
    safe = {unit for register, units in _moved(gone) for unit in range(register, register + units)}
    assert told | safe >= set(range(top * INTERVALS)), "a unit is told by nobody"


def _moved(reports: list[Report]) -> list[tuple[int, int]]:
    rows = [row for report in reports if isinstance(report, Usage | Summary) for row in report.rows]
    return [(row.register, sum(row.deltas)) for row in rows]


def _check_chain(spool: Spool, lines: dict[Place, bytes], reports: dict[Place, Report]) -> None:
    chain = spool.chain("main")
    for place, report in reports.items():
        before = lines.get(Place(place.log, place.epoch, place.seq - 1))
        assert before is None or report.header.prev == hash_of(before), "the chain is broken"
        assert chain is not None
        assert place.seq <= chain.seq


def report_of(raw: bytes) -> Report:
    """What a line that the spool holds says."""
    line = parse(raw)
    report = line if isinstance(line, Refused) else read(line)
    assert not isinstance(report, Refused), "a line is damaged"
    return report


def cuts_of(seed: int, cuts: int = CUTS_A_MACHINE, *, synchronous: str = "full") -> tuple[int, int]:
    """Cut one machine's power this often; returns the cuts that hit and the summaries that were sealed.

    Raises AssertionError where a promise was broken.
    """
    draw, promised = Random(seed), Promised()
    with machine(seed, synchronous=synchronous) as (built, disk):
        for _ in range(cuts):
            built.cut_after(draw.randrange(1, 160))
            try:
                spool = begin(disk, promised, seed=seed)
                while True:
                    live(spool, draw, promised)
            except PowerCut:
                pass
            disk.release()
            built.power_on()
        begin(disk, promised, seed=seed)
        disk.release()
        folded = sum(isinstance(report_of(raw), Summary) for raw in promised.lines.values())
        return built.cuts, folded


def main() -> int:
    """Cut as often as asked, and say what came of it."""
    parser = argparse.ArgumentParser(description="power cuts of the real spool code")
    parser.add_argument("--cuts", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    hit = folded = number = 0
    while hit < asked.cuts:
        try:
            cuts, summaries = cuts_of(asked.seed + number)
        except AssertionError as error:
            print(f"seed {asked.seed + number}: {error}", file=sys.stderr)
            return 1
        hit, folded, number = hit + cuts, folded + summaries, number + 1
        if number % 100 == 0:
            print(f"{hit} cuts", file=sys.stderr)
    print(f"{hit} power cuts on {number} machines, {folded} summaries sealed: no committed line lost, none damaged")
    return 0


if __name__ == "__main__":
    sys.exit(main())
