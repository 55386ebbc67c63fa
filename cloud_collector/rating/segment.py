"""The part of a period that one stretch of terms covers, with the facts that it is rated from."""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from cloud_collector.activity.lifecycle import FOREVER, Life
from cloud_collector.contracts.money import Currency
from cloud_collector.contracts.period import Period, boundary, local_days
from cloud_collector.contracts.terms import Stretch, Terms
from cloud_collector.usage.span import UsageView


@dataclass(frozen=True, kw_only=True)
class Segment:
    """[start, end) of a period, rated alone by its stretch's charges."""

    terms: Terms
    stretch: Stretch
    period: Period
    start: int
    end: int
    usage: UsageView
    lives: tuple[Life, ...]
    closed: bool
    """Whether the period is rated as closed: an open one has no minimum yet."""
    beside: "tuple[Segment, ...]" = ()
    """The same time of the account's contracts that share a pool with this one."""

    @cached_property
    def currency(self) -> Currency:
        """The contract's currency, rounded as the plan of its time says."""
        return Currency(code=self.terms.currency.code, rounding=self.stretch.rounding)

    @cached_property
    def days(self) -> tuple[tuple[int, int], ...]:
        """Its local days, as (start, end)."""
        return local_days(self.terms.timezone, self.start, self.end)

    @cached_property
    def day_ends(self) -> list[int]:
        """Where its local days end."""
        return [end for _, end in self.days]

    @cached_property
    def period_days(self) -> tuple[tuple[int, int], ...]:
        """The local days of the whole billing period."""
        return local_days(self.terms.timezone, self.period.start, self.period.end)

    @cached_property
    def full_days(self) -> int:
        """The local days of the full aligned period: what a share is a share of."""
        return self.period.full_days

    @cached_property
    def contract_from(self) -> int | None:
        """From when the contract itself is billed: its first activation, without devices its start."""
        if not self.lives:
            return boundary(self.terms.timezone, self.terms.start)
        return min((life.activation.at for life in self.lives if life.activation is not None), default=None)

    def contract_part(self) -> tuple[int, int] | None:
        """What of the segment a charge per contract covers."""
        end = self.terms.end
        until = FOREVER if end is None else boundary(self.terms.timezone, end)
        return None if self.contract_from is None else self._clip(self.contract_from, until)

    def device_part(self, life: Life) -> tuple[int, int] | None:
        """What of the segment a device is billed for."""
        return None if life.activation is None else self._clip(life.activation.at, life.end)

    def billed_time(self, life: Life) -> tuple[int, int] | None:
        """Of what of the segment a device's usage is billed: from its start, or all where usage before is billed."""
        if life.activation is None:
            return None
        start = life.provisioned if self.terms.activation.usage_before_billed else life.activation.at
        return self._clip(start, life.end)

    def days_in(self, part: tuple[int, int] | None) -> int:
        """Days that end inside a part: its first day counts, the day on which it ends early does not."""
        if part is None:
            return 0
        return bisect_right(self.day_ends, part[1]) - bisect_right(self.day_ends, part[0])

    def _clip(self, start: int, end: int) -> tuple[int, int] | None:
        start, end = max(start, self.start), min(end, self.end)
        return (start, end) if start < end else None
