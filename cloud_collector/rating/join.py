"""Drafts of several billing periods on one invoice: their lines together, taxed by rate, rounded once (P17)."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from cloud_collector.contracts.terms import Terms
from cloud_collector.rating.draft import Draft, TaxLine


def joined(terms: Terms, drafts: Sequence[Draft]) -> Draft:
    """The first draft's period with all lines in order; each line keeps the taxes of its own terms."""
    if len(drafts) == 1:
        return drafts[0]
    currency = terms.currency
    bases: dict[tuple[object, ...], Fraction] = {}
    named: dict[tuple[object, ...], TaxLine] = {}
    places: dict[tuple[object, ...], tuple[int, ...]] = {}
    before = 0
    for draft in drafts:
        for tax in draft.taxes:
            rate = (tax.name, tax.percent, tax.category, tax.reason)
            bases[rate] = bases.get(rate, Fraction(0)) + Fraction(tax.base)
            places[rate] = places.get(rate, ()) + tuple(before + place for place in tax.lines)
            named.setdefault(rate, tax)
        before += len(draft.lines)
    taxes = tuple(
        replace(
            named[rate],
            base=currency.amount(base),
            amount=currency.amount(base * Fraction(named[rate].percent) / 100),
            lines=places[rate],
        )
        for rate, base in bases.items()
    )
    net = sum((Fraction(draft.net) for draft in drafts), Fraction(0))
    return replace(
        drafts[0],
        lines=tuple(line for draft in drafts for line in draft.lines),
        too_late=tuple(line for draft in drafts for line in draft.too_late),
        net=currency.amount(net),
        taxes=taxes,
        total=currency.amount(net + sum((Fraction(tax.amount) for tax in taxes), Fraction(0))),
    )
