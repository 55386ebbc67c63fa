"""P1, P11: whatever a gateway went through, letting detail go changes no sum, no audit and no rebuild."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_collector.access.viewer import LOCAL_OPERATOR
from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.export import as_bundle, invoice
from cloud_collector.billing.revisions import revisions
from cloud_collector.billing.run import bill_due
from cloud_collector.intake.intake import Intake
from cloud_collector.intake.replay import rebuild
from cloud_collector.retention.deed import begin, carry_out, end
from cloud_collector.retention.plan import plan_of
from cloud_collector.settings import CollectorSettings
from cloud_collector.upkeep.checkpoints import make
from shared.report import Clock
from shared.topic import Leaf, topic_of
from tests.unit.billing_samples import NOVEMBER, OCTOBER, RECEIPT_KEY, Gateway, new_store, receive, store_biller
from tests.unit.test_retention import DAY, DECEMBER, KEEPS, LATER, compared, delete, faulty, gone, horizons, sums

DAYS: Final = 66
HAPPENS: Final = ("birth", "gap", "unknown", "reboot", "fold", "lose", "hole", "one", "relative")


@st.composite
def lives(draw: st.DrawFn) -> dict[int, str]:
    """On which days what happens to the gateway."""
    return draw(st.dictionaries(st.integers(1, DAYS - 2), st.sampled_from(HAPPENS), max_size=6))


def lived(events: dict[int, str]) -> tuple[Gateway, set[int]]:
    """Its lines, and which of them arrive last of all."""
    gateway, late = Gateway(), set()
    gateway.birth(OCTOBER - 3_600)
    for day in range(DAYS):
        at = OCTOBER + day * DAY
        match events.get(day):
            case "birth":
                gateway.birth(at)
            case "gap":
                gateway.gap(at, at + DAY, "sdm630-1", 700)
                continue
            case "unknown":
                gateway.gap(at, at + DAY, "sdm630-2", None)
                continue
            case "reboot":
                gateway.reboot(f"{day:08x}", clock=Clock.SYNCHRONISED)
            case "relative":
                gateway.reboot(f"{day:08x}", clock=Clock.RELATIVE, shift=at - 60)
                gateway.day(at, {"sdm630-1": 50})
                gateway.tell_time(at + DAY)
                gateway.reboot(f"{day + 1_000:08x}", clock=Clock.SYNCHRONISED)
                continue
            case "fold":
                gateway.fold(5)
            case "lose":
                gateway.lose_spool(f"{day:08x}", at)
            case "hole":
                late.add(len(gateway.lines))
            case "one":
                gateway.registers.pop("sdm630-2", None)
        gateway.day(at, {"sdm630-1": 100 + day, "sdm630-2": 3 * day})
    return gateway, late


@pytest.mark.deep
@given(lives())
@settings(max_examples=60)
def test_what_goes_changes_no_sum_no_audit_and_no_rebuild(events: dict[int, str]) -> None:
    gateway, late = lived(events)
    store, archive = new_store(catalog=KEEPS), MemoryArchive()
    lines = [raw for raw in gateway.lines if raw not in gateway.folded]
    first = [raw for at, raw in enumerate(lines) if at not in late]
    receive(store, first, at=OCTOBER + 67 * DAY)
    receive(store, [raw for at, raw in enumerate(lines) if at in late], at=OCTOBER + 68 * DAY)
    for now in (NOVEMBER + 3 * DAY, DECEMBER + 8 * DAY):
        bill_due(store, now * 1000, store_biller(archive))
    make(store, RECEIPT_KEY, archive, DECEMBER + 8 * DAY)
    before, whole = sums(store), faulty(store, archive)
    begun = begin(store, plan_of(store, revisions(store), horizons(store)), who=LOCAL_OPERATOR, now_ms=LATER * 1000)
    for _ in carry_out(store, begun):
        pass
    end(store, begun, LATER * 1000)
    assert (sums(store), compared(store), faulty(store, archive)) == (before, None, whole)
    topic = topic_of("roof-1", Leaf.REPORT)
    intake = Intake(store, CollectorSettings(), RECEIPT_KEY)
    again = [(topic, raw) for raw in gateway.lines]
    verdicts = intake.commit(intake.open(again[:200], intake.keys_for([topic])), (LATER + 9) * 1000).verdicts
    assert len(verdicts) == len(again)
    after = sums(store)
    rebuild(store, CollectorSettings())
    assert (sums(store), compared(store)) == (after, None)
    assert gone(store) or len(events) > 2 or not lines


GRADUATED: Final = """model = "graduated"
tiers = [{ up_to = 100, price = 0.30 }, { price = 0.25 }]
included = 50
"""
WINDOWS: Final = """model = "per_unit"
windows = [{ name = "night", from = "22:00", to = "06:00", price = 0.10 },
           { name = "day", from = "06:00", to = "22:00", price = 0.30 }]
"""
TARIFFS: Final = {
    "graduated": KEEPS,
    "windows": KEEPS.replace(GRADUATED, WINDOWS),
    "grace": KEEPS.replace("at_least = 0.5", "at_least = 99999999"),
    "tested first": KEEPS.replace("grace = ", 'ignore_first = "2d"\ngrace = '),
    "a commitment a quarter": KEEPS.replace(
        'cycle = "month"\n', 'cycle = "month"\ncommitment = { amount = 1500, cycle = "quarter" }\n'
    ),
}


@pytest.mark.deep
@pytest.mark.parametrize("name", TARIFFS)
def test_half_a_year_is_billed_the_same_whether_detail_goes_meanwhile_or_not(name: str) -> None:
    """P12, P14, P17: and the newest invoice has its whole evidence."""
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    for day in range(186):
        gateway.day(OCTOBER + day * DAY, {"sdm630-1": 330 + day, "sdm630-2": 140 if day >= 5 else 0})
    billed = []
    for lets_go in (False, True):
        store, archive, taken, went = new_store(catalog=TARIFFS[name]), MemoryArchive(), 0, 0
        for end_day in (31, 61, 92, 123, 151, 182):
            now = OCTOBER + (end_day + 3) * DAY
            receive(store, gateway.lines[taken : end_day + 3], at=now)
            taken = end_day + 3
            bill_due(store, now * 1000, store_biller(archive))
            make(store, RECEIPT_KEY, archive, now)
            went += delete(store, now + DAY) if lets_go and end_day > 90 else 0
        found = [invoice(store, archive, row[0]) for row in store.rows("invoices")]
        billed.append([each.body["net"] for each in found])
        assert (went > 80) is lets_go
        assert store.rows("parked") == []
        assert as_bundle(store, found[-1], RECEIPT_KEY.public)
        assert (faulty(store, archive), compared(store)) == ([], None)
    assert billed[0] == billed[1]
    assert len(billed[0]) == 6
