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

    stretches: dict[tuple[str, str, str], tuple[Span, ...]]
    """By (gateway, log, epoch), apart from one another, in order."""
    received: dict[tuple[str, str, str], LogCutoff]

    def logs(self) -> list[LogName]:
        """The logs that the invoice rests on."""
        return sorted({(gateway, log) for gateway, log, _ in self.stretches})

    def wants(self, gateway: str, log: str, epoch: str, seq: int) -> bool:
        """Whether the bundle is incomplete without this line."""
        name = (gateway, log, epoch)
        cutoff = self.received.get(name)
        inside = any(first <= seq <= last for first, last in self.stretches.get(name, ()))
        return inside and cutoff is not None and cutoff.holds(seq)

    def allows(self, report: Report) -> bool:
        """Whether a line may stand in the bundle: needed, or one that says how needed lines are to be read."""
        head = report.header
        if self.wants(head.gateway, head.log, head.epoch, head.seq):
            return True
        if isinstance(report, Rotate) and (head.gateway, head.log) in self.logs():
            # It tells of keys alone, and may stand in an epoch before.
            return True
        cutoff = self.received.get((head.gateway, head.log, head.epoch))
        return (
            cutoff is not None and cutoff.holds(head.seq) and isinstance(report, Birth | ClockLine | Exchange | Rotate)
        )


def needed(body: Body) -> Needed:
    """Read it off an invoice's body; raises ValueError, KeyError or TypeError where it is none."""
    stretches: dict[tuple[str, str, str], list[Span]] = defaultdict(list)
    for gateway, log, _, _, epoch, first, _, last, _, _ in _all_reads(body):
        stretches[gateway, log, epoch].append((first, last))
    for gateway, log, epoch, first, last in body["cutoff"]["also"]:
        stretches[gateway, log, epoch].append((first, last))
    return Needed(
        stretches={name: _merged(spans) for name, spans in stretches.items()},
        received=received_of(body),
    )


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
    for name, spans in sorted(wanted.stretches.items()):
        cutoff, here = wanted.received.get(name), present[name]
        wholly = (seq for first, last in spans for seq in range(first, last + 1))
        absent = [(seq, seq) for seq in wholly if seq not in here and cutoff is not None and cutoff.holds(seq)]
        found += [(*name, stretch) for stretch in _merged(absent)]
    return found


def _all_reads(body: Body) -> Iterable[Sequence[Any]]:
    for rated in body["rated"]:
        yield from rated["reads"]
    for line in body["lines"]:
        yield from line["reads"]
    for start in body["activations"]:
        yield from start["reads"]
    yield from body["beside"]


def _merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same positions as few stretches, in order."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if not 1 <= first <= last < first + STRETCH_LINES_MAX:
            raise ValueError(f"counters that rest on reports {first} to {last}")
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)
