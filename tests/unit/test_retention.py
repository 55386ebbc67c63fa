"""`keep_detail`: detail goes as agreed, and what invoices rest on stays (P1, P5, P11, P12, P16, P19, P22)."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cloud_collector.access.viewer import LOCAL_OPERATOR
from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.audit import Books, audit_invoices
from cloud_collector.billing.export import NotHandedOut, as_bundle, invoice
from cloud_collector.billing.revisions import apply, revisions
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.contracts.read import load_catalog
from cloud_collector.intake.intake import Intake
from cloud_collector.intake.replay import audit, rebuild
from cloud_collector.intake.sound import Unsound, unsound_lines, unsound_remains
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import verify
from cloud_collector.retention.deed import begin, carry_out, end
from cloud_collector.retention.horizon import Horizon, agreed
from cloud_collector.retention.plan import chains_of, going, plan_of
from cloud_collector.retention.stretches import Stretch
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.account import account
from cloud_collector.store.copy import copy_store
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.upkeep.checkpoints import faults, make
from cloud_collector.usage.span import ChannelName
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseError, Refused
from shared.line import Line, parse
from shared.report import Usage, Verdict, read
from shared.topic import Leaf, topic_of
from tests.unit.billing_samples import (
    CATALOG,
    COUNT,
    GATEWAY_KEY,
    NOVEMBER,
    OCTOBER,
    RECEIPT_KEY,
    STEP,
    Gateway,
    new_store,
    receive,
)

DAY = STEP * COUNT
DECEMBER = NOVEMBER + 30 * DAY
LATER = OCTOBER + 130 * DAY
KEEPS = CATALOG.replace('timezone = "Europe/Helsinki"\n', 'timezone = "Europe/Helsinki"\nlook_back = "1mo"\n', 1)
KEEPS = KEEPS.replace("[contracts.", '[accounts.acme.data]\nkeep_detail = "40d"\n\n[contracts.', 1)
FIRST = ChannelName(gateway="roof-1", device="sdm630-1", meter="energy")


def metered(days: int = 70) -> Gateway:
    """From October on: the first meter is used at once, the second from the sixth day."""
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    for day in range(days):
        gateway.day(OCTOBER + day * DAY, {"sdm630-1": 330 + day, "sdm630-2": 140 if day >= 5 else 0})
    return gateway


def biller(archive: MemoryArchive) -> Biller:
    return Biller(key=RECEIPT_KEY, archive=archive, view=StoreView)


def world(gateway: Gateway, catalog: str = KEEPS) -> tuple[Store, MemoryArchive]:
    """October and November are billed, everything is under a checkpoint."""
    store, archive = new_store(catalog=catalog), MemoryArchive()
    receive(store, gateway.lines[:33], at=NOVEMBER + DAY)
    bill_due(store, (NOVEMBER + 3 * DAY) * 1000, biller(archive))
    receive(store, gateway.lines[33:], at=OCTOBER + (len(gateway.lines) + 1) * DAY)
    bill_due(store, (DECEMBER + 4 * DAY) * 1000, biller(archive))
    make(store, RECEIPT_KEY, archive, DECEMBER + 4 * DAY)
    return store, archive


def horizons(store: Store, now: int = LATER) -> list[Horizon]:
    return agreed(store, revisions(store), now)


def delete(store: Store, now: int = LATER) -> int:
    """What the daily tick does, all at once."""
    begun = begin(store, plan_of(store, revisions(store), horizons(store, now)), who=LOCAL_OPERATOR, now_ms=now * 1000)
    for _ in carry_out(store, begun):
        pass
    return end(store, begun, now * 1000)


def gone(store: Store) -> list[int]:
    return [row[0] for row in store._database.execute("select seq from line where let_go is not null order by seq")]


def sums(store: Store) -> list[object]:
    """Everything that is counted, and what every closed period came to."""
    view = StoreView(store)
    periods = [view.measure(FIRST, start, end) for start, end in ((OCTOBER, NOVEMBER), (NOVEMBER, DECEMBER))]
    return [account(store), [None if each is None else each._replace(reads=()) for each in periods]]


def compared(store: Store) -> object:
    scratch = Store(SqliteDatabase(":memory:"))
    try:
        return audit(store, scratch, CollectorSettings())
    finally:
        scratch.close()


def faulty(store: Store, archive: MemoryArchive) -> Sequence[object]:
    unsound = [*unsound_lines(store), *unsound_remains(store)]
    return [*unsound, *audit_invoices(store, archive, [RECEIPT_KEY.public], unsound, Books())]


def test_what_is_old_enough_goes_and_every_sum_stays() -> None:
    """P1: audit and rebuild say the same before and after; what lies between the ends of October's counters is gone."""
    store, archive = world(metered())
    before = sums(store)
    assert delete(store) > 0
    # Line 1 is the birth; lines 2 to 7 show when the second meter started; in 33 October ends, in 63 November.
    assert gone(store) == [*range(8, 33), *range(34, 63)]
    assert sums(store) == before
    assert compared(store) is None
    assert faulty(store, archive) == []
    rebuild(store, CollectorSettings())
    assert sums(store) == before
    assert compared(store) is None
    assert list(faults(store, RECEIPT_KEY.public)) == []


