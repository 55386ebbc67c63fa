"""Look-back: charges for service that ended too long ago are no longer billed; credits always are."""

from collections.abc import Iterable
from fractions import Fraction

from cloud_collector.contracts.period import later
from cloud_collector.contracts.terms import Terms
from cloud_collector.rating.draft import DraftLine


def parted(terms: Terms, lines: Iterable[DraftLine], at: int) -> tuple[tuple[DraftLine, ...], tuple[DraftLine, ...]]:
    """The lines that may be billed at an instant, and those that come too late.

    What belongs together stays together: a charge's discount, its cap and the reversal of its former price are
    barred or billed with it, by their sum.
    """
    lines = tuple(lines)
    if terms.look_back is None:
        return lines, ()
    sums: dict[tuple[str, str | None, int], Fraction] = {}
    for line in lines:
        sums[_together(line)] = sums.get(_together(line), Fraction(0)) + Fraction(line.amount)
    kept: list[DraftLine] = []
    late: list[DraftLine] = []
    for line in lines:
        is_old = later(terms.timezone, line.service_end, terms.look_back) < at
        (late if is_old and sums[_together(line)] > 0 else kept).append(line)
    return tuple(kept), tuple(late)


def _together(line: DraftLine) -> tuple[str, str | None, int]:
    return line.charge, line.device, line.service_start
