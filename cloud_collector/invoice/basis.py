"""What an invoice rests on, as records: counters, bookings, revisions, and what had been received."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cloud_collector.contracts.period import Period
from cloud_collector.usage.derive import SKEW_SECONDS
from cloud_collector.usage.span import Read


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCutoff:
    """Which lines of a log's epoch had been received: up to `last`, but for the holes."""

    gateway: str
    log: str
    epoch: str
    last: int
    holes: tuple[tuple[int, int], ...] = ()

    def holds(self, seq: int) -> bool:
        """Whether the line of this number had been received."""
        return 1 <= seq <= self.last and not any(first <= seq <= end for first, end in self.holes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutoff:
    """Until when was measured, what had been received, and what only the collector can know of it."""

    measured_until: int
    received_until: int
    """Milliseconds by the collector's clock."""
    received: tuple[LogCutoff, ...] = ()
    """Of each log its epochs in their order."""
    also: tuple[tuple[str, str, str, int, int], ...] = ()
    """(gateway, log, epoch, first, last) of further reports that explain the counters: across holes, of gaps."""
    carried: tuple[tuple[str, str, str], ...] = ()
    """(gateway, log, epoch) of epochs whose last word is held, so that usage is carried from them into the next."""
    silent: Mapping[str, int | None] = field(default_factory=dict)
    """Gateways that had not proved the period complete, and until when they had."""
    moved: tuple[tuple[str, str, str, int, int], ...] = ()
    """(gateway, log, epoch, seq, received at in milliseconds) of lines whose clock ran ahead of their receipt (P13)."""
    boots: tuple[tuple[str, str, str, int], ...] = ()
    """(gateway, log, boot, shift in seconds) of boots that never learned the time and were laid end to end."""
    strangers: tuple[tuple[str, str, str, int], ...] = ()
    """(gateway, log, epoch, seq) of held lines whose key is not valid there: among the holes, yet no summary's."""
    skew_seconds: int = SKEW_SECONDS
    """How far a line's clock may run ahead."""
    rates_max: Mapping[str, int] = field(default_factory=dict)
    """Units a second, by unit, above which usage between two epochs is not believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """What an earlier invoice took under a key, as its line printed it."""

    number: str
    line: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedPeriod:
    """A billing period that an invoice rated: its terms, what was booked of it before, its counters."""

    period: Period
    plans: int
    """The number of the revision whose plans priced it."""
    after: int | None = None
    """The number of the one whose plans price the next period's charges in advance, where that is another."""
    booked: tuple[Booked, ...] = ()
    reads: tuple[Read, ...] = ()
    """Of every channel of the contract's devices, billed or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionName:
    """A revision of the catalog, by number and SHA-256 of its bytes."""

    number: int
    sha256: str


def reads_of(reads: Iterable[Read]) -> list[list[Any]]:
    """Counters as an invoice prints them, each a row of ten."""
    return [
        [
            read.channel.gateway,
            read.log,
            read.channel.device,
            read.channel.meter,
            read.epoch,
            read.seq_start,
            read.register_start,
            read.seq_end,
            read.register_end,
            read.estimated,
        ]
        for read in reads
    ]
