"""Signed, distinct, chained payloads for the benches, made from a seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from shared.key import SigningKey
from shared.line import hash_of
from shared.payload import pack
from shared.report import Birth, Cause, Channel, Clock, Header, Usage, UsageRow, seal_report
from shared.topic import Leaf, topic_of

CHANNELS = 20
INTERVALS = 15
STEP = 60
START = 1_790_000_000 // 900 * 900
CONFIG = "A" * 42 + "A"


@dataclass
class Gateway:
    """A gateway that seals one window after another, 20 channels × 15 intervals a line."""

    name: str
    rng: random.Random
    mixed: bool = False

    def __post_init__(self) -> None:
        self.key = SigningKey(self.rng.randbytes(32))
        self.epoch = self.rng.randbytes(4).hex()
        self.seq, self.prev, self.start = 0, "", START
        self.registers = [self.rng.randrange(10**7) for _ in range(CHANNELS)]
        self.loads = [self.rng.randrange(5, 60) for _ in range(CHANNELS)]

    def header(self) -> Header:
        self.seq += 1
        return Header(
            gateway=self.name,
            log="main",
            key=self.key.public.id,
            epoch=self.epoch,
            seq=self.seq,
            prev=self.prev,
            boot="0b0e0c0d",
            clock=Clock.SYNCHRONISED,
            sealed_at=self.start + 1,
        )

    def channel(self, at: int) -> tuple[str, str, str]:
        """Device, meter and unit: all energy meters, or every fourth a network counter in bytes."""
        if self.mixed and at % 4 == 3:
            return f"eth{at}", "data_down", "By"
        return f"sdm630-{at}", "energy", "Wh"

    def birth(self) -> bytes:
        rows = tuple(
            Channel(*self.channel(at)[:2], self.channel(at)[2], 0, "modbus", f"SN{at}", register, register)
            for at, register in enumerate(self.registers)
        )
        return self._sealed(
            Birth(
                header=self.header(),
                agent="meterseal bench",
                config=CONFIG,
                cause=Cause.START,
                previous=None,
                channels=rows,
            )
        )

    def usage(self) -> bytes:
        header = self.header()
        rows = []
        for at in range(CHANNELS):
            device, meter, unit = self.channel(at)
            deltas = self._deltas(at, unit)
            rows.append(UsageRow(device, meter, unit, 0, self.registers[at], deltas, {}))
            self.registers[at] += sum(deltas)
        usage = Usage(header=header, start=self.start, step=STEP, count=INTERVALS, rows=tuple(rows))
        self.start += STEP * INTERVALS
        return self._sealed(usage)

    def _deltas(self, at: int, unit: str) -> tuple[int, ...]:
        if unit == "By":  # bursts of traffic between silence
            return tuple(self.rng.randrange(200, 4_000_000) if self.rng.random() < 0.5 else 0 for _ in range(INTERVALS))
        # A load that holds and sometimes switches, read in Wh a minute: neighbours differ by one.
        if self.rng.random() < 0.3:
            self.loads[at] = self.rng.choice((0, self.rng.randrange(1, 60)))
        load = self.loads[at]
        return tuple(max(0, load + self.rng.choice((0, 0, 0, 1, -1)) if load else 0) for _ in range(INTERVALS))

    def _sealed(self, report: Birth | Usage) -> bytes:
        raw = seal_report(report, self.key)
        self.prev = hash_of(raw)
        return raw


def fleet(count: int, seed: int = 1, *, mixed: bool = False) -> list[Gateway]:
    """Gateways bench-0 … with keys of their own."""
    return [Gateway(f"bench-{at}", random.Random(f"{seed}/{at}"), mixed) for at in range(count)]


def live(gateways: list[Gateway], lines_each: int) -> Iterator[tuple[str, bytes]]:
    """Births, then one line a payload, gateways in turn: what a healthy fleet sends."""
    for gateway in gateways:
        yield topic_of(gateway.name, Leaf.REPORT), pack([gateway.birth()])
    for _ in range(lines_each):
        for gateway in gateways:
            yield topic_of(gateway.name, Leaf.REPORT), pack([gateway.usage()])


def backlog(gateways: list[Gateway], lines_each: int, lines_a_payload: int = 32) -> Iterator[tuple[str, bytes]]:
    """Births, then 32 lines a payload: what comes after an outage."""
    for gateway in gateways:
        yield topic_of(gateway.name, Leaf.REPORT), pack([gateway.birth()])
    for _ in range(lines_each // lines_a_payload):
        for gateway in gateways:
            lines = [gateway.usage() for _ in range(lines_a_payload)]
            yield topic_of(gateway.name, Leaf.REPORT), pack(lines)
