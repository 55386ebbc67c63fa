"""Billing a period again: the next revision, with what is then not booked; credit pays the next invoices."""

import json
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

import pytest

from cloud_collector.billing.accounts import NotPossible, State, open_credits, pay, pay_out, standing, standings
from cloud_collector.billing.archive import ArchiveFailed, MemoryArchive
from cloud_collector.billing.export import as_bundle, invoice
from cloud_collector.billing.rebill import Rebilling, rebill
from cloud_collector.billing.revisions import apply, revisions
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.billing.void import Voiding, void
from cloud_collector.contracts.read import load_catalog
from cloud_collector.insight.ledger import account_rows
from cloud_collector.invoice.document import InvoiceKind
from cloud_collector.proof.bundle import Bundle, from_zip, to_zip
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import verify
from cloud_collector.store.store import Store
from shared.line import Body, seal
from tests.unit.billing_samples import (
    CATALOG,
    GATEWAY_KEY,
    NOVEMBER,
    OCTOBER,
    RECEIPT_KEY,
    Gateway,
    new_store,
    october,
    receive,
    store_biller,
)
from tests.unit.test_billing import body

DAY = 86_400
NOW = (NOVEMBER + 3 * DAY) * 1000
DECEMBER = NOVEMBER + 30 * DAY
LATER = (DECEMBER + 3 * DAY) * 1000
BASE = '[[plans.charger.charges]]\nname = "Base"\ntype = "subscription"\nprice = 3\nper = "contract"\n\n'
TRUST = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256, GATEWAY_KEY.public.sha256}), words=frozenset())


