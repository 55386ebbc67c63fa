"""What a draft of a period speaks for: its own charges, the next one's in advance, and which bookings are theirs."""

from dataclasses import dataclass
from datetime import date, timedelta

from cloud_collector.contracts.catalog import Occasion
from cloud_collector.contracts.period import Period
from cloud_collector.rating.booking import Booking
from cloud_collector.rating.draft import LineKind
from cloud_collector.rating.facts import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Of one draft."""

    period: Period
    following: Period | None
    """The next period, where it has charges in advance."""
    own_advance: bool
    """Whether the period's own advance charges are rated: the period before has billed them, but for the first's."""
    in_advance: frozenset[str]
    on_end: frozenset[str]
    """Charges by name."""

    @classmethod
    def of(cls, facts: Facts, period: Period, *, own_advance: bool) -> "Scope":
        """What the draft of a period speaks for; the first one's own advance charges always are of it."""
        charges = [charge for stretch in facts.terms.stretches for charge in stretch.charges]
        in_advance = frozenset(charge.name for charge in charges if charge.in_advance)
        return cls(
            period=period,
            following=_following(facts, period) if in_advance else None,
            own_advance=period.number == 1 or own_advance,
            in_advance=in_advance,
            on_end=frozenset(charge.name for charge in charges if charge.on is Occasion.ENDED),
        )

    def covers(self, booking: Booking) -> bool:
        """Whether a booking is of what the draft rates: an end at its last boundary is, at its first not."""
        key, period = booking.key, self.period
        at = key.segment_start
        if key.kind is LineKind.TRUE_UP:
            # A commitment belongs to the period in which it ends.
            return period.start < booking.service_end <= period.end
        # A one-time charge's discount stands at the charge's instant as well.
        if key.charge in self.on_end and key.kind in {LineKind.ONE_TIME, LineKind.DISCOUNT}:
            return period.start < at <= period.end
        if key.charge in self.in_advance and key.kind in {LineKind.SUBSCRIPTION, LineKind.DISCOUNT}:
            after = self.following
            if after is not None and after.start <= at < after.end:
                return True
            return self.own_advance and period.start <= at < period.end
        return period.start <= at < period.end


def _following(facts: Facts, period: Period) -> Period | None:
    """The contract's next billing period; None after its end."""
    until: date = period.last + timedelta(days=2)
    return next((each for each in facts.periods(until) if each.start == period.end), None)
