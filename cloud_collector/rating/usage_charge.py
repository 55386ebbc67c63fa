"""Usage charges: a quantity, what is included of it, what the rest costs."""

from decimal import Decimal
from fractions import Fraction

from cloud_collector.activity.lifecycle import Life
from cloud_collector.contracts.catalog import Charge, Per
from cloud_collector.contracts.money import plain
from cloud_collector.rating.draft import DraftLine, LineKind, Step
from cloud_collector.rating.measure import NOTHING, Quantity, billed_usage
from cloud_collector.rating.reduction import bounded
from cloud_collector.rating.segment import Segment
from cloud_collector.rating.tier import price, stepped_up


def usage_charge(segment: Segment, charge: Charge) -> list[DraftLine]:
    """A line a device, or one for the contract, each with its discount, cap and minimum."""
    assert charge.meter is not None, "the catalog requires it"
    if charge.per is Per.CONTRACT:
        quantity = sum((billed_usage(segment, life, charge.meter) for life in segment.lives), NOTHING)
        return _lines(segment, charge, None, quantity, segment.contract_part())
    return [
        line
        for life in segment.lives
        for line in _lines(segment, charge, life, billed_usage(segment, life, charge.meter), segment.device_part(life))
    ]


def _lines(
    segment: Segment, charge: Charge, life: Life | None, used: Quantity, part: tuple[int, int] | None
) -> list[DraftLine]:
    """Before its part begins there is no line, but for usage before the start where that is billed."""
    if part is None and not used.value:
        return []
    share = Fraction(segment.days_in(part), segment.full_days)
    quantity = stepped_up(used.value, charge.increment)
    free = min(quantity, Fraction(charge.included) * share)
    priced = price(charge, quantity - free, used=used.value > 0)
    steps: tuple[Step, ...] = priced.steps
    if free:
        steps = ({"quantity": plain(free), "included": True}, *(steps if quantity > free else _due(steps)))
    currency = segment.terms.currency
    line = DraftLine(
        contract=segment.terms.contract,
        charge=charge.name,
        kind=LineKind.USAGE,
        device=None if life is None else life.device,
        # As printed: what is booked is what stands on the invoice, also where no finite decimal spells it.
        quantity=Fraction(plain(quantity)),
        unit=_unit(segment, charge),
        unit_price=priced.unit_price,
        exact=currency.exact(priced.exact),
        amount=currency.amount(priced.exact),
        service_start=segment.start,
        service_end=segment.end,
        estimated=used.estimated,
        why=_why(segment, charge, life, used, (quantity, free)),
        steps=steps,
        reads=used.reads,
        gaps=used.gaps,
    )
    minimum = Fraction(charge.minimum) * share if charge.minimum is not None and segment.closed else None
    maximum = None if charge.maximum is None else Fraction(charge.maximum)
    return bounded(line, priced.exact, charge.discount_percent, currency, minimum=minimum, maximum=maximum)


def _due(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Steps that cost something or count something: where all is included the empty one says nothing."""
    return tuple(step for step in steps if step.get("quantity") != "0" or Decimal(str(step["amount"])))


def _unit(segment: Segment, charge: Charge) -> str:
    assert charge.meter is not None, "the catalog requires it"
    return segment.terms.meters[charge.meter].unit


def _why(segment: Segment, charge: Charge, life: Life | None, used: Quantity, billed: tuple[Fraction, Fraction]) -> str:
    unit = _unit(segment, charge)
    quantity, free = billed
    who = life.device if life is not None else f"{len(segment.lives)} device{'' if len(segment.lives) == 1 else 's'}"
    told = f"{plain(used.value)} {unit} of {charge.meter} by {who}"
    if quantity != used.value:
        told += f", in whole steps of {charge.increment} {unit}: {plain(quantity)}"
    if free:
        told += f"; {plain(free)} included"
    if used.estimated:
        told += "; partly estimated"
    return f"{told}; parts of the time are not known" if used.gaps else told
