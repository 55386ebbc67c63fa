"""Discount, cap and minimum: lines of their own beside the line that they change."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from cloud_collector.contracts.money import Currency, as_written
from cloud_collector.rating.draft import DraftLine, LineKind


def bounded(
    lines: Sequence[DraftLine],
    exact: Fraction,
    discount_percent: Decimal,
    currency: Currency,
    *,
    minimum: Fraction | None = None,
    maximum: Fraction | None = None,
) -> list[DraftLine]:
    """The lines of a charge, their discount, then cap and minimum: what is printed sums to the figure exactly.

    The discount comes from the exact amount; cap and minimum from rounded ones.
    """
    lines = list(lines)
    if not discount_percent and maximum is None and minimum is None:
        return lines
    line = replace(lines[0], window=None, exact=currency.exact(exact))
    if discount_percent and exact:
        lines.append(_discount(line, exact, discount_percent, currency))
    printed = sum((Fraction(each.amount) for each in lines), Fraction(0))
    if maximum is not None:
        most = Fraction(currency.amount(maximum))
        if printed > most:
            why = f"{line.charge} costs at most {as_written(currency.amount(most))}"
            lines.append(_beside(line, LineKind.CAP, most - printed, currency, why))
            printed = most
    if minimum is not None:
        least = Fraction(currency.amount(minimum))
        if printed < least:
            why = f"{line.charge} costs at least {as_written(currency.amount(least))}"
            lines.append(_beside(line, LineKind.MINIMUM, least - printed, currency, why))
    return lines


def _discount(line: DraftLine, exact: Fraction, percent: Decimal, currency: Currency) -> DraftLine:
    taken = -exact * Fraction(percent) / 100
    why = f"{as_written(percent)} % off {line.charge}, from {as_written(line.exact)}"
    return replace(_beside(line, LineKind.DISCOUNT, taken, currency, why), quantity=Fraction(percent), unit="%")


def _beside(line: DraftLine, kind: LineKind, exact: Fraction, currency: Currency, why: str) -> DraftLine:
    return replace(
        line,
        kind=kind,
        quantity=Fraction(1),
        unit="1",
        unit_price=None,
        exact=currency.exact(exact),
        amount=currency.amount(exact),
        why=why,
        steps=(),
        reads=(),
        gaps=(),
    )
