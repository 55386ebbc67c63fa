"""P12: whatever happened at the gateway and on the way, an invoice that was issued follows from its own bundle."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloud_collector.billing.export import as_bundle, invoice
from cloud_collector.billing.run import bill_due
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import verify
from shared.report import Clock
from tests.examples import examples
from tests.unit.billing_samples import (
    COUNT,
    GATEWAY_KEY,
    NOVEMBER,
    OCTOBER,
    RECEIPT_KEY,
    STEP,
    Gateway,
    new_store,
    receive,
    store_biller,
)

TRUST = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256, GATEWAY_KEY.public.sha256}), words=frozenset())
DAY = STEP * COUNT
DAYS = 63
DECEMBER = NOVEMBER + 30 * 86_400
EVENTS = "day day day day idle gap unknown skip lost lost_late relative told silent reborn".split()

BORN_UNSEEN = (
    "day day day day day day day day day day day gap skip skip relative told told day day day day day day "
    "day day day day day day day day day day day day day lost_late relative told told told told reborn "
    "gap relative lost_late gap told day day reborn day day day day day day day day day day day day "
)
"""A birth that comes late, and a channel that is silent until after other channels of its epoch."""


class _World:
    """A gateway to which something happens every day."""

    def __init__(self) -> None:
        self.gateway = Gateway()
        self.gateway.birth(OCTOBER - 3_600)
        self.relative = False

    def live(self, number: int, event: str) -> None:
        gateway, start = self.gateway, OCTOBER + number * DAY
        usage = {"sdm630-1": 330, "sdm630-2": 7}
        match event:
            case "day":
                gateway.day(start, usage)
            case "idle":
                gateway.day(start, {})
            case "gap":
                gateway.gap(start, start + DAY // 2, "sdm630-1", 1_234)
                gateway.day(start + DAY // 2, {}) if number % 2 else None
            case "unknown":
                gateway.gap(start, start + DAY, "sdm630-2", None)
            case "lost":
                gateway.registers["sdm630-1"] += 5_000
                gateway.lose_spool(f"{number:08x}", start + 600)
            case "lost_late":
                gateway.day(start, usage)
                gateway.registers["sdm630-2"] += 40_000_000_000
                gateway.lose_spool(f"{number:08x}", start + DAY + 60)
            case "relative":
                gateway.reboot(f"{number + 4096:08x}", clock=Clock.RELATIVE, shift=start - 60)
                self.relative = True
                gateway.day(start, usage)
            case "told" if self.relative:
                gateway.tell_time(start)
                gateway.reboot(gateway.boot, clock=Clock.SYNCHRONISED)
                self.relative = False
                gateway.day(start, usage)
            case "silent" | "told":
                gateway.reboot(f"{number + 8192:08x}", clock=Clock.SYNCHRONISED)
                self.relative = False
            case "reborn":
                gateway.birth(start)
                gateway.day(start, usage)
            case _:
                pass


@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(st.sampled_from(EVENTS), min_size=DAYS, max_size=DAYS),
    st.lists(st.integers(0, DAYS), max_size=6),
    st.integers(1, DAYS),
)
@example(BORN_UNSEEN.split(), [47], 53)
def test_every_invoice_is_verified_by_its_own_bundle(events: list[str], late: list[int], split: int) -> None:
    world = _World()
    for number, event in enumerate(events):
        world.live(number, event)
    lines = world.gateway.lines
    store, biller = new_store(), store_biller()
    receive(store, [line for at, line in enumerate(lines[:split]) if at not in late], at=NOVEMBER + 3_600)
    bill_due(store, (NOVEMBER + 3 * 86_400) * 1000, biller)
    receive(store, lines[split:], at=DECEMBER + 2 * 86_400)
    receive(store, [lines[at] for at in sorted(set(late), reverse=True) if at < len(lines)], at=DECEMBER + 2 * 86_400)
    bill_due(store, (DECEMBER + 4 * 86_400) * 1000, biller)
    for row in store.rows("invoices"):
        made = as_bundle(store, invoice(store, biller.archive, row[0]), RECEIPT_KEY.public)
        assert verify(made, TRUST).findings == ()
