"""Money and printed numbers: exact fractions in, rounded once, decimal strings out.

Exponents: ISO 4217, list one. Every code that is not named here has two decimals.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import Final

_EXACT: Final = Context(prec=999, traps=[Inexact])
"""More digits than sums of money have; it says so where they were not enough."""
EXACT_PLACES: Final = 10
"""Decimals of `exact`, and of any printed number that no finite decimal spells."""

_NO_DECIMALS: Final = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split())
_THREE_DECIMALS: Final = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
_FOUR_DECIMALS: Final = frozenset("CLF UYW".split())
_TWO_DECIMALS: Final = frozenset(
    (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE "
        "CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD "
        "HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP "
        "MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR "
        "SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED "
        "VES WST XCD XCG YER ZAR ZMW ZWG ZWL"
    ).split()
)
CURRENCIES: Final = _NO_DECIMALS | _TWO_DECIMALS | _THREE_DECIMALS | _FOUR_DECIMALS


class Rounding(StrEnum):
    """What becomes of exactly one half."""

    HALF_UP = "half_up"
    """Away from zero."""
    HALF_EVEN = "half_even"


def exponent_of(currency: str) -> int:
    """The decimals of a currency's amounts."""
    if currency in _NO_DECIMALS:
        return 0
    if currency in _THREE_DECIMALS:
        return 3
    return 4 if currency in _FOUR_DECIMALS else 2


@lru_cache(maxsize=4_096)
def fraction_of(value: Decimal) -> Fraction:
    """A catalog's number as a fraction: a run meets the same few again and again."""
    return Fraction(value)


def summed(amounts: Iterable[Decimal]) -> Fraction:
    """Their sum, exactly."""
    total = Decimal(0)
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return Fraction(total)


def rounded(value: Fraction, places: int, rounding: Rounding) -> Decimal:
    """The nearest decimal with `places` decimals, exactly; a half goes where `rounding` says."""
    numerator, denominator = value.numerator, value.denominator
    whole, rest = divmod(abs(numerator) * 10**places, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and (rounding is Rounding.HALF_UP or whole % 2 == 1)):
        whole += 1
    # A text of digits is exact, whatever the context's precision.
    return Decimal(f"{'-' if numerator < 0 and whole else ''}{whole}E-{places}")


def plain(value: Fraction) -> str:
    """A number as people write it: no exponent, no zeros at the end; all its decimals where they are finite."""
    numerator, denominator = value.numerator, value.denominator
    if denominator == 1:
        return str(numerator)
    finite = _finite(denominator)
    if finite is None:
        text = format(rounded(value, EXACT_PLACES, Rounding.HALF_UP), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    places, ten, factor = finite
    whole, rest = divmod(abs(numerator) * factor, ten)
    # In lowest terms and with no more places than are needed the last one is no zero.
    return f"{'-' if numerator < 0 else ''}{whole}.{rest:0{places}d}"


def as_printed(value: Fraction) -> Fraction:
    """What `plain` says of it: the same, but where no finite decimal spells it."""
    return value if _finite(value.denominator) is not None else Fraction(plain(value))


def as_written(value: Decimal) -> str:
    """A catalog's number with the zeros that its author wrote: 0.30 stays 0.30."""
    return format(value, "f")


@dataclass(frozen=True, slots=True, kw_only=True)
class Currency:
    """In which money a contract is billed, and how it is rounded."""

    code: str
    rounding: Rounding

    def amount(self, value: Fraction) -> Decimal:
        """Rounded once to the currency's exponent (P17)."""
        return rounded(value, exponent_of(self.code), self.rounding)

    def exact(self, value: Fraction) -> Decimal:
        """With ten decimals, as printed beside the amount."""
        return rounded(value, EXACT_PLACES, self.rounding)


@lru_cache(maxsize=4_096)
def _finite(denominator: int) -> tuple[int, int, int] | None:
    """How many decimals spell 1/denominator, ten to their power, and how often it goes into that; None where none."""
    twos = fives = 0
    left = denominator
    while left % 2 == 0:
        left //= 2
        twos += 1
    while left % 5 == 0:
        left //= 5
        fives += 1
    places = max(twos, fives)
    return (places, 10**places, 10**places // denominator) if left == 1 else None
