"""One-time charges: a price for an event in a device's or a contract's life."""

from collections.abc import Iterator
from fractions import Fraction

from cloud_collector.activity.activation import ActivationCause
from cloud_collector.activity.lifecycle import FOREVER, Life
from cloud_collector.contracts.catalog import Charge, Occasion, Per, State
from cloud_collector.contracts.money import as_written
from cloud_collector.contracts.period import boundary, iso
from cloud_collector.rating.draft import DraftLine, LineKind
from cloud_collector.rating.reduction import bounded
from cloud_collector.rating.segment import Segment


def one_time(segment: Segment, charge: Charge) -> list[DraftLine]:
    """A line for every occurrence that belongs to the segment."""
    if charge.per is Per.CONTRACT:
        found: list[tuple[str | None, int]] = [(None, at) for at in _of_contract(segment, charge)]
    else:
        found = [(life.device, at) for life in segment.lives for at in _of_device(life, charge)]
    return [
        line for device, at in found if belongs(charge, at, segment) for line in _lines(segment, charge, device, at)
    ]


def belongs(charge: Charge, at: int, time: Segment) -> bool:
    """Whether an occurrence is the segment's: an end is the last instant of what it ends."""
    if charge.on is Occasion.ENDED:
        return time.start < at <= time.end
    return time.start <= at < time.end


def _lines(segment: Segment, charge: Charge, device: str | None, at: int) -> list[DraftLine]:
    assert charge.price is not None, "the catalog requires it"
    assert charge.on is not None, "the catalog requires it"
    currency, exact = segment.currency, Fraction(charge.price)
    line = DraftLine(
        contract=segment.terms.contract,
        charge=charge.name,
        kind=LineKind.ONE_TIME,
        device=device,
        quantity=Fraction(1),
        unit="1",
        unit_price=charge.price,
        exact=currency.exact(exact),
        amount=currency.amount(exact),
        service_start=at,
        service_end=at,
        why=f"{charge.name}: {device or 'the contract'} {_SAID[charge.on]} on {iso(at)}",
        steps=({"quantity": "1", "price": as_written(charge.price), "amount": as_written(charge.price)},),
    )
    return bounded([line], exact, charge.discount_percent, currency)


_SAID = {
    Occasion.ACTIVATED: "was activated",
    Occasion.SUSPENDED: "was suspended",
    Occasion.RESUMED: "was resumed",
    Occasion.ENDED: "ended",
    Occasion.CONTRACT_START: "started",
}


def _of_contract(segment: Segment, charge: Charge) -> Iterator[int]:
    terms = segment.terms
    starts = [life.activation for life in segment.lives if life.activation is not None]
    first = min(starts, key=lambda start: start.at, default=None)
    match charge.on:
        case Occasion.CONTRACT_START:
            yield boundary(terms.timezone, terms.start)
        case Occasion.ACTIVATED if first is not None and first.cause is not ActivationCause.MOVED:
            yield first.at
        case Occasion.ENDED if first is not None and terms.end is not None:
            yield boundary(terms.timezone, terms.end)
        case _:
            return


def _of_device(life: Life, charge: Charge) -> Iterator[int]:
    match charge.on:
        case Occasion.ACTIVATED:
            if life.activation is not None and life.activation.cause is not ActivationCause.MOVED:
                yield life.activation.at
        case Occasion.ENDED:
            if life.activation is not None and life.end < FOREVER:
                yield life.end
        case Occasion.SUSPENDED:
            yield from (stage.start for stage in life.stages if stage.state is State.SUSPENDED)
        case Occasion.RESUMED:
            for before, stage in zip(life.stages, life.stages[1:], strict=False):
                if before.state is State.SUSPENDED and stage.state is State.ACTIVE:
                    yield stage.start
        case _:
            return
