"""What the console's pages of billing, invoices and plans show and do is there for programs, by the same functions."""

import shutil
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cloud_collector.access.viewer import Means, Role, everything
from cloud_collector.billing.approval import Approval
from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.disputes import Complaint, Side, What, open_dispute, say
from cloud_collector.billing.revisions import apply, revisions
from cloud_collector.billing.runs import begin
from cloud_collector.contracts.read import load_catalog
from cloud_collector.insight.curve import by_day
from cloud_collector.insight.tariff import Span
from cloud_collector.insight.timeline import timeline
from cloud_collector.insight.what_if import asked_changes, what_if
from cloud_collector.store.view import StoreView
from cloud_collector.web.office import Office
from cloud_collector.web.running import everything_due
from cloud_collector.web.site import Site
from shared.effects.memory import SimpleClock
from tests.api_world import DAY, NOW, site_of
from tests.unit.billing_samples import RECEIPT_KEY, store_biller
from tests.unit.test_api import Program, desk, world
from tests.unit.test_api_for_operators import done

__all__ = ["desk", "world"]
DEARER = "plans.charger.charges.Connection.price=19.90"
LATER = NOW + 30 * DAY
"""November is over, and has settled."""


@pytest.fixture
def site(world: tuple[Path, MemoryArchive], tmp_path: Path) -> Site:
    shutil.copyfile(world[0], tmp_path / "collector.db")
    return site_of(tmp_path / "collector.db", deepcopy(world[1]))


def approving(world: tuple[Path, MemoryArchive], folder: Path, approval: Approval) -> Site:
    """December has begun, and documents are approved so."""
    shutil.copyfile(world[0], folder / "later.db")
    archive = deepcopy(world[1])
    biller = replace(store_biller(archive), approval=approval)
    office = Office(archive=archive, key=RECEIPT_KEY.public, biller=biller, approval=approval)
    clock = SimpleClock(utc_ms=LATER * 1_000)
    return replace(site_of(folder / "later.db", archive, clock=clock), office=office)


def test_the_overview_says_what_the_page_says(desk: Program) -> None:
    found = desk.get("/overview")
    assert (found["gateways"], found["alarms"], found["invoices"]) == (len(desk.every("/gateways")), 3, 2)
    assert found["unmatched"] == 1
    assert found["standings"]["never"] == 4, "nobody has looked yet"


def test_what_accounts_owe_is_what_is_open_on_their_invoices(desk: Program) -> None:
    owed = {each["account"]: each for each in desk.every("/ledger", 1)}
    for invoice in desk.every("/invoices"):
        assert owed[invoice["account"]]["open"] == {"EUR": invoice["open"]}
    assert (owed["acme"]["contracts"], owed["acme"]["devices"]) == (1, 2)
    assert [each["account"] for each in desk.every("/ledger?search=beta")] == ["beta"]


def test_every_device_stands_in_the_list_once_whatever_a_page_holds(desk: Program) -> None:
    whole = desk.every("/standings", 200)
    assert desk.every("/standings", 1) == whole
    assert [each["device"] for each in whole] == sorted(each["device"] for each in whole)
    assert {each["state"] for each in whole} == {"active"}
    assert len(desk.every("/standings?account=acme")) == len(desk.every("/standings?search=roof-1")) == 2


def test_a_device_of_two_contracts_is_not_lost_between_two_pages(desk: Program, site: Site) -> None:
    with site.writing() as store:
        text = revisions(store)[-1].catalog.text
        moved = text.replace('"roof-2/sdm630-2"]', '"roof-2/sdm630-2", { id = "roof-1/sdm630-1", from = 2027-01-01 }]')
        moved = moved.replace('"roof-1/sdm630-1"', '{ id = "roof-1/sdm630-1", until = 2027-01-01 }', 1)
        apply(store, load_catalog(moved), now_ms=NOW * 1_000)
    names = [(each["device"], each["contract"]) for each in desk.every("/standings", 1)]
    assert names[:2] == [("roof-1/sdm630-1", "acme-chargers"), ("roof-1/sdm630-1", "beta-chargers")]


