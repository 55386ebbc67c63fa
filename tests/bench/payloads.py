"""Signed, distinct, chained payloads for the benches, made from a seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shared.key import SigningKey
from shared.line import hash_of
from shared.payload import pack
from shared.report import Birth, Cause, Channel, Clock, Header, Usage, UsageRow, seal_report
from shared.topic import Leaf, topic_of

CHANNELS: Final = 20
INTERVALS: Final = 15
STEP: Final = 60
START: Final = 1_790_000_000 // 900 * 900
CONFIG: Final = "A" * 43
LINES_A_PAYLOAD: Final = 32

Measured = tuple[str, str, str]
"""A channel: device, meter and unit."""
ENERGY: Final = tuple((f"sdm630-{at}", "energy", "Wh") for at in range(CHANNELS))
MIXED: Final = tuple(
    (f"eth{at}", "data_down", "By") if at % 4 == 3 else (f"sdm630-{at}", "energy", "Wh") for at in range(CHANNELS)
)
"""Every fourth channel is a network counter."""


@dataclass
class Gateway:
    """A gateway that seals one window after another."""

    name: str
    rng: random.Random
    channels: tuple[Measured, ...] = ENERGY
    step: int = STEP
    count: int = INTERVALS
    start: int = START

    def __post_init__(self) -> None:
        self.key = SigningKey(self.rng.randbytes(32))
        self.epoch = self.rng.randbytes(4).hex()
        self.seq, self.prev = 0, ""
        self.registers = [self.rng.randrange(10**7) for _ in self.channels]
        self.loads = [self.rng.randrange(5, 60) for _ in self.channels]

    def birth(self) -> bytes:
        rows = tuple(
            Channel(*channel, 0, "modbus", f"SN{at}", register, register)
            for at, (channel, register) in enumerate(zip(self.channels, self.registers, strict=True))
        )
        return self._sealed(
            Birth(
                header=self._header(),
                agent="meterseal bench",
                config=CONFIG,
                cause=Cause.START,
                previous=None,
                channels=rows,
            )
        )

    def usage(self) -> bytes:
        header = self._header()
        rows = []
        for at, (device, meter, unit) in enumerate(self.channels):
            deltas = self._deltas(at, unit)
            rows.append(UsageRow(device, meter, unit, 0, self.registers[at], deltas, {}))
            self.registers[at] += sum(deltas)
        usage = Usage(header=header, start=self.start, step=self.step, count=self.count, rows=tuple(rows))
        self.start += self.step * self.count
        return self._sealed(usage)

    def _header(self) -> Header:
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

    def _deltas(self, at: int, unit: str) -> tuple[int, ...]:
        if unit == "By":  # bursts of traffic between silence
            return tuple(
                self.rng.randrange(200, 4_000_000) if self.rng.random() < 0.5 else 0 for _ in range(self.count)
            )
        # A load that holds and sometimes switches, read in Wh a minute: neighbours differ by one.
        if self.rng.random() < 0.3:
            self.loads[at] = self.rng.choice((0, self.rng.randrange(1, 60)))
        load = self.loads[at]
        return tuple(max(0, load + self.rng.choice((0, 0, 0, 1, -1)) if load else 0) for _ in range(self.count))

    def _sealed(self, report: Birth | Usage) -> bytes:
        raw = seal_report(report, self.key)
        self.prev = hash_of(raw)
        return raw


def fleet(count: int, seed: int = 1, *, mixed: bool = False) -> list[Gateway]:
    """Gateways bench-0 … with keys of their own."""
    channels = MIXED if mixed else ENERGY
    return [Gateway(f"bench-{at}", random.Random(f"{seed}/{at}"), channels) for at in range(count)]


def live(gateways: list[Gateway], lines_each: int) -> Iterator[tuple[str, bytes]]:
    """Births, then one line a payload, gateways in turn: what a healthy fleet sends."""
    yield from _births(gateways)
    for _ in range(lines_each):
        for gateway in gateways:
            yield topic_of(gateway.name, Leaf.REPORT), pack([gateway.usage()])


def backlog(gateways: list[Gateway], payloads_each: int) -> Iterator[tuple[str, bytes]]:
    """Births, then 32 lines a payload: what comes after an outage."""
    yield from _births(gateways)
    for _ in range(payloads_each):
        for gateway in gateways:
            lines = [gateway.usage() for _ in range(LINES_A_PAYLOAD)]
            yield topic_of(gateway.name, Leaf.REPORT), pack(lines)


def _births(gateways: list[Gateway]) -> Iterator[tuple[str, bytes]]:
    for gateway in gateways:
        yield topic_of(gateway.name, Leaf.REPORT), pack([gateway.birth()])