def test_what_other_lines_follow_from_never_goes() -> None:
    """A gap, and the lines on both sides of it, stay; so does what has not been billed, and what came too late."""
    gateway = Gateway()
    gateway.birth(OCTOBER - 3_600)
    for day in range(70):
        if day == 20:
            gateway.gap(OCTOBER + day * DAY, OCTOBER + (day + 1) * DAY, "sdm630-1", 500)
            continue
        gateway.day(OCTOBER + day * DAY, {"sdm630-1": 330, "sdm630-2": 140})
    store, archive = world(gateway)
    before = sums(store)
    assert delete(store) > 0
    assert not {21, 22, 23, *range(63, 72)} & set(gone(store))
    assert (sums(store), compared(store), faulty(store, archive)) == (before, None, [])


def test_a_line_that_was_let_go_and_comes_again_is_known_and_counted_once() -> None:
    """P5, P6: it is answered with a receipt, and nothing is counted again."""
    gateway = metered()
    store, _ = world(gateway)
    delete(store)
    before = sums(store)
    intake = Intake(store, CollectorSettings(), RECEIPT_KEY)
    topic = topic_of("roof-1", Leaf.REPORT)
    again = [(topic, gateway.lines[seq - 1]) for seq in gone(store)[:3]]
    outcome = intake.commit(intake.open(again, intake.keys_for([topic])), (LATER + 60) * 1000)
    assert [type(each).__name__ for each in outcome.verdicts] == ["Duplicate"] * 3
    assert outcome.receipts
    assert (sums(store), compared(store)) == (before, None)


def test_the_bytes_of_a_line_go_in_no_other_way() -> None:
    """P16: the schema itself refuses, on both engines."""
    store, _ = world(metered())
    (line,) = store._database.execute("select id from line where seq = 20")[0]
    raw = store._database.execute("select raw from line where id = ?", (line,))
    for sql in (
        "update line set raw = ? where id = ?",
        "update line set raw = ?, let_go = id + 1 where id = ?",
        "update line set raw = ?, let_go = id where id = ?",
    ):
        with pytest.raises(DatabaseError), store.atomic():
            store._database.execute(sql, (b"", line))
    assert store._database.execute("select raw from line where id = ?", (line,)) == raw
    delete(store)
    with pytest.raises(DatabaseError), store.atomic():
        store._database.execute("update line set raw = ? where seq = ?", (b"x", gone(store)[0]))
    with pytest.raises(DatabaseError), store.atomic():
        store._database.execute("delete from let_go")


def test_killed_between_two_batches_it_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """P2: what went is whole at every instant; the next deed does the rest."""
    monkeypatch.setattr("cloud_collector.retention.deed.BATCH_LINES", 15)
    store, archive = world(metered())
    before = sums(store)
    begun = begin(store, plan_of(store, revisions(store), horizons(store)), who=LOCAL_OPERATOR, now_ms=LATER * 1000)
    steps = carry_out(store, begun)
    while not next(steps):
        pass
    steps.close()  # type: ignore[attr-defined]
    first = gone(store)
    assert first
    assert (sums(store), compared(store), faulty(store, archive)) == (before, None, [])
    assert store.row("let_go_finished", "acme") == (None,)
    delete(store)
    assert set(first) < set(gone(store))
    assert store.row("let_go_finished", "acme") == (DECEMBER,)
    assert (sums(store), compared(store), faulty(store, archive)) == (before, None, [])