def test_a_plan_is_told_in_sentences_to_whoever_has_the_contract(desk: Program, site: Site) -> None:
    assert any("Energy" in each for each in desk.get("/contracts/acme-chargers/plan")["words"])
    beta = Program(site, everything(Role.CUSTOMER, "bert", accounts=frozenset({"beta"}), means=Means.TOKEN))
    beta.get("/contracts/acme-chargers/plan", 404)


def test_a_change_of_a_plan_is_tried_out_by_the_function_of_the_page_and_changes_nothing(
    desk: Program, site: Site
) -> None:
    told = desk.ask("POST", "/catalog/what-if", json={"changes": [DEARER], "alike": "beta-chargers"}).json()
    with site.open_store() as store:
        known = revisions(store)
        both = ["beta-chargers", "acme-chargers"]
        page = what_if(store, StoreView(store), known, asked_changes("", "", DEARER), both, Span(), NOW)
    assert [(each["contract"], each["difference"]) for each in told["found"]] == [
        (each.contract, f"{each.amount:f}") for each in page.found
    ]
    assert Decimal(told["found"][0]["difference"]) > 0
    assert told["changes"] == [DEARER]
    one = desk.ask("POST", "/catalog/what-if", json={"changes": [DEARER], "contracts": ["acme-chargers"]}).json()
    assert [each["contract"] for each in one["found"]] == ["acme-chargers"]
    assert len(desk.every("/catalog/revisions")) == 1


def test_a_whole_catalog_is_tried_out(desk: Program) -> None:
    text = desk.get("/catalog/revisions/1")["text"]
    same = desk.ask("POST", "/catalog/what-if", json={"catalog": text}).json()
    assert {each["difference"] for each in same["found"]} == {"0.00"}
    assert len(same["found"]) == 2
    for wrong in ({"catalog": "[operator"}, {"changes": ["nothing"]}, {}, {"changes": [DEARER], "first": "when"}):
        answer = desk.ask("POST", "/catalog/what-if", json=wrong)
        assert (answer.status_code, answer.json()["detail"][:5]) == (409, "body:")
    answer = desk.ask("POST", "/catalog/what-if", json={"changes": [DEARER], "contracts": ["nobodys"]})
    assert answer.status_code == 404


def test_an_auditor_may_try_a_plan_out_and_pay_nothing(site: Site) -> None:
    auditor = Program(site, everything(Role.AUDITOR, "otto", accounts=None, means=Means.TOKEN))
    assert auditor.ask("POST", "/catalog/what-if", json={"changes": [DEARER]}).status_code == 200
    for path in ("/invoices/INV-1/payments", "/invoices/INV-1/rebill", "/billing/resume", "/billing/retry"):
        assert auditor.ask("POST", path, json={}).status_code == 403


def test_a_payment_is_recorded_and_what_is_open_sinks(desk: Program) -> None:
    total = Decimal(desk.get("/invoices/INV-1")["total"])
    path = "/invoices/INV-1/payments"
    life = desk.ask("POST", path, json={"amount": "100.00", "reference": "transfer 4711"}).json()
    assert Decimal(life["invoice"]["open"]) == total - 100
    assert [(each["what"], each["amount"], each["note"]) for each in life["moved"]] == [
        ("payment", "100.00", "transfer 4711")
    ]
    assert done(desk)[0]["what"] == "invoice paid INV-1 100.00"
    assert done(desk)[0]["account"] == "acme"
    assert desk.ask("POST", path, json={}).json()["invoice"]["state"] == "paid"
    assert desk.ask("POST", path, json={}).status_code == 409
    assert desk.ask("POST", path, json={"amount": 1.5}).status_code == 422, "money is no float"
    assert desk.ask("POST", "/invoices/INV-99/payments", json={}).status_code == 404


