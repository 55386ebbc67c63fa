"""Integers of a channel's unit as an exact quantity of the catalog's unit."""

from fractions import Fraction
from functools import lru_cache

from shared.errors import MetersealError
from shared.unit import ratio


class UnlikeUnits(MetersealError):
    """A channel's unit does not convert into the catalog's."""


@lru_cache(maxsize=1_024)
def worth(unit: str, exponent: int, into: str) -> Fraction:
    """How much of `into` one integer of unit·10^exponent is; raises UnlikeUnits."""
    found = ratio(unit, into)
    if found is None:
        raise UnlikeUnits(f"what is measured in {unit} cannot be billed in {into}")
    return found * Fraction(10) ** exponent