def test_what_is_disputed_stays_until_that_is_over() -> None:
    store, _ = world(metered())
    with store.atomic():
        place = ("acme", "INV-1", 1, "9.90", "00", 1, LATER * 1000, "anna")
        dispute = store.rows("dispute_add", *place)[0][0]
        store.run("dispute_say", dispute, "opened", "too much", LATER * 1000, "anna", "customer")
    (horizon,) = horizons(store)
    assert horizon.before == OCTOBER
    assert any("INV-1" in why and "is disputed" in why for why in horizon.why)
    assert delete(store) == 0
    with store.atomic():
        store.run("dispute_say", dispute, "rejected", "it is right", LATER * 1000, "otto", "operator")
    assert delete(store) > 0


def test_nothing_goes_before_its_time_or_without_an_agreement() -> None:
    store, _ = world(metered())
    early = OCTOBER + 50 * DAY
    assert horizons(store, early)[0].before == OCTOBER
    assert "may be corrected until 2026-11-30" in horizons(store, early)[0].why[0]
    assert delete(store, early) == 0
    silent, _ = world(metered(), KEEPS.replace('keep_detail = "40d"', 'purposes = ["billing"]'))
    assert horizons(silent) == []
    open_, _ = world(metered(), KEEPS.replace('look_back = "1mo"\n', ""))
    assert "operator.look_back is not set" in horizons(open_)[0].why[0]
    assert delete(open_) == 0


def test_a_line_that_carries_another_account_too_stays_until_both_agree() -> None:
    """P20, P21: whole lines go, so everybody in them must have agreed; channels of nobody stay as well."""
    alone = KEEPS.replace('devices = ["roof-1/sdm630-1", "roof-1/sdm630-2"]', 'devices = ["roof-1/sdm630-1"]')
    store, _ = world(metered(), alone)
    plan = plan_of(store, revisions(store), horizons(store))
    assert not [
        each for chain in chains_of(store, plan) for each in going(store, plan, chain) if isinstance(each, Stretch)
    ]
    (why,) = [each for each in plan.tallies["acme"].stays if "kept longer" in each]
    assert plan.tallies["acme"].stays[why] > 40
    plan = plan_of(store, revisions(store), horizons(store), unassigned_before=LATER - 40 * DAY)
    assert [each for chain in chains_of(store, plan) for each in going(store, plan, chain) if isinstance(each, Stretch)]


def test_a_bundle_from_before_verifies_for_ever_and_none_is_made_up_afterwards() -> None:
    """P12: whoever has the evidence keeps it; who asks later is told what is absent, and what can still be proven."""
    store, archive = world(metered())
    found = invoice(store, archive, "INV-1")
    bundle = as_bundle(store, found, RECEIPT_KEY.public)
    delete(store)
    trusted = frozenset({RECEIPT_KEY.public.sha256, GATEWAY_KEY.public.sha256})
    assert verify(bundle, Trust(fingerprints=trusted, words=frozenset())).ok
    with pytest.raises(NotHandedOut) as refused:
        as_bundle(store, found, RECEIPT_KEY.public)
    told = str(refused.value)
    assert "detail before 2026-12-01 was deleted on 2027-02-07 as agreed" in told
    assert "lines 8 to 32 of roof-1 main 5f2c91aa are gone" in told
    assert "it followed from all of its" in told