def test_a_document_is_taken_back_and_its_period_billed_again(desk: Program) -> None:
    for reason in ("two\nlines", "a bell \x07", "", "x" * 141):
        assert desk.ask("POST", "/invoices/INV-1/void", json={"reason": reason}).status_code == 422
    made = desk.ask("POST", "/invoices/INV-1/void", json={"reason": "the tariff was wrong"}).json()
    note = made["number"]
    life = desk.get("/invoices/INV-1/life")
    assert (life["taken_back"]["credit_note"], life["taken_back"]["reason"]) == (note, "the tariff was wrong")
    assert desk.get(f"/invoices/{note}/life")["takes_back"] == "INV-1"
    assert desk.ask("POST", "/invoices/INV-1/void", json={"reason": "again"}).status_code == 409
    again = desk.ask("POST", "/invoices/INV-1/rebill").json()
    assert desk.get("/invoices/INV-1/life")["taken_back"]["replaced_by"] == again["number"]
    assert [each["what"] for each in done(desk)][:2] == [
        f"invoice rebill INV-1: {again['number']}",
        "invoice void INV-1: the tariff was wrong",
    ]


def test_where_documents_are_approved_a_correction_is_drafted(
    world: tuple[Path, MemoryArchive], tmp_path: Path
) -> None:
    """P19."""
    desk = Program(approving(world, tmp_path, Approval.ONE))
    made = desk.ask("POST", "/invoices/INV-1/void", json={"reason": "the tariff was wrong"}).json()
    assert made["number"] is None
    (draft,) = desk.every("/billing/drafts")
    assert (draft["run"], draft["task"], draft["of"], draft["state"]) == (made["run"], "void", "INV-1", "draft")
    assert desk.get("/billing")["drafts"] == 1
    assert desk.ask("POST", f"/billing/runs/{made['run']}/approve", json={}).json()["approved"] == 1
    assert desk.every("/billing/drafts") == []
    assert [each["draft"] for each in desk.every("/billing/drafts?state=approved")] == [draft["draft"]]
    assert desk.get("/billing")["approved"] == 1


def test_a_run_that_was_stopped_goes_on_and_only_then(world: tuple[Path, MemoryArchive], tmp_path: Path) -> None:
    held = approving(world, tmp_path, Approval.NONE)
    desk = Program(held)
    assert "nothing to resume" in desk.ask("POST", "/billing/resume").json()["detail"]
    assert "no contract is parked" in desk.ask("POST", "/billing/retry").json()["detail"]
    with held.writing() as store:
        number = begin(store, by="Anna", at=LATER, as_of=LATER, contracts=["acme-chargers"])
    assert desk.get("/billing")["stopped"] == number
    resumed = desk.ask("POST", "/billing/resume").json()
    assert resumed["run"]["run"] == number
    run = desk.get(f"/billing/runs/{number}")
    assert (run["run"]["issued"], run["progress"]["left"], run["progress"]["failed"]) == (1, 0, None)
    state = desk.get("/billing")
    assert (state["stopped"], state["running"], state["progress"]["total"]) == (None, None, 1)
    assert done(desk)[0]["what"] == f"billing resume {number}"


def test_while_a_run_is_under_way_on_a_page_none_is_begun_over_the_api(
    world: tuple[Path, MemoryArchive], tmp_path: Path
) -> None:
    held = approving(world, tmp_path, Approval.NONE)
    with held.writing() as store:
        begun = held.begin(store, everything_due("Anna", LATER * 1_000))
    desk = Program(held)
    assert desk.get("/billing")["running"] == begun.number
    assert "on its way" in desk.ask("POST", "/billing/runs", json={}).json()["detail"]
    begun.then()
    assert desk.get("/billing")["progress"]["done"]["issued"] == 2


def test_of_a_preview_the_outliers_alone_are_asked_for(world: tuple[Path, MemoryArchive], tmp_path: Path) -> None:
    desk = Program(approving(world, tmp_path, Approval.NONE))
    whole: list[Any] = desk.every("/billing/preview")
    assert [each for each in whole if each["comparison"]["outlier"]] == desk.every("/billing/preview?outliers=true", 1)


