"""Models: what a quantity costs, exactly, with the steps that a person can follow."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil

from cloud_collector.contracts.catalog import Charge, Model, Tier
from cloud_collector.contracts.money import as_written, plain
from cloud_collector.rating.draft import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """An exact amount, its steps, and the one price of a unit where there is one."""

    exact: Fraction
    unit_price: Decimal | None
    steps: tuple[Step, ...]


def stepped_up(quantity: Fraction, increment: Decimal | None) -> Fraction:
    """The next multiple of the increment."""
    return quantity if increment is None else ceil(quantity / Fraction(increment)) * Fraction(increment)


def price(charge: Charge, quantity: Fraction, *, used: bool) -> Priced:
    """What the quantity costs, after increment and included; `used` says whether there was any use before those."""
    match charge.model:
        case Model.PER_UNIT:
            assert charge.price is not None, "the catalog requires it"
            return _at(quantity, charge.price)
        case Model.GRADUATED:
            return _graduated(charge.tiers, quantity)
        case Model.VOLUME:
            return _volume(charge.tiers, quantity)
        case Model.PACKAGE:
            return _packages(charge, quantity)
        case Model.PERCENTAGE:
            return _percentage(charge, quantity, used=used)
        case _:
            raise AssertionError(f"the catalog refuses the model {charge.model}")


def _at(quantity: Fraction, unit_price: Decimal) -> Priced:
    return Priced(exact=quantity * Fraction(unit_price), unit_price=unit_price, steps=(_step(quantity, unit_price),))


def _graduated(tiers: tuple[Tier, ...], quantity: Fraction) -> Priced:
    """Each unit at its own tier's price, plus the flat of every tier reached."""
    exact = Fraction(0)
    steps: list[Step] = []
    prices: list[Decimal] = []
    below = Fraction(0)
    for index, tier in enumerate(tiers):
        if index and quantity <= below:
            break
        last = index == len(tiers) - 1
        # The last tier's price goes on above its `up_to`.
        top = quantity if last or tier.up_to is None else min(quantity, Fraction(tier.up_to))
        if top > below or not index:
            prices.append(tier.price)
            steps.append(_step(top - below, tier.price))
        steps += _flat(tier)
        exact += (top - below) * Fraction(tier.price) + Fraction(tier.flat)
        below = top if tier.up_to is None else Fraction(tier.up_to)
    return Priced(exact=exact, unit_price=prices[0] if len(set(prices)) == 1 else None, steps=tuple(steps))


def _volume(tiers: tuple[Tier, ...], quantity: Fraction) -> Priced:
    """All units at the price of the tier that the quantity falls in, plus that tier's flat."""
    tier = next((tier for tier in tiers if tier.up_to is None or quantity <= tier.up_to), tiers[-1])
    return Priced(
        exact=quantity * Fraction(tier.price) + Fraction(tier.flat),
        unit_price=tier.price,
        steps=(_step(quantity, tier.price), *_flat(tier)),
    )


def _packages(charge: Charge, quantity: Fraction) -> Priced:
    """Every started package whole."""
    assert charge.size is not None, "the catalog requires it"
    assert charge.price is not None, "the catalog requires it"
    count = ceil(quantity / Fraction(charge.size))
    exact = count * Fraction(charge.price)
    step = {"packages": str(count), "size": as_written(charge.size), "price": as_written(charge.price)}
    return Priced(exact=exact, unit_price=None, steps=({**step, "amount": plain(exact)},))


def _percentage(charge: Charge, quantity: Fraction, *, used: bool) -> Priced:
    """`rate` per cent of the money, and `fixed` once where there was any."""
    assert charge.rate is not None, "the catalog requires it"
    share = quantity * Fraction(charge.rate) / 100
    steps: list[Step] = [{"quantity": plain(quantity), "percent": as_written(charge.rate), "amount": plain(share)}]
    fixed = Fraction(charge.fixed) if used else Fraction(0)
    if fixed:
        steps.append({"fixed": as_written(charge.fixed), "amount": plain(fixed)})
    return Priced(exact=share + fixed, unit_price=None, steps=tuple(steps))


def _step(quantity: Fraction, unit_price: Decimal) -> Step:
    return {
        "quantity": plain(quantity),
        "price": as_written(unit_price),
        "amount": plain(quantity * Fraction(unit_price)),
    }


def _flat(tier: Tier) -> list[Step]:
    return [{"flat": as_written(tier.flat), "amount": plain(Fraction(tier.flat))}] if tier.flat else []
