"""What is known of a contract at some moment, and what its periods cost by that.

A quote, the cost so far, a forecast and a tariff that is tried on are this one look, at different facts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from cloud_collector.activity.activation import Activation, StateChange
from cloud_collector.activity.first_use import first_activity
from cloud_collector.activity.recall import Recall
from cloud_collector.contracts.period import Period, local_date
from cloud_collector.contracts.terms import Terms
from cloud_collector.rating.booking import Booking
from cloud_collector.rating.draft import Draft
from cloud_collector.rating.rate import Starts, draft
from cloud_collector.usage.span import UsageView


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Terms, usage and states, with the starts that follow from them; grace is foreseen."""

    terms: Terms
    usage: UsageView
    states: Sequence[StateChange]
    starts: Mapping[str, Activation]
    others: Mapping[str, Starts]
    """Of the contracts that share a pool with this one."""

    @classmethod
    def of(
        cls,
        terms: Terms,
        usage: UsageView,
        states: Sequence[StateChange] = (),
        *,
        until: int,
        recall: Recall | None = None,
    ) -> "Known":
        """The starts by reports that begin before `until`, and those that rules alone will give."""

        def starts_of(terms: Terms) -> dict[str, Activation]:
            return first_activity(terms, usage, states, until=until, foresee=True, recall=recall)

        others = {other.contract: starts_of(other) for other in terms.pooled}
        starts = starts_of(terms)
        return cls(terms=terms, usage=usage, states=states, starts=starts, others=others)

    @property
    def activated(self) -> date | None:
        """The local date of the contract's first activation."""
        at = min((start.at for start in self.starts.values()), default=None)
        return None if at is None else local_date(self.terms.timezone, at)

    def draft(
        self,
        period: Period,
        *,
        closed: bool,
        booked: Iterable[Booking] = (),
        own_advance: bool = False,
        billed_at: int | None = None,
        anchored: date | None = None,
        after: Terms | None = None,
    ) -> Draft:
        """What the period costs by what is known, by the code that rates invoices; raises UnlikeUnits."""
        return draft(
            self.terms,
            period,
            self.usage,
            starts=self.starts,
            states=self.states,
            booked=booked,
            closed=closed,
            others=self.others,
            own_advance=own_advance,
            billed_at=billed_at,
            anchored=anchored,
            after=after,
        )
