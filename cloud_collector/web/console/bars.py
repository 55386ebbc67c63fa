"""A curve drawn on the server, so that it is there without a script and on paper: bars, and gaps as gaps."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cloud_collector.insight.curve import Bar, Curve
from cloud_collector.web.site import Moment

WIDTH: Final = 1_000
HEIGHT: Final = 200
_FOOT: Final = 22
_HEAD: Final = 14
_GAP_HEIGHT: Final = 10
_LABELS: Final = 6
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One bar as it is drawn."""

    x: int
    y: int
    width: int
    height: int
    kind: str
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """A drawing: what stands where."""

    columns: tuple[Column, ...]
    labels: tuple[tuple[int, str], ...]
    top: str
    """What the highest bar says."""
    told: str
    """The whole in one sentence, for who cannot see it."""


def bars(curve: Curve, moment: Moment, *, hourly: bool = False) -> Bars:
    """The curve as a drawing."""
    most = max((each.amount for each in curve.bars if each.amount is not None), default=_ZERO)
    step = WIDTH // max(len(curve.bars), 1)
    columns = [
        _column(each, at * step, max(step - 2, 1), most, curve.unit, moment, hourly)
        for at, each in enumerate(curve.bars)
    ]
    every = max(len(curve.bars) // _LABELS, 1)
    labels = [
        (at * step, moment.at(each.start)[5:] if hourly else moment.at(each.start)[5:10])
        for at, each in enumerate(curve.bars)
        if at % every == 0
    ]
    gaps = sum(1 for each in curve.bars if each.gap_seconds or each.amount is None)
    return Bars(
        columns=tuple(columns),
        labels=tuple(labels),
        top=f"{most:,f} {curve.unit}",
        told=f"{curve.meter}: {curve.total:,f} {curve.unit} in {len(curve.bars)} {'hours' if hourly else 'days'}, "
        f"at most {most:,f}; {gaps} with gaps",
    )


def _column(
    each: Bar,
    x: int,
    width: int,
    most: Decimal,
    unit: str,
    moment: Moment,
    hourly: bool,  # noqa: FBT001
) -> Column:
    day = moment.at(each.start) if hourly else moment.at(each.start)[:10]
    if each.amount is None:
        return Column(x=x, y=_HEAD, width=width, height=HEIGHT - _HEAD - _FOOT, kind="gap", told=f"{day}: not known")
    room = HEIGHT - _FOOT - _HEAD
    height = int(each.amount * room / most) if most else 0
    lost = f", {each.gap_seconds // 60} min not metered" if each.gap_seconds else ""
    sort = " (estimated)" if each.estimated else ""
    kind = (
        "gap" if each.gap_seconds and not each.amount else "estimated" if each.estimated or each.gap_seconds else "bar"
    )
    height = max(height, _GAP_HEIGHT if kind == "gap" else 1 if each.amount else 0)
    return Column(
        x=x,
        y=HEIGHT - _FOOT - height,
        width=width,
        height=height,
        kind=kind,
        told=f"{day}: {each.amount:,f} {unit}{sort}{lost}",
    )
