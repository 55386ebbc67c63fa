"""Which lines are sent when: a bounded window, resent with backoff and full jitter (P8, P9). Pure but for its dice.

A window of 32: 31 places for what the collector asks for and the backlog from the oldest, one for
the newest line, which is sent once and repeated only when its turn in the backlog comes. A resend of
the oldest lines every two minutes once buried a broker; hence the backoff.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from edge_agent.limits import (
    RESEND_AFTER_RECONNECT_SECONDS_MAX,
    RESEND_DOUBLINGS_MAX,
    RESEND_SECONDS_MAX,
    RESEND_SECONDS_MIN,
    RESEND_TOGETHER_MS,
    UPLINK_BACKLOG_LINES,
    UPLINK_FLIGHTS_MAX,
    UPLINK_RESTING_SENDINGS,
)
from edge_agent.sealed import Place


@dataclass(slots=True)
class Flight:
    """A line that was sent and waits for its receipt; times on the monotonic clock."""

    sendings: int
    sent_ms: int
    due_ms: int
    answered_sendings: int = 0
    answered: bool = False


class Flights:
    """The lines in flight."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._flights: dict[Place, Flight] = {}
        self._newest_sent: Place | None = None

    def choose(
        self, *, asked: Sequence[Place], oldest: Sequence[Place], newest: Place | None, now_ms: int
    ) -> list[Place]:
        """The lines to send now, in this order; at most 32 are ever in flight."""
        window = list(dict.fromkeys((*asked, *oldest)))[:UPLINK_BACKLOG_LINES]
        if len(self._flights) > UPLINK_FLIGHTS_MAX:
            self._flights = {place: self._flights[place] for place in window if place in self._flights}
        due = [place for place in window if self._is_due(place, now_ms)]
        if due:  # What would follow within a moment travels along: a payload costs more than a line.
            due = [place for place in window if self._is_due(place, now_ms + RESEND_TOGETHER_MS)]
        if newest is not None and newest not in window and newest != self._newest_sent:
            due.append(newest)
        return due

    def send(self, places: Iterable[Place], *, newest: Place | None, now_ms: int) -> None:
        """Count these as sent; each is due again after a drawn time that grows with its sendings."""
        for place in places:
            if place == newest:
                self._newest_sent = place
            flight = self._flights.get(place)
            sendings = flight.sendings + 1 if flight else 1
            answered = flight.answered_sendings if flight else 0
            self._flights[place] = Flight(sendings, now_ms, now_ms + self._backoff_ms(sendings), answered)

    def hasten(self, places: Iterable[Place], *, now_ms: int) -> None:
        """The collector asks for these: they are due at once, unless they were sent a moment ago."""
        for place in places:
            if flight := self._flights.get(place):
                soonest = flight.sent_ms + int(self._random.uniform(1, 2) * RESEND_SECONDS_MIN * 1_000)
                flight.due_ms = min(flight.due_ms, max(soonest, now_ms))

    def reconnect(self, *, now_ms: int) -> None:
        """A new session: what the last one lost comes soon, yet spread out."""
        for flight in self._flights.values():
            spread = min(RESEND_SECONDS_MIN * 2 ** min(flight.sendings, 8), RESEND_AFTER_RECONNECT_SECONDS_MAX)
            flight.due_ms = min(flight.due_ms, now_ms + int(self._random.uniform(0, spread) * 1_000))
        self._newest_sent = None

    def land(self, log: str, epoch: str, through: int, *, above: int = 0) -> None:
        """The collector holds these; they are no longer in flight."""
        landed = [
            place
            for place in self._flights
            if place.log == log and place.epoch == epoch and above < place.seq <= through
        ]
        for place in landed:
            del self._flights[place]

    def answer(self, log: str, epoch: str, through: int, *, above: int = 0) -> list[Place]:
        """A receipt came that will never confirm these; returns the lines that were sent often enough to rest."""
        resting = []
        for place, flight in self._flights.items():
            if place.log != log or place.epoch != epoch or not above < place.seq <= through:
                continue
            if not flight.answered:
                flight.answered, flight.answered_sendings = True, flight.answered_sendings + 1
            if flight.answered_sendings >= UPLINK_RESTING_SENDINGS:
                # Its backoff stays: what is sent in spite of it, such as a line that announces a key, is no storm.
                flight.answered_sendings = 0
                resting.append(place)
        return resting

    def next_due_ms(self, window: Iterable[Place]) -> int | None:
        """When the next line of the window is due; a line beyond it may be overdue, and waits for its place."""
        places = list(dict.fromkeys(window))[:UPLINK_BACKLOG_LINES]
        return min((self._flights[place].due_ms for place in places if place in self._flights), default=None)

    def _is_due(self, place: Place, now_ms: int) -> bool:
        flight = self._flights.get(place)
        return flight is None or flight.due_ms <= now_ms

    def _backoff_ms(self, sendings: int) -> int:
        bound = min(RESEND_SECONDS_MAX, RESEND_SECONDS_MIN * 2.0 ** min(sendings, RESEND_DOUBLINGS_MAX))
        return int((RESEND_SECONDS_MIN + self._random.uniform(0, bound)) * 1_000)
