"""Usage charges: a quantity, what is included of it, what the rest costs, whose part it is."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from cloud_collector.contracts.catalog import Charge, Window
from cloud_collector.contracts.money import as_printed, fraction_of, plain
from cloud_collector.contracts.week import Times, times_of
from cloud_collector.rating.draft import DraftLine, LineKind, Step
from cloud_collector.rating.measure import Quantity
from cloud_collector.rating.pool import Party, Shared, pools_of, shared_out, together
from cloud_collector.rating.reduction import bounded
from cloud_collector.rating.segment import Segment
from cloud_collector.rating.tier import Overage, Priced, is_step_due, price, stepped_up

_ZERO: Final = Fraction(0)


class _Cost(NamedTuple):
    """What a pool used in a window, what of it is free, and what the rest costs."""

    window: Window | None
    used: Quantity
    quantity: Fraction
    free: Fraction
    priced: Priced
    shares: Sequence[Shared]


def usage_charge(segment: Segment, charge: Charge, overage: Overage | None = None) -> list[DraftLine]:
    """A line a window of each device, or of the contract, with its discount, cap and minimum. Raises UnlikeUnits."""
    windows = _windows(segment, charge)
    lines: list[DraftLine] = []
    for parties in pools_of(segment, charge, windows):
        costs = _costs(segment, charge, parties, overage)
        for index, party in enumerate(parties):
            if party.segment is segment:
                lines += _lines(charge, parties, index, costs)
    return lines


def units_charged(segment: Segment, charge: Charge) -> Fraction:
    """The units of a segment after increment and what is included."""
    found = Fraction(0)
    for parties in pools_of(segment, charge, _windows(segment, charge)):
        found += sum((cost.quantity - cost.free for cost in _costs(segment, charge, parties, None)), Fraction(0))
    return found


def _windows(segment: Segment, charge: Charge) -> tuple[Times, ...]:
    if not charge.windows:
        return (((segment.start, segment.end),),)
    zone, holidays = segment.terms.timezone, segment.stretch.holidays
    return times_of(charge.windows, holidays, zone, segment.start, segment.end)


def _costs(segment: Segment, charge: Charge, parties: list[Party], overage: Overage | None) -> list[_Cost]:
    """By window, in the order listed: included units come off the first ones first."""
    assert charge.meter is not None, "the catalog requires it"
    included = _ZERO
    if charge.included:
        included = sum((fraction_of(charge.included) * party.share for party in parties), _ZERO)
    costs = []
    for index, window in enumerate(charge.windows or (None,)):
        used = together(parties, index, charge.meter)
        quantity = stepped_up(used.value, charge.increment)
        free = min(quantity, included) if included else _ZERO
        if free:
            included -= free
        unit_price = charge.price if window is None else window.price
        rest = quantity - free if free else quantity
        priced = price(charge, rest, used=used.value.numerator > 0, unit_price=unit_price, overage=overage)
        shares = shared_out(priced.exact, parties, index, segment.currency)
        costs.append(_Cost(window=window, used=used, quantity=quantity, free=free, priced=priced, shares=shares))
    return costs


def _lines(charge: Charge, parties: list[Party], index: int, costs: Sequence[_Cost]) -> list[DraftLine]:
    party = parties[index]
    segment = party.segment
    lines = [_line(charge, parties, index, window, cost) for window, cost in enumerate(costs)]
    exact = (
        costs[0].shares[index].exact if len(costs) == 1 else sum((cost.shares[index].exact for cost in costs), _ZERO)
    )
    minimum = Fraction(charge.minimum) * party.share if charge.minimum is not None and segment.closed else None
    maximum = None if charge.maximum is None else Fraction(charge.maximum)
    if minimum is None and maximum is None and not charge.discount_percent:
        return lines
    return bounded(lines, exact, charge.discount_percent, segment.currency, minimum=minimum, maximum=maximum)


def _line(charge: Charge, parties: list[Party], index: int, window: int, cost: _Cost) -> DraftLine:
    party = parties[index]
    segment, used, alone = party.segment, party.used[window], len(parties) == 1
    quantity = cost.quantity if alone else used.value
    return DraftLine(
        contract=segment.terms.contract,
        charge=charge.name,
        kind=LineKind.USAGE,
        device=party.device,
        window=None if cost.window is None else cost.window.name,
        # As printed: what is booked is what stands on the invoice, also where no finite decimal spells it.
        quantity=as_printed(quantity),
        unit=_unit(segment, charge),
        unit_price=cost.priced.unit_price,
        exact=segment.currency.exact(cost.shares[index].exact),
        amount=cost.shares[index].amount,
        service_start=segment.start,
        service_end=segment.end,
        estimated=used.estimated,
        why=_why(charge, parties, index, window, cost),
        steps=_steps(parties, index, window, cost),
        reads=used.reads,
        gaps=used.gaps,
    )


def _steps(parties: list[Party], index: int, window: int, cost: _Cost) -> tuple[Step, ...]:
    steps: tuple[Step, ...] = cost.priced.steps
    if cost.free:
        kept = steps if cost.quantity > cost.free else tuple(step for step in steps if is_step_due(step))
        steps = ({"quantity": plain(cost.free), "included": True}, *kept)
    if len(parties) > 1:
        mine, all_of = parties[index].used[window].value, sum(party.used[window].value for party in parties)
        share = (plain(mine), plain(Fraction(all_of))) if all_of else ("1", str(len(parties)))
        steps += ({"share": share[0], "of": share[1], "amount": plain(cost.shares[index].exact)},)
    return steps


def _unit(segment: Segment, charge: Charge) -> str:
    assert charge.meter is not None, "the catalog requires it"
    meter = segment.terms.meters[charge.meter]
    # A demand is a rate: kWh an hour.
    return meter.unit if meter.demand is None else f"{meter.unit}/h"


def _why(charge: Charge, parties: list[Party], index: int, window: int, cost: _Cost) -> str:
    party = parties[index]
    segment, used = party.segment, party.used[window]
    unit, count = _unit(segment, charge), len(segment.lives)
    who = party.device if party.device is not None else f"{count} device{'' if count == 1 else 's'}"
    told = f"{plain(used.value)} {unit} of {charge.meter} by {who}"
    if cost.window is not None:
        told += f" in {cost.window.name}"
    if len(parties) > 1:
        told += f", of {plain(cost.used.value)} {unit} by {len(parties)} that share a pool"
    if cost.quantity is not cost.used.value and cost.quantity != cost.used.value:
        told += f", in whole steps of {charge.increment} {unit}: {plain(cost.quantity)}"
    if cost.free:
        told += f"; {plain(cost.free)} included"
    if used.unmeasured:
        told += f"; {used.unmeasured} s were not measured and count as zero"
    if used.estimated:
        told += "; partly estimated"
    return f"{told}; parts of the time are not known" if used.gaps else told
