"""How far a forecast may be off: by how much each day of the last weeks differed from what the others foretold.

Each day is foretold by the mean of the other days of its weekday, else of its kind, else of all; so no day vouches
for itself. For D days ahead and N days known, with s the root of the mean squared error of a day and r the likeness of
the errors of neighbouring days, the chance part is s · √(D · (1 + D/N) · (1 + r)/(1 − r)): errors of days add up by
squares, the error of the level itself grows with the time ahead, and errors that come in rows weigh more. The other
part is what a trend would do that goes on: g · D · (3N/8 + D/2), where g is how much a day grew or fell a day, less
what chance alone would show, and 3N/8 is the mean age of the habit. The band is ± WIDTH · √(chance² + trend²).
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isqrt
from typing import Final

WIDTH: Final = Fraction(8, 5)
"""In standard errors: nine of ten outcomes of a normal spread; the back-test says how many in practice."""
LIKENESS_MAX: Final = Fraction(4, 5)
FINE: Final = 10**9


def band(days: Mapping[int, Fraction], ahead: Fraction) -> Fraction:
    """Half the band's width over so many days ahead, in the unit of the days, which are by ordinal date."""
    if not days or ahead <= 0:
        return Fraction(0)
    errors = {day: value - _foretold(days, day) for day, value in days.items()}
    squared = sum((error * error for error in errors.values()), Fraction(0)) / len(errors)
    likeness = min(max(_likeness(errors), Fraction(0)), LIKENESS_MAX)
    chance = squared * ahead * (1 + ahead / len(days)) * (1 + likeness) / (1 - likeness)
    reach = ahead * (Fraction(3, 8) * len(days) + ahead / 2)
    return WIDTH * root(chance + _trend_squared(days, squared) * reach * reach)


def root(value: Fraction) -> Fraction:
    """The square root to nine decimals, rounded down."""
    return Fraction(isqrt(value.numerator * FINE * FINE // value.denominator), FINE)


def _foretold(days: Mapping[int, Fraction], day: int) -> Fraction:
    others = [other for other in days if other != day]
    alike = [other for other in others if other % 7 == day % 7]
    # Ordinal 1 was a Monday.
    kind = [other for other in others if ((other - 1) % 7 >= 5) == ((day - 1) % 7 >= 5)]
    return _mean([days[other] for other in alike or kind or others])


def _mean(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values) if values else Fraction(0)


def _trend_squared(days: Mapping[int, Fraction], squared: Fraction) -> Fraction:
    """The square of how much a day's usage grew or fell a day, by whole weeks, less what chance makes of it."""
    known = sorted(days)
    half = len(known) // 14 * 7
    if not half:
        return Fraction(0)
    late, early = known[-half:], known[-2 * half : -half]
    trend = (_mean([days[day] for day in late]) - _mean([days[day] for day in early])) / half
    # Twice what chance shows: the mean of so many days is off by √(s²/half), on either side.
    return max(trend * trend - 4 * 2 * squared / half**3, Fraction(0))


def _likeness(errors: Mapping[int, Fraction]) -> Fraction:
    """The correlation of each day's error with the next day's."""
    squares = sum((error * error for error in errors.values()), Fraction(0))
    pairs = sum((errors[day] * errors[day + 1] for day in errors if day + 1 in errors), Fraction(0))
    return pairs / squares if squares else Fraction(0)
