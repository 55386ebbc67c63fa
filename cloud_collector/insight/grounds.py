"""What a line rests on: which devices, in which of their time, and for a maximum the moment that decides it.

The parts are cut by the code that rates them, so that what is shown under an amount is what made it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from cloud_collector.activity.lifecycle import Life, life_of
from cloud_collector.contracts.catalog import Aggregate, Charge, Meter
from cloud_collector.contracts.period import Period, local_days
from cloud_collector.contracts.week import Times, times_of
from cloud_collector.rating.draft import BookingKey
from cloud_collector.rating.facts import Facts
from cloud_collector.rating.known import Known
from cloud_collector.rating.level import Piece, peak, pieces_of, rate_peak
from cloud_collector.rating.measure import Part, Quantity, channel_of, part_of, total
from cloud_collector.rating.segment import Segment
from cloud_collector.usage.span import ChannelName

_ID_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A device in a line, in the times of it that count."""

    device: str
    meter: str
    part: Part

    @property
    def channel(self) -> ChannelName:
        """The device's channel of that meter."""
        return channel_of(self.device, self.meter)

    @property
    def times(self) -> Times:
        """What of the line's time is billed of it."""
        return self.part.times

    def quantity(self) -> Quantity:
        """What it used in them, by the meter's aggregate; raises UnlikeUnits and DetailDeleted."""
        return total([self.part], self.meter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """Everything that a metered line rests on."""

    meter: Meter
    charge: Charge
    segment: Segment
    held: tuple[Ground, ...]
    """By name of the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one device's interval adds to a maximum."""

    channel: ChannelName
    start: int
    end: int
    level: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """When a maximum was reached, and what it was made of then."""

    start: int
    end: int
    figure: Fraction
    shares: tuple[Share, ...]


def line_id(key: BookingKey) -> str:
    """What a line of a draft is called in addresses: the same as long as it is for the same thing."""
    said = "\x1f".join((key.contract, key.charge, key.kind, key.device, key.window, str(key.segment_start)))
    return hashlib.sha256(said.encode()).hexdigest()[:_ID_DIGITS]


def lives(known: Known) -> tuple[Life, ...]:
    """Every device of the contract in its life, by name."""
    terms = known.terms
    return tuple(
        life_of(terms, device, known.starts.get(device.id), known.states)
        for device in sorted(terms.devices, key=lambda each: each.id)
    )


def grounds(known: Known, period: Period, key: BookingKey) -> Grounds | None:
    """What the line of this key rests on; None where its charge meters nothing, or is no more."""
    held = lives(known)
    facts = Facts(terms=known.terms, usage=known.usage, lives=held)
    for segment in facts.segments(period, closed=False):
        charge = next((each for each in segment.stretch.charges if each.name == key.charge), None)
        if segment.start != key.segment_start or charge is None or charge.meter is None:
            continue
        times = times_within(segment, charge, key.window)
        parts = [part_of(segment, life, times) for life in held if key.device in {"", life.device}]
        return Grounds(
            meter=known.terms.meters[charge.meter],
            charge=charge,
            segment=segment,
            held=tuple(Ground(device=part.life.device, meter=charge.meter, part=part) for part in parts if part.times),
        )
    return None


def times_within(segment: Segment, charge: Charge, window: str) -> Times:
    """When a charge's window holds in the segment; without a window all of it."""
    names = [each.name for each in charge.windows]
    if window not in names:
        return ((segment.start, segment.end),)
    held = times_of(charge.windows, segment.stretch.holidays, segment.terms.timezone, segment.start, segment.end)
    return held[names.index(window)]


def deciding(found: Grounds) -> Deciding | None:
    """The moment that makes a maximum; None for every other aggregate, and where nothing was reported."""
    if found.meter.aggregate is not Aggregate.MAX or not found.held:
        return None
    held = [(each.channel, each.times) for each in found.held]
    if found.meter.demand is not None:
        return _demand(found, held, found.meter.demand.seconds)
    usage = found.segment.usage
    pieces = [(channel, piece) for channel, times in held for piece in pieces_of(usage, channel, found.meter, times)]
    highest = peak(piece for _, piece in pieces)
    if not highest:
        return None
    at = _when([piece for _, piece in pieces], highest)
    shares = tuple(
        Share(channel=channel, start=piece.start, end=piece.end, level=piece.level)
        for channel, piece in pieces
        if piece.start <= at < piece.end
    )
    return Deciding(
        start=max(each.start for each in shares),
        end=min(each.end for each in shares),
        figure=highest,
        shares=shares,
    )


def _when(pieces: Sequence[Piece], highest: Fraction) -> int:
    """The first instant at which the levels sum to this."""
    changes: dict[int, Fraction] = {}
    for piece in pieces:
        changes[piece.start] = changes.get(piece.start, Fraction(0)) + piece.level
        changes[piece.end] = changes.get(piece.end, Fraction(0)) - piece.level
    level = Fraction(0)
    for at, change in sorted(changes.items()):
        level += change
        if level == highest:
            return at
    raise AssertionError("a peak is reached somewhere")


def _demand(found: Grounds, held: Sequence[tuple[ChannelName, Times]], length: int) -> Deciding | None:
    """By the rating's own rate: first the day that has it, then the window of that day."""
    start, end = min(times[0][0] for _, times in held), max(times[-1][1] for _, times in held)
    day = max(local_days(found.segment.terms.timezone, start, end), key=lambda each: _rate(found, held, *each))
    edges = [*range(day[0], day[1], length), day[1]]
    best = max(pairwise(edges), key=lambda each: _rate(found, held, *each))
    figure = _rate(found, held, *best)
    if not figure:
        return None
    alone = [(channel, times, _rate(found, [(channel, times)], *best)) for channel, times in held]
    return Deciding(
        start=best[0],
        end=best[1],
        figure=figure,
        shares=tuple(
            Share(channel=channel, start=best[0], end=best[1], level=rate) for channel, _, rate in alone if rate
        ),
    )


def _rate(found: Grounds, held: Sequence[tuple[ChannelName, Times]], start: int, end: int) -> Fraction:
    inside = [(channel, clipped) for channel, times in held if (clipped := clip(times, start, end))]
    if not inside:
        return Fraction(0)
    return rate_peak(inside, found.segment.usage, found.meter, found.segment.terms.timezone)[0]


def clip(times: Times, start: int, end: int) -> Times:
    """What of these times lies in [start, end)."""
    both = ((max(low, start), min(high, end)) for low, high in times)
    return tuple((low, high) for low, high in both if low < high)
