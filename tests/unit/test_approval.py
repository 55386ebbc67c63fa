"""Draft, approved, issued: what a person has looked at is what is issued, or nothing is."""

from dataclasses import replace
from decimal import Decimal

import pytest

from cloud_collector.billing.accounts import NotPossible
from cloud_collector.billing.approval import Approval, Drafted, Task, approve, digest_of, drafts, keep_drafts
from cloud_collector.billing.case import Sight
from cloud_collector.billing.compare import Thresholds, compared
from cloud_collector.billing.outcome import Outcome
from cloud_collector.billing.prepare import draft_due, draft_rebill, draft_void
from cloud_collector.billing.preview import preview
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from shared.errors import DatabaseFailed
from tests.unit.billing_samples import CATALOG, NOVEMBER, OCTOBER, Gateway, new_store, october, receive, store_biller
from tests.unit.test_rebill import LATER, booked, said

DAY = 86_400
NOW = (NOVEMBER + 3 * DAY) * 1000
SIGHT = Sight(view=StoreView)


def waiting(approval: Approval = Approval.TWO, *, days: int = 66) -> tuple[Store, Biller, Gateway]:
    store, gateway = new_store(), october(Gateway(), days=days)
    receive(store, gateway.lines[:40], at=NOW // 1000)
    return store, replace(store_biller(), approval=approval), gateway


def prepared(store: Store, *, at: int = NOW, by: str = "Anna") -> int:
    run = draft_due(store, at, SIGHT, by=by)
    assert run is not None
    return run


def states(outcomes: tuple[Outcome, ...]) -> list[str]:
    return [each.state for each in outcomes]


def test_nothing_is_issued_that_nobody_has_approved() -> None:
    """P19."""
    store, biller, _ = waiting()
    found = bill_due(store, NOW, biller).outcomes
    assert states(found) == ["unapproved"]
    assert "waits for approval" in (found[0].reason or "")
    prepared(store)
    assert states(bill_due(store, NOW, biller).outcomes) == ["unapproved"]
    assert [each["state"] for each in drafts(store)] == ["draft"]
    assert store.rows("invoices") == []


def test_what_was_approved_is_issued_and_its_way_is_kept() -> None:
    store, biller, _ = waiting()
    run = prepared(store)
    assert approve(store, run, by="Bert", at=NOW // 1000, approval=Approval.TWO) == 1
    assert [each["state"] for each in drafts(store)] == ["approved"]
    assert states(bill_due(store, NOW, biller).outcomes) == ["issued"]
    (told,) = drafts(store)
    assert (told["state"], told["drafted_by"], told["approved_by"], told["number"]) == (
        "issued",
        "Anna",
        "Bert",
        "INV-1",
    )


def test_nobody_approves_their_own_run_where_a_second_person_must() -> None:
    store, biller, _ = waiting()
    run = prepared(store)
    with pytest.raises(NotPossible, match="Anna drafted run 1: another person must approve it"):
        approve(store, run, by=" ANNA ", at=0, approval=Approval.TWO)
    approve(store, run, by="Anna", at=0, approval=Approval.ONE)
    assert states(bill_due(store, NOW, biller).outcomes) == ["unapproved"], "the rule of today counts"
    assert states(bill_due(store, NOW, replace(biller, approval=Approval.ONE)).outcomes) == ["issued"]


def test_what_has_changed_since_is_not_issued() -> None:
    """P19: who approved 394.61 did not approve anything else."""
    store, biller, gateway = waiting()
    store = new_store()
    receive(store, gateway.lines[:21], at=OCTOBER + 21 * DAY)
    approve(store, prepared(store), by="Bert", at=0, approval=Approval.TWO)
    receive(store, gateway.lines[21:40], at=NOW // 1000)
    found = bill_due(store, NOW, biller).outcomes
    assert states(found) == ["unapproved"]
    assert (found[0].reason or "").startswith("has changed since Bert approved ")
    approve(store, prepared(store), by="Bert", at=0, approval=Approval.TWO)
    assert states(bill_due(store, NOW, biller).outcomes) == ["issued"]


def test_some_contracts_are_approved_and_others_held_back() -> None:
    catalog = CATALOG + '[contracts.other]\naccount = "acme"\nplan = "charger"\nstart = 2026-10-01\n'
    catalog = catalog.replace('name = "Connection"', 'name = "Connection"\nper = "contract"')
    store, biller = new_store(catalog=catalog), replace(store_biller(), approval=Approval.TWO)
    receive(store, october(Gateway()).lines, at=NOW // 1000)
    run = prepared(store)
    with pytest.raises(NotPossible, match="run 1 has no draft of acme-charger"):
        approve(store, run, by="Bert", at=0, approval=Approval.TWO, but=["acme-charger"])
    assert approve(store, run, by="Bert", at=0, approval=Approval.TWO, but=["other"]) == 1
    found = {each.contract: each.state for each in bill_due(store, NOW, biller).outcomes}
    assert found == {"acme-chargers": "issued", "other": "unapproved"}


def test_several_months_are_drafted_approved_and_issued_in_order() -> None:
    """The collector was down: each period is one document."""
    store, biller, gateway = waiting(days=66)
    receive(store, gateway.lines[40:], at=LATER // 1000)
    run = prepared(store, at=LATER)
    assert approve(store, run, by="Bert", at=0, approval=Approval.TWO) == 2
    assert [each.number for each in bill_due(store, LATER, biller).outcomes] == ["INV-1", "INV-2"]


def test_taking_back_and_billing_again_are_approved_too() -> None:
    store, biller, _ = waiting()
    approve(store, prepared(store), by="Bert", at=0, approval=Approval.TWO)
    bill_due(store, NOW, biller)
    before = booked(store)
    void_run = draft_void(store, "INV-1", reason="Wrong tariff", by="Anna", at=NOW // 1000)
    assert bill_due(store, NOW, biller).outcomes == ()
    approve(store, void_run, by="Bert", at=0, approval=Approval.TWO)
    assert [each.number for each in bill_due(store, NOW, biller).outcomes] == ["INV-CN-1"]
    again = draft_rebill(store, "INV-1", by="Anna", now_ms=NOW, means=biller)
    assert again is not None
    approve(store, again, by="Bert", at=0, approval=Approval.TWO)
    biller(store, NOW)
    assert said(biller, "INV-2")["revision"] == 2
    assert booked(store) == before
    assert [each["state"] for each in drafts(store)] == ["issued", "issued", "issued"]


def test_a_tick_issues_what_was_approved_and_leaves_the_rest() -> None:
    store, biller, _ = waiting()
    biller(store, NOW)
    assert store.rows("invoices") == []
    approve(store, prepared(store), by="Bert", at=0, approval=Approval.TWO)
    biller(store, NOW)
    assert [row[0] for row in store.rows("invoices")] == ["INV-1"]


@pytest.mark.parametrize("query", ["approval_add", "run_of_drafts"])
def test_an_approval_cannot_be_changed(query: str) -> None:
    """P16: the database refuses."""
    store, _, _ = waiting()
    approve(store, prepared(store), by="Bert", at=0, approval=Approval.TWO)
    if query == "approval_add":
        store.run(query, 1, "Carl", 5, 0)
        assert drafts(store)[0]["approved_by"] == "Bert"
    for statement in ("update approval set by_whom = 'Carl'", "delete from approval", "update drafted set total = '0'"):
        with pytest.raises(DatabaseFailed, match="P16"):
            store._database.execute(statement)


def test_a_preview_shows_every_period_that_is_due_and_changes_nothing() -> None:
    store, biller, gateway = waiting(days=66)
    receive(store, gateway.lines[40:], at=LATER // 1000)
    found = preview(store, LATER, SIGHT)
    free = replace(biller, approval=Approval.NONE)
    assert store.rows("invoices") == []
    done = bill_due(store, LATER, free).outcomes
    assert [(each.state, each.start, each.total) for each in found] == [
        ("due", each.start, each.total) for each in done
    ]
    assert [each.number for each in done] == ["INV-1", "INV-2"]


def test_a_preview_is_beside_the_last_period_with_outliers_first() -> None:
    store, biller, gateway = waiting(days=66)
    free = replace(biller, approval=Approval.NONE)
    bill_due(store, NOW, free)
    receive(store, gateway.lines[40:], at=LATER // 1000)
    (found,) = compared(store, preview(store, LATER, SIGHT), Thresholds(share_percent=10))
    last, now = Decimal(said(biller, "INV-1")["total"]), found.outcome.total
    assert now is not None
    assert (found.last, found.change) == (last, now - last)
    assert found.outlier
    assert found.why[0].startswith("Energy +")
    strict = compared(store, preview(store, LATER, SIGHT), Thresholds(share_percent=1_000, amount=0))
    assert [each.outlier for each in strict] == [False]


def outcome(contract: str, total: str, start: int = NOVEMBER) -> Outcome:
    return Outcome(contract=contract, state="due", start=start, end=start + DAY, currency="EUR", total=Decimal(total))


@pytest.mark.parametrize(
    ("total", "outlier"),
    [("394.61", False), ("473.53", False), ("473.54", True), ("315.69", False), ("315.68", True), ("0.00", True)],
)
def test_an_outlier_differs_by_share_and_by_amount(total: str, outlier: bool) -> None:  # noqa: FBT001
    """20 % of 394.61 are 78.922, on either side."""
    store, biller, _ = waiting()
    bill_due(store, NOW, replace(biller, approval=Approval.NONE))
    (found,) = compared(store, [outcome("acme-chargers", total)], Thresholds())
    assert found.outlier is outlier
    (other,) = compared(store, [outcome("acme-chargers", total)], Thresholds(amount=1_000))
    assert not other.outlier


def test_outliers_come_first_then_new_contracts_then_the_others() -> None:
    store, biller, _ = waiting()
    bill_due(store, NOW, replace(biller, approval=Approval.NONE))
    several = [outcome("a-new", "5.00"), outcome("acme-chargers", "400.00"), outcome("acme-chargers", "900.00", LATER)]
    found = compared(store, several, Thresholds())
    assert [(each.outcome.contract, each.outlier, each.share) for each in found] == [
        ("acme-chargers", True, Decimal("125.0")),
        ("a-new", False, None),
        ("acme-chargers", False, Decimal("1.4")),
    ]


def test_a_digest_tells_every_cent() -> None:
    store, _, _ = waiting()
    draft = preview(store, NOW, SIGHT)[0].draft
    assert draft is not None
    assert digest_of(draft) == digest_of(replace(draft))
    assert digest_of(draft) != digest_of(replace(draft, total=draft.total + Decimal("0.01")))


def test_drafts_need_a_name() -> None:
    store, _, _ = waiting()
    kept = Drafted(task=Task.PERIOD, contract="c", start=0, end=1, currency="EUR", total="1", digest="d")
    with pytest.raises(NotPossible, match="say who does this"):
        keep_drafts(store, [kept], by="", at=0, as_of=0, contracts=[])


def test_where_people_approve_a_name_that_is_merely_said_does_not_count() -> None:
    """P19: an approval is a person's who signed in, and of another one than drafted it."""
    store, biller, _ = waiting(Approval.PEOPLE)
    bert = "bert@utility.example"
    run = prepared(store, by="anna@utility.example")
    with pytest.raises(NotPossible, match="signs in"):
        approve(store, run, by=bert, at=NOW, approval=Approval.PEOPLE)
    with pytest.raises(NotPossible, match="another person"):
        approve(store, run, by="Anna@utility.example", at=NOW, approval=Approval.PEOPLE, signed_in=True)
    assert states(bill_due(store, NOW, biller).outcomes) == ["unapproved"]
    assert approve(store, run, by=bert, at=NOW, approval=Approval.PEOPLE, signed_in=True) == 1
    assert states(bill_due(store, NOW, biller).outcomes) == ["issued"]


def test_what_was_approved_by_a_name_waits_again_where_people_approve_from_now_on() -> None:
    store, biller, _ = waiting(Approval.TWO)
    run = prepared(store, by="Anna")
    approve(store, run, by="Bert", at=NOW, approval=Approval.TWO)
    stricter = replace(biller, approval=Approval.PEOPLE)
    assert states(bill_due(store, NOW, stricter).outcomes) == ["unapproved"]
    assert states(bill_due(store, NOW, biller).outcomes) == ["issued"]
