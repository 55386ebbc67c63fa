"""Taking back and billing again, in any order: in the end the same is booked, and no number is skipped."""

from contextlib import suppress
from decimal import Decimal
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_collector.billing.accounts import NotPossible, State, standing
from cloud_collector.billing.run import bill_due
from tests.examples import examples
from tests.unit.test_rebill import LATER, again, billed, booked, take_back


@cache
def _undisturbed() -> dict[tuple[str, ...], Decimal]:
    store, biller = billed()
    bill_due(store, LATER, biller)
    return booked(store)


@given(st.lists(st.sampled_from(["void", "rebill", "run"]), max_size=6), st.data())
@settings(max_examples=examples(25), deadline=None)
def test_whatever_is_taken_back_and_billed_again_the_sums_come_out_the_same(
    steps: list[str], data: st.DataObject
) -> None:
    """P1, P14: the order in which people correct changes nothing of what is booked in the end."""
    store, biller = billed()
    for step in steps:
        if step == "run":
            bill_due(store, LATER, biller)
            continue
        rows = [row[0] for row in store.rows("invoices") if row[1] == "regular"]
        number = data.draw(st.sampled_from(rows))
        with suppress(NotPossible):
            (take_back if step == "void" else again)(store, biller, number, at=LATER)
    for row in store.rows("invoices"):
        if row[1] == "regular" and standing(store, row[0]).state is State.CREDITED:
            with suppress(NotPossible):
                again(store, biller, row[0], at=LATER)
    bill_due(store, LATER, biller)
    assert booked(store) == _undisturbed()
    numbers = [row[0] for row in store.rows("invoices")]
    for series in ("INV-CN-", "INV-"):
        own = [int(number.removeprefix(series)) for number in numbers if number.removeprefix(series).isdigit()]
        assert own == list(range(1, len(own) + 1)), "no number is skipped"
