"""A quote: a period rated from facts that someone hands over, without a collector."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cloud_collector.activity.activation import StateChange
from cloud_collector.contracts.named_period import find_period, named_days
from cloud_collector.contracts.period import periods
from cloud_collector.contracts.terms import Terms
from cloud_collector.rating.booking import Booking
from cloud_collector.rating.draft import Draft
from cloud_collector.rating.known import Known
from cloud_collector.usage.ledger import Ledger
from cloud_collector.usage.span import Span
from shared.errors import MetersealError


class NoPeriod(MetersealError):
    """The contract has no billing period there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, and of which facts."""

    period: str
    spans: Sequence[Span] = ()
    states: Sequence[StateChange] = ()
    booked: Sequence[Booking] = ()
    booked_from: int | None = None
    """Where the earliest period begins of which something, or nothing, was booked."""
    as_of: int | None = None
    """Milliseconds: what was received later does not count."""


def quote(terms: Terms, question: Question) -> Draft:
    """The draft of the period that is named; raises ValueError for a bad name, NoPeriod, UnlikeUnits."""
    first, last = named_days(question.period)
    spans = [span for span in question.spans if question.as_of is None or span.received_at <= question.as_of]
    states = [change for change in question.states if question.as_of is None or change.at * 1_000 <= question.as_of]
    known = Known.of(terms, Ledger(spans), states, until=_until(spans))
    period = find_period(periods(terms, until=last, activated=known.activated), first, last)
    if period is None:
        raise NoPeriod(f"{terms.contract} has no billing period in {question.period}: it starts on {terms.start}")
    return known.draft(
        period,
        booked=question.booked,
        closed=question.as_of is None or question.as_of >= period.end * 1_000,
        own_advance=question.booked_from is not None and question.booked_from < period.start,
        billed_at=None if question.as_of is None else question.as_of // 1_000,
    )


def _until(spans: Iterable[Span]) -> int:
    """After everything that was reported."""
    return max((span.end for span in spans), default=0)
