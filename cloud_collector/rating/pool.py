"""Pools: whose usage and allowances are added up, and how what they cost together is shared out."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from cloud_collector.activity.lifecycle import Life
from cloud_collector.contracts.catalog import Charge, Per, Pool
from cloud_collector.contracts.money import Currency, exponent_of
from cloud_collector.contracts.week import Times
from cloud_collector.rating.measure import NOTHING, Part, Quantity, part_of, total
from cloud_collector.rating.segment import Segment


class Party(NamedTuple):
    """A device, or a contract, to which a charge belongs, with what it used in each window."""

    segment: Segment
    device: str | None
    parts: tuple[tuple[Part, ...], ...]
    """By window."""
    used: tuple[Quantity, ...]
    """By window."""
    time: tuple[int, int] | None
    """What of the segment is billed."""

    @property
    def share(self) -> Fraction:
        """Of the full period's days, for what is included and a minimum."""
        full = self.segment.full_days
        return Fraction(self.segment.days_in(self.time), full) if full else Fraction(0)

    @property
    def name(self) -> tuple[str, str]:
        """By which ties are settled."""
        return self.device or "", self.segment.terms.contract


class Shared(NamedTuple):
    """A party's part of what a pool costs."""

    exact: Fraction
    amount: Decimal


def pools_of(segment: Segment, charge: Charge, windows: Sequence[Times]) -> list[list[Party]]:
    """The parties of every pool in which this contract has a part; without a pool each is alone."""
    own = _parties(segment, charge, windows)
    if charge.pool in {None, Pool.DEVICE} or (charge.per, charge.pool) == (Per.CONTRACT, Pool.CONTRACT):
        return [[party] for party in own]
    if charge.pool is Pool.ACCOUNT:
        own += [
            party
            for beside in segment.beside
            if any(other.name == charge.name and other.pool is Pool.ACCOUNT for other in beside.stretch.charges)
            for party in _parties(beside, charge, windows)
        ]
    return [own] if own else []


def together(parties: Sequence[Party], window: int, meter: str) -> Quantity:
    """What a pool used in a window."""
    if len(parties) == 1:
        return parties[0].used[window]
    return total([part for party in parties for part in party.parts[window]], meter)


def shared_out(exact: Fraction, parties: Sequence[Party], window: int, currency: Currency) -> list[Shared]:
    """By usage, without any equally; rounded once together, then by largest remainder, ties by name (P17)."""
    if len(parties) == 1:
        return [Shared(exact=exact, amount=currency.amount(exact))]
    weights = [party.used[window].value for party in parties]
    return apportioned(exact, weights, [party.name for party in parties], currency)


def apportioned(
    exact: Fraction, weights: Sequence[Fraction], names: Sequence[tuple[str, str]], currency: Currency
) -> list[Shared]:
    """By weight, without any equally; rounded once together, then by largest remainder, ties by name (P17)."""
    if not sum(weights):
        weights = [Fraction(1)] * len(names)
    one = exact / sum(weights)
    exacts = [one * weight for weight in weights]
    coin = Fraction(1, 10 ** exponent_of(currency.code))
    coins = [each // coin for each in exacts]
    left = int(Fraction(currency.amount(exact)) / coin) - sum(coins)
    order = sorted(range(len(names)), key=lambda index: (coins[index] - exacts[index] / coin, names[index]))
    for index in order[:left]:
        coins[index] += 1
    return [Shared(exact=each, amount=currency.amount(count * coin)) for each, count in zip(exacts, coins, strict=True)]


def _parties(segment: Segment, charge: Charge, windows: Sequence[Times]) -> list[Party]:
    """Before its part begins a party has no line, but for usage before the start where that is billed."""
    if charge.per is Per.CONTRACT:
        made = [_party(segment, charge, None, segment.lives, windows)]
    else:
        made = [_party(segment, charge, life.device, (life,), windows) for life in segment.lives]
    return [party for party in made if party is not None]


def _party(
    segment: Segment, charge: Charge, device: str | None, lives: Sequence[Life], windows: Sequence[Times]
) -> Party | None:
    assert charge.meter is not None, "the catalog requires it"
    part = segment.contract_part() if device is None else segment.device_part(lives[0])
    parts = tuple([tuple([part_of(segment, life, times) for life in lives]) for times in windows])
    used = tuple([total(each, charge.meter) for each in parts])
    if part is None and not sum(used, NOTHING).value:
        return None
    return Party(segment=segment, device=device, parts=parts, used=used, time=part)
