"""How a commitment stands while its time runs: what counts so far, and what would be missing if nothing more came."""

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from cloud_collector.contracts.catalog import Committed, TrueUp
from cloud_collector.contracts.money import as_written, plain
from cloud_collector.contracts.period import Period, iso
from cloud_collector.rating.commitment import (
    Obligation,
    Rated,
    devices_used,
    money_counted,
    true_up,
    units_counted,
)
from cloud_collector.rating.known import Known
from cloud_collector.rating.rate import standing


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """Where a ramp goes on."""

    from_period: int
    figure: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One commitment in the period that runs."""

    of: Committed
    start: int
    end: int
    committed: Fraction
    """Money, devices or units, as `of` says."""
    counted: Fraction
    missing: Decimal
    """Net money that its true-up would be."""
    trued_up: bool
    """Whether what is missing is billed at all."""
    unit: str = ""
    """Of a quantity."""
    step: int | None = None
    """The number of the period from which the ramp's present step holds."""
    following: NextStep | None = None

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        step = self.following
        return {
            "of": self.of.value,
            "start": iso(self.start),
            "end": iso(self.end),
            "committed": plain(self.committed),
            "counted": plain(self.counted),
            "unit": self.unit or None,
            "missing": as_written(self.missing),
            "trued_up": self.trued_up,
            "ramp_step": self.step,
            "next_step": None if step is None else {"from_period": step.from_period, "figure": as_written(step.figure)},
        }


def standings(known: Known, period: Period) -> tuple[Standing, ...]:
    """Every commitment that the period has a part in, by what is known; raises UnlikeUnits."""
    found = standing(known.terms, period, known.usage, starts=known.starts, states=known.states, others=known.others)
    return tuple(_standing(known, obligation, rated, period) for obligation, rated in found)


def _standing(known: Known, obligation: Obligation, rated: Rated, period: Period) -> Standing:
    commitment = obligation.commitment
    # Of devices each period has its own figure: only those that have begun can be short.
    begun = tuple(step for step in obligation.steps if step.period.start <= period.start)
    looked = replace(obligation, steps=begun) if commitment.of is Committed.DEVICES else obligation
    line = true_up(looked, rated)
    number = next((step.period.number for step in reversed(begun)), period.number)
    held = [step.from_period for step in commitment.ramp if step.from_period <= number]
    beyond = [step for step in commitment.ramp if step.from_period > number]
    return Standing(
        of=commitment.of,
        start=obligation.start,
        end=obligation.end,
        committed=_committed(looked, begun[-1].figure if begun else Fraction(0), known),
        counted=_counted(looked, rated, period),
        missing=known.terms.currency.amount(Fraction(0)) if line is None else line.amount,
        trued_up=commitment.true_up is not TrueUp.NONE,
        unit="" if commitment.meter is None else known.terms.meters[commitment.meter].unit,
        step=held[-1] if held else None,
        following=NextStep(from_period=beyond[0].from_period, figure=beyond[0].figure) if beyond else None,
    )


def _committed(obligation: Obligation, step: Fraction, known: Known) -> Fraction:
    match obligation.commitment.of:
        case Committed.DEVICES:
            return step
        case Committed.AMOUNT:
            return Fraction(known.terms.currency.amount(obligation.committed))
        case Committed.QUANTITY:
            return obligation.committed


def _counted(obligation: Obligation, rated: Rated, period: Period) -> Fraction:
    match obligation.commitment.of:
        case Committed.AMOUNT:
            return money_counted(obligation, rated)
        case Committed.DEVICES:
            steps = [step.period for step in obligation.steps]
            return Fraction(devices_used(obligation, steps[-1])) if steps else Fraction(0)
        case Committed.QUANTITY:
            return units_counted(obligation, min(obligation.end, period.end))
