"""What is booked already, and what a fresh rating adds to it: so a rerun adds nothing (P14)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from cloud_collector.contracts.money import Currency, as_written
from cloud_collector.rating.draft import BookingKey, DraftLine, LineKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """An amount that stands on an invoice, or on an earlier answer of `quote`."""

    key: BookingKey
    service_end: int
    quantity: Fraction
    unit: str
    unit_price: Decimal | None
    exact: Decimal
    amount: Decimal


def booking_of(line: DraftLine) -> Booking:
    """What a line books once it is issued."""
    return Booking(
        key=line.key,
        service_end=line.service_end,
        quantity=line.quantity,
        unit=line.unit,
        unit_price=line.unit_price,
        exact=line.exact,
        amount=line.amount,
    )


def bookings_of(answer: Mapping[str, Any]) -> tuple[Booking, ...]:
    """The bookings of a draft in its public form; raises ValueError or KeyError where it is none."""
    return tuple(_booking(str(answer["contract"]), line) for line in answer["lines"])


def period_start_of(answer: Mapping[str, Any]) -> int:
    """Where the period of a draft in its public form begins; raises ValueError or KeyError where it is none."""
    return _instant(answer["period"]["start"])


def unbooked(
    lines: Sequence[DraftLine],
    booked: Iterable[Booking],
    *,
    currency: Currency,
    covers: Callable[[Booking], bool],
) -> tuple[DraftLine, ...]:
    """Freshly rated lines minus what is booked under their keys, and reversals of covered keys that are no more."""
    rest: dict[BookingKey, list[Booking]] = {}
    for booking in booked:
        if covers(booking):
            rest.setdefault(booking.key, []).append(booking)
    if not rest:
        return tuple(lines)
    deltas = [delta for line in lines for delta in _deltas(line, rest.pop(line.key, []), currency)]
    reversals = [_reversal(_summed(rest[key]), currency) for key in sorted(rest)]
    return (*deltas, *(line for line in reversals if line.amount or line.quantity))


def _deltas(line: DraftLine, bookings: list[Booking], currency: Currency) -> list[DraftLine]:
    if not bookings:
        return [line]
    before = _summed(bookings)
    if (line.amount, line.quantity, line.unit_price) == (before.amount, before.quantity, before.unit_price):
        return []
    if not before.amount and not before.quantity and not before.exact:
        # Taken back in full, as if it had never been booked.
        return [line] if line.amount or line.quantity else []
    if _repriced(line, before) and (before.amount or before.quantity):
        return [_reversal(before, currency), line]
    amount, quantity = line.amount - before.amount, line.quantity - before.quantity
    if not amount and not quantity:
        return []
    told = f"{as_written(before.amount)} {currency.code} is booked already"
    return [
        replace(
            line,
            quantity=quantity,
            exact=line.exact - before.exact,
            amount=amount,
            why=f"{line.why}; {told}",
            steps=(*line.steps, {"booked": as_written(before.amount), "amount": as_written(-before.amount)}),
        )
    ]


def _repriced(line: DraftLine, before: Booking) -> bool:
    return line.unit_price is not None and before.unit_price is not None and line.unit_price != before.unit_price


def _summed(bookings: list[Booking]) -> Booking:
    """All bookings of a key as one, at the price of the latest."""
    if len(bookings) == 1:
        return bookings[0]
    return replace(
        bookings[-1],
        quantity=sum((booking.quantity for booking in bookings), Fraction(0)),
        exact=sum((booking.exact for booking in bookings), Decimal(0)),
        amount=sum((booking.amount for booking in bookings), Decimal(0)),
    )


def _reversal(before: Booking, currency: Currency) -> DraftLine:
    key = before.key
    return DraftLine(
        contract=key.contract,
        charge=key.charge,
        kind=key.kind,
        device=key.device or None,
        window=key.window or None,
        quantity=-before.quantity,
        unit=before.unit,
        unit_price=before.unit_price,
        exact=currency.exact(-Fraction(before.exact)),
        amount=currency.amount(-Fraction(before.amount)),
        service_start=key.segment_start,
        service_end=before.service_end,
        why=f"takes back {as_written(before.amount)} {currency.code} booked for {key.charge} before",
        steps=({"booked": as_written(before.amount), "amount": as_written(-before.amount)},),
    )


def _booking(contract: str, line: Mapping[str, Any]) -> Booking:
    price = line["unit_price"]
    return Booking(
        key=BookingKey(
            contract=contract,
            charge=str(line["charge"]),
            kind=LineKind(line["kind"]),
            device=line["device"] or "",
            window=line["window"] or "",
            segment_start=_instant(line["service_start"]),
        ),
        service_end=_instant(line["service_end"]),
        quantity=_quantity(line["quantity"]),
        unit=str(line["unit"]),
        unit_price=None if price is None else Decimal(price),
        exact=Decimal(line["exact"]),
        amount=Decimal(line["amount"]),
    )


def _quantity(text: str) -> Fraction:
    return Fraction(int(text)) if text.isdecimal() else Fraction(text)


@lru_cache(maxsize=65_536)
def _instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())
