"""Which lines an invoice rests on: the same rule packs a bundle and checks that it is whole.

Pure. From the sealed body alone: every pair of counters names the lines between which it was read,
and the cutoff names the lines that had been received.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud_collector.invoice.basis import LogCutoff
from cloud_collector.proof.bundle import LogName
from shared.line import Body
from shared.report import Birth, ClockLine, Exchange, Report, Rotate

STRETCH_LINES_MAX: Final = 10_000_000
"""Lines of one log's epoch that an invoice may rest on: centuries of quarters of an hour."""

Span = tuple[int, int]
"""seq first to last, both included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """Stretches of each log's epochs that the bundle must hold, and what had been received of them."""

    stretches: dict[tuple[str, str, str], Span]
    """By (gateway, log, epoch)."""
    received: dict[tuple[str, str, str], LogCutoff]

    def logs(self) -> list[LogName]:
        """The logs that the invoice rests on."""
        return sorted({(gateway, log) for gateway, log, _ in self.stretches})

    def wants(self, gateway: str, log: str, epoch: str, seq: int) -> bool:
        """Whether the bundle is incomplete without this line."""
        first, last = self.stretches.get((gateway, log, epoch), (1, 0))
        cutoff = self.received.get((gateway, log, epoch))
        return first <= seq <= last and cutoff is not None and cutoff.holds(seq)

    def allows(self, report: Report) -> bool:
        """Whether a line may stand in the bundle: needed, or one that says how needed lines are to be read."""
        head = report.header
        if self.wants(head.gateway, head.log, head.epoch, head.seq):
            return True
        cutoff = self.received.get((head.gateway, head.log, head.epoch))
        return (
            cutoff is not None and cutoff.holds(head.seq) and isinstance(report, Birth | ClockLine | Exchange | Rotate)
        )


def needed(body: Body) -> Needed:
    """Read it off an invoice's body; raises ValueError, KeyError or TypeError where it is none."""
    stretches: dict[tuple[str, str, str], Span] = {}
    for gateway, log, _, _, epoch, first, _, last, _, _ in _all_reads(body):
        name = (gateway, log, epoch)
        low, high = stretches.get(name, (first, last))
        stretches[name] = (min(low, first), max(high, last))
        if not 1 <= stretches[name][0] <= stretches[name][1] < stretches[name][0] + STRETCH_LINES_MAX:
            raise ValueError(f"counters that rest on reports {first} to {last}")
    return Needed(stretches=stretches, received=received_of(body))


def received_of(body: Body) -> dict[tuple[str, str, str], LogCutoff]:
    """The cutoff's log positions, by (gateway, log, epoch)."""
    return {
        (gateway, log, epoch): LogCutoff(
            gateway=gateway, log=log, epoch=epoch, last=last, holes=tuple((a, b) for a, b in holes)
        )
        for gateway, log, epoch, last, holes in body["cutoff"]["received"]
    }


def missing_from(wanted: Needed, held: Iterable[tuple[str, str, str, int]]) -> list[tuple[str, str, str, Span]]:
    """Ranges of lines that the bundle should hold and does not."""
    present: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for gateway, log, epoch, seq in held:
        present[gateway, log, epoch].add(seq)
    found = []
    for name, (first, last) in sorted(wanted.stretches.items()):
        cutoff, here = wanted.received.get(name), present[name]
        absent = [s for s in range(first, last + 1) if s not in here and cutoff is not None and cutoff.holds(s)]
        found += [(*name, stretch) for stretch in _ranges(absent)]
    return found


def _all_reads(body: Body) -> Iterable[Sequence[Any]]:
    for rated in body["rated"]:
        yield from rated["reads"]
    for line in body["lines"]:
        yield from line["reads"]
    for start in body["activations"]:
        yield from start["reads"]


def _ranges(numbers: Sequence[int]) -> list[Span]:
    found: list[Span] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
