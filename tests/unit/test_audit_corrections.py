"""P11: an audit writes credit notes and replaced invoices again, and names what was changed of them."""

from dataclasses import replace
from pathlib import Path

from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.audit import Books, Fault, audit_invoices
from cloud_collector.billing.revisions import apply
from cloud_collector.billing.run import bill_due
from cloud_collector.contracts.read import load_catalog
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.line import hash_of, seal
from tests.unit.billing_samples import CATALOG, OCTOBER, RECEIPT_KEY, Gateway, october, receive, store_biller
from tests.unit.test_rebill import NOW, again, said, take_back


def corrected(path: Path) -> tuple[Store, MemoryArchive]:
    """An invoice, its credit note, and what replaces it at another price."""
    store, archive = Store(SqliteDatabase(path)), MemoryArchive()
    apply(store, load_catalog(CATALOG), now_ms=(OCTOBER - 86_400) * 1000)
    receive(store, october(Gateway()).lines, at=NOW // 1000)
    biller = store_biller(archive)
    bill_due(store, NOW, biller)
    take_back(store, biller, "INV-1", at=NOW)
    apply(store, load_catalog(CATALOG.replace("9.90", "8.00")), now_ms=NOW, effective_at=OCTOBER)
    again(store, biller, "INV-1", at=NOW)
    return store, archive


def faults(store: Store, archive: MemoryArchive) -> list[Fault]:
    return list(audit_invoices(store, archive, [RECEIPT_KEY.public], (), Books()))


def test_corrections_follow_from_the_facts(tmp_path: Path) -> None:
    store, archive = corrected(tmp_path / "collector.db")
    assert [row[0] for row in store.rows("invoices")] == ["INV-1", "INV-CN-1", "INV-2"]
    assert faults(store, archive) == []


def test_a_credit_note_that_takes_back_another_amount_is_named(tmp_path: Path) -> None:
    store, archive = corrected(tmp_path / "collector.db")
    forged = said(replace(store_biller(), archive=archive), "INV-CN-1") | {"total": "-1.00"}
    store._database.execute("drop trigger invoice_is_final")
    line = seal("MI1", forged, RECEIPT_KEY)
    store._database.execute("update invoice set line = ?, hash = ? where number = 'INV-CN-1'", (line, hash_of(line)))
    (fault,) = faults(store, archive)
    assert fault.number == "INV-CN-1"
    assert "the store lists its total as -394.61, and it says -1.00" in fault.sentences
    assert any(sentence.startswith("total: it says -1.00") or "-394.61" in sentence for sentence in fault.sentences[1:])
