"""An invoice's taxes in the terms of EN 16931: of each line a rate of VAT, of each rate a group, and what is no VAT.

The standard knows one tax. Where some taxes of a catalog have a category and others none, the others are levies and
become charges of the document. What it has no words for is refused, and nothing is bent to fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from shared.errors import MetersealError
from shared.line import Body

OUTSIDE: Final = "O"
_ZERO_RATED: Final = frozenset({"Z", "E", "AE", "K", "G", OUTSIDE})
_WITHOUT_REASON: Final = frozenset({"S", "Z", "L", "M"})
_REASONS: Final = {
    "AE": "Reverse charge",
    "K": "Intra-community supply",
    "G": "Export outside the EU",
    "E": "Exempt from VAT",
    OUTSIDE: "Not subject to VAT",
}
"""What is said where the catalog gives a category and no reason (BT-120)."""
_UNTAXED: Final = "No VAT is charged on this"


class NotExpressible(MetersealError):
    """EN 16931 has no words for something on this invoice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A category and a percentage under which a line stands."""

    category: str
    percent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What stands under one rate (BG-23): exactly one group for each (BR-S-01, BR-E-01 and their like)."""

    base: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    reasons: tuple[str, ...] = ()

    def plus(self, *, base: Decimal = Decimal(0), amount: Decimal = Decimal(0), reason: str | None = None) -> "Group":
        """The group with more in it; a reason is said once."""
        more = () if reason is None or reason in self.reasons else (reason,)
        return Group(base=self.base + base, amount=self.amount + amount, reasons=(*self.reasons, *more))


@dataclass(frozen=True, slots=True, kw_only=True)
class Levy:
    """A tax that is no VAT (BG-21), and the rate that its charge stands under."""

    name: str
    amount: Decimal
    rate: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Taxed:
    """An invoice's taxes; amounts in the direction of the document."""

    rates: tuple[Rate, ...]
    """Of each line."""
    groups: Mapping[Rate, Group]
    levies: tuple[Levy, ...]

    @property
    def outside(self) -> bool:
        """Whether all of it is outside of VAT."""
        return any(rate.category == OUTSIDE for rate in self.groups)


def taxed(body: Body, sign: int) -> Taxed:
    """The taxes of a body, their signs turned where it is a credit note; raises NotExpressible."""
    named = [tax for tax in body["taxes"] if tax["category"]] or body["taxes"]
    groups: dict[Rate, Group] = {}
    rates = _rates(body, named)
    untaxed = Rate(category="E", percent="0")
    for rate, line in zip(rates, body["lines"], strict=True):
        amount = sign * Decimal(line["amount"])
        reason = _UNTAXED if rate is None else None
        groups[rate or untaxed] = groups.get(rate or untaxed, Group()).plus(base=amount, reason=reason)
    for tax in named:
        rate = _rate(tax)
        groups[rate] = groups.get(rate, Group()).plus(amount=sign * Decimal(tax["amount"]), reason=_reason(tax, rate))
    levies = tuple(_levy(tax, sign, untaxed) for tax in body["taxes"] if tax not in named and Decimal(tax["amount"]))
    for levy in levies:
        groups[untaxed] = groups.get(untaxed, Group()).plus(base=levy.amount, reason=_UNTAXED)
    found = Taxed(rates=tuple(rate or untaxed for rate in rates), groups=groups, levies=levies)
    _require_expressible(body, found)
    return found


def _rates(body: Body, named: list[Body]) -> list[Rate | None]:
    rates: list[Rate | None] = [None] * len(body["lines"])
    for tax in named:
        for place in tax["lines"]:
            if rates[place - 1] is not None:
                raise NotExpressible(
                    f"line {place} bears two taxes, and EN 16931 knows one rate of VAT a line: "
                    "give the VAT a category in the catalog, and the other tax none"
                )
            rates[place - 1] = _rate(tax)
    return rates


def _rate(tax: Body) -> Rate:
    percent = Decimal(tax["percent"])
    category = tax["category"] or ("S" if percent else "E" if tax["reason"] else "Z")
    if category in _ZERO_RATED and percent:
        raise NotExpressible(f"{tax['name']} has the category {category}, which means 0 %, and {tax['percent']} %")
    if category == "S" and not percent:
        raise NotExpressible(f"{tax['name']} has the category S, the standard rate, and 0 %: use Z or E")
    return Rate(category=category, percent=tax["percent"])


def _reason(tax: Body, rate: Rate) -> str | None:
    return None if rate.category in _WITHOUT_REASON else tax["reason"] or _REASONS.get(rate.category)


def _levy(tax: Body, sign: int, rate: Rate) -> Levy:
    amount = sign * Decimal(tax["amount"])
    if amount < 0:
        raise NotExpressible(f"{tax['name']} is in the customer's favour, and no charge of EN 16931 is negative")
    return Levy(name=f"{tax['name']} {tax['percent']} %", amount=amount, rate=rate)


def _require_expressible(body: Body, found: Taxed) -> None:
    if found.outside and len(found.groups) > 1:
        raise NotExpressible("a line outside of VAT stands beside others, which EN 16931 does not allow (BR-O-11)")
    for rate in found.groups:
        if rate.category in ("AE", "K") and not body["account"]["vat_id"]:
            raise NotExpressible(
                f"the category {rate.category} needs the customer's VAT number: "
                f"set accounts.{body['account']['id']}.vat_id"
            )