def billed(catalog: str = CATALOG, *, days: int = 66, at: int = NOW) -> tuple[Store, Biller]:
    store, biller = new_store(catalog=catalog), store_biller()
    receive(store, october(Gateway(), days=days).lines, at=at // 1000)
    bill_due(store, at, biller)
    return store, biller


def take_back(store: Store, biller: Biller, number: str, *, at: int) -> str:
    asked = Voiding(number=number, reason="Wrong", by="Anna")
    return void(store, asked, now_ms=at, key=RECEIPT_KEY, archive=biller.archive).number


def again(store: Store, biller: Biller, number: str, *, at: int) -> str | None:
    issued = rebill(store, Rebilling(number=number, by="Anna"), now_ms=at, means=biller)
    return None if issued is None else issued.number


def said(biller: Biller, number: str) -> Body:
    line = biller.archive.get(number)
    assert line is not None
    return body(line)


def figures(found: Body) -> list[tuple[str, ...]]:
    return [
        (line["charge"], line["device"] or "", line["service_start"], line["quantity"], line["exact"], line["amount"])
        for line in found["lines"]
    ]


def booked(store: Store) -> dict[tuple[str, ...], Decimal]:
    found: dict[tuple[str, ...], Decimal] = {}
    for _, line in store.rows("bookings_of_contract", "acme-chargers"):
        row = json.loads(line)
        key = (row["charge"], row["device"] or "", row["service_start"])
        found[key] = found.get(key, Decimal(0)) + Decimal(row["amount"])
    return found


def verified(store: Store, biller: Biller, number: str) -> bool:
    return verify(as_bundle(store, invoice(store, biller.archive, number), RECEIPT_KEY.public), TRUST).ok


def test_what_was_taken_back_is_billed_again_as_the_next_revision_to_the_same_figures() -> None:
    """P14, P17: an invoice that is taken back leaves nothing behind."""
    store, biller = billed()
    take_back(store, biller, "INV-1", at=NOW)
    assert again(store, biller, "INV-1", at=NOW) == "INV-2"
    first, second = said(biller, "INV-1"), said(biller, "INV-2")
    assert (second["kind"], second["revision"], second["period"]) == ("regular", 2, first["period"])
    assert figures(second) == figures(first)
    assert [line["why"] for line in second["lines"]] == [line["why"] for line in first["lines"]]
    assert verified(store, biller, "INV-2")
    assert bill_due(store, NOW, biller).outcomes == ()


def test_it_is_billed_again_once() -> None:
    store, biller = billed()
    with pytest.raises(NotPossible, match=r"INV-1 stands: take it back first"):
        again(store, biller, "INV-1", at=NOW)
    take_back(store, biller, "INV-1", at=NOW)
    again(store, biller, "INV-1", at=NOW)
    with pytest.raises(NotPossible, match="INV-1 was replaced by INV-2 already"):
        again(store, biller, "INV-1", at=NOW)
    take_back(store, biller, "INV-2", at=NOW)
    assert again(store, biller, "INV-2", at=NOW) == "INV-3"
    assert said(biller, "INV-3")["revision"] == 3


def test_a_price_that_was_wrong_is_billed_right_and_stays_right() -> None:
    store, biller = billed()
    right = CATALOG.replace("price = 9.90", "price = 8.00")
    apply(store, load_catalog(right), now_ms=NOW, effective_at=OCTOBER)
    take_back(store, biller, "INV-1", at=NOW)
    again(store, biller, "INV-1", at=NOW)
    assert said(biller, "INV-2")["lines"][0]["amount"] == "8.00"
    assert verified(store, biller, "INV-2")
    bill_due(store, LATER, biller)
    third = said(biller, "INV-3")
    assert {line["service_start"] for line in third["lines"]} == {"2026-10-31T22:00:00Z"}, "nothing more of October"
    assert third["lines"][0]["amount"] == "8.00"


def test_without_it_the_next_run_bills_what_is_missing() -> None:
    """P1: what was used is billed once, on whatever invoice."""
    store, biller = billed()
    take_back(store, biller, "INV-1", at=NOW)
    bill_due(store, LATER, biller)
    undisturbed, other = billed()
    bill_due(undisturbed, LATER, other)
    assert booked(store) == booked(undisturbed)
    assert again(store, biller, "INV-1", at=LATER) is None


def test_an_earlier_period_is_billed_again_after_a_later_one_was() -> None:
    """P12: also where a device started in the later period and its usage before that is billed."""
    waits = CATALOG.replace("at_least = 0.5", "at_least = 1000").replace('grace = "20d"', 'usage_before = "billed"')
    waits = waits.replace(
        '[[plans.charger.charges]]\nname = "Energy"', f'{BASE}[[plans.charger.charges]]\nname = "Energy"'
    )
    store, biller = billed(waits)
    bill_due(store, LATER, biller)
    before = booked(store)
    numbers = [row[0] for row in store.rows("invoices")]
    for number in numbers:
        take_back(store, biller, number, at=LATER)
        replaced = again(store, biller, number, at=LATER)
        assert replaced is not None
        assert verified(store, biller, replaced)
    assert booked(store) == before
    assert bill_due(store, LATER, biller).outcomes == ()


def test_an_adjustment_after_the_end_is_billed_again() -> None:
    catalog = CATALOG.replace("start = 2026-10-01\n", "start = 2026-10-01\nend = 2026-11-01\n")
    store, biller, gateway = new_store(catalog=catalog), store_biller(), october(Gateway(), days=33)
    receive(store, gateway.lines[:21], at=OCTOBER + 21 * DAY)
    bill_due(store, NOW, biller)
    receive(store, gateway.lines[21:], at=NOVEMBER + 4 * DAY)
    bill_due(store, LATER, biller)
    assert said(biller, "INV-2")["kind"] == "adjustment"
    take_back(store, biller, "INV-2", at=LATER)
    assert again(store, biller, "INV-2", at=LATER) == "INV-3"
    third = said(biller, "INV-3")
    assert (third["kind"], third["revision"]) == ("adjustment", 2)
    assert figures(third) == figures(said(biller, "INV-2"))
    assert verified(store, biller, "INV-3")


def test_what_was_paid_becomes_credit_and_pays_the_next_invoice() -> None:
    store, biller = billed()
    pay(store, "INV-1", amount=None, at=NOW // 1000, by="Anna")
    assert standing(store, "INV-1").state is State.PAID
    take_back(store, biller, "INV-1", at=NOW)
    assert [(row["number"], row["open"]) for row in open_credits(store)] == [("INV-CN-1", "394.61")]
    again(store, biller, "INV-1", at=NOW)
    second = said(biller, "INV-2")
    assert (second["offsets"], second["payable"], second["due"]) == ([["INV-CN-1", "394.61"]], "0.00", None)
    assert standing(store, "INV-2").state is State.PAID
    assert standing(store, "INV-CN-1").state is State.PAID
    assert open_credits(store) == []
    assert verified(store, biller, "INV-2")


def test_credit_pays_a_part_and_what_is_left_is_asked_for() -> None:
    store, biller = billed()
    pay(store, "INV-1", amount=Decimal("100.00"), at=NOW // 1000, by="Anna")
    take_back(store, biller, "INV-1", at=NOW)
    assert standing(store, "INV-CN-1").open == Decimal("100.00")
    again(store, biller, "INV-1", at=NOW)
    second = said(biller, "INV-2")
    assert (second["payable"], second["due"]) == ("294.61", "2026-11-18")
    assert standing(store, "INV-2").open == Decimal("294.61")


def test_what_an_account_owes_is_the_sum_of_what_stands_open() -> None:
    store, biller = billed()

    def owed() -> dict[str, Decimal]:
        (row,) = account_rows(store, revisions(store)[-1].catalog)
        open_ = [
            each.open
            for each in standings(store).values()
            if each.state is State.ISSUED and each.kind is not InvoiceKind.CREDIT_NOTE
        ]
        assert sum(row.open.values(), Decimal(0)) == sum(open_)
        return row.open

    assert owed() == {"EUR": Decimal("394.61")}
    pay(store, "INV-1", amount=Decimal("94.60"), at=NOW // 1000, by="Anna")
    pay(store, "INV-1", amount=Decimal("0.1"), at=NOW // 1000, by="Anna")
    assert owed() == {"EUR": Decimal("299.91")}
    take_back(store, biller, "INV-1", at=NOW)
    assert owed() == {}
    again(store, biller, "INV-1", at=NOW)
    assert owed() == {"EUR": Decimal("299.91")}
    bill_due(store, LATER, biller)
    assert len(standings(store)) > 3
    assert owed()["EUR"] > 299
    for number, each in standings(store).items():
        if each.state is State.ISSUED and each.kind is not InvoiceKind.CREDIT_NOTE:
            pay(store, number, amount=None, at=NOW // 1000, by="Anna")
    assert owed() == {}


def test_credit_that_was_paid_out_pays_nothing_more() -> None:
    store, biller = billed()
    pay(store, "INV-1", amount=None, at=NOW // 1000, by="Anna")
    take_back(store, biller, "INV-1", at=NOW)
    with pytest.raises(NotPossible, match=r"394\.61 EUR open"):
        pay_out(store, "INV-CN-1", amount=Decimal("394.62"), at=NOW // 1000, by="Anna")
    pay_out(store, "INV-CN-1", amount=None, at=NOW // 1000, by="Anna", note="SEPA 1")
    with pytest.raises(NotPossible, match="has no credit left"):
        pay_out(store, "INV-CN-1", amount=None, at=NOW // 1000, by="Anna")
    again(store, biller, "INV-1", at=NOW)
    assert "offsets" not in said(biller, "INV-2")


@pytest.mark.parametrize("amount", ["0", "-1", "394.62", "0.001"])
def test_nobody_pays_nothing_too_much_or_parts_of_a_cent(amount: str) -> None:
    store, _ = billed()
    with pytest.raises(NotPossible, match=r"394\.61 EUR open"):
        pay(store, "INV-1", amount=Decimal(amount), at=NOW // 1000, by="Anna")


def test_the_offset_that_an_invoice_states_cannot_be_left_out() -> None:
    """P12: what is left to pay follows from the total and the credit that is named."""
    store, biller = billed()
    pay(store, "INV-1", amount=Decimal("100.00"), at=NOW // 1000, by="Anna")
    take_back(store, biller, "INV-1", at=NOW)
    again(store, biller, "INV-1", at=NOW)
    read = from_zip(as_bundle(store, invoice(store, biller.archive, "INV-2"), RECEIPT_KEY.public))
    assert isinstance(read, Bundle)
    forged = said(biller, "INV-2") | {"payable": "394.61"}
    outcome = verify(to_zip(replace(read, invoice=seal("MI1", forged, RECEIPT_KEY))), TRUST)
    assert [finding.sentence for finding in outcome.findings] == [
        "what it says of its payable is not what follows from the evidence"
    ]


class _Full(MemoryArchive):
    """A folder on a disk that is full until somebody makes room."""

    def __init__(self, *, room: bool = False) -> None:
        super().__init__()
        self.room = room

    def put(self, number: str, line: bytes) -> None:
        if not self.room:
            raise ArchiveFailed("no room")
        super().put(number, line)

    def put_all(self, lines: Iterable[tuple[str, bytes]]) -> None:
        for number, line in lines:
            self.put(number, line)


def test_a_correction_that_was_stopped_before_the_folder_is_completed_by_the_next_run() -> None:
    """P16, P22: issued is issued; the same bytes follow, and nothing is taken back twice."""
    store, _ = billed()
    archive = _Full()
    biller = store_biller(archive)
    with pytest.raises(ArchiveFailed):
        take_back(store, biller, "INV-1", at=NOW)
    archive.room = True
    with pytest.raises(NotPossible, match="was taken back by INV-CN-1"):
        take_back(store, biller, "INV-1", at=NOW)
    assert bill_due(store, NOW, biller).archived == ("INV-CN-1",)
    assert said(biller, "INV-CN-1")["voids"]["number"] == "INV-1"
    archive.room = False
    with pytest.raises(ArchiveFailed):
        again(store, biller, "INV-1", at=NOW)
    archive.room = True
    assert bill_due(store, NOW, biller).archived == ("INV-2",)
