"""Any invoice that rating can make is a document that breaks no rule of EN 16931, or is refused with a sentence."""

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from cloud_collector.billing.datev import _postings
from cloud_collector.billing.journal import as_beancount
from cloud_collector.invoice.einvoice import cii, ubl
from cloud_collector.invoice.vat import NotExpressible
from tests.examples import examples
from tests.paper import Body, regular, summed
from tests.unit.test_einvoice import SCHEMATRON, Rules

RULES: dict[Callable[[Body], bytes], Rules] = {}
CENTS = st.integers(-(10**7), 10**7).map(lambda cents: f"{Decimal(cents).scaleb(-2):f}")
QUANTITIES = st.one_of(
    st.none(),
    st.decimals(-(10**6), 10**6, places=4, allow_nan=False, allow_infinity=False).map(lambda each: f"{each:f}"),
)
PRICES = st.one_of(
    st.none(), st.decimals(0, 1000, places=6, allow_nan=False, allow_infinity=False).map(lambda each: f"{each:f}")
)
UNITS = st.sampled_from(["1", "kWh", "{request}", "GBy", "m3", "Hz"])
TAXES = st.sampled_from(
    [
        {"percent": "25.5", "category": "S"},
        {"percent": "10", "category": "S", "name": "VAT reduced"},
        {"percent": "19", "name": "MwSt."},
        {"percent": "0", "category": "Z"},
        {"percent": "0", "category": "E", "reason": "Exempt by law"},
        {"percent": "0", "category": "AE"},
        {"percent": "0", "category": "K"},
        {"percent": "0", "category": "G"},
        {"percent": "0", "category": "O"},
        {"percent": "2.253", "name": "Electricity tax"},
    ]
)


@st.composite
def invoices(draw: st.DrawFn) -> Body:
    """A few lines of any amounts, each under none, one or two taxes."""
    body = regular()
    pattern = body["lines"][3]
    count = draw(st.integers(1, 5))
    body["lines"] = []
    for _ in range(count):
        amount = draw(CENTS)
        line = deepcopy(pattern) | {"amount": amount, "exact": f"{amount}00000000", "steps": []}
        line |= {"quantity": draw(QUANTITIES), "unit": draw(UNITS), "unit_price": draw(PRICES)}
        body["lines"].append(line)
    chosen: list[dict[str, Any]] = draw(
        st.lists(TAXES, max_size=3, unique_by=lambda tax: (tax["percent"], tax.get("category")))
    )
    places = [draw(st.sets(st.integers(1, count), min_size=1)) for _ in chosen]
    body["account"]["vat_id"] = draw(st.sampled_from([None, "DE123456789"]))
    made = summed(body, *(tax | {"lines": sorted(lines)} for tax, lines in zip(chosen, places, strict=True)))
    return made | {"kind": "credit_note" if Decimal(made["total"]) < 0 else "regular"}


@settings(max_examples=examples(25))
@given(invoices())
def test_any_invoice_breaks_no_rule_or_is_refused(body: Body) -> None:
    """P17, P19."""
    for write in (cii, ubl):
        rules = RULES.setdefault(write, Rules(SCHEMATRON[write]))
        try:
            document = write(body)
        except NotExpressible as error:
            event(str(error)[:40])
            return
        assert rules.broken(document) == []
    event("written")


@given(invoices())
def test_any_invoice_is_posted_to_the_cent(body: Body) -> None:
    """P17: whatever the taxes, postings sum to the total and the journal to nothing."""
    assert sum((posting.amount for posting in _postings(body)), Decimal(0)) == Decimal(body["total"])
    figures = [Decimal(row.split()[1]) for row in as_beancount([body]).splitlines() if row.endswith(" EUR")]
    assert sum(figures) == 0
