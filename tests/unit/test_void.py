"""Taking an invoice back: a credit note in full, with its own number, its own evidence, and nothing left booked."""

import csv
import io
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from beancount.core.data import Transaction
from beancount.loader import load_string
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_collector.billing.accounts import NotPossible, State, standing
from cloud_collector.billing.books import as_csv
from cloud_collector.billing.datev import as_datev
from cloud_collector.billing.export import NoSuchInvoice, as_bundle, invoice
from cloud_collector.billing.issue import Issued
from cloud_collector.billing.journal import as_beancount
from cloud_collector.billing.run import Biller, bill_due
from cloud_collector.billing.void import Voiding, void
from cloud_collector.invoice.void import Void, turned, void_body
from cloud_collector.proof.bundle import Bundle, from_zip, to_zip, write_readme
from cloud_collector.proof.command import main as verify_invoice
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import verify
from cloud_collector.store.store import Store
from shared.errors import DatabaseFailed
from shared.line import Body, hash_of, seal
from tests.paper import CASES
from tests.paper import Body as Paper
from tests.unit.billing_samples import NOVEMBER, RECEIPT_KEY, Gateway, new_store, october, receive, store_biller
from tests.unit.test_billing import body
from tests.unit.test_books import BOOKS, FIRST, LAST, figures

NOW = (NOVEMBER + 3 * 86_400) * 1000
TRUST = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256}), words=frozenset())


