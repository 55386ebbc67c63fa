"""Models: what a quantity costs, exactly, with the steps that a person can follow."""

from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from cloud_collector.contracts.catalog import Charge, Model, Tier
from cloud_collector.contracts.money import as_written, fraction_of, plain
from cloud_collector.rating.draft import Step

_ZERO = Fraction(0)
_EXACT = Context(prec=96)
"""More digits than two numbers of a catalog have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overage:
    """Beyond what is committed a unit costs `factor` times its price."""

    committed: Fraction
    """Units of the whole commitment."""
    before: Fraction
    """Units of it that were used before."""
    factor: Decimal

    def excess(self, quantity: Fraction) -> Fraction:
        """How many of these units lie beyond it."""
        return max(self.before + quantity - self.committed, Fraction(0)) - max(
            self.before - self.committed, Fraction(0)
        )


class Priced(NamedTuple):
    """An exact amount, its steps, and the one price of a unit where there is one."""

    exact: Fraction
    unit_price: Decimal | None
    steps: tuple[Step, ...]


def stepped_up(quantity: Fraction, increment: Decimal | None) -> Fraction:
    """The next multiple of the increment."""
    return quantity if increment is None else ceil(quantity / fraction_of(increment)) * fraction_of(increment)


def price(
    charge: Charge,
    quantity: Fraction,
    *,
    used: bool,
    unit_price: Decimal | None = None,
    overage: Overage | None = None,
) -> Priced:
    """What the quantity costs, after increment and included; `used` says whether there was any use before those."""
    match charge.model:
        case Model.PER_UNIT:
            assert unit_price is not None, "the catalog requires it"
            return _at(quantity, unit_price, overage)
        case Model.GRADUATED:
            return _graduated(charge.tiers, quantity)
        case Model.VOLUME:
            return _volume(charge.tiers, quantity)
        case Model.PACKAGE:
            return _packages(charge, quantity)
        case Model.PERCENTAGE:
            return _percentage(charge, quantity, used=used)
        case Model.CAPACITY:
            flat = _tier(charge.tiers, quantity).flat
            step = {"quantity": plain(quantity), "flat": as_written(flat), "amount": plain(Fraction(flat))}
            return Priced(exact=Fraction(flat), unit_price=None, steps=(step,))
        case None:
            raise AssertionError("the catalog requires a model")


def is_step_due(step: Step) -> bool:
    """Whether it costs something or counts something: where all is included the empty one says nothing."""
    return step.get("quantity") != "0" or bool(Decimal(str(step["amount"])))


def _at(quantity: Fraction, unit_price: Decimal, overage: Overage | None) -> Priced:
    excess = _ZERO if overage is None else overage.excess(quantity)
    if overage is None or not excess or overage.factor == 1:
        exact = quantity * fraction_of(unit_price)
        step = {"quantity": plain(quantity), "price": as_written(unit_price), "amount": plain(exact)}
        return Priced(exact=exact, unit_price=unit_price, steps=(step,))
    dearer = _EXACT.multiply(unit_price, overage.factor)
    within = quantity - excess
    steps = [_step(within, unit_price)] if within else []
    return Priced(
        exact=within * fraction_of(unit_price) + excess * fraction_of(dearer),
        unit_price=None if within else dearer,
        steps=(*steps, _step(excess, dearer)),
    )


def _graduated(tiers: tuple[Tier, ...], quantity: Fraction) -> Priced:
    """Each unit at its own tier's price, plus the flat of every tier reached."""
    exact = below = _ZERO
    steps: list[Step] = []
    prices: list[Decimal] = []
    for index, tier in enumerate(tiers):
        if index and quantity <= below:
            break
        limit = None if tier.up_to is None else fraction_of(tier.up_to)
        # The last tier's price goes on above its `up_to`.
        top = quantity if limit is None or index == len(tiers) - 1 or quantity <= limit else limit
        within = top - below if index else top
        if within > 0 or not index:
            cost = within * fraction_of(tier.price)
            prices.append(tier.price)
            steps.append({"quantity": plain(within), "price": as_written(tier.price), "amount": plain(cost)})
            exact += cost
        if tier.flat:
            steps += _flat(tier)
            exact += fraction_of(tier.flat)
        below = top if limit is None else limit
    return Priced(exact=exact, unit_price=prices[0] if len(set(prices)) == 1 else None, steps=tuple(steps))


def _volume(tiers: tuple[Tier, ...], quantity: Fraction) -> Priced:
    """All units at the price of the tier that the quantity falls in, plus that tier's flat."""
    tier = _tier(tiers, quantity)
    return Priced(
        exact=quantity * fraction_of(tier.price) + fraction_of(tier.flat),
        unit_price=tier.price,
        steps=(_step(quantity, tier.price), *_flat(tier)),
    )


def _tier(tiers: tuple[Tier, ...], quantity: Fraction) -> Tier:
    """The tier that a quantity falls in; the last goes on above its `up_to`."""
    return next((tier for tier in tiers if tier.up_to is None or quantity <= tier.up_to), tiers[-1])


def _packages(charge: Charge, quantity: Fraction) -> Priced:
    """Every started package whole."""
    assert charge.size is not None, "the catalog requires it"
    assert charge.price is not None, "the catalog requires it"
    count = ceil(quantity / fraction_of(charge.size))
    exact = count * fraction_of(charge.price)
    step = {"packages": str(count), "size": as_written(charge.size), "price": as_written(charge.price)}
    return Priced(exact=exact, unit_price=None, steps=({**step, "amount": plain(exact)},))


def _percentage(charge: Charge, quantity: Fraction, *, used: bool) -> Priced:
    """`rate` per cent of the money, and `fixed` once where there was any."""
    assert charge.rate is not None, "the catalog requires it"
    share = quantity * fraction_of(charge.rate) / 100
    steps: list[Step] = [{"quantity": plain(quantity), "percent": as_written(charge.rate), "amount": plain(share)}]
    fixed = fraction_of(charge.fixed) if used else Fraction(0)
    if fixed:
        steps.append({"fixed": as_written(charge.fixed), "amount": plain(fixed)})
    return Priced(exact=share + fixed, unit_price=None, steps=tuple(steps))


def _step(quantity: Fraction, unit_price: Decimal) -> Step:
    return {
        "quantity": plain(quantity),
        "price": as_written(unit_price),
        "amount": plain(quantity * fraction_of(unit_price)),
    }


def _flat(tier: Tier) -> list[Step]:
    return [{"flat": as_written(tier.flat), "amount": plain(fraction_of(tier.flat))}] if tier.flat else []
