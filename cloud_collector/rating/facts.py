"""What a contract is rated from: its terms, usage, the lives of its devices, and contracts that share its pools."""

from dataclasses import dataclass
from datetime import date, timedelta

from cloud_collector.activity.lifecycle import Life
from cloud_collector.contracts.period import Period, boundary
from cloud_collector.contracts.revision import billing_periods
from cloud_collector.contracts.terms import Terms
from cloud_collector.rating.segment import Segment
from cloud_collector.usage.span import UsageView


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One contract's."""

    terms: Terms
    usage: UsageView
    lives: tuple[Life, ...]
    pooled: "tuple[Facts, ...]" = ()
    """Of the account's contracts that share a pool with this one."""
    anchored: date | None = None
    """The local date of the first activation, where periods are anchored at it."""

    def segments(self, period: Period, *, closed: bool) -> list[Segment]:
        """A period cut at amendments, each part with the terms of its time."""
        terms = self.terms
        cuts = [boundary(terms.timezone, stretch.start) for stretch in terms.stretches]
        ends = [*cuts[1:], period.end]
        made = []
        for stretch, begin, until in zip(terms.stretches, cuts, ends, strict=True):
            start, end = max(period.start, begin), min(period.end, until)
            if start < end:
                made.append(
                    Segment(
                        terms=terms,
                        stretch=stretch,
                        period=period,
                        start=start,
                        end=end,
                        usage=self.usage,
                        lives=self.lives,
                        closed=closed,
                        beside=tuple(
                            part for other in self.pooled for part in other.within(period, start, end, closed=closed)
                        ),
                    )
                )
        return made

    def within(self, period: Period, start: int, end: int, *, closed: bool) -> list[Segment]:
        """What this contract has of another's segment, with its own terms at the segment's start."""
        terms = self.terms
        begun = [each for each in terms.stretches if boundary(terms.timezone, each.start) < end]
        if not begun:
            return []
        stretch = next((each for each in reversed(begun) if boundary(terms.timezone, each.start) <= start), begun[0])
        return [
            Segment(
                terms=terms,
                stretch=stretch,
                period=period,
                start=start,
                end=end,
                usage=self.usage,
                lives=self.lives,
                closed=closed,
            )
        ]

    def periods(self, last: date) -> list[Period]:
        """The contract's billing periods that begin up to a local date."""
        return billing_periods(self.terms, until=last + timedelta(days=1), anchored=self.anchored)