def test_billing_goes_on_and_leaves_what_was_deleted_as_it_is() -> None:
    """P14, P19: the next period is billed as if nothing had gone; its evidence is whole."""
    gateway = metered(100)
    store, archive = world(gateway)
    other, untouched = world(gateway)
    assert delete(store, OCTOBER + 95 * DAY) > 0
    for each, kept in ((store, archive), (other, untouched)):
        bill_due(each, (OCTOBER + 97 * DAY) * 1000, biller(kept))
    numbers = [row[0] for row in store.rows("invoices")]
    assert numbers == [row[0] for row in other.rows("invoices")]
    assert len(numbers) >= 3
    assert store.rows("parked") == other.rows("parked") == []
    for number in numbers[2:]:
        assert invoice(store, archive, number).body["net"] == invoice(other, untouched, number).body["net"]
        assert as_bundle(store, invoice(store, archive, number), RECEIPT_KEY.public)
    assert faulty(store, archive) == []


def test_an_invoice_that_does_not_follow_keeps_its_lines() -> None:
    """P11: deleting destroys no evidence of a mistake."""
    store, _ = world(metered())
    catalog = load_catalog(KEEPS.replace("price = 0.30", "price = 0.31"))
    apply(store, catalog, now_ms=LATER * 1000)
    plan = plan_of(store, revisions(store), horizons(store))
    for each in plan.holds.resting.values():
        for resting in each:
            plan.proofs[resting.id] = (["another amount"], 0)
    found = [each for chain in chains_of(store, plan) for each in going(store, plan, chain)]
    assert not any(isinstance(each, Stretch) for each in found)
    assert any("does not follow" in why for why in plan.tallies["acme"].stays)


def test_a_figure_that_is_left_and_was_changed_is_named() -> None:
    """P11: it stands between two signed lines, and both of them contradict it."""
    store, archive = world(metered())
    delete(store)
    if store.engine == "sqlite":
        store._database.execute("drop trigger let_go_row_is_final")
    else:
        store._database.execute("drop trigger let_go_row_is_final on let_go_row")
    store._database.execute("update let_go_row set units = units + 1 where device = ?", ("sdm630-2",))
    rebuild(store, CollectorSettings())
    found = [each for each in faulty(store, archive) if isinstance(each, Unsound)]
    assert [(each.seq, each.reason) for each in found] == [
        (32, "what is kept of the 25 lines up to it is not what the signed lines beside them say"),
        (62, "what is kept of the 29 lines up to it is not what the signed lines beside them say"),
    ]
    if store.engine == "postgres":
        # The schema goes back to other tests.
        store._database.execute(
            "create trigger let_go_row_is_final before update on let_go_row for each row "
            "execute function refuse('what is left of deleted detail is never changed')"
        )


def test_a_whole_store_is_copied_with_what_was_let_go() -> None:
    """The proof of the copy holds, and the copy computes the same."""
    store, archive = world(metered())
    delete(store)
    target = Store(SqliteDatabase(":memory:"))
    copy_store(store, target)
    assert gone(target) == gone(store)
    assert (sums(target), compared(target), faulty(target, archive)) == (sums(store), None, [])


def test_while_a_report_is_missing_everything_stays_that_it_may_change() -> None:
    """P3: what comes late is billed or declared with the rest, so the rest is still there."""
    gateway = metered()
    missing = gateway.lines.pop(19)
    store, _ = world(gateway)
    assert (
        "roof-1 has not proved that nothing of the period from 2026-09-30T21:00:00Z is missing"
        in horizons(store)[0].why[0]
    )
    assert delete(store) == 0
    receive(store, [missing], at=OCTOBER + 80 * DAY)
    assert delete(store) > 0


def test_a_report_that_tells_what_became_of_a_meter_stays() -> None:
    """P4: a reset is named in one interval's note and nowhere else."""
    gateway = metered()
    noted = Gateway()
    for day, raw in enumerate(gateway.lines):
        line = parse(raw)
        assert isinstance(line, Line)
        report = read(line)
        assert not isinstance(report, Refused)
        header = replace(report.header, prev=noted.prev)
        report = replace(report, header=header)
        if day == 19 and isinstance(report, Usage):
            first, *others = report.rows
            report = replace(report, rows=(first._replace(notes={3: Verdict.RESET}), *others))
        noted._seal(report)
    store, _ = world(noted)
    delete(store)
    assert not {19, 20, 21} & set(gone(store))
    assert {12, 25} <= set(gone(store))
