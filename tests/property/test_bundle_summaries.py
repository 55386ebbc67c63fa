"""P12: an invoice that rests on summaries, wholly or in part, follows from its own bundle, and bills what was used."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_collector.billing.export import as_bundle, invoice
from cloud_collector.billing.run import bill_due
from cloud_collector.proof.verify import verify
from cloud_collector.store.account import account, quarantine
from tests.examples import examples
from tests.property.test_bundle_worlds import DAY, DECEMBER, TRUST, _World
from tests.unit.billing_samples import NOVEMBER, OCTOBER, RECEIPT_KEY, new_store, receive, store_biller

DAYS = 63
EVENTS = "day day day idle gap relative told silent reborn fold fold refold".split()


@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(st.sampled_from(EVENTS), min_size=DAYS, max_size=DAYS),
    st.lists(st.integers(1, 12), min_size=DAYS, max_size=DAYS),
    st.sets(st.integers(0, 2 * DAYS)),
    st.sets(st.integers(0, 2 * DAYS)),
    st.integers(1, DAYS),
)
def test_an_invoice_on_summaries_is_verified_by_its_own_bundle(
    events: list[str], sizes: list[int], away: set[int], late: set[int], split: int
) -> None:
    world = _World()
    for number, (event, size) in enumerate(zip(events, sizes, strict=True)):
        match event:
            case "fold":
                world.gateway.fold(size)
            case "refold":
                world.gateway.fold(size, 86_400)
            case _:
                world.live(number, event)
    # Folded twice over, so that also the last lines may be away; lines that nobody folded do arrive.
    world.gateway.fold(12)
    lines = world.gateway.lines
    folded = {at for at, line in enumerate(lines) if line in world.gateway.folded}
    gone, slow = away & folded - late, late & folded
    store, biller = new_store(), store_biller()
    here = [at for at in range(len(lines)) if at not in gone and at not in slow]
    receive(store, [lines[at] for at in here if at < split], at=NOVEMBER + 3_600)
    bill_due(store, (NOVEMBER + 3 * 86_400) * 1000, biller)
    receive(store, [lines[at] for at in here if at >= split], at=DECEMBER + 2 * 86_400)
    receive(store, [lines[at] for at in sorted(slow, reverse=True)], at=DECEMBER + 2 * 86_400)
    bill_due(store, (DECEMBER + 4 * 86_400) * 1000, biller)
    used = sum(world.gateway.registers.values()) - 12_345_631 - 771_200
    assert sum(each.counted + each.unplaced for each in account(store)) == used
    assert quarantine(store) == []
    for row in store.rows("invoices"):
        made = as_bundle(store, invoice(store, biller.archive, row[0]), RECEIPT_KEY.public)
        assert verify(made, TRUST).findings == ()
    assert OCTOBER + DAYS * DAY <= DECEMBER + 4 * 86_400
