"""What is due: derived from the store alone, so a missed, doubled or late tick changes nothing.

Pure. A period is due when its end has passed. It closes at once when every gateway of the contract has
proved by its chain that nothing before the boundary is missing; else after `settle`, with gaps named.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final

from cloud_collector.activity.activation import StateChange
from cloud_collector.activity.lifecycle import ended_at, left_at, provisioned_at
from cloud_collector.contracts.period import Period, later, local_date
from cloud_collector.contracts.revision import billing_periods
from cloud_collector.contracts.terms import Terms

DEFAULT_SETTLE_SECONDS: Final = 48 * 3_600
"""Where a plan does not say how long a period waits for missing reports."""
AFTER_END_PERIODS_MAX: Final = 24
"""For how many cycles after a contract's end late reports are still adjusted."""

CompleteUntil = Callable[[str], int | None]
"""Up to which UTC second a gateway has proved its account complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A period that is to be closed now."""

    period: Period
    silent: Mapping[str, int | None] = field(default_factory=dict)
    """Gateways that are not waited for any longer, and until when they are complete."""
    adjusts: bool = False
    """The contract had ended before: only what differs in earlier periods is billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The period has ended, and reports of these gateways are missing still."""

    period: Period
    until: int
    """When it closes all the same."""
    silent: Mapping[str, int | None]


def next_due(
    terms: Terms,
    periods: Sequence[Period],
    closed: Collection[int],
    now: int,
    complete: CompleteUntil,
    states: Sequence[StateChange] = (),
) -> Due | Waiting | None:
    """The contract's earliest open period, if it has ended; `periods` as `periods_until` gives them."""
    period = next((each for each in periods if each.start not in closed), None)
    if period is None or period.end > now:
        return None
    ended = terms.end is not None and period.first >= terms.end
    silent = {} if ended else silent_in(terms, period, complete, states)
    waits_until = period.end + DEFAULT_SETTLE_SECONDS
    if terms.settle is not None:
        waits_until = later(terms.timezone, period.end, terms.settle)
    if silent and now < waits_until:
        return Waiting(period=period, until=waits_until, silent=silent)
    return Due(period=period, silent=silent, adjusts=ended)


def periods_until(terms: Terms, now: int, anchored: date | None = None) -> list[Period]:
    """The contract's periods that have begun; after its end cycles go on for late reports."""
    until = local_date(terms.timezone, now) + timedelta(days=1)
    periods = billing_periods(terms, until=until, anchored=anchored)
    if terms.end is None or not periods or periods[-1].last < terms.end:
        return periods
    endless = billing_periods(replace(terms, start=terms.end, end=None), until=until, anchored=anchored)
    return periods + endless[:AFTER_END_PERIODS_MAX]


def silent_in(
    terms: Terms, period: Period, complete: CompleteUntil, states: Sequence[StateChange] = ()
) -> dict[str, int | None]:
    """Gateways that have not proved what is needed of them: up to the period's end, or until their devices ended."""
    needed: dict[str, int] = {}
    # What others use of a shared pool changes what this contract pays.
    for each in (terms, *terms.pooled):
        for device in each.devices:
            ended = ended_at(each, device, states)
            if provisioned_at(each, device) < period.end and ended > period.start:
                gateway = device.id.rpartition("/")[0]
                until = period.end if ended == left_at(each, device) else min(ended, period.end)
                needed[gateway] = max(needed.get(gateway, 0), until)
    reached = {gateway: complete(gateway) for gateway in sorted(needed)}
    return {gateway: until for gateway, until in reached.items() if until is None or until < needed[gateway]}
