"""A bench for metering: readings in, lines out, and a strict reader that believes no line without checking."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_agent.metering import Metering
from edge_agent.reading import ChannelSpec, Kind, Reading
from edge_agent.sealable import (
    BirthContent,
    ClockContent,
    ExchangeContent,
    ForgottenContent,
    GapContent,
    Sealable,
    UsageContent,
)
from edge_agent.timekeeping import Tick
from shared.report import Birth, Clock, ClockLine, Exchange, Forgotten, Gap, GapRow, Header, Usage, Verdict

MIDNIGHT_MS = 1_793_750_400_000
"""2026-11-04T00:00:00Z, a multiple of every window used here."""


def spec(device: str = "m1", **changes: Any) -> ChannelSpec:
    """A counter of energy that allows 10 Wh a second."""
    values: dict[str, Any] = {
        "device": device,
        "meter": "energy",
        "unit": "Wh",
        "exponent": 0,
        "kind": Kind.COUNTER,
        "source": "bench",
        "rate_max": 10,
    }
    return ChannelSpec(**(values | changes))


def record(line: Sealable, seq: int) -> Birth | Usage | Gap | ClockLine | Forgotten | Exchange:
    """The wire's own record of a line: its constructor refuses what the wire forbids."""
    header = Header(
        gateway="gw-1",
        log=line.log,
        key="0" * 16,
        epoch="0" * 8,
        seq=seq,
        prev="" if seq == 1 else "A" * 43,
        boot=line.boot,
        clock=line.clock,
        sealed_at=line.sealed_at,
    )
    content = line.content
    match content:
        case BirthContent():
            return Birth(
                header=header,
                agent="bench",
                config="A" * 43,
                cause=content.cause,
                previous=None,
                channels=content.channels,
            )
        case UsageContent():
            return Usage(header=header, start=content.start, step=content.step, count=content.count, rows=content.rows)
        case GapContent():
            return Gap(header=header, rows=content.rows)
        case ClockContent():
            return ClockLine(header=header, offset=content.offset)
        case ForgottenContent():
            return Forgotten(header=header, lost=content.lost, receipted_at=content.receipted_at)
        case ExchangeContent():
            return Exchange(header=header, rows=content.rows)
        case _:
            raise AssertionError(f"metering seals no {content}")


@dataclass
class Reader:
    """Follows one log as a collector does: registers connect, and raw = birth's raw + what moved since."""

    register: dict[tuple[str, str], int] = field(default_factory=dict)
    raw: dict[tuple[str, str], int | None] = field(default_factory=dict)
    used: dict[tuple[str, str], int] = field(default_factory=dict)
    unknown: list[GapRow] = field(default_factory=list)
    records: list[Birth | Usage | Gap | ClockLine | Forgotten | Exchange] = field(default_factory=list)

    def take(self, lines: Sequence[Sealable]) -> None:
        """Check and follow lines in their order."""
        for line in lines:
            report = record(line, len(self.records) + 1)
            assert self.records or isinstance(report, Birth), "the first line is a birth"
            self.records.append(report)
            match report:
                case Birth():
                    for row in report.channels:
                        name = row[:2]
                        assert self.register.setdefault(name, row.register) == row.register
                        self.raw[name] = row.raw
                case Usage():
                    for usage in report.rows:
                        assert self.register[usage[:2]] == usage.register, "a usage row starts where the last ended"
                        for index, delta in enumerate(usage.deltas):
                            assert not delta or usage.notes.get(index) is not Verdict.MISSING
                        self._move(usage[:2], sum(usage.deltas))
                case Gap():
                    self._take_gaps(report.rows)
                case Exchange():
                    for swapped in report.rows:
                        self._move(swapped[:2], swapped.register - self.register[swapped[:2]])
                        self.raw[swapped[:2]] = swapped.new_display
                case ClockLine():
                    assert report.header.clock is Clock.SYNCHRONISED

    def _take_gaps(self, rows: Sequence[GapRow]) -> None:
        for gap in rows:
            if gap.before is None or gap.after is None:
                self.unknown.append(gap)
            else:
                assert self.register[gap[:2]] == gap.before
                self._move(gap[:2], gap.after - gap.before)

    def of(self, kind: type) -> list:  # type: ignore[type-arg]
        """The records of one kind."""
        return [report for report in self.records if isinstance(report, kind)]

    def _move(self, name: tuple[str, str], amount: int) -> None:
        assert amount >= 0, "a register never falls"
        self.register[name] += amount
        self.used[name] = self.used.get(name, 0) + amount
        raw = self.raw[name]
        self.raw[name] = None if raw is None else raw + amount


class Bench:
    """A metering with a clock to turn; every call is followed by sealing what is due."""

    def __init__(self, *specs: ChannelSpec, step: int = 60, count: int = 15, **more: int) -> None:
        self.specs = specs
        self.step, self.count = step, count
        self.boot = "b0000001"
        self.ms = more.get("ms", 100_000)
        self.offset_ms = MIDNIGHT_MS - self.ms
        self.synchronised = bool(more.get("synchronised", True))
        self.reader = Reader()
        self.metering = Metering(specs, step=step, count=count, tick=self.tick)
        self.commits = 0
        self.commit()

    @property
    def tick(self) -> Tick:
        """The clock now."""
        return Tick(boot_ms=self.ms, utc_ms=self.ms + self.offset_ms, synchronised=self.synchronised, boot_id=self.boot)

    def wait(self, seconds: float) -> None:
        """Time passes; what is due is sealed."""
        self.ms += round(seconds * 1_000)
        self.seal()

    def read(self, value: int, device: str = "m1", *, serial: str = "", generation: str = "") -> tuple[Reading, ...]:
        """A reading now; returns those refused."""
        refused = self.metering.observe(
            [Reading(device=device, meter="energy", value=value, at_ms=self.ms, serial=serial, generation=generation)],
            self.tick,
        )
        self.seal()
        return refused

    def fail(self) -> None:
        """No source answers."""
        self.metering.source_failed(self.specs, self.tick)
        self.seal()

    def seal(self) -> None:
        """What is due is sealed, read and committed."""
        lines = self.metering.due(self.tick)
        self.reader.take(lines)
        if lines:
            self.commit()

    def commit(self) -> None:
        """What a crash from here on goes back to."""
        self.committed = json.dumps(self.metering.snapshot())
        self.commits += 1

    def restart(self, *, down: float = 0.0, boot: str | None = None, uptime: float = 20.0, lose: bool = False) -> None:
        """The process starts again, in the same boot or in another; `lose`: what was not yet committed is gone."""
        if not lose:
            self.commit()
        snapshot = json.loads(self.committed)
        self.ms += round(down * 1_000)
        if boot is not None:
            self.offset_ms += self.ms - round(uptime * 1_000)
            self.ms = round(uptime * 1_000)
            self.boot = boot
        self.metering = Metering.restore(snapshot, self.specs, step=self.step, count=self.count, tick=self.tick)
        self.seal()

    @property
    def register(self) -> int | None:
        """The first channel's register as metering knows it."""
        return self.metering.registers()[self.specs[0].name][0]

    def notes(self) -> list[Verdict]:
        """Every note of every sealed usage row that is not `missing`, in order."""
        return [
            note
            for usage in self.reader.of(Usage)
            for row in usage.rows
            for note in row.notes.values()
            if note is not Verdict.MISSING
        ]