def disputed(site: Site, *, upheld: bool) -> int:
    complaint = Complaint(
        account="acme", number="INV-1", place=1, amount="1 EUR", why="Why?", evidence=b"", holds=True, who="anna"
    )
    with site.writing() as store, store.atomic():
        id_ = open_dispute(store, complaint, now_ms=NOW * 1_000)
        if upheld:
            say(store, id_, What.UPHELD, "The tariff was wrong.", who="otto", side=Side.OPERATOR, now_ms=NOW * 1_000)
    return id_


def test_a_dispute_that_is_upheld_becomes_a_credit_note_in_its_own_words_and_is_billed_again(
    desk: Program, site: Site
) -> None:
    id_ = disputed(site, upheld=True)
    note = desk.ask("POST", f"/disputes/{id_}/credit", json={}).json()["number"]
    again = desk.ask("POST", f"/disputes/{id_}/rebill").json()["number"]
    told = desk.get(f"/disputes/{id_}")["dispute"]
    assert (told["state"], told["credit_note"]["number"], told["credit_note"]["billed_again"]) == (
        "credited",
        note,
        again,
    )
    assert told["credit_note"]["reason"] == f"Dispute {id_}: The tariff was wrong."
    assert [each["what"] for each in done(desk)][:2] == [
        f"dispute {id_}: bill again the period of INV-1",
        f"dispute {id_}: credit note for INV-1",
    ]


def test_a_dispute_that_nobody_upheld_becomes_no_credit_note(desk: Program, site: Site) -> None:
    id_ = disputed(site, upheld=False)
    answer = desk.ask("POST", f"/disputes/{id_}/credit", json={})
    assert (answer.status_code, f"dispute {id_} is open" in answer.text) == (409, True)
    assert desk.ask("POST", "/disputes/99/credit", json={}).status_code == 404
    for said, status in (("Two\nlines.", 200), ("A NUL \x00", 422)):
        assert desk.ask("POST", f"/disputes/{id_}/words", json={"said": said}).status_code == status


def test_where_documents_are_approved_both_sides_read_that_it_is_drafted(
    world: tuple[Path, MemoryArchive], tmp_path: Path
) -> None:
    held = approving(world, tmp_path, Approval.ONE)
    desk, id_ = Program(held), disputed(held, upheld=True)
    run = desk.ask("POST", f"/disputes/{id_}/credit", json={"reason": "as we said"}).json()["run"]
    assert f"(run {run})" in desk.get(f"/disputes/{id_}")["dispute"]["words"][-1]["said"]


def test_what_a_device_used_is_drawn_as_the_page_draws_it(desk: Program, site: Site) -> None:
    (curve,) = desk.get("/devices/roof-1/sdm630-1/curves?days=3")
    with site.open_store() as store:
        view = StoreView(store)
        page = by_day(view, view.channels("roof-1", "sdm630-1")[0], "Europe/Helsinki", NOW - 3 * DAY, NOW)
    assert [(each["amount"], each["gap_seconds"]) for each in curve["bars"]] == [
        (None if each.amount is None else f"{each.amount:f}", each.gap_seconds) for each in page.bars
    ]
    assert len(desk.get("/devices/roof-1/sdm630-1/curves?by=hour&days=1")[0]["bars"]) == 24
    assert desk.get("/devices/roof-1/none/curves", 404)["status"] == 404


def test_an_operator_reads_of_a_device_what_happened_in_nobodys_time_and_its_customer_does_not(
    desk: Program, site: Site
) -> None:
    """P20."""
    path = "/devices/roof-1/sdm630-1/timeline"
    acme = Program(site, everything(Role.CUSTOMER, "anna", accounts=frozenset({"acme"}), means=Means.TOKEN))
    whole, own = desk.every(path, 200), acme.every(path, 200)
    with site.open_store() as store:
        page = timeline(store, StoreView(store), revisions(store), "roof-1/sdm630-1", NOW)
    assert [each["told"] for each in whole] == [each.told for each in page]
    assert len(own) < len(whole)
    assert all(each["at"] >= "2026-09-30T21:00:00Z" for each in own)
