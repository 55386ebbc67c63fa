"""What a draft of a period speaks for: its own charges, the next one's in advance, and which bookings are theirs."""

from dataclasses import dataclass
from datetime import date, timedelta

from cloud_collector.contracts.catalog import Charge, Occasion
from cloud_collector.contracts.period import Period, boundary
from cloud_collector.contracts.terms import Terms
from cloud_collector.rating.booking import Booking
from cloud_collector.rating.draft import BookingKey, LineKind
from cloud_collector.rating.facts import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Of one draft."""

    terms: Terms
    after: Terms
    """By which the next period is rated."""
    start: int
    """Of the period."""
    end: int
    is_last: bool
    """Whether the contract ends with it."""
    following: Period | None
    """The next period, where charges may be billed in advance."""
    own_advance: bool
    """Whether the period's own advance charges are rated: the period before has billed them, but for the first's."""

    @classmethod
    def of(cls, facts: Facts, period: Period, *, own_advance: bool, after: Terms | None = None) -> "Scope":
        """What the draft of a period speaks for; the first one's own advance charges always are of it."""
        terms = facts.terms
        after = after or terms
        return cls(
            terms=terms,
            after=after,
            start=period.start,
            end=period.end,
            is_last=terms.end is not None and period.last >= terms.end,
            following=_following(facts, period) if has_advance(facts.terms) or has_advance(after) else None,
            own_advance=period.number == 1 or own_advance,
        )

    def covers_booking(self, booking: Booking) -> bool:
        """Whether a booking is of what the draft rates."""
        return self.covers(booking.key, booking.service_end)

    def covers(self, key: BookingKey, service_end: int) -> bool:
        """Whether what is under a key is of what the draft rates: an end at its last boundary is, at its first not.

        Two drafts of a contract never speak for the same booking. A contract's last period also speaks for what was
        booked beyond its end, before the end was known.
        """
        at = key.segment_start
        if key.kind is LineKind.TRUE_UP:
            # A commitment belongs to the period in which it ends.
            return self.start < service_end and (self.is_last or service_end <= self.end)
        if at < self.start or (at > self.end and self.following is None and not self.is_last):
            return False
        # A one-time charge's discount stands at the charge's instant as well.
        if key.kind in {LineKind.ONE_TIME, LineKind.DISCOUNT} and self._ended(key.charge, at):
            return self.start < at and (self.is_last or at <= self.end)
        advance = key.kind in {LineKind.SUBSCRIPTION, LineKind.DISCOUNT}
        if at < self.end:
            return self.own_advance or not (advance and _is_in_advance(self.terms, key.charge, at))
        after = self.following
        if after is not None and at < after.end:
            return advance and _is_in_advance(self.after, key.charge, at)
        return self.is_last

    def _ended(self, charge: str, at: int) -> bool:
        found = _charge_at(self.terms, charge, at - 1)
        return found is not None and found.on is Occasion.ENDED


def has_advance(terms: Terms) -> bool:
    """Whether any charge of the contract is billed in advance."""
    return any(charge.in_advance for stretch in terms.stretches for charge in stretch.charges)


def _is_in_advance(terms: Terms, name: str, at: int) -> bool:
    found = _charge_at(terms, name, at)
    return found is not None and found.in_advance


def _charge_at(terms: Terms, name: str, at: int) -> Charge | None:
    """The charge of that name in the terms of an instant."""
    begun = [each for each in terms.stretches if boundary(terms.timezone, each.start) <= at]
    stretch = begun[-1] if begun else terms.stretches[0]
    return next((charge for charge in stretch.charges if charge.name == name), None)


def _following(facts: Facts, period: Period) -> Period | None:
    """The contract's next billing period; None after its end."""
    until: date = period.last + timedelta(days=2)
    return next((each for each in facts.periods(until) if each.start == period.end), None)
