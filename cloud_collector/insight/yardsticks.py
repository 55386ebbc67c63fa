"""A contract's figures beside what they are measured by: budget, commitment, normal."""

from decimal import Decimal
from fractions import Fraction

from cloud_collector.contracts.catalog import Committed
from cloud_collector.insight.cost import Cost
from cloud_collector.insight.forecast import Money, is_shown
from cloud_collector.insight.normal import Normal
from cloud_collector.insight.warnings import Against, Figures, Measured
from cloud_collector.rating.standing import Standing


def figures(cost: Cost, normal: Normal | None) -> Figures:
    """Everything that a contract can be warned by: net money, or what a commitment is of."""
    at, period = cost.as_of_ms // 1_000, cost.draft.period
    ended = at >= period.end
    ahead = cost.forecast
    found: dict[Against, Measured] = {}
    if cost.budget is not None:
        found[Against.BUDGET] = _measured(
            cost.draft.net, None, cost.budget, None if ahead is None else ahead.net, cost.draft.currency
        )
    standing = next(iter(cost.commitments), None)
    if standing is not None:
        found[Against.COMMITMENT] = _committed(cost, standing, ended=ended)
    if normal is not None and (ended or is_shown(period, at)):
        found[Against.NORMAL] = _measured(
            cost.draft.net, normal.so_far, normal.whole, None if ahead is None else ahead.net, cost.draft.currency
        )
    return Figures(yardsticks=found, ended=ended)


def _committed(cost: Cost, standing: Standing, *, ended: bool) -> Measured:
    """A commitment that runs longer than the period speaks of its end only there."""
    period = cost.draft.period
    own = (standing.start, standing.end) == (period.start, period.end)
    foretold = cost.forecast is not None and own and standing.of is Committed.AMOUNT
    closes = ended and standing.end <= period.end
    ahead = cost.forecast.counted if foretold and cost.forecast is not None else None
    measured = _measured(standing.counted, None, standing.committed, ahead, _unit(cost, standing))
    if ended and not closes:
        # The last word on it comes with its own end: until then less is not too little.
        return Measured(figure=measured.figure, so_far=Fraction(0), whole=measured.whole, unit=measured.unit)
    return measured


def _unit(cost: Cost, standing: Standing) -> str:
    match standing.of:
        case Committed.AMOUNT:
            return cost.draft.currency
        case Committed.DEVICES:
            return "devices"
        case Committed.QUANTITY:
            return standing.unit


def _measured(
    figure: Decimal | Fraction, so_far: Fraction | None, whole: Decimal | Fraction, ahead: Money | None, unit: str
) -> Measured:
    return Measured(
        figure=Fraction(figure),
        so_far=so_far,
        whole=Fraction(whole),
        unit=unit,
        low=None if ahead is None else Fraction(ahead.low),
        likely=None if ahead is None else Fraction(ahead.likely),
        high=None if ahead is None else Fraction(ahead.high),
    )