def issued() -> tuple[Store, Biller]:
    store, biller = new_store(), store_biller()
    receive(store, october(Gateway()).lines, at=NOW // 1000)
    assert [each.number for each in bill_due(store, NOW, biller).outcomes] == ["INV-1"]
    return store, biller


def take_back(
    store: Store, biller: Biller, number: str = "INV-1", reason: str = "Wrong tariff", by: str = "Anna"
) -> Issued:
    asked = Voiding(number=number, reason=reason, by=by)
    return void(store, asked, now_ms=NOW + 1000, key=RECEIPT_KEY, archive=biller.archive)


def said(biller: Biller, number: str) -> Body:
    line = biller.archive.get(number)
    assert line is not None
    return body(line)


def test_an_invoice_is_taken_back_by_a_credit_note_with_a_number_of_its_own() -> None:
    store, biller = issued()
    taken = take_back(store, biller)
    assert taken.number == "INV-CN-1"
    first, note = said(biller, "INV-1"), said(biller, "INV-CN-1")
    assert (note["kind"], note["total"], note["due"]) == ("credit_note", "-394.61", None)
    assert note["voids"] == {
        "number": "INV-1",
        "issued_at": first["issued_at"],
        "hash": hash_of(biller.archive.get("INV-1") or b""),
        "reason": "Wrong tariff",
    }
    assert [turned(line["amount"]) for line in note["lines"]] == [line["amount"] for line in first["lines"]]


def test_its_number_stays_used_and_nothing_of_it_is_booked() -> None:
    """P16."""
    store, biller = issued()
    take_back(store, biller)
    assert [row[0] for row in store.rows("invoices")] == ["INV-1", "INV-CN-1"]
    booked: dict[tuple[str, ...], Decimal] = {}
    for number, line in store.rows("bookings_of_contract", "acme-chargers"):
        assert number in ("INV-1", "INV-CN-1")
        printed = json.loads(line)
        key = (printed["charge"], printed["device"], printed["service_start"])
        booked[key] = booked.get(key, Decimal(0)) + Decimal(printed["amount"])
    assert len(booked) == 3
    assert set(booked.values()) == {Decimal(0)}


def test_an_invoice_is_taken_back_once_and_a_credit_note_never() -> None:
    store, biller = issued()
    take_back(store, biller)
    with pytest.raises(NotPossible, match=r"INV-1 was taken back by INV-CN-1 on .*Wrong tariff"):
        take_back(store, biller)
    with pytest.raises(NotPossible, match="is a credit note and is not taken back"):
        take_back(store, biller, "INV-CN-1")
    with pytest.raises(NoSuchInvoice, match="there is no invoice INV-9"):
        take_back(store, biller, "INV-9")
    assert biller.archive.numbers() == {"INV-1", "INV-CN-1"}


@pytest.mark.parametrize(
    ("reason", "by", "sentence"), [(" ", "Anna", "say why"), ("x" * 141, "Anna", "say why"), ("Why", " ", "say who")]
)
def test_nobody_takes_back_without_a_reason_and_a_name(reason: str, by: str, sentence: str) -> None:
    store, biller = issued()
    with pytest.raises(NotPossible, match=sentence):
        take_back(store, biller, reason=reason, by=by)
    assert biller.archive.numbers() == {"INV-1"}


def test_the_database_itself_refuses_a_second_credit_note_for_one_invoice() -> None:
    """P16."""
    store, biller = issued()
    take_back(store, biller)
    with pytest.raises(DatabaseFailed, match="refuses a row"):
        store.run("void_add", 1, 2, "again", "Anna")


def test_what_was_not_paid_is_settled_by_it() -> None:
    store, biller = issued()
    take_back(store, biller)
    assert standing(store, "INV-1").state is State.CREDITED
    assert standing(store, "INV-1").open == 0
    assert (standing(store, "INV-CN-1").state, standing(store, "INV-CN-1").open) == (State.PAID, Decimal(0))


def bundle(store: Store, biller: Biller) -> bytes:
    return as_bundle(store, invoice(store, biller.archive, "INV-CN-1"), RECEIPT_KEY.public)


def test_its_evidence_is_the_invoice_that_it_takes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """P12: offline, and without any gateway's key."""
    store, biller = issued()
    take_back(store, biller)
    (tmp_path / "INV-CN-1.zip").write_bytes(bundle(store, biller))
    assert verify_invoice([str(tmp_path / "INV-CN-1.zip"), "--trust", RECEIPT_KEY.public.words]) == 0
    told = capsys.readouterr().out
    assert "VERIFIED  INV-CN-1, -394.61 EUR" in told
    assert "--    signatures and chain of the reports" in told
    assert "it takes back INV-1 line by line" in told


def test_every_byte_of_its_evidence_counts() -> None:
    """P11."""
    store, biller = issued()
    take_back(store, biller)
    made = bundle(store, biller)
    assert verify(made, TRUST).ok
    for at in range(0, len(made), 41):
        assert not verify(made[:at] + bytes([made[at] ^ 1]) + made[at + 1 :], TRUST).ok, at


def test_a_credit_note_that_takes_back_less_than_the_invoice_is_named_with_its_money() -> None:
    store, biller = issued()
    take_back(store, biller)
    read = from_zip(bundle(store, biller))
    assert isinstance(read, Bundle)
    forged = said(biller, "INV-CN-1")
    forged["lines"][0]["amount"] = "-1.00"
    sealed = seal("MI1", forged, RECEIPT_KEY)
    outcome = verify(to_zip(replace(read, invoice=sealed, readme=write_readme(forged))), TRUST)
    assert [finding.sentence for finding in outcome.findings] == [
        "it says amount -1.00, not -9.90: a difference of 8.90 EUR"
    ]


@pytest.mark.parametrize("other", [b"MI1|{}|x", None])
def test_a_credit_note_without_its_invoice_proves_nothing(other: bytes | None) -> None:
    store, biller = issued()
    take_back(store, biller)
    read = from_zip(bundle(store, biller))
    assert isinstance(read, Bundle)
    voided = other if other is not None else read.invoice
    outcome = verify(to_zip(replace(read, voided=voided)), TRUST)
    assert [finding.place for finding in outcome.findings] == ["voided.ms"]


FORMS = [name for name in CASES if name != "taken_back"]


@pytest.mark.parametrize("name", FORMS)
def test_an_invoice_and_its_credit_note_sum_to_zero_in_every_export(name: str) -> None:
    """P17: by charge, by account, by posting."""
    first: Paper = CASES[name]()
    note = void_body(
        first,
        Void(key="k", number="N", revision=1, issued_at=1_793_800_000, reason="r", hash="h", engine="e", tzdata="t"),
    )
    note["kind"] = "credit_note"
    charges: dict[str, Decimal] = {}
    for row in csv.DictReader(io.StringIO(as_csv([first, note]), newline="")):
        charges[row["charge"]] = charges.get(row["charge"], Decimal(0)) + Decimal(row["amount"])
    assert set(charges.values()) == {Decimal(0)}
    found, errors, _ = load_string(as_beancount([first, note]))
    assert errors == []
    both = [figures(entry) for entry in found if isinstance(entry, Transaction)]
    assert {account: both[0][account] + both[1][account] for account in both[0]} == dict.fromkeys(both[0], Decimal(0))
    books = replace(BOOKS, revenue={**BOOKS.revenue, "AE0": "8337", "E0": "8100", "O0": "8200"})
    if first["currency"] == "EUR":
        postings = as_datev([first, note], books, FIRST, LAST).decode("cp1252").splitlines()[2:]
        sums: dict[str, Decimal] = {}
        for posting in postings:
            cells = posting.split(";")
            amount = Decimal(cells[0].replace(",", ".")) * (1 if cells[1] == '"S"' else -1)
            sums[cells[7]] = sums.get(cells[7], Decimal(0)) + amount
        assert set(sums.values()) <= {Decimal(0)}


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
@settings(max_examples=200)
def test_turning_a_figure_twice_gives_it_back_and_both_sum_to_nothing(figure: Decimal) -> None:
    text = format(figure, "f")
    if figure == 0:
        text = text.removeprefix("-")
    assert turned(turned(text)) == text
    assert Decimal(text) + Decimal(turned(text)) == 0
