"""Taxes: per rate on the sum of the rounded net lines that it covers, never on each other."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from cloud_collector.contracts.catalog import Occasion, Tax
from cloud_collector.contracts.money import summed
from cloud_collector.contracts.period import boundary, local_date
from cloud_collector.contracts.terms import Terms
from cloud_collector.rating.draft import DraftLine, TaxLine


def taxes_on(terms: Terms, lines: Iterable[DraftLine]) -> tuple[TaxLine, ...]:
    """Each rate's base and amount, in the order in which lines first meet them."""
    amounts: dict[tuple[str, Decimal, str | None, str | None], list[Decimal]] = {}
    places: dict[tuple[str, Decimal, str | None, str | None], list[int]] = {}
    # Most lines of an invoice are of one time.
    known: dict[tuple[str, int, int], list[tuple[str, Decimal, str | None, str | None]]] = {}
    for place, line in enumerate(lines):
        key = (line.charge, line.service_start, line.service_end)
        rates = known.get(key)
        if rates is None:
            taxes = _taxes_of(terms, line)
            rates = known[key] = [(tax.name, tax.percent, tax.category, tax.reason) for tax in taxes]
        for rate in rates:
            amounts.setdefault(rate, []).append(line.amount)
            places.setdefault(rate, []).append(place)
    bases = {rate: summed(each) for rate, each in amounts.items()}
    return tuple(
        TaxLine(
            name=name,
            percent=percent,
            category=category,
            reason=reason,
            base=terms.currency.amount(base),
            amount=terms.currency.amount(base * Fraction(percent) / 100),
            lines=tuple(places[name, percent, category, reason]),
        )
        for (name, percent, category, reason), base in bases.items()
    )


def _taxes_of(terms: Terms, line: DraftLine) -> list[Tax]:
    """The taxes at the last instant of the line's service."""
    at = line.service_end - 1 if line.service_end > line.service_start or _ends(terms, line) else line.service_end
    day = local_date(terms.timezone, at)
    stretch = next(
        (each for each in reversed(terms.stretches) if boundary(terms.timezone, each.start) <= at), terms.stretches[0]
    )
    return [
        tax
        for tax in stretch.taxes
        if (tax.start is None or tax.start <= day)
        and (tax.until is None or day < tax.until)
        and (line.charge in tax.charges if tax.charges is not None else True)
    ]


def _ends(terms: Terms, line: DraftLine) -> bool:
    """Whether it is for an end, which belongs to the time before its instant."""
    return any(
        charge.on is Occasion.ENDED and charge.name == line.charge
        for stretch in terms.stretches
        for charge in stretch.charges
    )
