"""Invoices for the tests of documents: the golden one, and what may happen to one, each with figures that add up."""

import json
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from cloud_collector.invoice.void import Void, void_body

Body = dict[str, Any]
GOLDEN: Final = Path(__file__).parent / "golden" / "invoice"
WORDS: Final = "compass-brick-falcon-olive-tiger-birch-oyster-cabin"


def regular() -> Body:
    """Three charges, steps, an earlier period's difference, an estimate, a gap; VAT at one rate."""
    body: Body = json.loads((GOLDEN / "regular.json").read_text(encoding="utf-8"))
    return body


def summed(body: Body, *taxes: dict[str, Any]) -> Body:
    """The same with these taxes, each on the lines that it names, and totals that follow."""
    lines = body["lines"]
    net = sum((Decimal(line["amount"]) for line in lines), Decimal(0))
    body["taxes"] = []
    for tax in taxes:
        base = sum((Decimal(lines[place - 1]["amount"]) for place in tax["lines"]), Decimal(0))
        amount = (base * Decimal(tax["percent"]) / 100).quantize(Decimal("0.01"))
        said: dict[str, Any] = {"name": "VAT", "category": None, "reason": None} | tax
        body["taxes"].append({**said, "base": format(base, "f"), "amount": format(amount, "f")})
    total = net + sum((Decimal(tax["amount"]) for tax in body["taxes"]), Decimal(0))
    body |= {"net": format(net, "f"), "total": format(total, "f")}
    if total <= 0:
        body |= {"due": None}
    return body


def with_amounts(*amounts: str, **changes: Any) -> Body:
    """So many plain lines of one energy charge, without taxes."""
    body = regular()
    line = body["lines"][3]
    body["lines"] = [
        deepcopy(line) | {"amount": amount, "exact": f"{amount}00000000", "unit_price": None, "steps": []}
        for amount in amounts
    ]
    return summed(body | changes)


def credit_note() -> Body:
    """A credit note for an earlier period, with a line in each direction."""
    body = with_amounts("-12.40", "2.00", kind="credit_note", number="INV-CN-1")
    body["lines"][0]["quantity"] = "-49.6"
    body["rated"][0]["booked"] = [{"number": "INV-1", "line": {}}]
    return summed(body, {"percent": "25.5", "category": "S", "lines": [1, 2]})


def several_rates() -> Body:
    """Two rates of VAT, a levy that is no VAT, and a line without any."""
    return summed(
        with_amounts("100.00", "40.00", "9.99", "5.01"),
        {"percent": "25.5", "category": "S", "lines": [1, 3]},
        {"percent": "10", "category": "S", "name": "VAT reduced", "lines": [2]},
        {"percent": "2.253", "name": "Electricity tax", "lines": [1]},
    )


def reverse_charge() -> Body:
    """To a customer in another country, who owes the VAT."""
    body = with_amounts("100.00", "-40.00")
    body["account"] |= {"country": "DE", "vat_id": "DE123456789", "locale": "de_DE"}
    return summed(body, {"percent": "0", "category": "AE", "reason": "Reverse charge", "lines": [1, 2]})


def exempt() -> Body:
    return summed(with_amounts("80.00"), {"percent": "0", "category": "E", "reason": "Exempt by law", "lines": [1]})


def exempt_twice() -> Body:
    """Exempt for two reasons, and a line without any tax: one group of the standard all the same."""
    taxes = [
        {"percent": "0", "category": "E", "reason": reason, "name": reason, "lines": [at]}
        for at, reason in ((1, "A"), (2, "B"))
    ]
    return summed(with_amounts("80.00", "7.00", "1.00"), *taxes)


def adjustment() -> Body:
    """After the contract's end."""
    body = with_amounts("3.20", kind="adjustment")
    body["rated"][0]["booked"] = [{"number": "INV-1", "line": {}}, {"number": "INV-2", "line": {}}]
    return summed(body, {"percent": "25.5", "category": "S", "lines": [1]})


def untaxed() -> Body:
    """Of a catalog without taxes."""
    return with_amounts("80.00")


def outside() -> Body:
    """Outside of VAT altogether."""
    return summed(with_amounts("80.00"), {"percent": "0", "category": "O", "lines": [1]})


def unknown_seller() -> Body:
    """Of an operator without any number: there is no electronic form."""
    body = untaxed()
    body["operator"]["vat_id"] = None
    return body


def zero() -> Body:
    """What was used is included: a line of nothing, and one of no quantity."""
    body = with_amounts("0.00", "0.00")
    body["lines"][1] |= {"quantity": "0", "unit_price": "0.25"}
    return summed(body, {"percent": "25.5", "category": "S", "lines": [1, 2]})


def yen() -> Body:
    """In a currency without decimals."""
    body = with_amounts("1200", "35", currency="JPY")
    body["taxes"] = [{"name": "VAT", "percent": "10", "category": "S", "reason": None, "lines": [1, 2]}]
    body["taxes"][0] |= {"base": "1235", "amount": "124"}
    return body | {"net": "1235", "total": "1359"}


def long(lines: int = 300) -> Body:
    """A large site: a connection, its energy and a fee for each of a hundred devices."""
    body = regular()
    kinds = [body["lines"][0], body["lines"][2], body["lines"][4]]
    body["lines"] = [deepcopy(kinds[at % 3]) | {"device": f"roof-1/sdm630-{at // 3}"} for at in range(lines)]
    return summed(body, {"percent": "25.5", "category": "S", "lines": list(range(1, lines + 1))})


def taken_back() -> Body:
    """A credit note that takes an invoice with two rates and a levy back in full."""
    void = Void(
        key="0123456789abcdef",
        number="INV-CN-2",
        revision=1,
        issued_at=1_793_800_000,
        reason="The tariff was wrong | Åke",
        hash="x" * 43,
        engine="0.1.0",
        tzdata="2026a",
    )
    return void_body(several_rates(), void)


def partly_paid() -> Body:
    """An invoice of which the account's credit pays a part."""
    body = summed(with_amounts("100.00"), {"percent": "25.5", "category": "S", "lines": [1]})
    return body | {"offsets": [["INV-CN-1", "20.00"], ["INV-CN-3", "5.50"]], "payable": "100.00"}


CASES: Final = {
    "regular": regular,
    "credit_note": credit_note,
    "several_rates": several_rates,
    "reverse_charge": reverse_charge,
    "exempt": exempt,
    "exempt_twice": exempt_twice,
    "adjustment": adjustment,
    "untaxed": untaxed,
    "outside": outside,
    "zero": zero,
    "yen": yen,
    "long": long,
    "partly_paid": partly_paid,
    "taken_back": taken_back,
}
