"""Who is to be warned of what: a contract's figures against its budget, its commitment and what is normal for it.

Pure. Each threshold fires once a period, a jump over several fires each, and what a correction undoes is withdrawn.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from cloud_collector.contracts.agreed import Warn
from cloud_collector.contracts.money import CURRENCIES, Rounding, exponent_of, plain, rounded

HUNDRED: Final = 100
UNASKED: Final = "Withdrawn: nobody asks any more to be warned of"
"""How it is said that a threshold stands no more because nobody wants it."""


class Against(StrEnum):
    """The yardstick."""

    BUDGET = "budget"
    COMMITMENT = "commitment"
    NORMAL = "normal"


class Side(StrEnum):
    """More or less than a share of it."""

    OVER = "over"
    UNDER = "under"


class Way(StrEnum):
    """What has happened, or what is foretold."""

    ACTUAL = "actual"
    PROJECTED = "projected"


class What(StrEnum):
    """What became of a threshold."""

    FIRED = "fired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Threshold:
    """One thing to be warned of; in a period it is its own key."""

    against: Against
    side: Side
    way: Way
    percent: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A figure beside its yardstick, so far and to the end of the period."""

    figure: Fraction
    so_far: Fraction | None
    """What the yardstick is for the time that has passed; None where it only speaks at the end."""
    whole: Fraction
    """What it is for the whole period."""
    unit: str
    """A currency, `devices`, or a meter's unit."""
    low: Fraction | None = None
    likely: Fraction | None = None
    high: Fraction | None = None
    """What is foretold, with its band; None while nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A contract's at a moment."""

    yardsticks: Mapping[Against, Measured]
    ended: bool
    """Whether the period's end has passed: what is under now stays under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A threshold that has just fired, or was withdrawn, with the figures that did it."""

    threshold: Threshold
    what: What
    figure: Fraction
    limit: Fraction
    """What the threshold stands at: its share of the yardstick."""
    unit: str
    asked: bool = True
    """Whether anybody still wants to be warned of it; a withdrawal says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What has become of a period's thresholds so far."""

    standing: Mapping[Threshold, Notice] = field(default_factory=dict)
    """Fired, and not withdrawn; how it fired."""
    spent: frozenset[Threshold] = frozenset()
    """Fired once, and withdrawn."""


def judge(warn: Warn, figures: Figures, past: Past) -> tuple[Notice, ...]:
    """What fires and what is withdrawn now; what is as it was is not said again."""
    found = []
    for threshold, measured in _thresholds(warn, figures.yardsticks):
        verdict = _verdict(threshold, measured, ended=figures.ended)
        if verdict is None:
            continue
        met, undone, figure, limit = verdict
        if threshold in past.standing:
            if undone:
                found.append(
                    Notice(threshold=threshold, what=What.WITHDRAWN, figure=figure, limit=limit, unit=measured.unit)
                )
        elif met and _may_fire(threshold, past.spent):
            found.append(Notice(threshold=threshold, what=What.FIRED, figure=figure, limit=limit, unit=measured.unit))
    found += [
        replace(past.standing[each], what=What.WITHDRAWN, asked=False)
        for each in sorted(past.standing)
        if not _is_asked(each, warn, figures.yardsticks)
    ]
    return tuple(found)


def _is_asked(threshold: Threshold, warn: Warn, yardsticks: Mapping[Against, Measured]) -> bool:
    """Whether people still want to hear of it: the percentage is theirs, and a budget may be taken back as well."""
    percents = warn.over if threshold.side is Side.OVER else warn.under
    return threshold.percent in percents and (threshold.against is not Against.BUDGET or Against.BUDGET in yardsticks)


def past_of(notices: Iterable[Notice]) -> Past:
    """What a period's facts, in their order, have come to."""
    last = {each.threshold: each for each in notices}
    standing = {threshold: each for threshold, each in last.items() if each.what is What.FIRED}
    return Past(standing=standing, spent=frozenset(last.keys() - standing.keys()))


def said(warning: Notice) -> str:
    """The warning in a sentence for people."""
    threshold = warning.threshold
    name = {Against.BUDGET: "the budget", Against.COMMITMENT: "the commitment", Against.NORMAL: "what is normal"}
    share = f"{threshold.percent:f} % of {name[threshold.against]}"
    if not warning.asked:
        return f"{UNASKED} {share}"
    if warning.what is What.WITHDRAWN:
        return f"Withdrawn: {share} is not {_word(threshold)} any more; it is {amount_of(warning.figure, warning.unit)}"
    limit, figure = f"{share}, {amount_of(warning.limit, warning.unit)}", amount_of(warning.figure, warning.unit)
    net = " net" if warning.unit in CURRENCIES else ""
    if threshold.way is Way.PROJECTED:
        side = "at least" if threshold.side is Side.OVER else "less than"
        return f"By the end of the period it will probably be {figure}: {side} {limit}"
    side = "has reached" if threshold.side is Side.OVER else "is below"
    return f"{figure}{net} {side} {limit}"


def _word(threshold: Threshold) -> str:
    if threshold.way is Way.PROJECTED:
        return "expected"
    return "reached" if threshold.side is Side.OVER else "missed"


def amount_of(value: Fraction, unit: str) -> str:
    """A figure with its unit; money to its currency's decimals."""
    if unit not in CURRENCIES:
        return f"{plain(value)} {unit}"
    return f"{rounded(value, exponent_of(unit), Rounding.HALF_UP):f} {unit}"


def _may_fire(threshold: Threshold, spent: Collection[Threshold]) -> bool:
    """Once a period. What really crossed a fixed sum, was corrected and crosses it again is news; else it is noise."""
    return threshold not in spent or (threshold.way is Way.ACTUAL and threshold.against is not Against.NORMAL)


def _thresholds(warn: Warn, yardsticks: Mapping[Against, Measured]) -> Iterator[tuple[Threshold, Measured]]:
    for against in Against:
        measured = yardsticks.get(against)
        if measured is None or measured.whole <= 0:
            continue
        for side, percents in ((Side.OVER, warn.over), (Side.UNDER, warn.under)):
            for percent in sorted(set(percents)):
                for way in Way:
                    yield Threshold(against=against, side=side, way=way, percent=percent), measured


def _verdict(threshold: Threshold, measured: Measured, *, ended: bool) -> tuple[bool, bool, Fraction, Fraction] | None:
    """Whether it is met, whether it is undone, the figure and its limit; None where nothing can be said."""
    share = Fraction(threshold.percent) / HUNDRED
    if threshold.way is Way.PROJECTED:
        if ended or measured.likely is None or measured.low is None or measured.high is None:
            return None
        limit = share * measured.whole
        if threshold.side is Side.OVER:
            # A forecast that sways is no correction: it is undone when even its band is clear of the limit.
            return measured.likely >= limit, measured.high < limit, measured.likely, limit
        return measured.likely < limit, measured.low >= limit, measured.likely, limit
    yardstick = measured.whole if ended else measured.so_far
    if threshold.side is Side.OVER:
        # A sum is over as soon as it is reached, whatever the time; a habit only beside its own time.
        limit = share * (measured.whole if yardstick is None else yardstick)
        return measured.figure >= limit, measured.figure < limit, measured.figure, limit
    if yardstick is None:
        return None
    limit = share * yardstick
    return measured.figure < limit, measured.figure >= limit, measured.figure, limit
